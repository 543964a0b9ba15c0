package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// large is a version with 10,000 rules and a set of a million entries.
func large(t testing.TB) *plan.Version {
	var rules, sets strings.Builder
	rules.WriteString("*filter\n:DOCKERFW - [0:0]\n")
	for i := range 10_000 {
		fmt.Fprintf(&rules, "-A DOCKERFW -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport %d --ctdir ORIGINAL -m set --match-set many src -m comment --comment \"dockerfw accept r%d\" -j RETURN\n", i+1, i)
	}
	rules.WriteString("COMMIT\n")
	sets.WriteString("create many hash:net family inet hashsize 1024 maxelem 2000000\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&sets, "add many 10.%d.%d.%d\n", i>>16, i>>8&0xff, i&0xff)
	}
	sets.WriteString("create few hash:net family inet hashsize 1024 maxelem 65536\nadd few 192.0.2.1\n")
	file, diags := iptables.ParseRules(strings.NewReader(rules.String()), "rules")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v := &plan.Version{
		Rules: map[ir.Family]*plan.Rules{ir.IPv4: {Filter: file.Blocks[0], Target: "DOCKER-USER"}},
		Sets:  &iptables.Sets{}, Unmanaged: &iptables.Sets{},
	}
	loadSets(t, v.Sets, sets.String())
	return v
}

// BenchmarkMake plans versions with 10,000 rules and a set of a million entries: the version in
// force, one with another small set, and one with another entry in the large set.
func BenchmarkMake(b *testing.B) {
	v := large(b)
	m := &machine{Host: newHost(b, dockers, "")}
	m.load(b, v)
	printed, err := plan.Simulate(v, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, change string }{{"same", ""}, {"small-set", "add few 192.0.2.2\n"}, {"large-set", "add many 192.0.2.2\n"}} {
		if c.change != "" {
			loadSets(b, v.Sets, c.change)
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := plan.Make(plan.Input{Host: m.Host, Want: v, Printed: printed, Records: plan.Records{Made: m.made}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
