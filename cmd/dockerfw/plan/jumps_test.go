package plan_test

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Where the jump to DOCKER-USER goes, whatever is ahead of it.
func TestJumpsThatComeTooLate(t *testing.T) {
	v := version(t, "clients")
	for _, c := range []struct {
		name, ahead string
		late        bool
	}{
		{"nothing", "", false},
		{"refusals", "-A FORWARD -s 192.0.2.1/32 -j DROP\n-A FORWARD -s 192.0.2.2/32 -j REJECT\n-A FORWARD -j LOG\n", false},
		{"a rule that only counts", "-A FORWARD -s 192.0.2.1/32\n", false},
		{"ACCEPT", "-A FORWARD -i tun0 -j ACCEPT\n", true},
		{"an unknown target", "-A FORWARD -i tun0 -j NFQUEUE\n", true},
		{"a chain that accepts", ":theirs - [0:0]\n-A theirs -i tun0 -j ACCEPT\n-A FORWARD -j theirs\n", true},
		{"a chain that refuses and returns", ":theirs - [0:0]\n-A theirs -i tun0 -j REJECT\n-A theirs -j RETURN\n-A FORWARD -j theirs\n", false},
		{"a goto", ":theirs - [0:0]\n-A FORWARD -g theirs\n", true},
		{"RETURN to the policy ACCEPT", "-A FORWARD -i tun0 -j RETURN\n", true},
		{"RETURN to the policy DROP", ":FORWARD DROP [0:0]\n-A FORWARD -i tun0 -j RETURN\n", false},
	} {
		h := newHost(t, "*filter\n:DOCKER-USER - [0:0]\n"+c.ahead+"-A FORWARD -j DOCKER-USER\nCOMMIT\n", "")
		p, err := plan.Make(plan.Input{Host: h, Want: v})
		if err != nil {
			t.Fatal(err)
		}
		late := false
		for _, j := range p.Differences.Jumps {
			late = late || j.Late && j.Chain == "FORWARD" && j.Table == "filter"
		}
		m := &machine{Host: h}
		m.load(t, v)
		first := m.Rules[ir.IPv4].Table("filter").Chain("FORWARD").Rules[0].Jump == "DOCKER-USER"
		if late != c.late || first != (c.late || c.ahead == "") {
			t.Errorf("behind %s: late %v, moved to the head %v", c.name, late, first)
		}
		if p := m.make(t, v); !p.Differences.Empty() {
			t.Errorf("behind %s, a second load does\n%s", c.name, text(p))
		}
	}
}

// Duplicates of jumps to dockerfw's chains become one; the jump to DOCKER-USER is Docker's. A mover of
// the caller decides instead.
func TestDuplicatesOfJumps(t *testing.T) {
	v := version(t, "a jump")
	m := &machine{Host: newHost(t, dockers, "")}
	m.load(t, v)
	load(t, m.Rules, "*filter\n-A DOCKER-USER -j DOCKERFW\n-A FORWARD -j DOCKER-USER\n-A INPUT -j DOCKERFW-INPUT\nCOMMIT\n*security\n-A INPUT -j DOCKERFW-INPUT\nCOMMIT\n")
	p := m.make(t, v)
	if len(p.Differences.Jumps) != 6 {
		t.Errorf("the jumps that change are %+v", p.Differences.Jumps)
	}
	m.load(t, v)
	for _, f := range families {
		if got := jumps(m.Host, f); len(got) != 6 {
			t.Errorf("the jumps are %v", got)
		}
	}
	late := func(j plan.Jump) bool { return j.Chain == "INPUT" }
	p, err := plan.Make(plan.Input{Host: m.Host, Want: v, Records: plan.Records{Made: m.made}, Late: late})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Differences.Jumps); n != 4 || strings.Count(text(p), "-I INPUT 1 -j DOCKERFW-INPUT") != 4 || strings.Contains(text(p), "DOCKER-USER") {
		t.Errorf("%d jumps move:\n%s", n, text(p))
	}
}

// An engine before 17.06 has DOCKER only; after its upgrade, rules go to DOCKER-USER.
func TestTargetsOfEngines(t *testing.T) {
	policy := func(chain, install, client string) *plan.Version {
		return compile(t, `
host {
  external_interfaces = ["eth0"]
  chain               = "`+chain+`"
  install             = "`+install+`"
}
ipset "clients" { entries = ["`+client+`", "2001:db8::10"] }
default { allow = [ipset.clients] }
`)
	}
	const engine = "*filter\n:DOCKER - [0:0]\n-A FORWARD -o docker0 -j DOCKER\nCOMMIT\n"
	oldEngine, newEngine, others := policy("DOCKER", "insert", "192.0.2.10"), policy("DOCKER-USER", "replace", "192.0.2.11"), policy("DOCKER", "insert", "192.0.2.12")
	for _, start := range []string{"", engine} {
		for _, way := range [][]*plan.Version{
			{oldEngine, newEngine, others}, {newEngine, oldEngine, others}, {oldEngine, others, newEngine},
		} {
			m := &machine{Host: newHost(t, start, "")}
			if err := journey(t, m, way[0], way[1], way[2], func(done int) bool { return done%5 == 0 }); err != nil {
				t.Errorf("from %s to %s: %v", way[0].Rules[ir.IPv4].Target, way[1].Rules[ir.IPv4].Target, err)
			}
		}
	}
}
