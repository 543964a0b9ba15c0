package packet_test

import (
	"fmt"
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Two versions of a chain: what does the new one let through that the old did not?
func Example() {
	rules := func(prefixes ...string) *ir.Program {
		chain := &ir.Chain{Name: "DOCKER-USER"}
		for _, p := range prefixes {
			chain.Rules = append(chain.Rules, &ir.Rule{
				Matches: []ir.Match{
					ir.Address{Dir: ir.Src, Prefix: netip.MustParsePrefix(p)},
					ir.Protocol{Number: 6},
					ir.Conntrack{OrigDstPort: &ir.PortRange{First: 443, Last: 443}, Dir: ir.CTOriginal},
				},
				Verdict: ir.Return{},
			})
		}
		chain.Rules = append(chain.Rules, &ir.Rule{Verdict: ir.Drop{}})
		return &ir.Program{Family: ir.IPv4, Chains: []*ir.Chain{chain}}
	}
	space, err := packet.New(
		packet.FromIR(rules("192.0.2.0/24"), nil),
		packet.FromIR(rules("192.0.2.0/23", "192.0.3.128/25"), nil),
	)
	if err != nil {
		panic(err)
	}
	before, after := space.Programs()[0], space.Programs()[1]
	diff, err := packet.Compare(before, after, 20)
	if err != nil {
		panic(err)
	}
	for _, c := range diff.Changes {
		fmt.Printf("%s: %s by rule %d, was %s by rule %d\n  such as %s\n", c.Effect, c.New, c.NewRule.Rule, c.Old, c.OldRule.Rule, c.Witness)
		regions, _ := c.Set.Regions(10)
		for _, r := range regions {
			from, _ := r.Source.Prefixes(3)
			fmt.Println("  from", from, "to published ports", r.OriginalPorts)
		}
	}
	lints, err := after.Lints()
	if err != nil {
		panic(err)
	}
	for _, l := range lints {
		fmt.Printf("rule %d is %s by %v\n", l.At.Rule, l.Flaw, l.CoveredBy)
	}
	// Output:
	// widened: docker by rule 0, was drop by rule 1
	//   such as tcp 192.0.3.1:40000 -> 172.17.0.2:443 in eth0 out docker0 NEW
	//   from [192.0.3.0/24] to published ports [{443 443}]
	// rule 1 is covered by [{0 0}]
}
