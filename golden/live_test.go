//go:build linux

package golden

import (
	"os"
	"os/exec"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// livePolicy drops who is no friend.
const livePolicy = `
host { external_interfaces = ["eth0"] }
ipset "friends" { entries = ["192.0.2.10", "2001:db8::10"] }
default { allow = [ipset.friends] }
`

// dockerfw runs the command on the host, with its tools.
func (h *target) dockerfw(args ...string) outcome {
	h.t.Helper()
	real, shell := h.path("dockerfw"), h.shell
	defer func() { h.shell = shell }()
	h.shell = nil // it is no script
	return h.script(real, args...)
}

// A live host is asked in the tables of Docker's, whatever iptables stands for there, and
// apply.sh, verify, diff and explain agree on which they are.
func TestALiveHostIsAskedWhereDockerIs(t *testing.T) {
	t.Parallel()
	lab.Require(t, "iptables-nft", "iptables-legacy", "ipset")
	command := t.TempDir() + "/dockerfw"
	if out, err := exec.Command("go", "build", "-o", command, "../cmd/dockerfw").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := compileFolder(t, "live", livePolicy)
	stranger := []string{"explain", "live", "--from", "192.0.2.99", "--container-port", "443", "--interface", "eth0"}
	const inForce = "Drop, by default"
	onBackends := map[lab.Backend]lab.Backend{lab.NFT: lab.Legacy, lab.Legacy: lab.NFT}
	for backend, other := range onBackends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			h := newTarget(t, backend)
			if err := os.Symlink(command, h.path("dockerfw")); err != nil {
				t.Fatal(err)
			}
			h.likeDocker(backend)
			h.succeeds(p, nil)
			says := "iptables is iptables-" + string(other) + " on this host, and Docker's chains are in iptables-" + string(backend) + ": reading the latter"
			for _, standard := range []lab.Backend{backend, other} {
				h.setDefault(standard)
				words := []string{inForce}
				if standard == other {
					words = append(words, says)
				}
				h.expect(h.dockerfw(stranger...), 0, words...)
				h.expect(h.dockerfw("explain", "live", "--from", "2001:db8::99", "--container-port", "443", "--interface", "eth0"), 0, inForce)
				h.expect(h.dockerfw("diff", "live", p.dir), 0)
				h.expect(h.dockerfw("verify", p.dir), 0, "ok    backend       the rules of Docker and dockerfw are in the same tables, those of iptables-"+string(backend))
			}
			// A way to DOCKER-USER that was made before Docker ran does not count as Docker's, but
			// packets come by it.
			if err := h.IPTablesRestore(other, 4, "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -s 192.0.2.10/32 -j DROP\nCOMMIT\n"); err != nil {
				t.Fatal(err)
			}
			h.expect(h.dockerfw(stranger...), 0, inForce, says)
			h.expect(h.dockerfw("verify", p.dir), 1, "FAIL  backend ", "iptables-"+string(other)+" has rules of Docker or dockerfw too, such as -A FORWARD -j DOCKER-USER:")
			// Docker's own in both: there is no telling.
			h.likeDocker(other)
			for _, args := range [][]string{stranger, {"diff", "live", p.dir}, {"verify", p.dir}} {
				h.expect(h.dockerfw(args...), 2, "FORWARD jumps to Docker's chains in both iptables-nft and iptables-legacy")
			}
		})
	}
}

// Asking a host that has no legacy tables makes none.
func TestAskingALiveHostMakesNoTables(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	if out, err := exec.Command("go", "build", "-o", h.path("dockerfw"), "../cmd/dockerfw").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h.likeDocker(lab.NFT)
	h.setDefault(lab.Legacy)
	h.expect(h.dockerfw("explain", "live", "--from", "192.0.2.99", "--to-port", "443"), 0, "Docker's chains are in iptables-nft: reading the latter")
	h.dockerfw("verify", compileFolder(t, "live", livePolicy).dir)
	if names := h.MustRun("cat", "/proc/net/ip_tables_names"); names != "" {
		t.Errorf("there are legacy tables now: %s", names)
	}
}
