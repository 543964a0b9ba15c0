package semantics_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
)

func ExampleProgram() {
	source, diags := parser.Load("testdata/policy.hcl", parser.Inputs{}, false)
	if diags.HasErrors() {
		panic(diags)
	}
	defer source.Close()
	policy, diags := source.Evaluate("", time.Time{})
	if diags.HasErrors() {
		panic(diags)
	}
	program := semantics.Program(policy, ir.IPv4, nil)
	for _, client := range []string{"192.0.2.9", "203.0.113.9"} {
		for _, port := range []uint16{443, 80} {
			decision := program.Decide(packet.Packet{
				In: "eth0", Out: "docker0", Protocol: parser.TCP, State: ir.CTNew, DNAT: true,
				Source: netip.MustParseAddr(client), SourcePort: 40000,
				OriginalDestination: netip.MustParseAddr("198.51.100.1"), OriginalPort: port,
				Destination: netip.MustParseAddr("172.17.0.2"), DestinationPort: port,
			})
			fmt.Printf("%s to port %d: %s\n", client, port, decision.Verdict)
		}
	}
	// Output:
	// 192.0.2.9 to port 443: accept
	// 192.0.2.9 to port 80: docker
	// 203.0.113.9 to port 443: accept
	// 203.0.113.9 to port 80: drop
}
