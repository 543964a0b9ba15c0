//go:build linux

package e2e

import (
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// livePolicy drops all but the listed clients.
const livePolicy = `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
default { allow = [ipset.clients] }
`

// A live host is read from the backend that Docker uses, whichever is the default; apply,
// verify, diff and explain agree on it.
func TestALiveHostIsReadFromTheBackendThatDockerUses(t *testing.T) {
	t.Parallel()
	lab.Require(t, "iptables-nft", "iptables-legacy", "ipset")
	p := compileFolder(t, "live", livePolicy)
	explainDropped := []string{"explain", "live", "--from", "192.0.2.99", "--container-port", "443", "--interface", "eth0"}
	const inForce = "Dropped by rule default"
	onBackends := map[lab.Backend]lab.Backend{lab.NFT: lab.Legacy, lab.Legacy: lab.NFT}
	for backend, other := range onBackends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			h := newTarget(t, backend)
			h.addDockerChains(backend)
			h.succeeds(p, nil)
			reading := "Docker's chains are in iptables-" + string(backend)
			for _, standard := range []lab.Backend{backend, other} {
				h.setDefault(standard)
				words := []string{inForce}
				if standard == other {
					words = append(words, reading)
				}
				h.expect(h.dockerfw(explainDropped...), 0, words...)
				h.expect(h.dockerfw("explain", "live", "--from", "2001:db8::99", "--container-port", "443", "--interface", "eth0"), 0, inForce)
				h.expect(h.dockerfw("diff", "live", p.dir), 0)
				h.expect(h.dockerfw("verify", p.dir), 0, "ok    backend ", "iptables-"+string(backend))
			}
			// A jump to DOCKER-USER that was made before Docker ran does not show Docker, but packets
			// follow it.
			if err := h.IPTablesRestore(other, 4, "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -s 192.0.2.10/32 -j DROP\nCOMMIT\n"); err != nil {
				t.Fatal(err)
			}
			h.expect(h.dockerfw(explainDropped...), 0, inForce, reading)
			h.expect(h.dockerfw("verify", p.dir), 1, "FAIL  backend ", "iptables-"+string(other), "-A DOCKER-USER -s 192.0.2.10/32 -j DROP")
			// With Docker's chains in both, the backend is ambiguous.
			h.addDockerChains(other)
			for _, args := range [][]string{explainDropped, {"diff", "live", p.dir}, {"verify", p.dir}} {
				h.expect(h.dockerfw(args...), 2, "both iptables-nft and iptables-legacy")
			}
		})
	}
}

// Reading a host without legacy tables does not create them.
func TestReadingALiveHostCreatesNoTables(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(lab.NFT)
	h.setDefault(lab.Legacy)
	h.expect(h.dockerfw("explain", "live", "--from", "192.0.2.99", "--to-port", "443"), 0, "Docker's chains are in iptables-nft")
	h.dockerfw("verify", compileFolder(t, "live", livePolicy).dir)
	if names := h.MustRun("cat", "/proc/net/ip_tables_names"); names != "" {
		t.Errorf("legacy tables were created: %s", names)
	}
}
