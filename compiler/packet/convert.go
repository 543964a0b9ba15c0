package packet

import (
	"fmt"
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// SetsOf returns the address sets that a ruleset fills, by name. Sets it only
// creates have members that are not known, and so have lists with one of them.
func SetsOf(sets []*ir.Set) map[string]*AddrSet {
	out := map[string]*AddrSet{}
	for _, s := range sets {
		if !s.Managed {
			continue
		}
		if s.Type != ir.ListSet {
			out[s.Name] = NewAddrSet(s.Name, s.Prefixes)
			continue
		}
		var members []*AddrSet
		for _, name := range s.Members {
			if m := out[name]; m != nil {
				members = append(members, m)
			}
		}
		if len(members) == len(s.Members) {
			out[s.Name] = Union(s.Name, members...)
		}
	}
	return out
}

// FromIR returns a program of the IR as one of packets. A set that is not in sets
// makes an opaque condition.
func FromIR(p *ir.Program, sets map[string]*AddrSet) *Program {
	out := &Program{Family: p.Family}
	for _, c := range p.Chains {
		chain := &Chain{Name: c.Name}
		for _, r := range c.Rules {
			chain.Rules = append(chain.Rules, FromRule(r, p.Family, sets))
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}

// FromRule returns a rule of the IR as one of packets.
func FromRule(r *ir.Rule, f ir.Family, sets map[string]*AddrSet) *Rule {
	out := &Rule{Verdict: FromVerdict(r.Verdict), IR: r}
	for _, m := range r.Matches {
		out.Matches = append(out.Matches, FromMatch(m, f, sets)...)
	}
	out.Text = joined(out.Matches, ", ") + ": " + out.Verdict.String()
	return out
}

// FromVerdict returns a verdict of the IR as one of packets.
func FromVerdict(v ir.Verdict) Verdict {
	switch v := v.(type) {
	case ir.AcceptPacket:
		return Verdict{Kind: Accept}
	case ir.Return:
		return Verdict{Kind: Return}
	case ir.Drop:
		return Verdict{Kind: Drop}
	case ir.Reject:
		return Verdict{Kind: Reject, With: v.With}
	case ir.JumpTo:
		return Verdict{Kind: Jump, Chain: v.Chain}
	case ir.Log, ir.NFLog:
		return Verdict{Kind: Continue}
	}
	panic(fmt.Sprintf("unknown verdict %T", v))
}

// FromMatch returns the conditions that a match of the IR stands for.
func FromMatch(m ir.Match, f ir.Family, sets map[string]*AddrSet) []Cond {
	one := func(c Cond, not bool) []Cond {
		if not {
			c = Not{c}
		}
		return []Cond{c}
	}
	switch m := m.(type) {
	case ir.Address:
		return one(Addr{End(m.Dir), NewAddrSet("", []netip.Prefix{m.Prefix})}, m.Not)
	case ir.Interface:
		return one(Interface{End(m.Dir), m.Name}, false)
	case ir.Protocol:
		return one(Proto{[]uint8{m.Number}}, false)
	case ir.Ports:
		// The match of a protocol's ports looks at no other protocol's packets.
		out := one(Proto{[]uint8{m.Protocol}}, false)
		if m.Src != nil {
			out = append(out, Port{Source, []ir.PortRange{*m.Src}})
		}
		if m.Dst != nil {
			out = append(out, Port{Destination, []ir.PortRange{*m.Dst}})
		}
		return out
	case ir.ICMP:
		return one(irICMP(f, m.Type, m.Code), false)
	case ir.Conntrack:
		return conntrack(m)
	case ir.SetMatch:
		return one(inSet(m.Set, End(m.Dir), sets), m.Not)
	case ir.HashLimit:
		per := ""
		if m.PerSource {
			per = " per source"
		}
		return one(Opaque{Text: fmt.Sprintf("%s %s, burst %d%s", amount(m.Above), rateText(m.Rate), m.Burst, per), Stateful: true}, false)
	case ir.ConnLimit:
		return one(Opaque{Text: fmt.Sprintf("%s %d connections per source/%d", amount(m.Above), m.Max, m.PrefixLength), Stateful: true}, false)
	case ir.Limit:
		return one(Opaque{Text: fmt.Sprintf("%s %s, burst %d", amount(false), rateText(m.Rate), m.Burst), Stateful: true}, false)
	}
	panic(fmt.Sprintf("unknown match %T", m))
}

func amount(above bool) string {
	if above {
		return "more than"
	}
	return "at most"
}

func rateText(r ir.Rate) string { return fmt.Sprintf("%d/%s", r.Count, r.Unit) }

func inSet(name string, end End, sets map[string]*AddrSet) Cond {
	if s := sets[name]; s != nil {
		return Addr{end, s}
	}
	return Opaque{Text: end.String() + " in set " + name + " (members unknown)"}
}

func conntrack(m ir.Conntrack) []Cond {
	var rest All
	if m.OrigDst.IsValid() {
		rest = append(rest, Addr{OriginalDestination, NewAddrSet("", []netip.Prefix{netip.PrefixFrom(m.OrigDst, m.OrigDst.BitLen())})})
	}
	if m.OrigDstPort != nil {
		rest = append(rest, Port{OriginalDestination, []ir.PortRange{*m.OrigDstPort}})
	}
	if m.Dir != ir.CTAny {
		rest = append(rest, Dir{m.Dir})
	}
	if m.States == 0 {
		return irConntrackRest(nil, rest)
	}
	return irConntrackRest(State{m.States}, rest)
}

// irICMP matches a type, and a code unless it is negative. In IPv4 type 255 is
// what iptables writes for any type.
func irICMP(f ir.Family, typ uint8, code int) Cond {
	c := ICMPType{typ, typ, 0, 255}
	if f == ir.IPv4 && typ == 255 {
		c.FirstType = 0
	}
	if code >= 0 {
		c.FirstCode, c.LastCode = uint8(code), uint8(code)
	}
	return c
}

// irConntrackRest joins the conditions of one conntrack match as xt_conntrack does.
// Packets without a connection are matched by state alone: if the match asks for
// states, what else it asks does not matter to them; else none of them match.
func irConntrackRest(state Cond, rest All) []Cond {
	switch {
	case state == nil && len(rest) == 0:
		return []Cond{Dir{ir.CTAny}}
	case state == nil:
		return append([]Cond{Dir{ir.CTAny}}, rest...)
	case len(rest) == 0:
		return []Cond{state}
	}
	if s, ok := state.(State); ok && s.States&(ir.CTInvalid|ir.CTUntracked) == 0 {
		return append([]Cond{state}, rest...)
	}
	return []Cond{state, Any{State{ir.CTInvalid | ir.CTUntracked}, rest}}
}
