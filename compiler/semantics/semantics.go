package semantics

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// Program returns the verdicts of a policy on forwarded packets of one family.
func Program(p *parser.Policy, f ir.Family, lists *Lists) *packet.Program {
	return newBuilder(p, f, lists).forwarded()
}

// Input returns the verdicts of a policy on packets of one family to the host itself, where
// docker-proxy answers for containers, and services of the host for themselves. [packet.Docker] means there: continue with the
// host's own rules in INPUT.
func Input(p *parser.Policy, f ir.Family, lists *Lists) *packet.Program {
	return newBuilder(p, f, lists).input()
}

// Meaning is what a policy means for one family. It evaluates the policy's sets once.
type Meaning struct{ b *builder }

// Of returns the meaning of a policy for one family.
func Of(p *parser.Policy, f ir.Family, lists *Lists) Meaning { return Meaning{newBuilder(p, f, lists)} }

// Forwarded is the result of [Program].
func (m Meaning) Forwarded() *packet.Program { return m.b.forwarded() }

// Input is the result of [Input].
func (m Meaning) Input() *packet.Program { return m.b.input() }

// From returns the condition that a packet is of one of the listed clients and of none of
// others; without a list from, of any other.
func (m Meaning) From(from, not *parser.Addresses) packet.Cond {
	var out packet.All
	if c := m.b.in(from, packet.Source); c != nil {
		out = append(out, c)
	}
	if c := m.b.notIn(not, packet.Source); c != nil {
		out = append(out, c)
	}
	return out
}

// builder builds the programs of one policy and family.
type builder struct {
	policy *parser.Policy
	family ir.Family
	lists  *Lists
	// sets are the conditions for being in a set, by name and end.
	sets map[setKey]packet.Cond
	// onInterfaces and ofProtocol are the conditions on interfaces and protocols that were made.
	onInterfaces map[listKey]packet.Cond
	ofProtocol   [256]packet.Cond
	rules        []*packet.Rule
	// conditions are those of one rule, some of them nil, until those of the next are made.
	conditions []packet.Cond
}

type setKey struct {
	name string
	end  packet.End
}

func newBuilder(p *parser.Policy, f ir.Family, lists *Lists) *builder {
	b := &builder{policy: p, family: f, lists: lists, sets: map[setKey]packet.Cond{}, onInterfaces: map[listKey]packet.Cond{}}
	for _, end := range []packet.End{packet.Source, packet.Destination} {
		for _, s := range p.Sets {
			b.sets[setKey{s.Name.Value, end}] = b.set(s, end)
		}
	}
	return b
}

// add adds a rule: packets that fulfill all conditions get the verdict. Nil conditions are
// skipped.
func (b *builder) add(name string, v packet.Verdict, conds ...packet.Cond) {
	n := 0
	for _, c := range conds {
		if c != nil {
			n++
		}
	}
	all := make([]packet.Cond, 0, n)
	for _, c := range conds {
		if c != nil {
			all = append(all, c)
		}
	}
	b.rules = append(b.rules, &packet.Rule{Matches: all, Verdict: v, Text: name})
}

// addRefusal adds the rules that drop or reject packets. A reject resets TCP connections
// and answers the rest with an ICMP error; with oneAnswer, TCP gets the ICMP error, too.
func (b *builder) addRefusal(name string, a parser.Action, oneAnswer bool, conds ...packet.Cond) {
	if a == parser.ActionDrop {
		b.add(name, packet.Verdict{Kind: packet.Drop}, conds...)
		return
	}
	answer := "icmp-admin-prohibited"
	if b.family == ir.IPv6 {
		answer = "icmp6-adm-prohibited"
	}
	if !oneAnswer {
		tcp := packet.Proto{Numbers: []uint8{parser.TCP}}
		b.add(name, packet.Verdict{Kind: packet.Reject, With: "tcp-reset"}, append([]packet.Cond{tcp}, conds...)...)
	}
	b.add(name, packet.Verdict{Kind: packet.Reject, With: answer}, conds...)
}

// addEstablished adds the rules for replies and related packets on the given paths. With
// recheck other packets of open connections are left to the rules after it.
func (b *builder) addEstablished(pass packet.Verdict, paths packet.Cond, recheck bool) {
	established := packet.Cond(packet.State{States: ir.CTEstablished})
	if recheck {
		established = packet.All{established, packet.Dir{Dir: ir.CTReply}}
	}
	b.add("established", pass, paths, packet.Any{packet.State{States: ir.CTRelated}, established})
	if b.policy.Established.DropInvalid {
		b.add("established", packet.Verdict{Kind: packet.Drop}, paths, packet.State{States: ir.CTInvalid})
	}
}

// addRule adds the rules of a deny or accept block with the given conditions. With recheck
// packets of open connections get as far as this, and an accept lets them pass whatever its
// limits.
func (b *builder) addRule(r *parser.Rule, pass packet.Verdict, recheck bool, conds []packet.Cond) {
	name := string(r.Kind) + " " + r.Name.Value
	opening := conds[:len(conds):len(conds)]
	limits := limits(r)
	if len(limits) > 0 {
		// Limits are about new connections, not about established ones.
		opening = append(append(opening, limits...), packet.State{States: ir.CTNew})
	}
	if r.Kind == parser.KindDeny {
		// Every match of a limit counts the packet. Two rules, one of them for TCP, would
		// count TCP twice, so a limit without a protocol is one rule with one answer.
		b.addRefusal(name, r.Action, len(limits) > 0 && len(r.Protocols) == 0, opening...)
		return
	}
	b.add(name, pass, opening...)
	if len(limits) > 0 && recheck {
		b.add(name, pass, append(conds[:len(conds):len(conds)], packet.State{States: ir.CTEstablished})...)
	}
}
