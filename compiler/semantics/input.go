package semantics

import (
	"maps"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// The texts of rules in [Input] that are no blocks of the policy.
const (
	// Unprotected is the rule for packets to ports that INPUT protection does not cover.
	Unprotected = "not protected"
	// NotRefused is the rule for packets to protected ports that no rule of the policy refuses.
	NotRefused = "not refused"
	// DHCPClient is the rule for the answers of DHCP servers.
	DHCPClient = "DHCP client"
)

// IsBlock reports whether the text of a rule is that of a block of the policy.
func IsBlock(text string) bool {
	return text != Unprotected && text != NotRefused && text != DHCPClient
}

// input returns the program for packets to the host itself. INPUT protection refuses
// packets to protected ports, where docker-proxy may answer for containers; the input block
// refuses packets to all other ports; and everything else is left to the host's own rules in
// INPUT.
func (b *builder) input() *packet.Program {
	b.rules = nil
	ports, protocols := b.protected()
	switch {
	case b.policy.Input == nil && len(ports) > 0:
		b.add(Unprotected, packet.Verdict{Kind: packet.Docker}, packet.Not{C: ports})
		b.addInput(packet.All{}, protocols)
	case b.policy.Input != nil && len(ports) > 0:
		b.addInput(ports, protocols)
		b.add(NotRefused, packet.Verdict{Kind: packet.Docker}, ports)
		b.addHost()
	case b.policy.Input != nil:
		b.addHost()
	}
	return &packet.Program{
		Family:  b.family,
		Chains:  []*packet.Chain{{Name: "INPUT protection", Rules: b.rules}},
		Default: packet.Verdict{Kind: packet.Docker},
		ToHost:  true,
	}
}

// protected returns the condition of being sent to a protected port, and the protocols of
// these ports.
func (b *builder) protected() (ports packet.Any, protocols map[uint8]bool) {
	if !b.policy.Host.InputGuard {
		return nil, nil
	}
	protocols = map[uint8]bool{}
	ranges := map[uint8][]ir.PortRange{}
	add := func(protocol uint8, p parser.Ports) {
		protocols[protocol] = true
		ranges[protocol] = append(ranges[protocol], ir.PortRange{First: p.First, Last: p.Last})
	}
	for _, p := range b.policy.Host.ProxyPorts {
		add(p.Value.Protocol, p.Value.Ports)
	}
	for _, r := range b.policy.Rules {
		for _, protocol := range r.Protocols {
			for _, port := range r.PublishedPorts {
				add(protocol.Value.Number, port.Value)
			}
		}
	}
	// One condition for each protocol: every rule for protected ports has them all.
	for _, protocol := range slices.Sorted(maps.Keys(ranges)) {
		ports = append(ports, packet.All{
			packet.Proto{Numbers: []uint8{protocol}},
			packet.Port{End: packet.Destination, Ranges: ranges[protocol]},
		})
	}
	return ports, protocols
}

// addInput adds the phases for protected ports, of the packets that are to ports.
func (b *builder) addInput(ports packet.Cond, protocols map[uint8]bool) {
	p := b.policy
	pass := packet.Verdict{Kind: packet.Docker}
	external := b.interfaces(p.Host.ExternalInterfaces, packet.Source)
	paths := packet.Any{external}
	for _, r := range p.Rules {
		if len(r.Interfaces) > 0 && appliesInInput(r) && canMatch(r, protocols) {
			paths = append(paths, b.interfaces(r.Interfaces, packet.Source))
		}
	}
	recheck := p.Established.Recheck
	b.addEstablished(pass, packet.All{ports, paths}, recheck)
	for _, kind := range []parser.RuleKind{parser.KindDeny, parser.KindAccept} {
		for _, r := range p.Rules {
			if r.Kind == kind && appliesInInput(r) {
				b.addRule(r, pass, recheck, append(b.inputConditions(r), ports))
			}
		}
	}
	if p.Default.Action == parser.ActionReturn {
		return
	}
	b.addRefusal("default", p.Default.Action, false, ports, external, b.notIn(p.Default.Allow, packet.Source))
}

// addHost adds the phases of the input block. Packets of open connections pass even where the
// policy rechecks them: nobody who loads it loses the session.
func (b *builder) addHost() {
	p := b.policy
	pass := packet.Verdict{Kind: packet.Docker}
	external := b.interfaces(p.Host.ExternalInterfaces, packet.Source)
	paths := packet.Any{external}
	for _, r := range p.Input.Rules {
		if len(r.Interfaces) > 0 {
			paths = append(paths, b.interfaces(r.Interfaces, packet.Source))
		}
	}
	b.addEstablished(pass, paths, false)
	for _, kind := range []parser.RuleKind{parser.KindDeny, parser.KindAccept} {
		for _, r := range p.Input.Rules {
			if r.Kind == kind {
				b.addRule(r, pass, false, b.hostConditions(r))
			}
		}
	}
	def := p.Input.Default
	if def.Action == parser.ActionReturn {
		return
	}
	client := uint16(68)
	if b.family == ir.IPv6 {
		client = 546
	}
	b.add(DHCPClient, pass, external, packet.Proto{Numbers: []uint8{parser.UDP}},
		packet.Port{End: packet.Destination, Ranges: []ir.PortRange{{First: client, Last: client}}})
	// The protocols with ports. Others may be what the host's network needs to work.
	closed := packet.Proto{Numbers: []uint8{parser.TCP, parser.UDP, parser.SCTP, packet.ProtoDCCP, packet.ProtoUDPLite}}
	b.addRefusal("default", def.Action, false, external, closed, b.notIn(def.Allow, packet.Source))
}

// hostConditions returns the conditions of a rule in the input block, apart from its limits.
func (b *builder) hostConditions(r *parser.Rule) []packet.Cond {
	in := r.Interfaces
	if len(in) == 0 {
		in = b.policy.Host.ExternalInterfaces
	}
	b.conditions = append(b.conditions[:0],
		b.interfaces(in, packet.Source),
		b.in(r.Source, packet.Source), b.notIn(r.SourceNot, packet.Source),
		b.in(r.Destination, packet.Destination), b.notIn(r.DestinationNot, packet.Destination),
		b.protocols(r.Protocols), icmp(r.ICMPTypes), until(r),
		ports(r.HostPorts, packet.Destination), ports(r.SourcePorts, packet.Source),
	)
	return b.conditions
}

// appliesInInput reports whether a rule applies in INPUT, where no packet shows which
// container it is for. An accept applies if it has no condition on the container. A deny
// that lists published ports or addresses applies to them whatever the container.
func appliesInInput(r *parser.Rule) bool {
	container := r.Destination != nil || r.DestinationNot != nil || len(r.ContainerPorts) > 0 || len(r.OutInterfaces) > 0
	if r.Kind == parser.KindAccept {
		return !container
	}
	return !container || len(r.PublishedPorts) > 0 || len(r.PublishedAddress) > 0
}

// canMatch reports whether a rule can match packets of any of the protocols.
func canMatch(r *parser.Rule, protocols map[uint8]bool) bool {
	if len(r.ICMPTypes) > 0 {
		return false
	}
	if len(r.Protocols) == 0 {
		return true
	}
	for _, p := range r.Protocols {
		if protocols[p.Value.Number] {
			return true
		}
	}
	return false
}

// inputConditions returns the conditions of a deny or accept on packets to the host, apart
// from its limits. Docker has not translated these packets, so that the published ports and
// addresses are those of the packet itself.
func (b *builder) inputConditions(r *parser.Rule) []packet.Cond {
	in := r.Interfaces
	if len(in) == 0 {
		in = b.policy.Host.ExternalInterfaces
	}
	b.conditions = append(b.conditions[:0],
		b.interfaces(in, packet.Source),
		b.in(r.Source, packet.Source), b.notIn(r.SourceNot, packet.Source),
		b.protocols(r.Protocols), ports(r.SourcePorts, packet.Source), icmp(r.ICMPTypes),
		ports(r.PublishedPorts, packet.Destination), publishedAddresses(r, packet.Destination), until(r),
	)
	return b.conditions
}
