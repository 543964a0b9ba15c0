// Package policytest runs the test blocks of a policy.
//
// In: the policy of one host, and the addresses of its lists.
// Out: for each test the verdict that its packet gets, and the rule that decided.
// It asks the meaning of the policy, to which every compile proves its text equal.
package policytest

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/meaning"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// Result is what became of one test.
type Result struct {
	Test *parser.Test
	Host string
	// Packet is the packet that was decided.
	Packet packet.Packet
	Got    parser.Expectation
	// By is the block that decided, such as "accept.https"; "" when none did.
	By string
}

// Passed reports whether the test holds.
func (r Result) Passed() bool {
	return r.Got == r.Test.Expect && (r.Test.By == "" || r.Test.By == r.By)
}

// Run runs the tests of a policy in the order they were written.
func Run(p *parser.Policy, lists meaning.Lists) []Result {
	type key struct {
		family ir.Family
		proxy  bool
	}
	programs := map[key]*packet.Program{}
	var out []Result
	for _, t := range p.Tests {
		family := ir.IPv4
		if t.From.Is6() {
			family = ir.IPv6
		}
		k := key{family, t.Proxy}
		if programs[k] == nil {
			says := meaning.Program
			if t.Proxy {
				says = meaning.Guard
			}
			programs[k] = says(p, family, lists)
		}
		out = append(out, run(p, t, programs[k]))
	}
	return out
}

func run(p *parser.Policy, t *parser.Test, program *packet.Program) Result {
	r := Result{Test: t, Host: p.Host.Name, Packet: packetOf(p, t, program.Family)}
	decision := program.Decide(r.Packet)
	r.Got = map[packet.Kind]parser.Expectation{
		packet.Accept: parser.ExpectAccept,
		packet.Drop:   parser.ExpectDrop,
		packet.Reject: parser.ExpectReject,
		packet.Docker: parser.ExpectDocker,
	}[decision.Verdict.Kind]
	if rule := program.Rule(decision.At); rule != nil && rule.Text != meaning.NotGuarded {
		r.By = strings.Replace(rule.Text, " ", ".", 1)
	}
	return r
}

// What a test does not say of its packet: the container it ends at, and the port
// it comes from. The address of the host is left unspecified, which no
// published_address is.
var (
	container4 = netip.MustParseAddr("172.17.0.2")
	container6 = netip.MustParseAddr("fd00::172:17:0:2")
)

const sourcePort = 40000

// fromContainer tells whether an interface is one that containers are on. What comes from
// there goes to the outside: egress decides.
func fromContainer(p *parser.Policy, name string) bool {
	patterns := []string{"docker+", "br-+"}
	if c := p.Host.ContainerInterfaces; len(c) > 0 {
		patterns = nil
		for _, i := range c {
			patterns = append(patterns, i.Value)
		}
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool { return parser.Covers(pattern, name) })
}

// packetOf makes the packet of a test.
func packetOf(p *parser.Policy, t *parser.Test, f ir.Family) packet.Packet {
	out := packet.Packet{
		Family:          f,
		In:              t.Interface,
		Out:             "docker0",
		Source:          t.From,
		Destination:     container4,
		Protocol:        t.Protocol.Number,
		SourcePort:      sourcePort,
		DestinationPort: t.ContainerPort,
		State:           ir.CTNew,
		Direction:       ir.CTOriginal,
		ICMPType:        8,
		Conditions:      conditions(p),
	}
	unspecified := netip.IPv4Unspecified()
	if f == ir.IPv6 {
		out.Destination, out.ICMPType, unspecified = container6, 128, netip.IPv6Unspecified()
	}
	if c := p.Host.ContainerInterfaces; len(c) > 0 {
		out.Out = strings.Replace(c[0].Value, "+", "0", 1)
	}
	if fromContainer(p, t.Interface) {
		out.Out = strings.Replace(p.Host.ExternalInterfaces[0].Value, "+", "0", 1)
	}
	switch t.State {
	case parser.StateEstablished:
		out.State = ir.CTEstablished
	case parser.StateReply:
		out.State, out.Direction = ir.CTEstablished, ir.CTReply
	case parser.StateRelated:
		out.State = ir.CTRelated
	case parser.StateInvalid:
		out.State = ir.CTInvalid
	}
	switch {
	case t.Proxy:
		out.Out, out.Destination, out.DestinationPort = "", unspecified, t.ToPort
		if t.ToAddress.IsValid() {
			out.Destination = t.ToAddress
		}
	case t.ToPort != 0 && t.State != parser.StateReply:
		out.DNAT = true
		out.OriginalPort, out.OriginalDestination = t.ToPort, unspecified
		if t.ToAddress.IsValid() {
			out.OriginalDestination = t.ToAddress
		}
		if out.DestinationPort == 0 {
			out.DestinationPort = t.ToPort
		}
	case t.ToAddress.IsValid():
		out.Destination = t.ToAddress
	}
	return out
}

// conditions says what holds of what a packet alone does not tell: limits are not
// reached, and sets that somebody else fills are empty.
func conditions(p *parser.Policy) map[string]bool {
	rules := p.Rules
	if p.Egress != nil {
		rules = slices.Concat(rules, p.Egress.Rules)
	}
	out := map[string]bool{}
	for _, r := range rules {
		if r.Kind != parser.KindAccept {
			continue
		}
		if r.Rate != nil {
			out[meaning.RateOf(r.Name.Value).String()] = true
		}
		if r.Connections != nil {
			out[meaning.ConnectionsOf(r.Name.Value).String()] = true
		}
	}
	return out
}
