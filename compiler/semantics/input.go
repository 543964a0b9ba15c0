package semantics

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// NotGuarded is the text of the rule that lets pass what the guard is not for.
const NotGuarded = "not guarded"

// guard returns what the policy says of packets for the host itself, at ports where
// docker-proxy may answer for containers. Whatever it does not refuse is left to
// the host's own rules of INPUT.
func (m *reader) guard() *packet.Program {
	m.rules = nil
	if covered := m.covered(); len(covered) > 0 {
		m.input(covered)
	}
	return &packet.Program{
		Family:  m.family,
		Chains:  []*packet.Chain{{Name: "input guard", Rules: m.rules}},
		Default: packet.Verdict{Kind: packet.Docker},
		ToHost:  true,
	}
}

// covered holds for the ports that the guard is for.
func (m *reader) covered() packet.Any {
	var any packet.Any
	if !m.policy.Host.InputGuard {
		return nil
	}
	for _, p := range m.policy.Host.ProxyPorts {
		any = append(any, to(p.Value.Protocol, p.Value.Ports))
	}
	for _, r := range m.policy.Rules {
		for _, protocol := range r.Protocols {
			for _, port := range r.PublishedPorts {
				any = append(any, to(protocol.Value.Number, port.Value))
			}
		}
	}
	return any
}

func to(protocol uint8, p parser.Ports) packet.Cond {
	return packet.All{
		packet.Proto{Numbers: []uint8{protocol}},
		packet.Port{End: packet.Destination, Ranges: []ir.PortRange{{First: p.First, Last: p.Last}}},
	}
}

// input lets all ports that are not covered pass, and adds the phases for the rest.
func (m *reader) input(covered packet.Any) {
	p := m.policy
	pass := packet.Verdict{Kind: packet.Docker}
	m.say(NotGuarded, pass, packet.Not{C: covered})
	protocols := map[uint8]bool{}
	for _, c := range covered {
		protocols[c.(packet.All)[0].(packet.Proto).Numbers[0]] = true
	}
	by := []packet.Cond{interfaces(p.Host.ExternalInterfaces, packet.Source)}
	for _, r := range p.Rules {
		if len(r.Interfaces) > 0 && m.tellsEnough(r) && maybeCovered(r, protocols) {
			by = append(by, interfaces(r.Interfaces, packet.Source))
		}
	}
	replies := packet.Cond(packet.State{States: ir.CTEstablished})
	if p.Established.Recheck {
		replies = packet.All{replies, packet.Dir{Dir: ir.CTReply}}
	}
	m.say("established", pass, packet.Any(by), packet.Any{packet.State{States: ir.CTRelated}, replies})
	if p.Established.DropInvalid {
		m.say("established", packet.Verdict{Kind: packet.Drop}, packet.Any(by), packet.State{States: ir.CTInvalid})
	}
	for _, kind := range []parser.RuleKind{parser.KindDeny, parser.KindAccept} {
		for _, r := range p.Rules {
			if r.Kind == kind && m.tellsEnough(r) {
				m.inputRule(r)
			}
		}
	}
	if p.Default.Action == parser.ActionReturn {
		return
	}
	var stranger packet.Cond
	if p.Default.Allow != nil {
		stranger = packet.Not{C: m.addresses(p.Default.Allow, packet.Source)}
	}
	m.refuse("default", p.Default.Action, false, interfaces(p.Host.ExternalInterfaces, packet.Source), stranger)
}

// tellsEnough reports whether a packet in INPUT tells enough of what a rule asks
// for. An accept has to hold as a whole; a deny that names what was published is
// taken to hold where nothing contradicts it.
func (m *reader) tellsEnough(r *parser.Rule) bool {
	container := r.Destination != nil || r.DestinationNot != nil || len(r.ContainerPorts) > 0 || len(r.OutInterfaces) > 0
	if r.Kind == parser.KindAccept {
		return !container
	}
	return !container || len(r.PublishedPorts) > 0 || len(r.PublishedAddress) > 0
}

// maybeCovered reports whether a rule can be about one of the covered protocols.
func maybeCovered(r *parser.Rule, covered map[uint8]bool) bool {
	if len(r.ICMPTypes) > 0 {
		return false
	}
	if len(r.Protocols) == 0 {
		return true
	}
	for _, p := range r.Protocols {
		if covered[p.Value.Number] {
			return true
		}
	}
	return false
}

// inputRule adds a deny or accept, as far as it is about the packet as it arrives.
func (m *reader) inputRule(r *parser.Rule) {
	in := r.Interfaces
	if len(in) == 0 {
		in = m.policy.Host.ExternalInterfaces
	}
	conds := []packet.Cond{
		interfaces(in, packet.Source),
		m.within(r.Source, packet.Source), m.without(r.SourceNot, packet.Source),
		protocols(r.Protocols), ports(r.SourcePorts, packet.Source), icmp(r.ICMPTypes),
		ports(r.PublishedPorts, packet.Destination),
	}
	if len(r.PublishedAddress) > 0 {
		var hosts []netip.Prefix
		for _, a := range r.PublishedAddress {
			hosts = append(hosts, a.Value.Prefixes()...)
		}
		conds = append(conds, packet.Addr{End: packet.Destination, In: packet.NewAddrSet("", hosts)})
	}
	name := string(r.Kind) + " " + r.Name.Value
	pass := packet.Verdict{Kind: packet.Docker}
	opening := packet.State{States: ir.CTNew}
	limited := limits(r)
	switch {
	case r.Kind == parser.KindDeny && len(limited) > 0:
		m.refuse(name, r.Action, len(r.Protocols) == 0, append(conds, append(limited, opening)...)...)
	case r.Kind == parser.KindDeny:
		m.refuse(name, r.Action, false, conds...)
	case len(limited) > 0:
		m.say(name, pass, append(conds, append(limited, opening)...)...)
		if m.policy.Established.Recheck {
			m.say(name, pass, append(conds, packet.State{States: ir.CTEstablished})...)
		}
	default:
		m.say(name, pass, conds...)
	}
}
