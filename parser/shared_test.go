package parser

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/parser/budget"
)

func TestRulesThatDoNotDependOnTheHostAreShared(t *testing.T) {
	const text = `
host "a" {
  external_interfaces = ["eth0"]
  variables           = { port = 1 }
}
host "b" {
  external_interfaces = ["eth0"]
  variables           = { port = 2 }
}
host "c" {
  external_interfaces = ["eth0"]
  target              = "nftables"
}
variable "port" { default = 3 }
ipset "clients" { entries = ["192.0.2.0/24"] }
accept "shared" {
  protocol        = "tcp"
  published_ports = [443, "8000-8010"]
  source          = [ipset.clients, "198.51.100.1"]
  rate { limit = "5/second" }
}
deny "shared-disabled" {
  source  = [ipset.clients]
  enabled = false
}
accept "variable" {
  protocol        = "tcp"
  published_ports = [var.port]
}
accept "nested" {
  protocol        = "tcp"
  published_ports = [5]
  rate { limit = "${var.port}/second" }
}
accept "name" {
  protocol        = "tcp"
  published_ports = [host.name == "a" ? 1 : 2]
}
accept "hosts" {
  hosts           = ["a"]
  protocol        = "tcp"
  published_ports = [6]
}
accept "function" {
  protocol        = "tcp"
  published_ports = concat([7], [8])
}
accept "each" {
  for_each        = { one = 1, two = 2 }
  protocol        = "tcp"
  published_ports = [each.value]
}
accept "expired" {
  protocol        = "tcp"
  published_ports = [9]
  expires         = "2020-01-01"
}
egress {
  deny "shared-egress" { destination = ["10.0.0.0/8"] }
}
`
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	path := written(t, text)
	fleet := loaded(t, path)
	rules := map[string]map[*Rule]bool{} // by name, on a and b
	for _, host := range []string{"a", "b", "c", "a"} {
		got, gotDiags := fleet.Evaluate(host, now)
		want, wantDiags := loaded(t, path).Evaluate(host, now)
		if got, want := show(got), show(want); got != want {
			t.Errorf("host %s (-alone +with others):\n%s", host, cmp.Diff(want, got))
		}
		if len(gotDiags) != 1 || cmp.Diff(wantDiags, gotDiags) != "" {
			t.Errorf("host %s (-alone +with others):\n%s", host, cmp.Diff(wantDiags, gotDiags))
		}
		for _, r := range slices.Concat(got.AllRules(), got.Disabled) {
			if rules[r.Name.Value] == nil {
				rules[r.Name.Value] = map[*Rule]bool{}
			}
			if host != "c" {
				rules[r.Name.Value][r] = true
			}
		}
	}
	var shared []string
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if len(rules[name]) == 1 {
			shared = append(shared, name)
		}
	}
	if diff := cmp.Diff([]string{"shared", "shared-disabled", "shared-egress"}, shared); diff != "" {
		t.Errorf("shared rules (-want +got):\n%s", diff)
	}
}

// loaded is a policy without errors.
func loaded(t testing.TB, path string) *Source {
	t.Helper()
	source, diags := Load(path, Inputs{}, false)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

// Whether a policy is too expensive must not depend on which host was evaluated first.
func TestASharedRuleCostsWhatItCostAlone(t *testing.T) {
	const text = `
host "a" { external_interfaces = ["eth0"] }
host "b" { external_interfaces = ["eth0"] }
accept "web" {
  protocol        = "tcp"
  published_ports = [1, 2, 3, 4, "5-6"]
}
`
	source := loaded(t, written(t, text))
	steps := func(host string, before int) int {
		e := newEvaluator(source)
		e.work.Repeat(before)
		e.policy(host)
		return e.work.Steps()
	}
	first := steps("a", 0)
	if second := steps("b", 0); first == 0 || second != first {
		t.Errorf("%d steps for the first host, %d for the second", first, second)
	}
	const left = 3
	e := newEvaluator(source)
	e.work.Repeat(budget.MaxSteps - left)
	if _, diags := e.policy("b"); !diags.HasErrors() {
		t.Errorf("%d steps are enough", left)
	}
}
