//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	rules "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/policies"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
)

// TestFoldedRandomPoliciesAgreeWithTheKernel does with policies of many rules what
// TestRandomPoliciesAgreeWithTheKernel does with others.
func TestFoldedRandomPoliciesAgreeWithTheKernel(t *testing.T) {
	t.Parallel()
	routers := []*lab.Router{lab.NewRouter(t, lab.NFT), lab.NewRouter(t, lab.Legacy)}
	dir := t.TempDir()
	chains := 0
	sent := map[lab.Backend]int{}
	rapid.Check(t, func(t *rapid.T) {
		p, ok := compileFolded(t, dir, randompolicy.Many(t), rules.Options{FoldAbove: rapid.IntRange(1, 8).Draw(t, "above"), MaxLevels: rapid.IntRange(3, 14).Draw(t, "levels")})
		if !ok {
			t.Fatal("the policy has errors")
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "packets"), 0))
		for _, program := range p.programs {
			for _, c := range program.Chains {
				if c.Protocol != 0 {
					chains++
				}
			}
			packets, toHost := manyPackets(random, program.Family, packetsSent, false), manyPackets(random, program.Family, packetsSent/2, true)
			for _, r := range routers {
				got := p.loadSendRemove(t, r, program, packets, toHost)
				sent[r.Backend] += got.forwarded + got.input + got.fallback
			}
		}
	})
	t.Logf("%d chains of folded rules; packets: %v", chains, sent)
	for _, r := range routers {
		if chains < 10 || sent[r.Backend] < 1000 {
			t.Errorf("%s: only %d chains of folded rules and %d packets", r.Backend, chains, sent[r.Backend])
		}
	}
}

// manyPackets returns packets from the clients, and to the ports, of policies of randompolicy.Many.
func manyPackets(r *rand.Rand, f ir.Family, n int, toHost bool) []packet.Packet {
	packets := drawPackets(r, f, n, toHost)
	for i := range packets {
		p := packets[i]
		port := uint16(1000 + r.IntN(24))
		switch {
		case p.Protocol != packet.ProtoTCP && p.Protocol != packet.ProtoUDP:
		case toHost:
			p.DestinationPort = port
		case p.DNAT:
			p.OriginalPort = port
		}
		if p.State == ir.CTNew {
			p.Source = netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(10)), byte(r.IntN(10))})
			if f == ir.IPv6 {
				p.Source = netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", r.IntN(4), r.IntN(10)))
			}
		}
		p.Complete()
		if lab.Sendable(p) == nil {
			packets[i] = p
		}
	}
	return packets
}

// forwardingRounds is the number of measurements of each policy, which take turns: other work on the
// machine then disturbs all alike.
const forwardingRounds = 5

// BenchmarkForwarding measures how many datagrams a host forwards to a container through the rules
// of 10,000 accepts that match none of them, relative to an empty chain.
func BenchmarkForwarding(b *testing.B) {
	lab.Require(b, "ip", "ipset")
	compiled := func(sets bool, fold rules.Options) *policy {
		path := filepath.Join(b.TempDir(), "policy.hcl")
		if err := os.WriteFile(path, []byte(policies.ManyAccepts("udp", sets)), 0o600); err != nil {
			b.Fatal(err)
		}
		result, diags := driver.Policy(path, driver.Options{Fold: fold})
		if diags.HasErrors() {
			b.Fatal(diags)
		}
		p := &policy{programs: result.Hosts[0].Tables.Programs, files: map[string]string{}}
		for _, f := range result.Hosts[0].Files {
			p.files[f.Name] = string(f.Content)
		}
		return p
	}
	kinds := []struct {
		unit   string
		policy *policy
	}{
		{"%empty", nil},
		{"%folded", compiled(false, rules.Options{})},
		{"%folded-sets", compiled(true, rules.Options{})},
		{"%unfolded", compiled(false, rules.Options{NoFold: true})},
	}
	for _, backend := range lab.Backends {
		b.Run(string(backend), func(b *testing.B) {
			site := newForwarding(b, backend)
			for b.Loop() {
				rates := make([][]float64, len(kinds))
				for range forwardingRounds {
					for i, k := range kinds {
						rates[i] = append(rates[i], site.rate(b, k.policy))
					}
				}
				empty := median(rates[0])
				b.ReportMetric(empty, "packets/s")
				for i, k := range kinds[1:] {
					b.Logf("%s of an empty chain: %.0f; packets/s in turn: %.0f", k.unit, 100*median(rates[i+1])/empty, rates[i+1])
					b.ReportMetric(100*median(rates[i+1])/empty, k.unit)
				}
			}
		})
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// forwarding is a client, a host that translates the ports of policies.ManyAccepts, and a
// container.
type forwarding struct {
	backend                 lab.Backend
	client, host, container *lab.Namespace
}

func newForwarding(b *testing.B, backend lab.Backend) *forwarding {
	b.Helper()
	lab.Require(b, "ip", "ipset", backend.Tool(4, "-restore"))
	f := &forwarding{backend, lab.NewNamespace(b, "dfw-client"), lab.NewNamespace(b, "dfw-host"), lab.NewNamespace(b, "dfw-container")}
	link := func(outer *lab.Namespace, gateway, address, device string) {
		f.host.MustRun("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", outer.Name)
		f.host.MustRun("ip", "address", "add", gateway+"/24", "dev", device)
		f.host.MustRun("ip", "link", "set", device, "up")
		outer.MustRun("ip", "address", "add", address+"/24", "dev", "eth0")
		outer.MustRun("ip", "link", "set", "eth0", "up")
		outer.MustRun("ip", "route", "add", "default", "via", gateway)
	}
	link(f.client, "198.51.100.1", "198.51.100.2", "eth0")
	link(f.container, "172.17.0.1", "172.17.0.2", "docker0")
	f.host.Sysctl("net.ipv4.ip_forward", "1")
	nat := fmt.Sprintf("*nat\n-A PREROUTING -p udp -m udp --dport %d:%d -j DNAT --to-destination 172.17.0.2:9\nCOMMIT\n", policies.ManyAcceptsPort(0), policies.ManyAcceptsPort(499))
	if err := f.host.IPTablesRestore(backend, 4, nat+"*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"); err != nil {
		b.Fatal(err)
	}
	return f
}

// rate returns the datagrams per second that get through the rules of a policy to the container;
// without a policy, through an empty chain.
func (f *forwarding) rate(b *testing.B, p *policy) float64 {
	b.Helper()
	if p != nil {
		defer scrub(b, f.host, f.backend, ir.IPv4)
		p.load(b, f.host, f.backend, p.programs[0])
	}
	const d = time.Second
	before := f.received(b)
	if _, err := f.client.Flood(fmt.Sprintf("198.51.100.1:%d", policies.ManyAcceptsPort(499)), d); err != nil {
		b.Fatal(err)
	}
	got := f.received(b) - before
	if got == 0 {
		b.Fatal("no datagram gets through")
	}
	return float64(got) / d.Seconds()
}

// received returns the number of packets that the container has received.
func (f *forwarding) received(b *testing.B) int {
	b.Helper()
	var links []struct {
		Stats struct{ Rx struct{ Packets int } } `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(f.container.MustRun("ip", "-s", "-j", "link", "show", "dev", "eth0")), &links); err != nil || len(links) != 1 {
		b.Fatal(links, err)
	}
	return links[0].Stats.Rx.Packets
}
