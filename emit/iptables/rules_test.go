package iptables

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

func program(install ir.Install) *Program {
	rule := func(p ir.Phase, name string, v Verdict) *Rule {
		return &Rule{ID: ir.RuleID{Phase: p, Name: name}, Verdict: v}
	}
	first := "DOCKER-USER"
	if install == ir.InstallJump {
		first = "DOCKERFW"
	}
	return &Program{
		Family: ir.IPv4, Install: install, Target: "DOCKER-USER",
		Chains: []*Chain{
			{Name: first, Rules: []*Rule{
				rule(ir.PhaseEstablished, "", Return{}), rule(ir.PhaseAccept, "a", Accept{}), rule(ir.PhaseDefault, "", Drop{}),
			}},
			{Name: "DOCKERFW-OUT", Rules: []*Rule{rule(ir.PhaseDeny, "d", Drop{}), rule(ir.PhaseAccept, "b", Return{})}},
		},
	}
}

func TestRulesAndRemoval(t *testing.T) {
	for _, c := range []struct {
		install      ir.Install
		load, remove string
	}{
		{ir.InstallReplace, `# H
*filter
:DOCKER-USER - [0:0]
:DOCKERFW-OUT - [0:0]
-A DOCKER-USER -m comment --comment "dockerfw established" -j RETURN
-A DOCKER-USER -m comment --comment "dockerfw accept a" -j ACCEPT
-A DOCKER-USER -m comment --comment "dockerfw default" -j DROP
-A DOCKERFW-OUT -m comment --comment "dockerfw deny d" -j DROP
-A DOCKERFW-OUT -m comment --comment "dockerfw accept b" -j RETURN
COMMIT
`, `# H
*filter
:DOCKER-USER - [0:0]
-F DOCKERFW-OUT
-X DOCKERFW-OUT
COMMIT
`},
		{ir.InstallJump, `# H
*filter
:DOCKERFW - [0:0]
:DOCKERFW-OUT - [0:0]
-A DOCKERFW -m comment --comment "dockerfw established" -j RETURN
-A DOCKERFW -m comment --comment "dockerfw accept a" -j ACCEPT
-A DOCKERFW -m comment --comment "dockerfw default" -j DROP
-A DOCKERFW-OUT -m comment --comment "dockerfw deny d" -j DROP
-A DOCKERFW-OUT -m comment --comment "dockerfw accept b" -j RETURN
COMMIT
`, `# H
*filter
-D DOCKER-USER -j DOCKERFW
-F DOCKERFW
-F DOCKERFW-OUT
-X DOCKERFW
-X DOCKERFW-OUT
COMMIT
`},
		// The last rule inserted with -I is the first of the chain:
		// docs/contributing/netfilter.md, "Insert and delete".
		{ir.InstallInsert, `# H
*filter
:DOCKERFW-OUT - [0:0]
-A DOCKERFW-OUT -m comment --comment "dockerfw deny d" -j DROP
-A DOCKERFW-OUT -m comment --comment "dockerfw accept b" -j RETURN
-I DOCKER-USER -m comment --comment "dockerfw default" -j DROP
-I DOCKER-USER -m comment --comment "dockerfw accept a" -j ACCEPT
-I DOCKER-USER -m comment --comment "dockerfw established" -j RETURN
COMMIT
`, `# H
*filter
-D DOCKER-USER -m comment --comment "dockerfw established" -j RETURN
-D DOCKER-USER -m comment --comment "dockerfw accept a" -j ACCEPT
-D DOCKER-USER -m comment --comment "dockerfw default" -j DROP
-F DOCKERFW-OUT
-X DOCKERFW-OUT
COMMIT
`},
	} {
		t.Run(c.install.String(), func(t *testing.T) {
			p := program(c.install)
			if diff := cmp.Diff(c.load, string(Rules(p, "H"))); diff != "" {
				t.Errorf("load (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.remove, string(RemoveRules(p, "H"))); diff != "" {
				t.Errorf("remove (-want +got):\n%s", diff)
			}
		})
	}
}

// The fallback rules are a block of their own: a kernel without the security table has loaded
// the filter table before it refuses them.
func TestFallbackRulesAndTheirRemoval(t *testing.T) {
	p := program(ir.InstallReplace)
	p.Fallback = []*Chain{
		{Name: FallbackChain, Rules: []*Rule{
			{ID: ir.RuleID{Phase: ir.PhaseDefault}, Verdict: Drop{}},
			{ID: ir.RuleID{Phase: ir.PhaseEgress}, Verdict: Jump{Chain: ir.EgressChain}},
		}},
		{Name: ir.EgressChain, Rules: []*Rule{{ID: ir.RuleID{Phase: ir.PhaseDeny, Name: "d"}, Verdict: Drop{}}}},
		{Name: ir.InputChain, Rules: []*Rule{{ID: ir.RuleID{Phase: ir.PhaseInput}, Verdict: Drop{}}}},
	}
	const load, remove = `*security
:DOCKERFW - [0:0]
:DOCKERFW-EGRESS - [0:0]
:DOCKERFW-INPUT - [0:0]
-A DOCKERFW -m comment --comment "dockerfw default" -j DROP
-A DOCKERFW -m comment --comment "dockerfw egress" -j DOCKERFW-EGRESS
-A DOCKERFW-EGRESS -m comment --comment "dockerfw deny d" -j DROP
-A DOCKERFW-INPUT -m comment --comment "dockerfw input" -j DROP
COMMIT
`, `*security
-D FORWARD -j DOCKERFW
-D INPUT -j DOCKERFW-INPUT
-F DOCKERFW
-F DOCKERFW-EGRESS
-F DOCKERFW-INPUT
-X DOCKERFW
-X DOCKERFW-EGRESS
-X DOCKERFW-INPUT
COMMIT
`
	without := program(ir.InstallReplace)
	if diff := cmp.Diff(string(Rules(without, "H"))+load, string(Rules(p, "H"))); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(string(RemoveRules(without, "H"))+remove, string(RemoveRules(p, "H"))); diff != "" {
		t.Errorf("remove (-want +got):\n%s", diff)
	}
}

// The comment of a removal file lists what must be there: iptables-restore refuses to delete a
// jump that does not exist.
func TestRemovalEffectListsTheJumps(t *testing.T) {
	input, forwarded := &Chain{Name: ir.InputChain}, &Chain{Name: FallbackChain}
	none, ofForward, ofInput, both := []*Chain(nil), []*Chain{forwarded}, []*Chain{input}, []*Chain{forwarded, input}
	for _, c := range []struct {
		install  ir.Install
		input    bool
		fallback []*Chain
		want     string
	}{
		{ir.InstallReplace, false, none, "empties chain DOCKER-USER"},
		{ir.InstallReplace, true, none, "empties chain DOCKER-USER, and removes chain DOCKERFW-INPUT with the jump to it in INPUT, which must be there"},
		{ir.InstallReplace, false, ofForward, "empties chain DOCKER-USER, and removes the fallback rules with the jump to them in FORWARD of the security table, which must be there"},
		{ir.InstallJump, false, ofForward, "removes chain DOCKERFW and the jump to it in DOCKER-USER, and the fallback rules with the jump to them in FORWARD of the security table, which must be there"},
		{ir.InstallReplace, true, ofInput, "empties chain DOCKER-USER, and removes chain DOCKERFW-INPUT and the fallback rules with the jumps to them in INPUT and INPUT of the security table, which must be there"},
		{ir.InstallReplace, true, both, "empties chain DOCKER-USER, and removes chain DOCKERFW-INPUT and the fallback rules with the jumps to them in INPUT, and in FORWARD and INPUT of the security table, which must be there"},
		{ir.InstallInsert, true, ofForward, "removes dockerfw's rules from chain DOCKER-USER, and chain DOCKERFW-INPUT and the fallback rules with the jumps to them in INPUT and FORWARD of the security table, which must be there"},
	} {
		p := program(c.install)
		if c.input {
			p.Chains = append(p.Chains, input)
		}
		p.Fallback = c.fallback
		if got := RemovalEffect(p); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.install, got, c.want)
		}
	}
}
