package semantics

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// Unprotected is the text of the rule in [Input] for packets to ports that INPUT protection
// does not cover.
const Unprotected = "not protected"

// input returns the program for packets to the host itself. INPUT protection refuses
// packets to protected ports, where docker-proxy may answer for containers, and leaves
// everything else to the host's own rules in INPUT.
func (b *builder) input() *packet.Program {
	b.rules = nil
	if ports, protocols := b.protected(); len(ports) > 0 {
		b.addInput(ports, protocols)
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
	add := func(protocol uint8, p parser.Ports) {
		protocols[protocol] = true
		ports = append(ports, packet.All{
			packet.Proto{Numbers: []uint8{protocol}},
			packet.Port{End: packet.Destination, Ranges: []ir.PortRange{{First: p.First, Last: p.Last}}},
		})
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
	return ports, protocols
}

// addInput adds a rule for packets to all other ports, and the phases for protected ports.
func (b *builder) addInput(ports packet.Any, protocols map[uint8]bool) {
	p := b.policy
	pass := packet.Verdict{Kind: packet.Docker}
	external := interfaces(p.Host.ExternalInterfaces, packet.Source)
	b.add(Unprotected, pass, packet.Not{C: ports})
	paths := packet.Any{external}
	for _, r := range p.Rules {
		if len(r.Interfaces) > 0 && appliesInInput(r) && canMatch(r, protocols) {
			paths = append(paths, interfaces(r.Interfaces, packet.Source))
		}
	}
	b.addEstablished(pass, paths)
	for _, kind := range []parser.RuleKind{parser.KindDeny, parser.KindAccept} {
		for _, r := range p.Rules {
			if r.Kind == kind && appliesInInput(r) {
				b.addRule(r, pass, b.inputConditions(r))
			}
		}
	}
	if p.Default.Action == parser.ActionReturn {
		return
	}
	b.addRefusal("default", p.Default.Action, false, external, b.notIn(p.Default.Allow, packet.Source))
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
	return []packet.Cond{
		interfaces(in, packet.Source),
		b.in(r.Source, packet.Source), b.notIn(r.SourceNot, packet.Source),
		protocols(r.Protocols), ports(r.SourcePorts, packet.Source), icmp(r.ICMPTypes),
		ports(r.PublishedPorts, packet.Destination), publishedAddresses(r, packet.Destination), until(r),
	}
}
