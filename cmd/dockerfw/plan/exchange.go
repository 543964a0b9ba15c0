package plan

import (
	"errors"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// exchanged are the sets that get their new content by a swap, under the rules that use them. It
// saves the two transactions for each family in which rules first use NAME-alt and then NAME again.
//
// A swap is one step for the kernel, but a packet may meet one rule with the set before it and the
// next with the set after it. So it is used only where a set is all that changes in its family, and
// where no packet gets a verdict that way that neither the old nor the new content gives it.
func (h *Host) exchanged(want *Version, printed Printed, d *Differences, o *ownership) []*iptables.Set {
	var out []*iptables.Set
	for _, f := range families {
		var changes []SetChange
		for _, c := range d.Sets {
			if want.familyOf(c.Name) == f {
				changes = append(changes, c)
			}
		}
		if len(changes) != 1 || d.rulesOf(f) || printed[f] == nil {
			continue
		}
		c, set := changes[0], want.Sets.Set(changes[0].Name)
		sameKind := !c.Created && c.Before == "" && sameType(h.Sets.Set(c.Name), set)
		if sameKind && isList(set) == 0 && !inList(c.Name, want.Sets) && !inList(c.Name, h.Sets) && !slices.Contains(o.busy, c.Name) && oneStep(printed[f], f, c.Name) {
			out = append(out, set)
		}
	}
	return out
}

func inList(name string, sets *iptables.Sets) bool {
	for _, list := range sets.Names() {
		for member := range members(sets.Set(list)) {
			if member == name {
				return true
			}
		}
	}
	return false
}

// oneStep reports whether a change of a set is one step for all packets of a family: whichever of the
// rules that a packet meets see the old content, and whichever later ones the new one, its verdict is
// that of the old or of the new content. The fallback rules are checked by themselves: they refuse
// nothing that the filter table with the same content accepts.
func oneStep(rules *iptables.Ruleset, f ir.Family, set string) bool {
	unknown := netfilter.NewSets(&iptables.Sets{}, func(string) bool { return true })
	for _, table := range tables {
		t := rules.Table(table)
		for _, start := range []string{"FORWARD", "INPUT"} {
			if t == nil || t.Chain(start) == nil {
				continue
			}
			p := netfilter.Program(t.Reachable(start), f, start, unknown)
			p.ToHost = start == "INPUT"
			if !packetsSeeOneContent(p, set) {
				return false
			}
		}
	}
	return true
}

// maxExchangeRules limits the rules that are compared: those of the program, each once for each path
// of chains that leads to it, times the rules with the set.
const maxExchangeRules = 20_000

// packetsSeeOneContent compares the program in which the first rules that match the set, in the order
// in which a packet meets them, see its old content and the others the new one, with those that
// see one content only. Whether an address is in the old or in the new content is left open, and so
// are all other sets.
func packetsSeeOneContent(p *packet.Program, set string) bool {
	paths := &unfolding{from: p, conditions: []packet.Opaque{netfilter.InUnknownSet(set, packet.Source), netfilter.InUnknownSet(set, packet.Destination)}}
	paths.chain(p.Chains[0].Name, nil)
	if paths.tooLarge || paths.twice {
		return false
	}
	last := len(paths.matching)
	if last <= 1 {
		return true
	}
	if paths.rules*(last+1) > maxExchangeRules {
		return false
	}
	var programs []*packet.Program
	for old := range last + 1 {
		programs = append(programs, paths.program(old))
	}
	space, err := packet.New(programs...)
	if err != nil {
		return false
	}
	all := space.Programs()
	for _, mixed := range all[1:last] {
		fromNew, err1 := packet.Compare(all[0], mixed, 1)
		fromOld, err2 := packet.Compare(all[last], mixed, 1)
		if errors.Join(err1, err2) != nil || !fromNew.Changed.And(fromOld.Changed).IsEmpty() {
			return false
		}
	}
	return true
}

// unfolding is a program in which each path of jumps has chains of its own, so that the order of its
// rules is the one in which packets meet them.
type unfolding struct {
	from       *packet.Program
	conditions []packet.Opaque
	chains     []*packet.Chain
	rules      int
	// matching are the rules with a condition on the set, in order; twice means that one of them has
	// two of them, and tooLarge that the limit was exceeded.
	matching        []*packet.Rule
	twice, tooLarge bool
}

// chain adds a copy of a chain, with the chains that it leads to, and returns its name. path are the
// chains that lead to it.
func (u *unfolding) chain(name string, path []string) string {
	var from *packet.Chain
	for _, c := range u.from.Chains {
		if c.Name == name {
			from = c
		}
	}
	if from == nil || slices.Contains(path, name) {
		u.tooLarge = true // chains that lead to themselves cannot be loaded
		return name
	}
	out := &packet.Chain{Name: name}
	for _, p := range path {
		out.Name += " from " + p
	}
	// Two jumps in one chain lead to two copies.
	for n := 0; slices.ContainsFunc(u.chains, func(c *packet.Chain) bool { return c.Name == out.Name }); n++ {
		out.Name += "'"
	}
	u.chains = append(u.chains, out)
	for _, r := range from.Rules {
		if u.rules++; u.rules > maxExchangeRules || u.tooLarge {
			u.tooLarge = true
			return out.Name
		}
		rule := *r
		switch n := u.count(r); {
		case n > 1:
			u.twice = true
		case n == 1:
			u.matching = append(u.matching, &rule)
		}
		if to := r.Verdict.Chain; to != "" {
			rule.Verdict.Chain = u.chain(to, append(slices.Clone(path), name))
		}
		out.Rules = append(out.Rules, &rule)
	}
	return out.Name
}

// count is the number of conditions of a rule on the set.
func (u *unfolding) count(r *packet.Rule) (n int) {
	for _, m := range r.Matches {
		packet.Walk(m, func(c packet.Cond) bool {
			if u.onSet(c) {
				n++
			}
			return true
		})
	}
	return n
}

// onSet reports whether a condition is one on the set.
func (u *unfolding) onSet(c packet.Cond) bool {
	o, ok := c.(packet.Opaque)
	return ok && slices.ContainsFunc(u.conditions, func(x packet.Opaque) bool { return x.Text == o.Text })
}

// program is the unfolded program in which the first rules that match the set see its old content.
func (u *unfolding) program(old int) *packet.Program {
	content := map[*packet.Rule]string{}
	for i, r := range u.matching {
		content[r] = " after the swap"
		if i < old {
			content[r] = " before the swap"
		}
	}
	out := &packet.Program{Family: u.from.Family, Default: u.from.Default, ToHost: u.from.ToHost}
	for _, c := range u.chains {
		chain := &packet.Chain{Name: c.Name}
		for _, r := range c.Rules {
			rule := *r
			if when := content[r]; when != "" {
				rule.Matches = slices.Clone(r.Matches)
				for i, m := range rule.Matches {
					rule.Matches[i] = packet.Map(m, func(c packet.Cond) packet.Cond {
						if u.onSet(c) {
							return packet.Opaque{Text: c.(packet.Opaque).Text + when}
						}
						return c
					})
				}
			}
			chain.Rules = append(chain.Rules, &rule)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}
