package packet

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// randomPrefixes returns n prefixes with lengths as in blocklists.
func randomPrefixes(r *rand.Rand, n int) []netip.Prefix {
	out := make([]netip.Prefix, 0, n)
	for range n {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], r.Uint32())
		out = append(out, netip.PrefixFrom(netip.AddrFrom4(b), []int{32, 32, 32, 32, 32, 32, 24, 24, 22, 20}[r.IntN(10)]).Masked())
	}
	return out
}

func randomPrefixes6(r *rand.Rand, n int) []netip.Prefix {
	out := make([]netip.Prefix, 0, n)
	for range n {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], 0x2000<<48|r.Uint64()>>4)
		binary.BigEndian.PutUint64(b[8:], r.Uint64())
		out = append(out, netip.PrefixFrom(netip.AddrFrom16(b), []int{128, 64, 64, 48, 32}[r.IntN(5)]).Masked())
	}
	return out
}

// workload returns n random rules; with sets, most sources are sets.
func workload(r *rand.Rand, n int, sets []*AddrSet, published bool) *Program {
	c := &Chain{Name: "DOCKER-USER"}
	for i := range n {
		rule := &Rule{Verdict: Verdict{Kind: []Kind{Accept, Drop, Docker}[r.IntN(3)]}, Text: fmt.Sprint("rule ", i)}
		if len(sets) > 0 && (n == 1 || r.IntN(10) > 0) {
			rule.Matches = append(rule.Matches, Addr{Source, sets[r.IntN(len(sets))]})
		} else {
			rule.Matches = append(rule.Matches, Addr{Source, NewAddrSet("", randomPrefixes(r, 1))})
		}
		rule.Matches = append(rule.Matches, Proto{[]uint8{[]uint8{6, 17}[r.IntN(2)]}})
		port := uint16(r.IntN(65000))
		ports := []ir.PortRange{{First: port, Last: port + uint16([]int{0, 0, 0, 10, 500}[r.IntN(5)])}}
		if published {
			rule.Matches = append(rule.Matches, Port{OriginalDestination, ports}, Dir{ir.CTOriginal})
		} else {
			rule.Matches = append(rule.Matches, Port{Destination, ports})
		}
		c.Rules = append(c.Rules, rule)
	}
	return &Program{Family: ir.IPv4, Chains: []*Chain{c}, Default: Verdict{Kind: Drop}}
}

// edited returns the program with ten verdicts flipped and a hundred prefixes of each set
// replaced.
func edited(r *rand.Rand, p *Program, sets map[*AddrSet]*AddrSet) *Program {
	c := &Chain{Name: p.Chains[0].Name}
	flip := map[int]bool{}
	for range 10 {
		flip[r.IntN(len(p.Chains[0].Rules))] = true
	}
	for i, old := range p.Chains[0].Rules {
		rule := *old
		if flip[i] {
			rule.Verdict.Kind = Accept + Drop - min(rule.Verdict.Kind, Drop)
		}
		rule.Matches = nil
		for _, m := range old.Matches {
			if a, ok := m.(Addr); ok && sets[a.In] != nil {
				m = Addr{a.End, sets[a.In]}
			}
			rule.Matches = append(rule.Matches, m)
		}
		c.Rules = append(c.Rules, &rule)
	}
	return &Program{Family: p.Family, Chains: []*Chain{c}, Default: p.Default}
}

func BenchmarkSpace(b *testing.B) {
	for _, w := range []struct {
		name      string
		rules     int
		sets      []int
		published bool
	}{
		{"1,000 rules", 1000, nil, false},
		{"1,000 rules, a set of 100,000", 1000, []int{100_000}, false},
		{"one set of 1,000,000", 1, []int{1_000_000}, false},
		{"10,000 rules", 10_000, nil, false},
		{"10,000 rules of published ports", 10_000, nil, true},
		{"10,000 rules, 30 sets with 1,000,000", 10_000, append([]int{1_000_000, 100_000}, repeat(1000, 28)...), false},
		{"10,000 rules of published ports, 30 sets with 1,000,000", 10_000, append([]int{1_000_000, 100_000}, repeat(1000, 28)...), true},
	} {
		r := rand.New(rand.NewPCG(1, 2))
		var sets []*AddrSet
		changed := map[*AddrSet]*AddrSet{}
		for i, n := range w.sets {
			ps := randomPrefixes(r, n)
			s := NewAddrSet(fmt.Sprint("set", i), ps)
			sets = append(sets, s)
			changed[s] = NewAddrSet(s.Name, append(ps[100:], randomPrefixes(r, 100)...))
		}
		before := workload(r, w.rules, sets, w.published)
		after := edited(r, before, changed)
		b.Run(w.name+"/new", func(b *testing.B) {
			for b.Loop() {
				runtime.GC()
				var m0, m1 runtime.MemStats
				runtime.ReadMemStats(&m0)
				s, err := New(before, after)
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&m1)
				b.ReportMetric(float64(s.Nodes()), "nodes")
				b.ReportMetric(float64(m1.HeapAlloc-m0.HeapAlloc)/1e6, "MB-kept")
				runtime.KeepAlive(s)
			}
		})
		s, err := New(before, after)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(w.name+"/compare", func(b *testing.B) {
			for b.Loop() {
				c, err := Compare(s.Programs()[0], s.Programs()[1], 50)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(c.Changes)), "changes")
			}
		})
		b.Run(w.name+"/lints", func(b *testing.B) {
			for b.Loop() {
				e := s.Programs()[0]
				lints, err := e.Lints()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(lints)), "lints")
				b.ReportMetric(float64(s.Nodes()), "nodes")
			}
		})
	}
}

func repeat(n, times int) []int {
	var out []int
	for range times {
		out = append(out, n)
	}
	return out
}

func BenchmarkAddrSet(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, ps := range map[string][]netip.Prefix{"v4": randomPrefixes(r, 1_000_000), "v6": randomPrefixes6(r, 1_000_000)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				NewAddrSet("", ps)
			}
		})
	}
}
