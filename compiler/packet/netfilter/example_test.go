package netfilter_test

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Which rule of saved tables gives a packet its verdict?
func ExampleProgram() {
	const saved = `*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j ACCEPT
-A DOCKER-USER -m set --match-set blocked src -j DROP
-A DOCKER-USER -p tcp -m string --string "GET /admin" --algo bm -j REJECT
COMMIT
`
	const sets = `create blocked hash:net family inet
add blocked 203.0.113.0/24
`
	rules, diags := iptables.ParseRules(strings.NewReader(saved), "saved.rules")
	host := iptables.NewRuleset(iptables.IPv4)
	diags = append(diags, host.Load(rules)...)
	setFile, setDiags := iptables.ParseSets(strings.NewReader(sets), "saved.sets")
	var loaded iptables.Sets
	diags = append(diags, append(setDiags, loaded.Load(setFile)...)...)
	if diags.HasErrors() {
		panic(diags)
	}

	program := netfilter.Program(host.Table("filter"), ir.IPv4, "FORWARD", netfilter.NewSets(&loaded, nil))
	for _, source := range []string{"203.0.113.7", "198.51.100.7"} {
		d := program.Decide(packet.Packet{
			Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr("172.17.0.2"),
			Protocol: packet.ProtoTCP, DestinationPort: 80, In: "eth0", Out: "docker0",
		})
		fmt.Printf("from %s: %s by %s\n", source, d.Verdict, program.Rule(d.At).Text)
	}
	// What is not supported is a condition that holds or not.
	for _, r := range program.Rules() {
		for _, text := range r.Opaque() {
			fmt.Printf("%s, if %q holds\n", r.Verdict, text)
		}
	}
	// Output:
	// from 203.0.113.7: drop by -m set --match-set blocked src -j DROP
	// from 198.51.100.7: accept by -o docker0 -j ACCEPT
	// reject icmp-port-unreachable, if "string --string GET /admin --algo bm" holds
}
