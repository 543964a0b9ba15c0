package lint

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// The codes of findings; docs/language.md explains each.
const (
	codeNeverMatches    diag.Code = "never-matches"    // warning: conditions that exclude each other
	codeCovered         diag.Code = "covered"          // warning: a rule, or a value in one, whose packets others match first
	codeDenied          diag.Code = "denied"           // warning: an accept whose packets are all denied
	codePartlyDenied    diag.Code = "partly-denied"    // note: an accept some of whose clients a wider deny refuses
	codeRedundant       diag.Code = "redundant"        // warning: a rule without which every packet gets the same verdict
	codeAllowedAnyway   diag.Code = "allowed-anyway"   // warning: an accept of clients that default.allow admits
	codeOverlappingSets diag.Code = "overlapping-sets" // warning: sets in one list, of which one contains the other
	codeWorldOpen       diag.Code = "world-open"       // note: published ports that everyone can reach
	codeTooLarge        diag.Code = "too-large"        // warning: more rules than can be evaluated
)

// findings are what is looked for. Of the findings about a rule without effect at most
// one applies to each rule; see outcome.
var findings = []struct {
	code  diag.Code
	level func(code diag.Code, subject hcl.Range, summary, detail string) *hcl.Diagnostic
	find  func(*evidence) []finding
}{
	{codeTooLarge, diag.Warn, tooLarge},
	{codePartlyDenied, diag.Note, eachRule(partlyDenied)},
	{codeNeverMatches, diag.Warn, eachRule(neverMatches)},
	{codeDenied, diag.Warn, eachRule(denied)},
	{codeCovered, diag.Warn, eachRule(covered)},
	{codeRedundant, diag.Warn, eachRule(redundant)},
	{codeAllowedAnyway, diag.Warn, eachRule(allowedAnyway)},
	{codeCovered, diag.Warn, eachRule(coveredValues)},
	{codeOverlappingSets, diag.Warn, eachList(containedSets)},
	{codeOverlappingSets, diag.Note, eachList(overlappingSets)},
	{codeWorldOpen, diag.Note, worldOpen},
}

// finding is one diagnostic, but for its code and level.
type finding struct {
	place           hcl.Range
	summary, detail string
	related         []diag.Related
}

// Hosts returns the findings in the policies of all hosts, in the order of the text.
func Hosts(policies []*parser.Policy, lists semantics.Lists) hcl.Diagnostics {
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
