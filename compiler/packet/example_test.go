package packet_test

import (
	"fmt"
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// web returns a chain that leaves TCP connections to published port 443 from some
// networks to Docker, and drops the rest.
func web(networks ...string) *packet.Program {
	chain := &packet.Chain{Name: "DOCKER-USER"}
	for _, n := range networks {
		chain.Rules = append(chain.Rules, &packet.Rule{
			Matches: []packet.Cond{
				packet.Addr{End: packet.Source, In: packet.NewAddrSet("", []netip.Prefix{netip.MustParsePrefix(n)})},
				packet.Proto{Numbers: []uint8{packet.ProtoTCP}},
				packet.Dir{Dir: ir.CTOriginal},
				packet.Port{End: packet.OriginalDestination, Ranges: []ir.PortRange{{First: 443, Last: 443}}},
			},
			Verdict: packet.Verdict{Kind: packet.Return},
		})
	}
	chain.Rules = append(chain.Rules, &packet.Rule{Verdict: packet.Verdict{Kind: packet.Drop}})
	return &packet.Program{Family: ir.IPv4, Chains: []*packet.Chain{chain}}
}

// Which packets do two versions of a chain treat differently?
func ExampleCompare() {
	space, err := packet.New(web("192.0.2.0/24"), web("192.0.2.0/23", "192.0.3.128/25"))
	if err != nil {
		panic(err)
	}
	before, after := space.Programs()[0], space.Programs()[1]
	diff, err := packet.Compare(before, after, 20)
	if err != nil {
		panic(err)
	}
	for _, c := range diff.Changes {
		fmt.Printf("%s: from %s (rule %d) to %s (rule %d)\n", c.Effect, c.Old, c.OldRule.Rule, c.New, c.NewRule.Rule)
		fmt.Println("for example", c.Witness)
	}
	// Output:
	// widened: from drop (rule 1) to docker (rule 0)
	// for example tcp 192.0.3.1:40000 -> 172.17.0.2:443 in eth0 out docker0 NEW
}

// Which packets does a program leave to Docker's rules?
func ExampleSet_Regions() {
	space, err := packet.New(web("192.0.2.0/24"))
	if err != nil {
		panic(err)
	}
	e := space.Programs()[0]
	passed, _ := e.Outcome(packet.Verdict{Kind: packet.Docker}).Regions(10)
	for _, r := range passed {
		from, _ := r.Source.Prefixes(3)
		fmt.Println("from", from, "to published ports", r.OriginalPorts)
	}
	// Output:
	// from [192.0.2.0/24] to published ports [{443 443}]
}

// What becomes of one packet, and which rule decides?
func ExampleProgram_Decide() {
	d := web("192.0.2.0/24").Decide(packet.Packet{
		Source: netip.MustParseAddr("198.51.100.1"), SourcePort: 40000,
		Destination: netip.MustParseAddr("172.17.0.2"), DestinationPort: 443,
		Protocol: packet.ProtoTCP,
	})
	fmt.Printf("%s by rule %d\n", d.Verdict, d.At.Rule)
	for _, s := range d.Steps {
		if s.Failed != nil {
			fmt.Printf("rule %d does not match: not %s\n", s.At.Rule, s.Failed)
		}
	}
	// Output:
	// drop by rule 1
	// rule 0 does not match: not source 192.0.2.0/24
}

// Which rules have no effect?
func ExampleEvaluation_Lints() {
	space, err := packet.New(web("192.0.2.0/23", "192.0.3.128/25"))
	if err != nil {
		panic(err)
	}
	lints, err := space.Programs()[0].Lints()
	if err != nil {
		panic(err)
	}
	for _, l := range lints {
		fmt.Printf("rule %d is %s by %v\n", l.At.Rule, l.Flaw, l.CoveredBy)
	}
	// Output:
	// rule 1 is covered by [{0 0}]
}
