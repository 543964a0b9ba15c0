package plan_test

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

func TestProblems(t *testing.T) {
	list := version(t, "a list of sets")
	for _, c := range []struct {
		name string
		// rules and sets are foreign; other are rules in the tables that Docker does not use.
		rules, sets, other string
		loaded             string // a policy that is in force
		want               string
		made               []string
		problem            string // "" for none
		forced             string // with force
	}{
		{
			name:  "rules in a chain that is replaced",
			rules: "*filter\n-I DOCKER-USER 1 -s 203.0.113.9/32 -j DROP\nCOMMIT\n", want: "clients",
			problem: `chains that loading replaces contain rules that dockerfw did not create (IPv4). To keep these rules, set install = "jump" in the host block; to delete them, use --force:
  -A DOCKER-USER -s 203.0.113.9/32 -j DROP
chains that loading replaces contain rules that dockerfw did not create (IPv6). To keep these rules, set install = "jump" in the host block; to delete them, use --force:
  -A DOCKER-USER -s 203.0.113.9/32 -j DROP`,
		},
		{
			name:  "the same rules beside a jump",
			rules: "*filter\n-I DOCKER-USER 1 -s 203.0.113.9/32 -j DROP\nCOMMIT\n", want: "a jump",
		},
		{
			name: "a foreign set", sets: "create clients hash:net\n", want: "clients",
			problem: "set clients exists and was not created by dockerfw: rename the set in the policy, set managed = false to use this one, or use --force to replace it",
		},
		{name: "a recorded set", sets: "create clients hash:net\n", want: "clients", made: []string{"clients"}},
		{name: "a set of rules in force", loaded: "clients", want: "other clients, rechecked"},
		{
			name: "a foreign set of another type in a foreign list", sets: "create clients hash:ip\ncreate theirs list:set\nadd theirs clients\n", want: "clients",
			problem: "set clients exists and was not created by dockerfw: rename the set in the policy, set managed = false to use this one, or use --force to replace it",
			forced:  "set clients is used by the list theirs, so that its type cannot change from hash:ip family inet to hash:net family inet",
		},
		{
			name: "another type for a set of a foreign rule", loaded: "clients",
			rules: "*filter\n-A OUTPUT -m set --match-set clients dst -j ACCEPT\nCOMMIT\n", sets: "create clients hash:net\n", made: []string{"clients"}, want: "single addresses",
			problem: "set clients is used by a rule that dockerfw did not create (-A OUTPUT -m set --match-set clients dst -j ACCEPT), so that its type cannot change from hash:net family inet to hash:ip family inet",
			forced:  "the same",
		},
		{
			name:  "another type for a set of the tables that Docker does not use",
			other: "*filter\n:DOCKERFW - [0:0]\n-A DOCKERFW -m set --match-set clients src -j DROP\nCOMMIT\n", sets: "create clients hash:net\n", want: "single addresses",
			problem: "set clients is used by dockerfw's rules in the tables that Docker does not use, so that its type cannot change from hash:net family inet to hash:ip family inet",
			forced:  "the same",
		},
		{
			name:  "a load that was cut off in the tables that Docker does not use",
			other: "*filter\n:DOCKERFW - [0:0]\n-A DOCKERFW -m set --match-set clients-alt src -j DROP\nCOMMIT\n", sets: "create clients-alt hash:net\n", want: "clients",
			problem: "set clients-alt is used by dockerfw's rules in the tables that Docker does not use, because a load was cut off: remove dockerfw's rules first, with dockerfw remove",
			forced:  "the same",
		},
		{
			name: "an unmanaged set of another type", sets: "create clients-v6 hash:net\n", want: "an unmanaged set",
			problem: "unmanaged set clients-v6 is a hash:net family inet on this host, but the policy declares a hash:net family inet6",
			forced:  "the same",
		},
		{
			name: "a foreign set with a name for a load under way", sets: "create clients-alt hash:net\ncreate office-new hash:net\n", want: "a list of sets",
			problem: "set clients-alt exists and was not created by dockerfw, which needs this name: rename or destroy the set\n" +
				"set office-new exists and was not created by dockerfw, which needs this name: rename or destroy the set",
			forced: "the same",
		},
		{name: "such a set of a load that was cut off", sets: "create clients-alt hash:net\n", made: []string{"clients"}, want: "a list of sets"},
		{
			name:  "a foreign jump to a chain that goes",
			rules: "*filter\n:DOCKERFW-OLD - [0:0]\n-A FORWARD -i eth7 -j DOCKERFW-OLD\nCOMMIT\n", want: "clients",
			problem: "rules that dockerfw did not create jump to its chains, which loading deletes (IPv4). Delete these rules first:\n  -A FORWARD -i eth7 -j DOCKERFW-OLD\n" +
				"rules that dockerfw did not create jump to its chains, which loading deletes (IPv6). Delete these rules first:\n  -A FORWARD -i eth7 -j DOCKERFW-OLD",
			forced: "the same",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{Host: newHost(t, dockers, c.sets), made: c.made}
			if c.loaded != "" {
				m.load(t, version(t, c.loaded))
			}
			load(t, m.Rules, c.rules)
			if c.other != "" {
				load(t, m.Other, c.other)
			}
			for _, force := range []bool{false, true} {
				p, err := plan.Make(plan.Input{Host: m.Host, Want: version(t, c.want), Records: plan.Records{Made: m.made, Unmanaged: m.unmanaged}, Force: force})
				if err != nil {
					t.Fatal(err)
				}
				var texts []string
				for _, problem := range p.Problems {
					texts = append(texts, problem.Error())
				}
				want := c.problem
				if force && c.forced != "the same" {
					want = c.forced
				}
				if got := strings.Join(texts, "\n"); got != want {
					t.Errorf("force %v: got\n%s\nwant\n%s", force, got, want)
				}
			}
		})
	}
	h := newHost(t, dockers, "")
	delete(h.Rules, ir.IPv6)
	p, err := plan.Make(plan.Input{Host: h, Want: list, Printed: plan.Printed{}})
	want := "the version has rules of IPv6, but this host has no tables of IPv6: install its tools, or set families in the host block"
	if err == nil && (len(p.Problems) != 1 || p.Problems[0].Text != want) {
		t.Errorf("a host without IPv6: got %v, want %q", p.Problems, want)
	} else if err != nil {
		t.Error(err)
	}
}
