//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	rules "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab"
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
