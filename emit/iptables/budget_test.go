package iptables

import (
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
)

func TestTooManyRulesAreAnErrorAtTheFirstBlockOverTheLimit(t *testing.T) {
	ports := make([]ir.PortRange, 1000)
	accept := func(line, interfaces int) *ir.Rule {
		return &ir.Rule{Place: line, Verdict: ir.Return{}, Origin: ir.Origin{Range: at(line)}, In: make([]string, interfaces), PublishedPorts: ports}
	}
	count := func(rules ...*ir.Rule) *legalization {
		l := newLegalization(&ir.Ruleset{Programs: []*ir.Program{{Family: ir.IPv4, Rules: rules}, {Family: ir.IPv6}}})
		l.options.NoFold = true
		l.planChains()
		l.foldAddresses()
		l.countRules()
		return l
	}
	just := count(accept(7, 150), accept(9, 50))
	if len(just.diags) > 0 {
		t.Errorf("%d rules are an error: %v", budget.MaxRules, just.diags)
	}
	made := 0
	for _, e := range just.expansions {
		made += len(e.rules())
	}
	if made != budget.MaxRules {
		t.Errorf("expansion made %d rules, size counted %d", made, budget.MaxRules)
	}
	over := count(accept(7, 150), accept(9, 50), accept(12, 1), accept(11, 1))
	if len(over.diags) != 1 || diag.InfoOf(over.diags[0]).Code != diag.CodeBudget || over.diags[0].Subject.Start.Line != 11 {
		t.Errorf("got %v, want one error at the first block over the limit", over.diags)
	}
}
