package lint

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// findings are what is looked for. Of the findings about a rule without effect at most
// one applies to each rule; see outcome.
var findings = []struct {
	code  diag.Code
	level func(code diag.Code, subject hcl.Range, summary, detail string) *hcl.Diagnostic
	find  func(*evidence) []finding
}{
	{diag.CodeTooLarge, diag.Warn, tooLarge},
	{diag.CodePartlyDenied, diag.Note, eachRule(partlyDenied)},
	{diag.CodeNeverMatches, diag.Warn, eachRule(neverMatches)},
	{diag.CodeDenied, diag.Warn, eachRule(denied)},
	{diag.CodeCovered, diag.Warn, eachRule(covered)},
	{diag.CodeRedundant, diag.Warn, eachRule(redundant)},
	{diag.CodeAllowedAnyway, diag.Warn, eachRule(allowedAnyway)},
	{diag.CodeCovered, diag.Warn, eachRule(coveredValues)},
	{diag.CodeOverlappingSets, diag.Warn, eachList(containedSets)},
	{diag.CodeOverlappingSets, diag.Note, eachList(overlappingSets)},
	{diag.CodeWorldOpen, diag.Note, worldOpen},
	{diag.CodeOpenDefault, diag.Warn, openDefault},
	{diag.CodeProxyOpen, diag.Warn, proxyOpen},
	{diag.CodeDisabled, diag.Note, disabled},
}

// finding is one diagnostic, but for its code and level.
type finding struct {
	place           hcl.Range
	summary, detail string
	related         []diag.Related
}

// Hosts returns the findings in the policies of all hosts, in the order of the text.
func Hosts(policies []*parser.Policy, lists *semantics.Lists) hcl.Diagnostics {
	e := gather(policies, lists)
	var diags hcl.Diagnostics
	for _, row := range findings {
		for _, f := range row.find(e) {
			d := row.level(row.code, f.place, f.summary, f.detail)
			for _, r := range f.related {
				diag.WithRelated(d, r.Message, r.Range)
			}
			diags = append(diags, d)
		}
	}
	return diag.Unique(diags)
}

// eachRule looks for a finding in every deny and accept block.
func eachRule(find func(*ruleEvidence) []finding) func(*evidence) []finding {
	return func(e *evidence) []finding {
		var out []finding
		for _, r := range e.rules {
			out = append(out, find(r)...)
		}
		return out
	}
}

// eachList looks for a finding in every list of several addresses, as long as people write
// by hand. A list of a block that several hosts have is checked once.
func eachList(find func(*parser.Addresses, addressesOfSets) []finding) func(*evidence) []finding {
	return func(e *evidence) []finding {
		var out []finding
		seen := map[hcl.Range]bool{}
		for _, p := range e.policies {
			sets := setAddresses(p, e.lists)
			for _, list := range addressLists(p) {
				if list == nil || len(list.Items) < 2 || len(list.Items) > maxElements || seen[list.Range] {
					continue
				}
				seen[list.Range] = true
				out = append(out, find(list, sets)...)
			}
		}
		return out
	}
}

// disabled finds the rules that are left out, each once whatever hosts have it.
func disabled(e *evidence) []finding {
	var out []finding
	for _, p := range e.policies {
		for _, r := range p.Disabled {
			out = append(out, finding{
				place: r.Name.Range, summary: title(r) + " is disabled",
				detail: "It is checked and left out. Remove enabled = false to put it in force, or the rule if it is not needed.",
			})
		}
	}
	return out
}

// tooLarge finds hosts with more rules than the algebra can evaluate.
func tooLarge(e *evidence) []finding {
	var out []finding
	for _, f := range e.failures {
		out = append(out, finding{
			place: f.policy.Host.DeclRange, summary: "policy too large to check for rules without effect",
			detail: fmt.Sprintf("Whether each rule has an effect was not determined: %s.", f.err),
		})
	}
	return out
}
