package compiler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
)

func at(line int) hcl.Range {
	return hcl.Range{Filename: "policy.hcl", Start: hcl.Pos{Line: line, Column: 1}, End: hcl.Pos{Line: line, Column: 2}}
}

func ruleOf(phase ir.Phase, name string, line int) *ir.Rule {
	return &ir.Rule{Phase: phase, Origin: ir.Origin{Name: name, Range: at(line)}, Verdict: ir.Drop{}}
}

func compilationOf(rules ...*ir.Rule) *compilation {
	return &compilation{out: &ir.Ruleset{Programs: []*ir.Program{{Family: ir.IPv4, Rules: rules}}}}
}

// No pass makes such an order. If one had that fault, nothing would be written, and the
// error has both rules.
func TestAnOrderBrokenInTheIRIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []*ir.Rule
		want  string
	}{
		{
			"an accept before a deny",
			[]*ir.Rule{ruleOf(ir.PhaseEstablished, "", 1), ruleOf(ir.PhaseAccept, "web", 7), ruleOf(ir.PhaseDeny, "bad", 3), ruleOf(ir.PhaseDefault, "", 9)},
			`scope forward: "dockerfw accept web" of phase accept is before "dockerfw deny bad" of phase deny (policy.hcl:7)`,
		},
		{
			"the default before an accept",
			[]*ir.Rule{ruleOf(ir.PhaseDefault, "", 9), ruleOf(ir.PhaseAccept, "web", 7)},
			`"dockerfw default" of phase default is before "dockerfw accept web" of phase accept (policy.hcl:9)`,
		},
		{
			"established last",
			[]*ir.Rule{ruleOf(ir.PhaseAccept, "web", 7), ruleOf(ir.PhaseEstablished, "", 1)},
			`"dockerfw accept web" of phase accept is before "dockerfw established" of phase established (policy.hcl:7)`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := compilationOf(c.rules...)
			broken.checkOrder()
			if len(broken.diags) != 1 {
				t.Fatalf("diagnostics: %v", broken.diags)
			}
			d := broken.diags[0]
			if diag.InfoOf(d).Code != diag.CodeInternal || !strings.Contains(d.Detail, c.want) {
				t.Errorf("%s\n got %s\nwant %s", d.Summary, d.Detail, c.want)
			}
			// The pass that orders the rules corrects it.
			broken.diags = nil
			broken.order()
			broken.checkOrder()
			if broken.diags.HasErrors() {
				t.Errorf("after ordering: %v", broken.diags)
			}
		})
	}
}

// Each scope has phases of its own.
func TestScopesEachBeginWithTheFirstPhase(t *testing.T) {
	later := ruleOf(ir.PhaseEstablished, "", 9)
	later.Scope = ir.ScopeEgress
	c := compilationOf(ruleOf(ir.PhaseDefault, "", 1), later)
	if c.checkOrder(); c.diags.HasErrors() {
		t.Error(c.diags)
	}
	later.Phase, later.Scope = ir.PhaseDeny, ir.ScopeForward
	if c.checkOrder(); len(c.diags) != 1 {
		t.Errorf("in one scope: %v", c.diags)
	}
}

func TestOrderKeepsTheOrderOfThePolicyWithinAPhase(t *testing.T) {
	c := compilationOf(
		ruleOf(ir.PhaseDefault, "", 9), ruleOf(ir.PhaseAccept, "b", 2), ruleOf(ir.PhaseDeny, "z", 3), ruleOf(ir.PhaseAccept, "a", 4),
		ruleOf(ir.PhaseEgress, "", 5), ruleOf(ir.PhaseDeny, "y", 6), ruleOf(ir.PhaseEstablished, "", 1),
	)
	c.order()
	var got []string
	for _, r := range c.out.Programs[0].Rules {
		got = append(got, strings.TrimPrefix(r.ID().Comment(), "dockerfw "))
	}
	want := []string{"established", "deny z", "deny y", "accept b", "accept a", "default", "egress"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
