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
		{Name: "DOCKER-USER", Rules: []*iptables.Rule{{ID: ir.RuleID{Phase: ir.PhaseEstablished}}, {ID: ir.RuleID{Phase: ir.PhaseAccept}}, {ID: ir.RuleID{Phase: ir.PhaseAccept}}, {ID: ir.RuleID{Phase: ir.PhaseDefault}}}},
		{Name: ir.InputChain, Scope: ir.ScopeInput, Rules: []*iptables.Rule{{ID: ir.RuleID{Phase: ir.PhaseInput}}}},
	}}
	if got, want := ruleCounts(p), "4 rules: 1 established, 2 accept, 1 default; and 1 for INPUT protection"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	sets := []*iptables.Set{{Name: "clients", Managed: true, Members: []string{"a", "b"}}, {Name: "clients-v6", Managed: true}, {Name: "bans"}}
	if got, want := setCounts(sets), "clients 2, bans (unmanaged)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
