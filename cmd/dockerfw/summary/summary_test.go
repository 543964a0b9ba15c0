package summary

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

func TestAComparisonListsChangesAndTheCommand(t *testing.T) {
	var b strings.Builder
	WriteComparison(&b, []folder.Change{{Kind: "missing", Path: "ipset.restore"}, {Kind: "extra", Path: "notes"}}, nil, "policy.hcl", "out", "dockerfw compile policy.hcl -o out")
	want := "missing  out/ipset.restore\nextra    out/notes\nout/ is out of date. Run: dockerfw compile policy.hcl -o out\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	WriteComparison(&b, nil, nil, "policy.hcl", "out/", "")
	if want := "out/ is up to date with policy.hcl.\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestRulesAreCountedByPhaseAndSetsByEntries(t *testing.T) {
	p := &iptables.Program{Chains: []*iptables.Chain{
		{Name: "DOCKER-USER", Rules: []*iptables.Rule{{ID: ir.RuleID{Phase: ir.PhaseEstablished}}, {ID: ir.RuleID{Phase: ir.PhaseAccept, Name: "a"}}, {ID: ir.RuleID{Phase: ir.PhaseAccept, Name: "b"}}, {ID: ir.RuleID{Phase: ir.PhaseDefault}}}},
		{Name: ir.InputChain, Scope: ir.ScopeInput, Rules: []*iptables.Rule{{ID: ir.RuleID{Phase: ir.PhaseInput}}}},
	}}
	if got, want := ruleCounts(p), "4 rules: 1 established, 2 accept, 1 default; and 1 for INPUT protection"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Folded rules are found by jumps, which accept and deny nothing.
	accept, leads := ir.RuleID{Phase: ir.PhaseAccept, Name: "https"}, ir.RuleID{Phase: ir.PhaseAccept}
	p = &iptables.Program{Chains: []*iptables.Chain{
		{Name: "DOCKER-USER", Rules: []*iptables.Rule{{ID: ir.RuleID{Phase: ir.PhaseDeny, Name: "bans"}}, {ID: leads, Verdict: iptables.Goto{Chain: "DOCKERFW-1-TCP"}}, {ID: leads, Verdict: iptables.Goto{Chain: "DOCKERFW-1-NEXT"}}}},
		{Name: "DOCKERFW-1-TCP", Rules: []*iptables.Rule{{ID: accept}, {ID: ir.RuleID{Phase: ir.PhaseAccept, Name: ir.MergedName("tcp", "80")}}, {ID: leads, Verdict: iptables.Goto{Chain: "DOCKERFW-1-NEXT"}}}},
	}}
	if got, want := ruleCounts(p), "6 rules: 1 deny, 2 accept, 3 jumps"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	sets := []*iptables.Set{{Name: "clients", Managed: true, Members: []string{"a", "b"}}, {Name: "clients-v6", Managed: true}, {Name: "bans"}}
	if got, want := setCounts(sets), "clients 2, bans (unmanaged)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
