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
