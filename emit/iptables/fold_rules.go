package iptables

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Folding rules makes a packet meet few rules, however many a policy has. It changes only runs
// of adjacent accepts, or denies, with one verdict and without limits and logs: the order of
// such rules has no effect. In such a run
//
//   - rules that differ only in their sources become one rule with one set,
//   - the interfaces, the protocol and the state that rules have in common are tested once, by
//     a rule that leads to a chain of their own,
//   - ports are found by a binary search over such chains.
//
// Rules lead to these chains with -g: to RETURN there is to return from the chain of the scope,
// which is how some rules accept, and in the fallback rules all. A packet that no rule of the run
// matches goes on to the chain with the rules that follow the run. So each further folded run makes
// paths longer: a run with which the kernel would refuse the chains stays as it is (see foldMost).

// maxLinear is the number of rules in a run up to which it is not folded: so many cost a packet
// less than 10 % (BenchmarkForwarding in golden/e2e).
const maxLinear = 64

const (
	// maxInline is the number of rules with one port up to which they need no chain of their own.
	maxInline = 2
	// maxFolds keeps the names of chains within 28 bytes.
	maxFolds = 99
)

// plannedChain is a chain of the tables before the cartesian product.
type plannedChain struct {
	name  string
	scope ir.Scope
	rules []plannedRule
	// protocol is that of all packets that get there; 0 if it is not known.
	protocol uint8
}

// plannedRule is a rule of the IR. If to is not "", it leads to that chain instead of having its
// own verdict: with -g, or if calls with -j.
type plannedRule struct {
	*ir.Rule
	to    string
	calls bool
}

// planChains makes the chains of each scope. Egress, INPUT protection and the input block have
// one only if they have rules.
func (l *legalization) planChains() {
	for _, p := range l.in.Programs {
		f := &ruleFolder{legalization: l, program: p, family: p.Family, merges: map[string]string{}, named: map[string]bool{}, contents: map[string][]netip.Prefix{}}
		f.countUnfolded()
		for s := ir.ScopeForward; s <= ir.LastScope; s++ {
			rules := p.Scope(s)
			if len(rules) == 0 && s != ir.ScopeForward {
				continue
			}
			f.scope, f.labels = s, map[string]int{}
			f.chain = f.add(l.in.ChainOf(s))
			if l.folds(s) {
				f.foldMost(rules)
			} else {
				f.keep(rules...)
			}
		}
		l.plans = append(l.plans, f.chains)
	}
}

// folds reports whether the rules of a scope may be folded. With InstallInsert foreign rules
// follow ours in the chain, to which -g would not return. When nothing else can be loaded at boot,
// the rules of ScopeInput and ScopeHost stay in force without their sets, which needs each of
// them in its chain.
func (l *legalization) folds(s ir.Scope) bool {
	switch s {
	case ir.ScopeForward:
		return !l.options.NoFold && l.in.Install != ir.InstallInsert
	case ir.ScopeEgress, ir.ScopeProxy:
		return !l.options.NoFold
	}
	return false
}

// runLength returns the number of rules at the beginning that can change places; at least 1.
func runLength(rules []*ir.Rule) int {
	first := rules[0]
	if !canFold(first) {
		return 1
	}
	for i, r := range rules {
		if !canFold(r) || r.Phase != first.Phase || r.Verdict != first.Verdict {
			return i
		}
	}
	return len(rules)
}

// canFold reports whether only the packet, and the time at which the rule ends, determine what a
// rule does.
func canFold(r *ir.Rule) bool {
	return (r.Phase == ir.PhaseDeny || r.Phase == ir.PhaseAccept) && !r.Limited() && r.Log == nil && r.States == 0 && r.Direction == ir.CTAny
}

// ruleFolder folds the rules of one family.
type ruleFolder struct {
	*legalization
	program *ir.Program
	family  ir.Family
	scope   ir.Scope
	chains  []*plannedChain
	// chain is the one that gets the next rules of the scope.
	chain *plannedChain
	folds int
	choice
	// linear are the iptables rules of runs above foldAbove that were not folded.
	linear int
	// unfolded are the rules on all paths from the chain of a scope without folding.
	unfolded map[ir.Scope]int
	// labels counts the merged rules of the scope by label.
	labels map[string]int
	// merges are the names of the sets of merged rules by their content, and named has those names
	// with the ending of the family.
	merges map[string]string
	named  map[string]bool
	// contents are the entries of the sets of merged rules.
	contents map[string][]netip.Prefix
}

func (f *ruleFolder) add(name string) *plannedChain {
	c := &plannedChain{name: name, scope: f.scope}
	f.chains = append(f.chains, c)
	return c
}

// keep adds rules as they are.
func (f *ruleFolder) keep(rules ...*ir.Rule) {
	for _, r := range rules {
		f.chain.rules = append(f.chain.rules, plannedRule{Rule: r})
	}
}

// run adds the rules of a run, folded if they are many and the kernel accepts the chains. after are
// the rules of the scope behind the run.
func (f *ruleFolder) run(rules, after []*ir.Rule) {
	if !canFold(rules[0]) || lines(rules...) <= f.foldAbove() {
		f.keep(rules...)
		return
	}
	if f.runs != nil && !f.runs[rules[0]] {
		f.keep(rules...)
		f.linear += lines(rules...)
		return
	}
	var split []*ir.Rule
	for _, r := range rules {
		split = append(split, atoms(r)...)
	}
	merged := f.merge(split)
	if lines(merged...) <= f.foldAbove() {
		f.keep(merged...)
		return
	}
	groups, rest := f.groups(merged)
	f.keep(rest...)
	for len(groups) > 0 {
		before := f.mark()
		others := f.step(groups)
		if f.folds > maxFolds || !f.loadable(append(rulesOf(others), after...)) {
			f.undo(before)
			kept := rulesOf(groups)
			f.keep(kept...)
			f.linear += lines(kept...)
			return
		}
		groups = others
	}
}

func rulesOf(groups []*group) []*ir.Rule {
	var out []*ir.Rule
	for _, g := range groups {
		out = append(out, g.rules...)
	}
	return out
}

func (f *ruleFolder) foldAbove() int { return cmp.Or(f.options.FoldAbove, maxLinear) }

// lines returns the number of iptables rules that some rules become.
func lines(rules ...*ir.Rule) int {
	n := 0
	for _, r := range rules {
		n += sizeOf(r, alternativesOf(r.Source.In), alternativesOf(r.Destination.In))
	}
	return n
}

// alternativesOf returns the number of matches for the addresses: several prefixes are one set.
func alternativesOf(a ir.Addresses) int { return min(len(a.Prefixes), 1) + len(a.Sets) }

// atoms returns a rule as rules with at most one protocol and one port each, whose sources are
// either literal or one set.
func atoms(r *ir.Rule) []*ir.Rule {
	all := []*ir.Rule{r}
	each := func(n int, choose func(one *ir.Rule, i int)) {
		if n <= 1 {
			return
		}
		var out []*ir.Rule
		for _, old := range all {
			for i := range n {
				one := *old
				choose(&one, i)
				out = append(out, &one)
			}
		}
		all = out
	}
	each(len(r.Protocols), func(one *ir.Rule, i int) { one.Protocols = r.Protocols[i : i+1 : i+1] })
	if len(r.PublishedPorts) > 0 {
		each(len(r.PublishedPorts), func(one *ir.Rule, i int) { one.PublishedPorts = r.PublishedPorts[i : i+1 : i+1] })
	} else {
		each(len(r.DestinationPorts), func(one *ir.Rule, i int) { one.DestinationPorts = r.DestinationPorts[i : i+1 : i+1] })
	}
	in := otherEnd(r).In
	literal := min(len(in.Prefixes), 1)
	each(literal+len(in.Sets), func(one *ir.Rule, i int) {
		if end := otherEnd(one); i < literal {
			end.In.Sets = nil
		} else {
			end.In.Prefixes, end.In.Sets = nil, in.Sets[i-literal:i-literal+1]
		}
	})
	return all
}

// otherEnd is the end of a rule that is not a container: in it the rules of many clients differ.
func otherEnd(r *ir.Rule) *ir.End {
	if r.Scope == ir.ScopeEgress {
		return &r.Destination
	}
	return &r.Source
}

// port returns the port of an atom that is searched for: the published port, or that of the
// container or host; nil if it has none.
func port(r *ir.Rule) *ir.PortRange {
	switch {
	case len(r.PublishedPorts) == 1:
		return &r.PublishedPorts[0]
	case len(r.DestinationPorts) == 1:
		return &r.DestinationPorts[0]
	}
	return nil
}

// withPort returns a copy of a rule with another port; nil removes it.
func withPort(r *ir.Rule, p *ir.PortRange) *ir.Rule {
	out := *r
	var ports []ir.PortRange
	if p != nil {
		ports = []ir.PortRange{*p}
	}
	if len(r.PublishedPorts) > 0 {
		out.PublishedPorts = ports
	} else {
		out.DestinationPorts = ports
	}
	return &out
}

// tracked reports whether the port of a rule is that of the connection before DNAT, and not one
// of the packet itself, for which iptables requires the protocol in the same rule.
func tracked(r *ir.Rule) bool { return len(r.PublishedPorts) > 0 && r.Scope != ir.ScopeProxy }

// group is the atoms of a run on the same interfaces, with the same protocol and kind of port.
type group struct {
	rules    []*ir.Rule
	in, out  []string
	protocol uint8 // 0 for any
	tracked  bool
}

// groups divides atoms into those that get a chain and the rest, which have too little in common.
func (f *ruleFolder) groups(rules []*ir.Rule) (groups []*group, rest []*ir.Rule) {
	byKey := map[string]*group{}
	var all []*group
	for _, r := range rules {
		g := &group{in: r.In, out: r.Out, tracked: tracked(r)}
		if len(r.Protocols) == 1 {
			g.protocol = r.Protocols[0]
		}
		key := fmt.Sprintf("%q %q %d %t %t", g.in, g.out, g.protocol, g.tracked, port(r) != nil)
		if byKey[key] == nil {
			byKey[key] = g
			all = append(all, g)
		}
		byKey[key].rules = append(byKey[key].rules, r)
	}
	for _, g := range all {
		common := len(g.in)+len(g.out) > 0 || g.protocol != 0
		if lines(g.rules...) > f.foldAbove()/4 && (common || port(g.rules[0]) != nil) {
			groups = append(groups, g)
		} else {
			rest = append(rest, g.rules...)
		}
	}
	return groups, rest
}

// step gives chains to those of the groups of which a packet can be in one only, and returns the
// others: they come first in the chain with what follows.
func (f *ruleFolder) step(groups []*group) (others []*group) {
	f.folds++
	from, next := f.chain, f.chain
	calls := f.callsDenies && groups[0].rules[0].Phase == ir.PhaseDeny
	if !calls {
		next = f.add(fmt.Sprintf("%s-%d-NEXT", ir.OwnChain, f.folds))
	}
	named := map[string]bool{}
	var chosen []*group
	for _, g := range groups {
		if named[g.name()] || slices.ContainsFunc(chosen, func(other *group) bool { return !g.disjoint(other) }) {
			others = append(others, g)
			continue
		}
		named[g.name()] = true
		chosen = append(chosen, g)
		t := &searchTree{ruleFolder: f, prefix: fmt.Sprintf("%s-%d-%s", ir.OwnChain, f.folds, g.name()), protocol: g.protocol}
		if !calls {
			t.next = next.name
		}
		chain := t.add(t.prefix)
		condition, clients := g.condition(), f.clients(g.rules)
		switch {
		case calls && clients != nil:
			otherEnd(condition).In = *clients
		case clients != nil:
			others := unconditional(g.rules[0])
			otherEnd(others).NotIn = *clients
			chain.lead(next.name, others)
		}
		from.rules = append(from.rules, plannedRule{condition, chain.name, calls})
		t.fill(chain, g.stripped())
	}
	if calls {
		return others
	}
	from.lead(next.name, unconditional(groups[0].rules[0]))
	f.chain = next
	// The chain that follows is printed after those of the groups.
	f.chains = append(slices.DeleteFunc(f.chains, func(c *plannedChain) bool { return c == next }), next)
	return others
}

// lead adds a rule that leads to another chain with -g.
func (c *plannedChain) lead(to string, condition *ir.Rule) {
	c.rules = append(c.rules, plannedRule{Rule: condition, to: to})
}

// unconditional returns a rule of the same run for all packets.
func unconditional(r *ir.Rule) *ir.Rule {
	return &ir.Rule{Scope: r.Scope, Phase: r.Phase, Origin: ir.Origin{Block: r.Origin.Block, Range: r.Origin.Range}, Place: r.Place}
}

// condition returns a rule for what the rules of the group have in common.
func (g *group) condition() *ir.Rule {
	out := unconditional(g.rules[0])
	out.In, out.Out = g.in, g.out
	if g.protocol != 0 {
		out.Protocols = []uint8{g.protocol}
	}
	if g.tracked {
		out.States, out.Direction = ir.CTDNAT, ir.CTOriginal
	}
	return out
}

// stripped returns the rules without what they have in common. The protocol stays where another
// match needs it, or where it determines how packets are rejected.
func (g *group) stripped() []*ir.Rule {
	var out []*ir.Rule
	for _, r := range g.rules {
		one := *r
		one.In, one.Out = nil, nil
		out = append(out, withoutProtocol(&one))
	}
	return out
}

// withoutProtocol removes the protocol from a rule unless it is needed there.
func withoutProtocol(r *ir.Rule) *ir.Rule {
	if _, rejects := r.Verdict.(ir.Reject); !rejects && !needsProtocol(r) {
		r.Protocols = nil
	}
	return r
}

// needsProtocol reports whether a rule has a match that iptables accepts only after -p.
func needsProtocol(r *ir.Rule) bool {
	return len(r.SourcePorts)+len(r.DestinationPorts)+len(r.ICMP) > 0 || len(r.PublishedPorts) > 0 && !tracked(r)
}

// name is the group's part of the names of its chains.
func (g *group) name() string {
	switch {
	case g.protocol == 0:
		return "ANY"
	case g.protocol == protocolTCP:
		return "TCP"
	case g.protocol == 17:
		return "UDP"
	case g.protocol == 132:
		return "SCTP"
	}
	return fmt.Sprint(g.protocol)
}

// disjoint reports whether no packet can match the conditions of both groups.
func (g *group) disjoint(o *group) bool {
	if g.protocol != 0 && o.protocol != 0 && g.protocol != o.protocol {
		return true
	}
	return disjointNames(g.in, o.in) || disjointNames(g.out, o.out)
}

// disjointNames reports whether no interface is in both lists. A name that ends in + stands for
// all that begin with the rest, and an empty list for all.
func disjointNames(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if patternsOverlap(x, y) {
				return false
			}
		}
	}
	return len(a) > 0 && len(b) > 0
}

func patternsOverlap(a, b string) bool {
	first, isPattern := cutPlus(a)
	second, isPattern2 := cutPlus(b)
	switch n := min(len(first), len(second)); {
	case isPattern && isPattern2:
		return first[:n] == second[:n]
	case isPattern:
		return len(second) >= len(first) && first == second[:n]
	case isPattern2:
		return len(first) >= len(second) && second == first[:n]
	}
	return a == b
}

func cutPlus(name string) (rest string, isPattern bool) {
	if n := len(name) - 1; n >= 0 && name[n] == '+' {
		return name[:n], true
	}
	return name, false
}
