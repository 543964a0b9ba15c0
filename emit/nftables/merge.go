package nftables

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// plannedChain is a chain before its rules are expanded.
type plannedChain struct {
	name  string
	base  bool
	scope ir.Scope
	rules []*pair
}

// pair is one rule of the policy: in both families, or in one of them.
type pair struct {
	// both is set for a rule that is the same in both families: then v4 and v6 are nil.
	both, v4, v6 *ir.Rule
}

// any returns a rule of the pair.
func (p *pair) any() *ir.Rule {
	for _, r := range []*ir.Rule{p.both, p.v4} {
		if r != nil {
			return r
		}
	}
	return p.v6
}

// all returns the rules of the pair.
func (p *pair) all() []*ir.Rule {
	return slices.DeleteFunc([]*ir.Rule{p.both, p.v4, p.v6}, func(r *ir.Rule) bool { return r == nil })
}

// family returns the family of a rule of the pair; 0 for both.
func (p *pair) family(r *ir.Rule) ir.Family {
	switch r {
	case p.v4:
		return ir.IPv4
	case p.v6:
		return ir.IPv6
	}
	return 0
}

// mergeFamilies adds the chains with the rules of both families, which keep their order in each.
func (l *legalization) mergeFamilies() {
	for s := ir.ScopeForward; s <= ir.LastScope; s++ {
		perFamily := map[ir.Family][]*ir.Rule{}
		for _, p := range l.in.Programs {
			perFamily[p.Family] = p.Scope(s)
		}
		c := &plannedChain{name: ir.NFTChainOf(s), base: s == ir.ScopeInput, scope: s, rules: mergeRules(perFamily[ir.IPv4], perFamily[ir.IPv6])}
		if s == ir.ScopeForward {
			c.name, c.base = ir.NFTForward, true
		}
		if len(c.rules) > 0 || s == ir.ScopeForward {
			l.chains = append(l.chains, c)
		}
	}
	// The base chains first.
	slices.SortStableFunc(l.chains, func(a, b *plannedChain) int {
		switch {
		case a.base == b.base:
			return 0
		case a.base:
			return -1
		}
		return 1
	})
}

// mergeRules merges the rules of two families. Those of one block that are next in both become a pair.
// Whatever it finds, the rules of each family keep their order, on which their meaning depends.
func mergeRules(v4, v6 []*ir.Rule) []*pair {
	// left4 and left6 count the rules of each block that are left in the families.
	left4, left6 := map[blockKey]int{}, map[blockKey]int{}
	for _, r := range v4 {
		left4[keyOf(r)]++
	}
	for _, r := range v6 {
		left6[keyOf(r)]++
	}
	var out []*pair
	addV6 := func() {
		out = append(out, &pair{v6: v6[0]})
		left6[keyOf(v6[0])]--
		v6 = v6[1:]
	}
	for _, r := range v4 {
		key := keyOf(r)
		left4[key]--
		if left6[key] == 0 {
			// In the order of phases, and in that of the policy.
			for len(v6) > 0 && left4[keyOf(v6[0])] == 0 && cmp.Or(cmp.Compare(v6[0].Phase, r.Phase), cmp.Compare(v6[0].Place, r.Place)) < 0 {
				addV6()
			}
			out = append(out, &pair{v4: r})
			continue
		}
		for keyOf(v6[0]) != key {
			addV6()
		}
		other := v6[0]
		left6[key]--
		v6 = v6[1:]
		if same(r, other) {
			out = append(out, &pair{both: r})
		} else {
			out = append(out, &pair{v4: r, v6: other})
		}
	}
	for len(v6) > 0 {
		addV6()
	}
	return out
}

// blockKey identifies the block of a rule, and which of its rules it is.
type blockKey struct {
	phase ir.Phase
	block string
	name  string
	rng   hcl.Range
}

func keyOf(r *ir.Rule) blockKey {
	return blockKey{r.Phase, r.Origin.Block, r.Origin.Name, r.Origin.Range}
}

// same reports whether two rules of the two families become one rule of nft, which has no condition on the family.
func same(a, b *ir.Rule) bool {
	if hasAddresses(a) || hasAddresses(b) || perSource(a) || len(a.ICMP) > 0 || len(b.ICMP) > 0 {
		return false
	}
	x, y := *a, *b
	x.Place, y.Place = 0, 0
	// Where addresses are written does not matter, without any.
	x.Source, x.Destination, y.Source, y.Destination = ir.End{}, ir.End{}, ir.End{}, ir.End{}
	return reflect.DeepEqual(x, y)
}

// hasAddresses reports whether a rule has a condition on an address.
func hasAddresses(r *ir.Rule) bool {
	return len(r.PublishedAddresses) > 0 || !r.Source.In.IsEmpty() || !r.Source.NotIn.IsEmpty() || !r.Destination.In.IsEmpty() || !r.Destination.NotIn.IsEmpty()
}

// perSource reports whether a rule counts sources separately.
func perSource(r *ir.Rule) bool { return r.Connections != nil || r.Rate != nil && r.Rate.PerSource }

// hoistInterfaces matches interfaces once, in the rule that leads to a chain, for the rules of the chain that are for
// the same ones.
func (l *legalization) hoistInterfaces() {
	l.splitForward()
	for _, c := range l.chains {
		if c.base {
			continue
		}
		if jumps := l.jumpsTo(c); len(jumps) > 0 && !slices.ContainsFunc(jumps, func(r *ir.Rule) bool { return !sameInterfaces(r, jumps[0]) }) {
			c.withoutInterfaces(jumps[0])
		}
	}
}

// splitForward moves the rules of ScopeForward to a chain of their own, except for jumps to ScopeEgress, if all
// are for the interfaces of the host or for some of them.
func (l *legalization) splitForward() {
	base := l.chains[0]
	at := slices.IndexFunc(base.rules, func(p *pair) bool { return p.any().Phase == ir.PhaseEgress })
	if at < 0 {
		at = len(base.rules)
	}
	inner := &plannedChain{name: ir.NFTForwarded, scope: ir.ScopeForward, rules: base.rules[:at:at]}
	all := rulesOf(inner)
	if len(all) == 0 {
		return
	}
	common := all[0] // the first rules are for all interfaces of the host
	if len(common.In) == 0 && len(common.Out) == 0 {
		return
	}
	for _, r := range all {
		// A return would come back to the jumps to ScopeEgress.
		if _, returns := r.Verdict.(ir.Return); returns || !covers(common.In, r.In) || !covers(common.Out, r.Out) {
			return
		}
	}
	jump := &ir.Rule{
		Scope: ir.ScopeForward, Phase: ir.PhaseForward, Origin: ir.Origin{Block: "host", Range: common.Origin.Range},
		In: common.In, Out: common.Out, Verdict: ir.Jump{To: ir.ScopeForward},
	}
	base.rules = append([]*pair{l.inFamilies(jump)}, base.rules[at:]...)
	inner.withoutInterfaces(common)
	after := slices.IndexFunc(l.chains, func(c *plannedChain) bool { return !c.base })
	if after < 0 {
		after = len(l.chains)
	}
	l.chains = slices.Insert(l.chains, after, inner)
}

func sameInterfaces(a, b *ir.Rule) bool { return slices.Equal(a.In, b.In) && slices.Equal(a.Out, b.Out) }

// covers reports whether a list of interfaces has all that another one has. An empty list has all interfaces.
func covers(list, other []string) bool {
	if len(list) == 0 {
		return true
	}
	return len(other) > 0 && !slices.ContainsFunc(other, func(name string) bool {
		return !slices.ContainsFunc(list, func(in string) bool {
			prefix, wild := strings.CutSuffix(in, "+")
			return in == name || wild && strings.HasPrefix(name, prefix)
		})
	})
}

// inFamilies returns a rule for the families that are compiled.
func (l *legalization) inFamilies(r *ir.Rule) *pair {
	switch f := l.out.Families; {
	case len(f) > 1:
		return &pair{both: r}
	case f[0] == ir.IPv4:
		return &pair{v4: r}
	default:
		return &pair{v6: r}
	}
}

// jumpsTo returns the rules that lead to a chain.
func (l *legalization) jumpsTo(c *plannedChain) []*ir.Rule {
	var out []*ir.Rule
	for _, from := range l.chains {
		for _, r := range rulesOf(from) {
			if j, ok := r.Verdict.(ir.Jump); ok && ir.NFTChainOf(j.To) == c.name {
				out = append(out, r)
			}
		}
	}
	return out
}

func rulesOf(c *plannedChain) []*ir.Rule {
	var out []*ir.Rule
	for _, p := range c.rules {
		out = append(out, p.all()...)
	}
	return out
}

// withoutInterfaces removes the conditions on interfaces that the rule that leads to the chain has.
func (c *plannedChain) withoutInterfaces(jump *ir.Rule) {
	without := func(r *ir.Rule) *ir.Rule {
		if r == nil || !sameInterfaces(r, jump) {
			return r
		}
		out := *r
		out.In, out.Out = nil, nil
		return &out
	}
	for i, p := range c.rules {
		c.rules[i] = &pair{both: without(p.both), v4: without(p.v4), v6: without(p.v6)}
	}
}
