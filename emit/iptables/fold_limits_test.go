package iptables_test

import (
	"fmt"
	"testing"

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
