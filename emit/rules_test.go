package emit

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

func program(install ir.Install) *ir.Program {
	rule := func(p ir.Phase, name string, v ir.Verdict) *ir.Rule {
		return &ir.Rule{Phase: p, Origin: ir.Origin{Name: name}, Verdict: v}
	}
	first := "DOCKER-USER"
	if install == ir.Jump {
		first = "DOCKERFW"
	}
	return &ir.Program{
		Family: ir.IPv4, Install: install, Target: "DOCKER-USER",
		Chains: []*ir.Chain{
			{Name: first, Rules: []*ir.Rule{
				rule(ir.Established, "", ir.Return{}), rule(ir.Accept, "a", ir.AcceptPacket{}), rule(ir.Default, "", ir.Drop{}),
			}},
			{Name: "DOCKERFW-OUT", Rules: []*ir.Rule{rule(ir.Deny, "d", ir.Drop{}), rule(ir.Accept, "b", ir.Return{})}},
		},
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		install      ir.Install
		load, remove string
	}{
		{ir.Replace, `# H
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
		{ir.Jump, `# H
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
		// The last -I ends at the head (facts/netfilter.md, section 1.1).
		{ir.Insert, `# H
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
