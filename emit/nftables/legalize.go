package nftables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// legalization is the state shared by the steps.
type legalization struct {
	in    *ir.Ruleset
	out   *Tables
	diags hcl.Diagnostics
	// declared are the named sets for an ipset block of one family: the members of a list:set.
	declared map[setKey][]*Set
	// literal are the sets of addresses that rules list themselves, and dynamic those of limits, by their names.
	literal, dynamic map[string]*Set
	// chains are the rules in the order of both families.
	chains []*plannedChain
	// inner are the chains with the limits of rules of the last chains.
	inner []*Chain
}

type setKey struct {
	label  string
	family ir.Family
}

// steps run in this order, until one of them finds an error.
var steps = []struct {
	name string
	run  func(*legalization)
}{
	{"make the declared sets", (*legalization).declareSets},
	{"merge the families", (*legalization).mergeFamilies},
	{"match common interfaces once", (*legalization).hoistInterfaces},
	{"count rules", (*legalization).countRules},
	{"expand to rules of nft", (*legalization).expand},
	{"check operands", (*legalization).checkOperands},
}

// Legalize returns the table that nft loads for a ruleset. It returns nil if there is an error: too many rules
// on a host, or too many conditions in one rule.
func Legalize(rs *ir.Ruleset) (*Tables, hcl.Diagnostics) {
	l := newLegalization(rs)
	for _, step := range steps {
		if step.run(l); l.diags.HasErrors() {
			return nil, l.diags
		}
	}
	return l.out, nil
}

func newLegalization(rs *ir.Ruleset) *legalization {
	l := &legalization{in: rs, out: &Tables{Host: rs.Host}, declared: map[setKey][]*Set{}, literal: map[string]*Set{}, dynamic: map[string]*Set{}}
	for _, p := range rs.Programs {
		l.out.Families = append(l.out.Families, p.Family)
	}
	return l
}

// error adds an error to the diagnostics.
func (l *legalization) error(code diag.Code, rng hcl.Range, summary, detail string, args ...any) {
	l.diags = append(l.diags, diag.New(code, rng, summary, fmt.Sprintf(detail, args...)))
}

// countRules reports the first block, in the order of evaluation, with which the host has more rules than it may
// have. It runs before expansion, which would allocate them.
func (l *legalization) countRules() {
	rules := 0
	for _, c := range l.chains {
		for _, p := range c.rules {
			if rules += l.size(p); rules > budget.MaxRules {
				l.error(diag.CodeBudget, p.any().Origin.Range, "too many rules", "With this block the host has more than %d rules, which is the maximum. Each combination of the protocols, published ports and sets of addresses that a block lists is one rule. Use port ranges, and one ipset for addresses.", budget.MaxRules)
				return
			}
		}
	}
}

// expand adds the chains with their rules.
func (l *legalization) expand() {
	for i, planned := range l.chains {
		chain := &Chain{Name: planned.name, Base: planned.base, Scope: planned.scope}
		l.out.Chains = append(l.out.Chains, chain)
		for _, p := range planned.rules {
			chain.Rules = append(chain.Rules, l.rules(p, planned)...)
		}
		if i+1 == len(l.chains) || !l.chains[i+1].base {
			l.out.Chains = append(l.out.Chains, l.inner...)
			l.inner = nil
		}
	}
}

// maxAddressMatches limits the conditions on addresses of a rule: the kernel refuses rules with 55 lookups
// in sets (docs/contributing/netfilter.md, "Length of nft rules").
const maxAddressMatches = 36

// checkOperands reports rules with too many conditions, and faults of the steps before: sets and chains that do
// not exist, addresses of two families in one rule.
func (l *legalization) checkOperands() {
	sets, chains := map[string]*Set{}, map[string]bool{}
	for _, s := range l.out.Sets {
		if sets[s.Name] != nil {
			l.internal(s.Origin.Range, "two sets named %q", s.Name)
		}
		sets[s.Name] = s
	}
	for _, c := range l.out.Chains {
		if chains[c.Name] {
			l.internal(hcl.Range{}, "two chains named %q", c.Name)
		}
		chains[c.Name] = true
	}
	for _, c := range l.out.Chains {
		for _, r := range c.Rules {
			if n := addressMatches(r); n > maxAddressMatches {
				l.error(diag.CodeTooMany, r.Origin.Range, "too many sets in one rule", "The block compiles to a rule that matches %d sets, and nft accepts about %d. Combine the sets that it lists into one ipset.", n, maxAddressMatches)
				continue
			}
			if problem := operandProblem(r, sets, chains); problem != "" {
				l.internal(r.Origin.Range, "%q: %s", r.ID.Comment(), problem)
			}
		}
	}
}

func (l *legalization) internal(rng hcl.Range, format string, args ...any) {
	l.diags = append(l.diags, diag.Internal(rng, format, args...))
}

// addressMatches returns the number of conditions on addresses.
func addressMatches(r *Rule) int {
	n := 0
	for _, m := range r.Matches {
		switch m.(type) {
		case Address, SetMatch:
			n++
		}
	}
	return n
}

// operandProblem returns the first invalid operand of a rule, "" if there is none.
func operandProblem(r *Rule, sets map[string]*Set, chains map[string]bool) string {
	var families []ir.Family
	protocols, ported := []uint8(nil), false
	set := func(name string, f ir.Family, kinds ...Kind) string {
		s := sets[name]
		if s == nil {
			return fmt.Sprintf("set %q does not exist", name)
		}
		if s.Family != f {
			return fmt.Sprintf("set %q is of %s", name, s.Family)
		}
		for _, k := range kinds {
			if s.Kind == k {
				return ""
			}
		}
		return fmt.Sprintf("set %q is of another kind", name)
	}
	problem := ""
	for _, m := range r.Matches {
		if f, ok := familyOf(m); ok {
			families = append(families, f)
		}
		if hasIntervals(m) {
			return "a list with a range"
		}
		switch m := m.(type) {
		case Protocol:
			protocols = m.Numbers
		case Ports:
			if ported = true; m.Protocol == 0 && len(protocols) == 0 {
				problem = "ports without their protocol"
			}
		case OriginalPort:
			if len(protocols) != 1 && !ported {
				problem = "published port without its protocol"
			}
		case ICMP:
			if m.Code >= 0 && len(m.Types) != 1 {
				problem = "a code of several ICMP types"
			}
		case SetMatch:
			problem = set(m.Set, m.Family, Managed, Unmanaged)
		case SourceLimit:
			problem = set(m.Set, m.Family, Dynamic)
		case SourceConnections:
			problem = set(m.Set, m.Family, Dynamic)
		}
		if problem != "" {
			return problem
		}
	}
	for _, f := range families {
		if f != families[0] {
			return "addresses of both families"
		}
	}
	if j, ok := r.Verdict.(Jump); ok && !chains[j.Chain] {
		return fmt.Sprintf("chain %q does not exist", j.Chain)
	}
	return ""
}

// hasIntervals reports whether nft makes an anonymous set with intervals of a list: docs/contributing/netfilter.md,
// "Sets and rules in one transaction".
func hasIntervals(m Match) bool {
	switch m := m.(type) {
	case Address:
		return len(m.Ranges) > 1 && slices.ContainsFunc(m.Ranges, func(r netipx.IPRange) bool { return r.From() != r.To() })
	case Ports:
		return len(m.Ranges) > 1 && slices.ContainsFunc(m.Ranges, func(r ir.PortRange) bool { return r.First != r.Last })
	case Interface:
		return len(m.Names) > 1 && slices.ContainsFunc(m.Names, func(name string) bool { return strings.HasSuffix(name, "*") })
	}
	return false
}
