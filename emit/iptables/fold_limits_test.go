package iptables_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

// Each protected port has a jump of its own, and the kernel may follow each path behind each of them.
func TestFoldingDoesNotMultiplyThePathsOfProtectedPorts(t *testing.T) {
	t.Parallel()
	tables, diags := compile(t, `
host { external_interfaces = ["eth0"] }
deny "d" {
  for_each        = { for n in range(1, 301) : "p${n}" => n }
  protocol        = "tcp"
  published_ports = [1000 + 2 * each.value]
  source          = ["10.0.${floor(each.value / 200)}.${each.value % 200}", "10.100.0.0/16"]
}
accept "a" {
  for_each        = { for n in range(1, 301) : "p${n}" => n }
  protocol        = "tcp"
  published_ports = [1000 + 2 * each.value]
  source          = ["10.1.${floor(each.value / 200)}.${each.value % 200}", "10.101.0.0/16"]
}
`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, p := range tables.Programs {
		chains, known := map[string]*iptables.Chain{}, map[string]int{}
		for _, c := range p.Chains {
			chains[c.Name] = c
		}
		var steps func(name string) int
		steps = func(name string) int {
			if n, ok := known[name]; ok {
				return n
			}
			n := 0
			for _, r := range chains[name].Rules {
				n++
				switch v := r.Verdict.(type) {
				case iptables.Jump:
					n += steps(v.Chain)
				case iptables.Goto:
					n += steps(v.Chain)
				}
			}
			known[name] = n
			return n
		}
		for _, name := range []string{"DOCKER-USER", "DOCKERFW-INPUT"} {
			if n := steps(name); n > 1_000_000 {
				t.Errorf("%v: %d rules on all paths from %s", p.Family, n, name)
			}
		}
		if chains["DOCKERFW-1-NEXT"] == nil && fmt.Sprint(p.Family) == "IPv4" {
			t.Error("nothing is folded")
		}
	}
}

// manyPorts are rules with a port and clients of their own.
func manyPorts(kind, name string, rules, first int) string {
	return fmt.Sprintf(`
%s "%s" {
  for_each        = { for n in range(%d) : n => n }
  protocol        = "tcp"
  published_ports = [%d + 2 * each.value]
  source          = ["10.${floor(each.value / 200)}.${each.value %% 200}.0/24"]
}
`, kind, name, rules, first)
}

// limited is a rule between two runs.
const limited = `
accept "limited" {
  protocol        = "udp"
  published_ports = [53]
  rate {
    limit = "10/second"
  }
}
`

// Not all runs fit into the levels of chains that a kernel loads: folded denies leave as many of
// them to the accepts as there are, and of several runs of accepts the largest is folded.
func TestTheLargestRunsAreFolded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, rules string }{
		{"few denies", manyPorts("deny", "d", 80, 1000) + manyPorts("accept", "large", 700, 2000)},
		{"two runs of accepts", manyPorts("accept", "a", 80, 1000) + limited + manyPorts("accept", "large", 700, 2000)},
		{"three runs of accepts", manyPorts("accept", "a", 80, 1000) + limited + manyPorts("accept", "large", 700, 2000) + strings.Replace(limited, `"limited"`, `"other"`, 1) + manyPorts("accept", "b", 80, 4000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tables, diags := compile(t, `host { external_interfaces = ["eth0"] }`+c.rules)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			used := map[string]bool{}
			for _, p := range tables.Programs {
				for _, chain := range p.Chains {
					large := 0
					for _, r := range chain.Rules {
						if strings.HasPrefix(r.Origin.Name, "large") {
							large++
						}
						for _, m := range r.Matches {
							if m, ok := m.(iptables.SetMatch); ok {
								used[m.Set] = true
							}
						}
					}
					// Many jumps lead to the rules of protected ports, which limits their paths instead.
					if large > 64 && chain.Scope == ir.ScopeForward {
						t.Errorf("%v: %s has %d rules of the largest run", p.Family, chain.Name, large)
					}
				}
			}
			for _, s := range tables.Sets {
				if !used[s.Name] {
					t.Errorf("no rule matches set %s", s.Name)
				}
			}
		})
	}
}
