package snapshot

import (
	"slices"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// OnInterfaces is a rule of the policy with the interfaces that its packets arrive on and leave on: its
// own, or those of the rule that leads to its chain.
type OnInterfaces struct {
	ID      ir.RuleID
	Chain   string
	In, Out []string
}

// RulesOnInterfaces are the rules of the policy in the table of dockerfw, in order; nil without the
// table.
func (h *Host) RulesOnInterfaces(f ir.Family) []OnInterfaces {
	var out []OnInterfaces
	for _, s := range []ir.Scope{ir.ScopeForward, ir.ScopeInput} {
		start := chainsOfTable[s]
		if h.Table().Chain(start) == nil {
			continue
		}
		chains := map[string]*packet.Chain{}
		for _, c := range h.Program(f, start).Chains {
			chains[c.Name] = c
		}
		var walk func(name string, in, leaves []string)
		walk = func(name string, in, leaves []string) {
			c := chains[name]
			if c == nil {
				return
			}
			delete(chains, name) // a loop, which nft refuses
			defer func() { chains[name] = c }()
			for _, r := range c.Rules {
				ownIn, ownOut := interfacesOf(r.Matches, packet.Source), interfacesOf(r.Matches, packet.Destination)
				if ownIn == nil {
					ownIn = in
				}
				if ownOut == nil {
					ownOut = leaves
				}
				if id, ok := h.IDAt(f, r.At); ok {
					out = append(out, OnInterfaces{id, c.Name, ownIn, ownOut})
				}
				if r.Verdict.Kind == packet.Jump || r.Verdict.Kind == packet.Goto {
					walk(r.Verdict.Chain, ownIn, ownOut)
				}
			}
		}
		walk(start, nil, nil)
	}
	return out
}

// interfacesOf are the interfaces at an end of packets that conditions list.
func interfacesOf(conds []packet.Cond, end packet.End) []string {
	var out []string
	for _, c := range conds {
		switch c := c.(type) {
		case packet.All:
			out = append(out, interfacesOf(c, end)...)
		case packet.Any:
			out = append(out, interfacesOf(c, end)...)
		case packet.Interface:
			if c.End == end {
				out = append(out, c.Name)
			}
		}
	}
	return out
}

// interfacesOfTable are the interfaces of the policy in the rules of the table: those of default;
// where default refuses nothing, those on which replies are accepted; and where the policy has rules
// for egress only, those of the jump to them.
func (h *Host) interfacesOfTable(f ir.Family) (external, container []string) {
	rules := slices.DeleteFunc(h.RulesOnInterfaces(f), func(r OnInterfaces) bool {
		return h.ofInput(r.Chain) || r.Chain == chainsOfTable[ir.ScopeEgress]
	})
	for _, phase := range []ir.Phase{ir.PhaseDefault, ir.PhaseEstablished, ir.PhaseEgress} {
		for _, r := range rules {
			if r.ID.Phase != phase {
				continue
			}
			outside, inside := r.In, r.Out
			if phase == ir.PhaseEgress {
				outside, inside = inside, outside
			}
			external, container = append(external, outside...), append(container, inside...)
		}
		if external != nil {
			break
		}
	}
	return distinct(external), distinct(container)
}

// distinct are names, each once, in their order.
func distinct(names []string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// End is when a rule of the policy ends.
type End struct {
	ID ir.RuleID
	At time.Time
}

// Ends are the ends of the rules in the table of dockerfw; nil without the table.
func (h *Host) Ends(f ir.Family) []End {
	var out []End
	for _, s := range []ir.Scope{ir.ScopeForward, ir.ScopeInput} {
		if h.Table().Chain(chainsOfTable[s]) == nil {
			continue
		}
		for _, r := range h.Program(f, chainsOfTable[s]).Rules() {
			id, ok := h.IDAt(f, r.At)
			for _, m := range r.Matches {
				if end, ends := m.(packet.Until); ok && ends {
					out = append(out, End{id, time.Unix(end.End, 0).UTC()})
				}
			}
		}
	}
	return out
}
