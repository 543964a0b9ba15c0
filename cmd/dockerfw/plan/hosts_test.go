package plan_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
	"pgregory.net/rapid"
)

// Foreign rules: of fail2ban in DOCKER-USER, in INPUT ahead of which the jump has to go, and of
// others with sets of dockerfw, where the policy of OUTPUT is not compared.
const others = dockers + `*filter
:f2b-web - [0:0]
-A f2b-web -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable
-A f2b-web -j RETURN
-I DOCKER-USER 1 -p tcp -m multiport --dports 80,443 -j f2b-web
-I INPUT 1 -i lo -j ACCEPT
-A INPUT -m set --match-set theirs src -m comment --comment "not --match-set clients-alt src" -j DROP
-A FORWARD -s 192.0.2.200/32 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
COMMIT
`

const sets = `create theirs hash:net family inet
add theirs 198.51.100.7
create theirs-alt hash:net family inet
create cdn hash:net family inet
add cdn 192.0.2.128/25
create cdn-alt hash:net family inet
create collected list:set size 8
add collected theirs
`

const old = `*filter
:DOCKERFW - [0:0]
:DOCKER-USER - [0:0]
-A DOCKERFW -i eth0 -m set --match-set legacy src -m comment --comment "dockerfw default" -j DROP
-A DOCKER-USER -j DOCKERFW
-A FORWARD -j DOCKER-USER
-A FORWARD -s 192.0.2.222/32 -j DROP
COMMIT
*security
:DOCKERFW - [0:0]
-A FORWARD -j DOCKERFW
COMMIT
`

func TestHostsOfAllKinds(t *testing.T) {
	t.Parallel()
	list := func(names ...string) []named {
		var out []named
		for _, name := range names {
			out = append(out, named{name, version(t, name)})
		}
		return append(out, named{"nothing", nothing()})
	}
	few := list("clients", "a jump", "a shorter list", "a list of an unmanaged set")
	for _, c := range []struct {
		name     string
		host     func() *plan.Host
		versions []named
	}{
		{"before the first engine", func() *plan.Host { return newHost(t, "*filter\nCOMMIT\n", "") }, few},
		{"before any table", func() *plan.Host { return newHost(t, "", "") }, few},
		{"foreign rules and sets", func() *plan.Host { return newHost(t, others, sets) }, list(beside...)},
		{"no security table", func() *plan.Host {
			h := newHost(t, dockers, "")
			h.NoSecurity = map[ir.Family]bool{ir.IPv4: true, ir.IPv6: true}
			return h
		}, few},
		{"rules in the other tables", func() *plan.Host {
			h := newHost(t, dockers, "create legacy hash:ip family inet\n")
			load(t, h.Other, old)
			return h
		}, few},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, from := range c.versions {
				for k, to := range c.versions {
					if !selected(i+k, 5) {
						continue
					}
					third := c.versions[(i+2*k+1)%len(c.versions)]
					m := &machine{Host: c.host(), every: 3, shift: i + k}
					if err := journey(t, m, from.Version, to.Version, third.Version, func(done int) bool { return (done+i+k)%17 == 0 }); err != nil {
						t.Errorf("from %s to %s (third: %s): %v", from.name, to.name, third.name, err)
					}
				}
			}
		})
	}
}

// A foreign rule and a foreign list that use sets of dockerfw see their old or new content, and
// keep them from being destroyed.
func TestForeignRulesUseSetsOfDockerfw(t *testing.T) {
	all := []named{{"clients", version(t, "clients")}, {"list", version(t, "a list of sets")}, {"shorter", version(t, "a shorter list")}, {"nothing", nothing()}}
	for i, from := range all {
		for k, to := range all {
			m := &machine{Host: newHost(t, dockers, ""), every: 2, shift: i + k}
			m.load(t, version(t, "a list of sets"))
			loadFamily(t, m.Host, ir.IPv4, "*filter\n-A OUTPUT -m set --match-set known dst -j ACCEPT\nCOMMIT\n*raw\n-A PREROUTING -j SET --add-set office src\nCOMMIT\n")
			loadSets(t, m.Sets, "create collected list:set\nadd collected clients\n")
			third := all[(i+k+1)%len(all)]
			if err := journey(t, m, from.Version, to.Version, third.Version, func(done int) bool { return (done+i+k)%17 == 0 }); err != nil {
				t.Errorf("from %s to %s: %v", from.name, to.name, err)
			}
		}
	}
	m := &machine{Host: newHost(t, dockers, "")}
	m.load(t, version(t, "a list of sets"))
	loadSets(t, m.Sets, "create collected list:set\nadd collected clients\n")
	p := m.make(t, nothing())
	if got := strings.Join(p.Left, " "); got != "clients" {
		t.Errorf("sets that are left are %q, want clients", got)
	}
}

// The load of a repair may be cut off, too, and the one after it: whatever happens, the last plan
// completes.
func TestRepairsMayBeCutOff(t *testing.T) {
	t.Parallel()
	all := versions(t)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		if !selected(n, 5) {
			continue
		}
		m := &machine{Host: newHost(t, dockers, "")}
		var chosen []*plan.Version
		var path []string
		for range 5 {
			v := all[random.IntN(len(all))]
			chosen, path = append(chosen, v.Version), append(path, v.name)
		}
		names := setNames(chosen...)
		for _, want := range chosen {
			p := m.make(t, want)
			if p == nil {
				continue
			}
			steps := atoms(append(p.Load, p.Settle...))
			end := random.IntN(len(steps) + 1)
			if random.IntN(4) == 0 {
				end = len(steps)
			}
			after := m.Clone()
			for _, s := range steps {
				if err := after.Run(s); err != nil {
					t.Fatal(path, s.Name, err)
				}
			}
			w := watch(m.Clone(), after, names)
			w.repairs = p.Repairs
			m.begin(p)
			for _, s := range steps[:end] {
				if err := w.step(m.Host, s, names); err != nil {
					t.Fatal(path, err)
				}
			}
			if end == len(steps) {
				m.end(p, want)
			}
		}
		if err := complete(t, m, chosen[0], names, true); err != nil {
			t.Fatal(path, err)
		}
	}
}

func TestRandomPoliciesMayBeCutOffAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var drawn []*plan.Version
		for tries := 0; len(drawn) < 3; tries++ {
			// About half of the policies have errors.
			if v, err := compiled(dir, randompolicy.Text(t)); err == nil {
				drawn = append(drawn, v)
			} else if tries == 20 {
				t.Skip(err)
			}
		}
		m := &machine{Host: newHost(t, dockers, "")}
		at := rapid.IntRange(0, 60).Draw(t, "at")
		m.every, m.shift = 12, at
		if err := journey(t, m, drawn[0], drawn[1], drawn[2], func(done int) bool { return done%61 == at }); err != nil && !strings.Contains(err.Error(), "budget") {
			t.Fatal(err)
		}
	})
}
