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

// INPUT protection filters packets that Docker did not translate, and that docker-proxy on
// the host would answer: packets of IPv6 clients to networks without IPv6, and all packets
// to published ports while the nat table is empty. They pass INPUT, not FORWARD. There only
// the port shows that a packet is for a container, so the policy's ports are protected.

// protocolPorts are the ports of one protocol, as sorted ranges that neither overlap nor
// touch.
type protocolPorts struct {
	protocol uint8
	ports    []parser.Ports
}

// protectedPorts returns the published ports that rules or the host list, sorted by
// protocol.
func (c *compilation) protectedPorts() []protocolPorts {
	if !c.policy.Host.InputGuard {
		return nil
	}
	listed := map[uint8][]parser.Ports{}
	for _, p := range parser.Values(c.policy.Host.ProxyPorts) {
		listed[p.Protocol] = append(listed[p.Protocol], p.Ports)
	}
	for _, r := range c.policy.Rules {
		for _, p := range parser.Values(r.Protocols) {
			listed[p.Number] = append(listed[p.Number], parser.Values(r.PublishedPorts)...)
		}
	}
	var out []protocolPorts
	for protocol, ports := range listed {
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

// proxyScope returns the scope of INPUT protection, or nil if no port is protected. Its
// packets have no outgoing interface.
func (c *compilation) proxyScope(external []string) *scope {
	protected := c.protectedPorts()
	if len(protected) == 0 {
		return nil
	}
	s := &scope{Scope: ir.ScopeProxy, protected: protected, def: c.policy.Default, in: external}
	alike := true
	for _, r := range c.policy.Rules {
		if known := proxyRule(r, protected); known != nil {
			s.rules = append(s.rules, known)
			alike = alike && len(known.Interfaces) == 0
		}
	}
	for _, p := range s.paths() {
		s.entry = append(s.entry, p.in...)
	}
	if alike {
		// The jump to the scope has matched the interface.
		s.in = nil
	}
	return s
}

// proxyRule returns a rule with only those conditions that can be matched in INPUT, or nil
// if it does not apply there. Without one of its conditions a rule would match more
// packets: an accept then does not apply, and a deny applies if it lists published ports or
// addresses.
func proxyRule(r *parser.Rule, protected []protocolPorts) *parser.Rule {
	if len(r.ICMPTypes) > 0 || hasContainer(r) && (r.Kind == parser.KindAccept || !hasPublished(r)) {
		return nil
	}
	known := withoutContainer(r)
	known.Protocols = nil
	for _, p := range r.Protocols {
		if slices.ContainsFunc(protected, func(known protocolPorts) bool { return known.protocol == p.Value.Number }) {
			known.Protocols = append(known.Protocols, p)
		}
	}
	if len(r.Protocols) > 0 && len(known.Protocols) == 0 {
		return nil
	}
	return known
}

// withoutContainer returns a copy of a rule without its conditions on the container.
func withoutContainer(r *parser.Rule) *parser.Rule {
	out := *r
	out.Destination, out.DestinationNot, out.ContainerPorts, out.OutInterfaces = nil, nil, nil, nil
	return &out
}

// hasContainer reports whether a rule has a condition on the container, which packets in
// INPUT do not show.
func hasContainer(r *parser.Rule) bool {
	return r.Destination != nil || r.DestinationNot != nil || len(r.ContainerPorts) > 0 || len(r.OutInterfaces) > 0
}

// hasPublished reports whether a rule lists published ports or addresses.
func hasPublished(r *parser.Rule) bool {
	return len(r.PublishedPorts) > 0 || len(r.PublishedAddress) > 0
}

// warnUnprotected warns of denies that do not apply in INPUT only because of their
// conditions on the container.
func (c *compilation) warnUnprotected(s *scope) {
	for _, r := range c.policy.Rules {
		if r.Kind == parser.KindDeny && proxyRule(r, s.protected) == nil && proxyRule(withoutContainer(r), s.protected) != nil {
			remedy := "Add published_ports, the ports of the host to block."
			if len(r.Protocols) == 0 {
				remedy = "Add protocol and published_ports (the ports of the host to block), or published_address."
			}
			c.warn(diag.CodeUnguarded, r.Name.Range, fmt.Sprintf("deny %q has no effect on docker-proxy", r.Name.Value),
				"%s", "Packets that docker-proxy answers (those of IPv6 clients of IPv4-only networks, for example) do not show which container they are for, so this deny blocks none of them. "+remedy)
		}
	}
}

// hostServices are services that commonly run on the host itself. A range of protected
// ports may include them unintentionally.
var hostServices = []struct {
	protocol uint8
	port     uint16
	name     string
}{
	{parser.TCP, 22, "ssh (22/tcp)"},
	{parser.UDP, 546, "the DHCPv6 client (546/udp)"},
	{parser.TCP, 2377, "Swarm (2377/tcp)"},
	{parser.UDP, 4789, "Swarm (4789/udp)"},
	{parser.TCP, 7946, "Swarm (7946/tcp)"},
	{parser.UDP, 7946, "Swarm (7946/udp)"},
}

// HostServices returns those that a range of ports of some protocols includes, as in "ssh (22/tcp)"; none for a single
// port, which is intentional.
func HostServices(protocols []uint8, first, last uint16) []string {
	var out []string
	for _, s := range hostServices {
		if slices.Contains(protocols, s.protocol) && first < last && first <= s.port && s.port <= last {
			out = append(out, s.name)
		}
	}
	return out
}

// warnHostServices warns of ranges that protect ports of the host's own services.
func (c *compilation) warnHostServices() {
	warn := func(protocols []uint8, ports parser.At[parser.Ports]) {
		if included := HostServices(protocols, ports.Value.First, ports.Value.Last); len(included) > 0 {
			remedy := "Exclude them from the range, or set input_guard = false."
			if c.policy.Input != nil {
				remedy = "Exclude them from the range, and list them in input."
			}
			c.warn(diag.CodeHostService, ports.Range, "ports of the host's own services are protected",
				"The range includes %s. INPUT protection cannot distinguish the host's own services from containers: clients that the policy blocks at these ports cannot reach those services either. %s", strings.Join(included, ", "), remedy)
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

// jumpToProxy adds the jumps to ScopeProxy for packets to protected ports.
func (c *compilation) jumpToProxy(s *scope, f ir.Family) {
	for _, p := range s.protected {
		c.add(f, &ir.Rule{
			Scope:            ir.ScopeInput,
			Phase:            ir.PhaseInput,
			Origin:           ir.Origin{Block: "host", Range: c.policy.Host.DeclRange},
			In:               s.entry,
			Protocols:        []uint8{p.protocol},
			DestinationPorts: portRanges(p.ports),
			Verdict:          ir.Jump{To: ir.ScopeProxy},
		})
	}
}

// pruneInput removes rules without effect from ScopeProxy or ScopeHost of one family: accepts
// if there is no default after them, and all rules if none of them drops or rejects.
func (c *compilation) pruneInput(f ir.Family, s ir.Scope) {
	refuses, hasDefault := false, false
	p := c.program(f)
	for _, r := range p.Scope(s) {
		hasDefault = hasDefault || r.Phase == ir.PhaseDefault
		switch r.Verdict.(type) {
		case ir.Drop, ir.Reject:
			refuses = true
		}
	}
	p.Rules = slices.DeleteFunc(p.Rules, func(r *ir.Rule) bool {
		switch r.Scope {
		case ir.ScopeInput:
			// The rules that keep protected ports from ScopeHost are there for its sake.
			jump, jumps := r.Verdict.(ir.Jump)
			return !refuses && (jumps && jump.To == s || !jumps && s == ir.ScopeHost)
		case s:
			return !refuses || r.Phase == ir.PhaseAccept && !hasDefault
		}
		return false
	})
}
