package compiler

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// The input block closes the host itself: ScopeHost has its rules. Packets to ports that the
// policy publishes are not for them: there ScopeProxy decides, so that a published port has one
// meaning whether the packet is forwarded or docker-proxy answers it.

// closedProtocols are those that the default of the input block refuses: the protocols with
// ports. ICMP, IPv6 neighbor discovery, ESP, GRE, VRRP and others are left to the host's own
// rules, because without some of them the host has no network.
var closedProtocols = []uint8{parser.TCP, parser.UDP, parser.SCTP, 33, 136} // and DCCP, UDP-Lite

// The ports of DHCP clients. Servers answer broadcasts, so that no connection is established
// (docs/contributing/netfilter.md, "DHCP clients").
const (
	dhcpClient   = 68
	dhcpv6Client = 546
)

// hostScope returns the scope of the input block, or nil if the policy has none. proxy is
// ScopeProxy, nil if no port is protected.
func (c *compilation) hostScope(external []string, proxy *scope) *scope {
	in := c.policy.Input
	if in == nil {
		return nil
	}
	s := &scope{Scope: ir.ScopeHost, rules: in.Rules, def: in.Default, in: external}
	if proxy != nil {
		s.protected = proxy.protected
	}
	for _, p := range s.paths() {
		s.entry = append(s.entry, p.in...)
	}
	if !slices.ContainsFunc(in.Rules, func(r *parser.Rule) bool { return len(r.Interfaces) > 0 }) {
		// The jump to the scope has matched the interface.
		s.in = nil
	}
	return s
}

// jumpToHost adds the jump to ScopeHost, after rules that keep the packets to protected ports
// from it: ScopeProxy has returned them because it does not refuse them.
func (c *compilation) jumpToHost(s *scope, f ir.Family) {
	origin := ir.Origin{Block: "input", Range: c.policy.Input.DeclRange}
	for _, p := range s.protected {
		c.add(f, &ir.Rule{
			Scope:            ir.ScopeInput,
			Phase:            ir.PhaseInput,
			Origin:           origin,
			Protocols:        []uint8{p.protocol},
			DestinationPorts: portRanges(p.ports),
			Verdict:          ir.Return{},
		})
	}
	c.add(f, &ir.Rule{
		Scope:   ir.ScopeInput,
		Phase:   ir.PhaseInput,
		Origin:  origin,
		In:      s.entry,
		Verdict: ir.Jump{To: ir.ScopeHost},
	})
}

// dhcpClient adds the rule that leaves the answers of DHCP servers to the host's own rules.
func (c *compilation) dhcpClient(s *scope, f ir.Family) {
	port := ir.PortRange{First: dhcpClient, Last: dhcpClient}
	if f == ir.IPv6 {
		port = ir.PortRange{First: dhcpv6Client, Last: dhcpv6Client}
	}
	c.add(f, &ir.Rule{
		Scope:            s.Scope,
		Phase:            ir.PhaseDefault,
		Origin:           ir.Origin{Block: "default", Range: s.def.DeclRange},
		Name:             "input-default",
		In:               s.in,
		Protocols:        []uint8{parser.UDP},
		DestinationPorts: []ir.PortRange{port},
		Verdict:          ir.Return{},
	})
}

const ssh = 22

// warnSSHClosed warns of an input block that lets nobody reach port 22 of the host.
func (c *compilation) warnSSHClosed(s *scope) {
	d := s.def
	if d.Action == parser.ActionReturn || d.Allow != nil && len(d.Allow.Items) > 0 {
		return
	}
	for _, p := range s.protected {
		if p.protocol == parser.TCP && containsPort(p.ports, ssh) {
			return // a container's port, for which there is the warning host-service
		}
	}
	for _, r := range s.rules {
		tcp := len(r.Protocols) == 0 && len(r.ICMPTypes) == 0 ||
			slices.ContainsFunc(r.Protocols, func(p parser.At[parser.Protocol]) bool { return p.Value.Number == parser.TCP })
		if r.Kind == parser.KindAccept && tcp && (len(r.HostPorts) == 0 || containsPort(parser.Values(r.HostPorts), ssh)) {
			return
		}
	}
	c.warn(diag.CodeSSHClosed, c.policy.Input.DeclRange, "input lets nobody reach port 22 of the host",
		"Open sessions stay open, but new ones to sshd are refused on external interfaces. If sshd listens on another port, or you reach the host in another way, load the rules with dockerfw apply --confirm, which rolls back unless you confirm. Otherwise add:\n\n  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports    = [22]\n  }")
}

func containsPort(ports []parser.Ports, port uint16) bool {
	return slices.ContainsFunc(ports, func(p parser.Ports) bool { return p.First <= port && port <= p.Last })
}
