package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// The guard decides packets for published ports that end at docker-proxy on the
// host, and so come through INPUT: those of IPv6 clients to networks without IPv6,
// and all when something has emptied the nat table. What Docker publishes is told
// there by the port alone, so that the guard is for the ports that the policy names.

// protocolPorts are the ports of one protocol, sorted and apart from each other.
type protocolPorts struct {
	protocol uint8
	ports    []parser.Ports
}

// guardedPorts are the published ports that rules or the host name, by protocol in
// the order of numbers.
func (c *compilation) guardedPorts() []protocolPorts {
	if !c.policy.Host.InputGuard {
		return nil
	}
	named := map[uint8][]parser.Ports{}
	for _, p := range values(c.policy.Host.ProxyPorts) {
		named[p.Protocol] = append(named[p.Protocol], p.Ports)
	}
	for _, r := range c.policy.Rules {
		for _, p := range values(r.Protocols) {
			named[p.Number] = append(named[p.Number], values(r.PublishedPorts)...)
		}
	}
	var out []protocolPorts
	for protocol, ports := range named {
		if len(ports) > 0 {
			out = append(out, protocolPorts{protocol, joinPorts(ports)})
		}
	}
	slices.SortFunc(out, func(a, b protocolPorts) int { return cmp.Compare(a.protocol, b.protocol) })
	return out
}

// joinPorts joins ranges that overlap or touch.
func joinPorts(ports []parser.Ports) []parser.Ports {
	sorted := slices.SortedFunc(slices.Values(ports), func(a, b parser.Ports) int { return cmp.Compare(a.First, b.First) })
	out := sorted[:1]
	for _, p := range sorted[1:] {
		last := &out[len(out)-1]
		if int(p.First) <= int(last.Last)+1 {
			last.Last = max(last.Last, p.Last)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// guardScope is what the guard decides: by external interfaces, wherever Docker
// would have sent the packets on to.
func (c *compilation) guardScope(external []string) *scope {
	guarded := c.guardedPorts()
	if len(guarded) == 0 {
		return nil
	}
	s := &scope{chain: ir.ProxyChain, guarded: guarded, def: c.policy.Default, in: external}
	alike := true
	for _, r := range c.policy.Rules {
		if known := guardRule(r, guarded); known != nil {
			s.rules = append(s.rules, known)
			alike = alike && len(known.Interfaces) == 0
		}
	}
	for _, w := range s.decided() {
		s.handedOver = append(s.handedOver, w.in...)
	}
	if alike {
		// The hand-over has asked for the interface.
		s.in = nil
	}
	return s
}

// guardRule is a rule as far as a packet in INPUT tells whether it holds; nil if
// the guard does without. Of what it does not tell, nothing is let in, and a deny
// refuses more than it says rather than less.
func guardRule(r *parser.Rule, guarded []protocolPorts) *parser.Rule {
	if len(r.ICMPTypes) > 0 || unknownInInput(r) && (r.Kind == parser.KindAccept || !published(r)) {
		return nil
	}
	known := *r
	known.Destination, known.DestinationNot, known.ContainerPorts, known.OutInterfaces = nil, nil, nil, nil
	known.Protocols = nil
	for _, p := range r.Protocols {
		if slices.ContainsFunc(guarded, func(g protocolPorts) bool { return g.protocol == p.Value.Number }) {
			known.Protocols = append(known.Protocols, p)
		}
	}
	if len(r.Protocols) > 0 && len(known.Protocols) == 0 {
		return nil
	}
	return &known
}

// unknownInInput tells whether a rule asks for what is known only of packets that
// Docker has sent on to a container.
func unknownInInput(r *parser.Rule) bool {
	return r.Destination != nil || r.DestinationNot != nil || len(r.ContainerPorts) > 0 || len(r.OutInterfaces) > 0
}

func published(r *parser.Rule) bool {
	return len(r.PublishedPorts) > 0 || len(r.PublishedAddress) > 0
}

// warnUnguarded warns of denies that the guard has to leave out, though they could
// be about ports that it decides.
func (c *compilation) warnUnguarded(s *scope) {
	for _, r := range c.policy.Rules {
		decidable := *r
		decidable.Destination, decidable.DestinationNot, decidable.ContainerPorts, decidable.OutInterfaces = nil, nil, nil, nil
		if r.Kind == parser.KindDeny && guardRule(r, s.guarded) == nil && guardRule(&decidable, s.guarded) != nil {
			remedy := "Add published_ports, the ports of the host that it is about."
			if len(r.Protocols) == 0 {
				remedy = "Add protocol and published_ports, the ports of the host that it is about, or published_address."
			}
			c.warn(diag.CodeUnguarded, r.Name.Range, fmt.Sprintf("deny %q does not hold for docker-proxy", r.Name.Value),
				"%s", "Where docker-proxy answers, as it does for IPv6 clients of IPv4 networks, nothing tells which container a packet is for, so that this deny refuses nobody there. "+remedy)
		}
	}
}

// hostServices are what hosts commonly serve themselves, at ports that a range may hold
// without anyone meaning them.
var hostServices = []struct {
	protocol uint8
	port     uint16
	name     string
}{
	{parser.TCP, 22, "ssh (22/tcp)"},
	{parser.UDP, 546, "the answers of DHCPv6 (546/udp)"},
	{parser.TCP, 2377, "Swarm (2377/tcp)"},
	{parser.UDP, 4789, "Swarm (4789/udp)"},
	{parser.TCP, 7946, "Swarm (7946/tcp)"},
	{parser.UDP, 7946, "Swarm (7946/udp)"},
}

// warnHostServices warns of ranges that put services of the host itself under guard.
func (c *compilation) warnHostServices() {
	warn := func(protocols []uint8, ports parser.At[parser.Ports]) {
		var held []string
		for _, s := range hostServices {
			// Who writes a single port means it.
			if slices.Contains(protocols, s.protocol) && ports.Value.First < ports.Value.Last && ports.Value.First <= s.port && s.port <= ports.Value.Last {
				held = append(held, s.name)
			}
		}
		if len(held) > 0 {
			c.warn(diag.CodeHostService, ports.Range, "ports of the host's own services are guarded",
				"In the range is %s. The guard of docker-proxy cannot tell the host's own services from containers: whom the policy refuses at these ports does not reach them either. Leave them out of the range, or set input_guard = false.", strings.Join(held, ", "))
		}
	}
	for _, p := range c.policy.Host.ProxyPorts {
		warn([]uint8{p.Value.Protocol}, parser.At[parser.Ports]{Value: p.Value.Ports, Range: p.Range})
	}
	for _, r := range c.policy.Rules {
		var protocols []uint8
		for _, p := range r.Protocols {
			protocols = append(protocols, p.Value.Number)
		}
		for _, ports := range r.PublishedPorts {
			warn(protocols, ports)
		}
	}
}

// handOverGuarded makes the clauses that send packets for guarded ports through the
// chain that decides them.
func (c *compilation) handOverGuarded(s *scope, f ir.Family) {
	for _, g := range s.guarded {
		c.clauses = append(c.clauses, &clause{
			chain:      ir.GuardChain,
			family:     f,
			phase:      ir.Input,
			origin:     ir.Origin{Block: "host", Range: c.policy.Host.DeclRange},
			interfaces: s.handedOver,
			protocols:  []uint8{g.protocol},
			container:  g.ports,
			verdict:    ir.JumpTo{Chain: s.chain},
		})
	}
}

// pruneGuard takes out what the guard does not need in a family: accepts, where
// nothing behind them refuses, and all of it, where nothing does.
func (c *compilation) pruneGuard(f ir.Family) {
	guards := func(cl *clause) bool {
		return cl.family == f && (cl.chain == ir.GuardChain || cl.chain == ir.ProxyChain)
	}
	refuses, drops := false, false
	for _, cl := range c.clauses {
		if guards(cl) {
			drops = drops || cl.phase == ir.Default
			_, dropsInvalid := cl.verdict.(ir.Drop)
			refuses = refuses || cl.verdict == nil || dropsInvalid
		}
	}
	c.clauses = slices.DeleteFunc(c.clauses, func(cl *clause) bool {
		return guards(cl) && (!refuses || cl.phase == ir.Accept && !drops)
	})
}
