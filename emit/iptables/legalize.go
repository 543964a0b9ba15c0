package iptables

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// legalization is the state shared by the steps.
type legalization struct {
	in    *ir.Ruleset
	out   *Tables
	diags hcl.Diagnostics
	// made are the sets that replace lists of addresses in rules.
	made map[madeFor]*Set
	// expansions are the rules after folding; byPlace has them in the order of the policy.
	expansions map[*ir.Rule]*expansion
	byPlace    []*expansion
	// plans are the chains of each family.
	plans   [][]*plannedChain
	options Options
}

// Options of the legalization.
type Options struct {
	// NoFold makes each rule of the policy rules of its own, however many there are.
	NoFold bool
	// FoldAbove is the number of rules in a run above which it is folded; 0 means maxLinear.
	FoldAbove int
	// MaxLevels is the number of levels of chains within which folded rules stay; 0 means maxLevels.
	MaxLevels int
}

// steps run in this order, until one of them finds an error.
var steps = []struct {
	name string
	run  func(*legalization)
}{
	{"make the declared sets", (*legalization).declareSets},
	{"plan chains and fold rules", (*legalization).planChains},
	{"fold addresses into sets", (*legalization).foldAddresses},
	{"order sets", (*legalization).orderSets},
	{"count rules", (*legalization).countRules},
	{"expand to the cartesian product", (*legalization).expand},
	{"check operands", (*legalization).checkOperands},
	{"add fallback rules", (*legalization).addFallbacks},
}

// Legalize returns the sets and rules that iptables and ipset load for a ruleset. It
// returns nil tables if there is an error: too many rules on a host, or too many matches in
// one rule.
func Legalize(rs *ir.Ruleset, options Options) (*Tables, hcl.Diagnostics) {
	l := newLegalization(rs)
	l.options = options
	for _, step := range steps {
		if step.run(l); l.diags.HasErrors() {
			return nil, l.diags
		}
	}
	return l.out, nil
}

func newLegalization(rs *ir.Ruleset) *legalization {
	return &legalization{in: rs, out: &Tables{Host: rs.Host}, made: map[madeFor]*Set{}, expansions: map[*ir.Rule]*expansion{}}
}

// error adds an error to the diagnostics.
func (l *legalization) error(code diag.Code, rng hcl.Range, summary, detail string, args ...any) {
	l.diags = append(l.diags, diag.New(code, rng, summary, fmt.Sprintf(detail, args...)))
}

// foldAddresses replaces addresses by a set wherever an iptables rule cannot list them.
func (l *legalization) foldAddresses() {
	for i, p := range l.in.Programs {
		l.out.Programs = append(l.out.Programs, &Program{Family: p.Family, Install: l.in.Install, Target: l.in.Chain})
		for _, c := range l.plans[i] {
			for _, r := range c.rules {
				e := &expansion{Rule: r.Rule, to: r.to, calls: r.calls, family: p.Family, chainOf: l.in.ChainOf}
				l.expansions[r.Rule] = e
				l.byPlace = append(l.byPlace, e)
			}
		}
	}
	// Sets are made in the order of the policy, so that moving a rule to another phase does
	// not move its sets.
	slices.SortStableFunc(l.byPlace, func(a, b *expansion) int { return cmp.Compare(a.Place, b.Place) })
	for _, e := range l.byPlace {
		e.source = l.foldEnd(e.Rule, e.family, e.Source, ".src")
		e.destination = l.foldEnd(e.Rule, e.family, e.Destination, ".dst")
	}
}

// countRules reports the first block, in the order of the policy, with which a family has
// more rules than a host may have. It runs before expansion, which would allocate them.
func (l *legalization) countRules() {
	for _, p := range l.in.Programs {
		rules := 0
		for _, e := range l.byPlace {
			if e.family != p.Family {
				continue
			}
			if rules += e.size(); rules > budget.MaxRules {
				l.error(diag.CodeBudget, e.Origin.Range, "too many rules", "With this block the host has more than %d %s rules, which is the maximum. Each combination of the interfaces, protocols, addresses and ports that a block lists is one rule. Use port ranges, an ipset for addresses, and interface prefixes such as \"br-+\".", budget.MaxRules, p.Family)
				return
			}
		}
	}
}

// expand adds the chains with their rules.
func (l *legalization) expand() {
	for i, out := range l.out.Programs {
		for _, planned := range l.plans[i] {
			chain := &Chain{Name: planned.name, Scope: planned.scope, Protocol: planned.protocol}
			for _, r := range planned.rules {
				chain.Rules = append(chain.Rules, l.expansions[r.Rule].rules()...)
			}
			out.Chains = append(out.Chains, chain)
		}
	}
}
