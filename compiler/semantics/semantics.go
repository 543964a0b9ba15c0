// Package semantics says what a policy means, straight from its AST: which packets
// get which verdict.
//
// In: the policy of one host, and the addresses of its lists.
// Out: a packet.Program of one chain, in which each rule of the policy stands
// once, with its conditions as they were written; one for what is forwarded, and
// one for what ends at docker-proxy on the host.
// It shares no code with the lowering, which it is there to check: no folding, no
// multiplying out, no set names, no text.
package semantics

import (
	"fmt"
	"net/netip"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// Lists returns the addresses of an address-list file that has been read.
type Lists func(file string) []netipx.IPRange

// Program returns what the policy says of packets of one family that are forwarded.
func Program(p *parser.Policy, f ir.Family, lists Lists) *packet.Program {
	return newReader(p, f, lists).forwarded()
}

// Guard returns what the policy says of packets of one family that are for the host
// itself, where docker-proxy answers for containers.
func Guard(p *parser.Policy, f ir.Family, lists Lists) *packet.Program {
	return newReader(p, f, lists).guard()
}

// Programs returns Program and Guard, which share what takes long to read.
func Programs(p *parser.Policy, f ir.Family, lists Lists) (forwarded, guard *packet.Program) {
	m := newReader(p, f, lists)
	return m.forwarded(), m.guard()
}

func newReader(p *parser.Policy, f ir.Family, lists Lists) *reader {
	m := &reader{policy: p, family: f, lists: lists, sets: map[string]packet.Cond{}}
	for _, end := range []packet.End{packet.Source, packet.Destination} {
		for _, s := range p.Sets {
			m.sets[key(s.Name.Value, end)] = m.set(s, end)
		}
	}
	return m
}

func (m *reader) forwarded() *packet.Program {
	p := m.policy
	m.rules = nil
	m.direction(p.Rules, p.Default, p.Host.ExternalInterfaces, p.Host.ContainerInterfaces, false)
	if e := p.Egress; e != nil && (len(e.Rules) > 0 || e.Default.Action != parser.ActionReturn) {
		m.direction(e.Rules, e.Default, p.Host.ContainerInterfaces, p.Host.ExternalInterfaces, true)
	}
	return &packet.Program{
		Family:  m.family,
		Chains:  []*packet.Chain{{Name: "policy", Rules: m.rules}},
		Default: packet.Verdict{Kind: packet.Docker},
	}
}

type reader struct {
	policy *parser.Policy
	family ir.Family
	lists  Lists
	// sets are the conditions of being in a set, by name and end.
	sets  map[string]packet.Cond
	rules []*packet.Rule
}

func key(set string, end packet.End) string { return set + " " + end.String() }

// say adds a rule: what fulfils all of conds gets the verdict.
func (m *reader) say(name string, v packet.Verdict, conds ...packet.Cond) {
	var all []packet.Cond
	for _, c := range conds {
		if c != nil {
			all = append(all, c)
		}
	}
	m.rules = append(m.rules, &packet.Rule{Matches: all, Verdict: v, Text: name})
}

// pass is what becomes of replies and of what is accepted.
func (m *reader) pass() packet.Verdict {
	if m.policy.Host.Verdict == parser.VerdictReturn {
		return packet.Verdict{Kind: packet.Docker}
	}
	return packet.Verdict{Kind: packet.Accept}
}

// direction adds the phases for traffic that enters, or leaves.
func (m *reader) direction(rules []*parser.Rule, def *parser.Default, in, out []parser.At[string], egress bool) {
	// Replies pass wherever a rule decides, or it would cut them.
	here := []packet.Cond{packet.All{interfaces(in, packet.Source), interfaces(out, packet.Destination)}}
	for _, r := range rules {
		from, to := in, out
		if len(r.Interfaces) > 0 {
			from = r.Interfaces
		}
		if len(r.OutInterfaces) > 0 {
			to = r.OutInterfaces
		}
		here = append(here, packet.All{interfaces(from, packet.Source), interfaces(to, packet.Destination)})
	}
	decided := packet.Any(here)
	related := packet.State{States: ir.CTRelated}
	established := packet.Cond(packet.State{States: ir.CTEstablished})
	if m.policy.Established.Recheck {
		established = packet.All{established, packet.Dir{Dir: ir.CTReply}}
	}
	m.say("established", m.pass(), decided, packet.Any{related, established})
	if m.policy.Established.DropInvalid {
		m.say("established", packet.Verdict{Kind: packet.Drop}, decided, packet.State{States: ir.CTInvalid})
	}
	for _, kind := range []parser.RuleKind{parser.KindDeny, parser.KindAccept} {
		for _, r := range rules {
			if r.Kind == kind {
				m.rule(r, in, out)
			}
		}
	}
	if def.Action == parser.ActionReturn {
		return
	}
	end := packet.Source
	if egress {
		end = packet.Destination
	}
	var stranger packet.Cond
	if def.Allow != nil {
		stranger = packet.Not{C: m.addresses(def.Allow, end)}
	}
	m.refuse("default", def.Action, false, interfaces(in, packet.Source), interfaces(out, packet.Destination), stranger)
}

// rule adds a deny or accept.
func (m *reader) rule(r *parser.Rule, in, out []parser.At[string]) {
	if len(r.Interfaces) > 0 {
		in = r.Interfaces
	}
	if len(r.OutInterfaces) > 0 {
		out = r.OutInterfaces
	}
	conds := []packet.Cond{
		interfaces(in, packet.Source), interfaces(out, packet.Destination),
		m.within(r.Source, packet.Source), m.without(r.SourceNot, packet.Source),
		m.within(r.Destination, packet.Destination), m.without(r.DestinationNot, packet.Destination),
		protocols(r.Protocols),
		ports(r.ContainerPorts, packet.Destination), ports(r.SourcePorts, packet.Source),
		published(r), icmp(r.ICMPTypes),
	}
	name := string(r.Kind) + " " + r.Name.Value
	limits := limits(r)
	opening := packet.State{States: ir.CTNew}
	switch {
	case r.Kind == parser.KindDeny && len(limits) > 0:
		// A limit is asked once a packet, so without a protocol there is one rule.
		m.refuse(name, r.Action, len(r.Protocols) == 0, append(conds, append(limits, opening)...)...)
	case r.Kind == parser.KindDeny:
		m.refuse(name, r.Action, false, conds...)
	case len(limits) > 0:
		// A limit is about opening a connection, not about having one.
		m.say(name, m.pass(), append(conds, append(limits, opening)...)...)
		if m.policy.Established.Recheck {
			m.say(name, m.pass(), append(conds, packet.State{States: ir.CTEstablished})...)
		}
	default:
		m.say(name, m.pass(), conds...)
	}
}

// limits are the conditions on numbers, one opaque one each: what the numbers are
// does not follow from a packet.
func limits(r *parser.Rule) []packet.Cond {
	var out []packet.Cond
	if r.Rate != nil {
		out = append(out, RateOf(r.Name.Value))
	}
	if r.Connections != nil {
		out = append(out, ConnectionsOf(r.Name.Value))
	}
	return out
}

// RateOf is the condition that a rule's rate holds.
func RateOf(rule string) packet.Cond { return packet.Opaque{Text: "rate of " + rule} }

// ConnectionsOf is the condition that a rule's number of connections holds.
func ConnectionsOf(rule string) packet.Cond { return packet.Opaque{Text: "connections of " + rule} }

// InUnmanaged is the condition of being in a set that somebody else fills.
func InUnmanaged(set string, end packet.End) packet.Cond {
	return packet.Opaque{Text: fmt.Sprintf("%s in %s", end, set)}
}

// refuse drops, or rejects: TCP is answered with a reset, unless one answer is to
// do for all.
func (m *reader) refuse(name string, a parser.Action, oneAnswer bool, conds ...packet.Cond) {
	if a == parser.ActionDrop {
		m.say(name, packet.Verdict{Kind: packet.Drop}, conds...)
		return
	}
	answer := "icmp-admin-prohibited"
	if m.family == ir.IPv6 {
		answer = "icmp6-adm-prohibited"
	}
	if !oneAnswer {
		tcp := packet.Proto{Numbers: []uint8{parser.TCP}}
		m.say(name, packet.Verdict{Kind: packet.Reject, With: "tcp-reset"}, append([]packet.Cond{tcp}, conds...)...)
	}
	m.say(name, packet.Verdict{Kind: packet.Reject, With: answer}, conds...)
}

// interfaces holds by any of the named ones; for none named, always.
func interfaces(names []parser.At[string], end packet.End) packet.Cond {
	if len(names) == 0 {
		return packet.All{}
	}
	var any packet.Any
	for _, n := range names {
		any = append(any, packet.Interface{End: end, Name: n.Value})
	}
	return any
}

// within holds for addresses of a list, or always if there is no list.
func (m *reader) within(a *parser.Addresses, end packet.End) packet.Cond {
	if a == nil {
		return nil
	}
	return m.addresses(a, end)
}

// without holds for addresses that are not in a list, or always if there is none.
func (m *reader) without(a *parser.Addresses, end packet.End) packet.Cond {
	if a == nil {
		return nil
	}
	return packet.Not{C: m.addresses(a, end)}
}

func (m *reader) addresses(a *parser.Addresses, end packet.End) packet.Cond {
	var any packet.Any
	for _, item := range a.Items {
		if item.Set != "" {
			any = append(any, m.sets[key(item.Set, end)])
		} else {
			any = append(any, inRanges(end, item.Literal))
		}
	}
	return any
}

// set is the condition of being in a set.
func (m *reader) set(s *parser.Set, end packet.End) packet.Cond {
	switch {
	case !s.Managed:
		name := s.Name.Value
		if m.family == ir.IPv6 {
			name += "-v6"
		}
		return InUnmanaged(name, end)
	case s.Type == parser.SetList:
		var any packet.Any
		for _, name := range s.Members {
			for _, member := range m.policy.Sets {
				if member.Name.Value == name.Value {
					any = append(any, m.set(member, end))
				}
			}
		}
		return any
	}
	return packet.All{
		inRanges(end, m.ranges(s.Entries, s.Files)...),
		packet.Not{C: inRanges(end, m.ranges(s.Exclude, s.ExcludeFiles)...)},
	}
}

func (m *reader) ranges(entries []parser.At[netipx.IPRange], files []parser.At[string]) []netipx.IPRange {
	var out []netipx.IPRange
	for _, e := range entries {
		out = append(out, e.Value)
	}
	for _, f := range files {
		out = append(out, m.lists(f.Value)...)
	}
	return out
}

func inRanges(end packet.End, ranges ...netipx.IPRange) packet.Cond {
	var prefixes []netip.Prefix
	for _, r := range ranges {
		prefixes = r.AppendPrefixes(prefixes)
	}
	return packet.Addr{End: end, In: packet.NewAddrSet("", prefixes)}
}

// protocols holds for any of the protocols, ICMP in its own family only.
func protocols(list []parser.At[parser.Protocol]) packet.Cond {
	if len(list) == 0 {
		return nil
	}
	var any packet.Any
	for _, p := range list {
		of := packet.Cond(packet.All{})
		switch p.Value.Number {
		case parser.ICMP:
			of = packet.FamilyIs{Family: ir.IPv4}
		case parser.ICMPv6:
			of = packet.FamilyIs{Family: ir.IPv6}
		}
		any = append(any, packet.All{of, packet.Proto{Numbers: []uint8{p.Value.Number}}})
	}
	return any
}

func ports(list []parser.At[parser.Ports], end packet.End) packet.Cond {
	if len(list) == 0 {
		return nil
	}
	c := packet.Port{End: end}
	for _, p := range list {
		c.Ranges = append(c.Ranges, ir.PortRange{First: p.Value.First, Last: p.Value.Last})
	}
	return c
}

// published holds for packets that clients send to what Docker published: ports,
// addresses of the host, or both.
func published(r *parser.Rule) packet.Cond {
	if len(r.PublishedPorts) == 0 && len(r.PublishedAddress) == 0 {
		return nil
	}
	all := packet.All{packet.State{States: ir.CTDNAT}, packet.Dir{Dir: ir.CTOriginal}}
	if c := ports(r.PublishedPorts, packet.OriginalDestination); c != nil {
		all = append(all, c)
	}
	if len(r.PublishedAddress) > 0 {
		var hosts []netipx.IPRange
		for _, a := range r.PublishedAddress {
			hosts = append(hosts, a.Value)
		}
		all = append(all, inRanges(packet.OriginalDestination, hosts...))
	}
	return all
}

// icmp holds for any of the types, in the family each is for.
func icmp(list []parser.At[parser.ICMPType]) packet.Cond {
	if len(list) == 0 {
		return nil
	}
	var any packet.Any
	for _, t := range list {
		for family, code := range map[ir.Family]*parser.ICMPCode{ir.IPv4: t.Value.V4, ir.IPv6: t.Value.V6} {
			if code == nil {
				continue
			}
			c := packet.ICMPType{FirstType: code.Type, LastType: code.Type, FirstCode: 0, LastCode: 255}
			if code.Code >= 0 {
				c.FirstCode, c.LastCode = uint8(code.Code), uint8(code.Code)
			}
			any = append(any, packet.All{packet.FamilyIs{Family: family}, c})
		}
	}
	return any
}
