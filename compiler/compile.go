package compiler

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// compilation is the state the passes share for one host.
type compilation struct {
	policy *parser.Policy
	lists  *Lists
	diags  hcl.Diagnostics

	families []ir.Family
	// declared are the sets of ipset blocks, by the block's name; used those that rules list.
	declared map[string]map[ir.Family]*ir.Set
	used     map[string]bool
	// places is the number of rules added so far.
	places int
	out    *ir.Ruleset
}

// passes run in this order. After an error only those run that can find more errors.
var passes = []struct {
	name string
	run  func(*compilation)
	// evenAfterErrors means that the pass does not need a complete result of those before.
	evenAfterErrors bool
}{
	{"read sets", (*compilation).readSets, true},
	{"make rules", (*compilation).makeRules, true},
	{"report unused sets", (*compilation).reportUnused, true},
	{"order by phase", (*compilation).order, false},
	{"check the order", (*compilation).checkOrder, false},
}

// Compile lowers the policy of one host. The ruleset is nil when there is an error.
func Compile(policy *parser.Policy, lists *Lists) (*ir.Ruleset, hcl.Diagnostics) {
	c := newCompilation(policy, lists)
	for _, pass := range passes {
		if pass.evenAfterErrors || !c.diags.HasErrors() {
			pass.run(c)
		}
	}
	if c.diags.HasErrors() {
		return nil, c.diags
	}
	return c.out, c.diags
}

// CheckLists returns the errors in the address lists of a policy that already has other
// errors, to report all in one run.
func CheckLists(policy *parser.Policy, lists *Lists) hcl.Diagnostics {
	c := newCompilation(policy, lists)
	c.readSets()
	return slices.DeleteFunc(c.diags, func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError })
}

func newCompilation(policy *parser.Policy, lists *Lists) *compilation {
	c := &compilation{
		policy:   policy,
		lists:    lists,
		declared: map[string]map[ir.Family]*ir.Set{},
		used:     map[string]bool{},
		out: &ir.Ruleset{
			Host:    policy.Host.Name,
			Install: installs[policy.Host.Install.Value],
			Chain:   policy.Host.Chain.Value,
		},
	}
	if policy.Host.Target == parser.TargetNFTables {
		c.out.Target, c.out.Install, c.out.Chain = ir.TargetNFTables, 0, ""
	}
	if policy.Host.IPv4 {
		c.families = append(c.families, ir.IPv4)
	}
	if policy.Host.IPv6 {
		c.families = append(c.families, ir.IPv6)
	}
	return c
}

var installs = map[parser.Install]ir.Install{
	parser.InstallReplace: ir.InstallReplace,
	parser.InstallJump:    ir.InstallJump,
	parser.InstallInsert:  ir.InstallInsert,
}

func (c *compilation) error(code diag.Code, rng hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	d := diag.New(code, rng, summary, fmt.Sprintf(detail, args...))
	c.diags = append(c.diags, d)
	return d
}

func (c *compilation) warn(code diag.Code, rng hcl.Range, summary, detail string, args ...any) {
	c.diags = append(c.diags, diag.Warn(code, rng, summary, fmt.Sprintf(detail, args...)))
}

// internal reports a fault of the compiler itself, after which no files are written.
func (c *compilation) internal(rng hcl.Range, format string, args ...any) {
	c.diags = append(c.diags, diag.Internal(rng, format, args...))
}
