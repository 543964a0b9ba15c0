package policytest

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser"
)

// Coverage is which denies and accepts the tests of a policy decide by.
type Coverage struct {
	// Rules is the number of rules; a rule that several hosts have counts once.
	Rules int
	// Untested are those about which no test decides, in the order of the policy.
	Untested []*parser.Rule
}

// Percent is the share of the rules about which a test decides, rounded down; 100 without
// rules.
func (c Coverage) Percent() int {
	if c.Rules == 0 {
		return 100
	}
	return (c.Rules - len(c.Untested)) * 100 / c.Rules
}

// CoverageOf returns the coverage of the policies of all hosts by the results of their tests,
// passed or not.
func CoverageOf(policies []*parser.Policy, results []Result) Coverage {
	type key struct {
		block string
		place hcl.Range
	}
	decided := map[string][]string{} // by host
	for _, r := range results {
		decided[r.Host] = append(decided[r.Host], r.Decides...)
	}
	tested := map[key]bool{}
	var all []*parser.Rule
	keyOf := func(r *parser.Rule) key {
		return key{fmt.Sprintf("%s.%s", r.Kind, r.Name.Value), r.DeclRange}
	}
	for _, p := range policies {
		for _, r := range p.AllRules() {
			k := keyOf(r)
			if _, known := tested[k]; !known {
				all = append(all, r)
			}
			tested[k] = tested[k] || slices.Contains(decided[p.Host.Name], k.block)
		}
	}
	out := Coverage{Rules: len(all)}
	for _, r := range all {
		if !tested[keyOf(r)] {
			out.Untested = append(out.Untested, r)
		}
	}
	return out
}
