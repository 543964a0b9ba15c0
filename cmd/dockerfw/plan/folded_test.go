package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/golden/lab/policies"
)

// foldedPolicy has so many rules that they are folded: a port for each number of a range, and two
// clients for the first.
func foldedPolicy(from, to int, other string) string {
	return fmt.Sprintf(`
host { external_interfaces = ["eth0"] }
accept "tenant" {
  for_each        = { for n in range(%[1]d, %[2]d) : "p${n}" => n }
  protocol        = "tcp"
  published_ports = [15000 + each.value]
  source          = ["10.1.${each.value}.0/24"]
}
accept %[3]q {
  protocol        = "tcp"
  published_ports = [%[4]d]
  source          = ["192.0.2.1"]
}
`, from, to, other, 15000+from)
}

func TestAPlanForFoldedRulesMayBeCutOffAnywhere(t *testing.T) {
	t.Parallel()
	folded, other, plain := compile(t, foldedPolicy(1, 70, "other")), compile(t, foldedPolicy(3, 80, "other")), compile(t, policies.Text("clients"))
	if text := printed(folded); !strings.Contains(text, "-g DOCKERFW-1-TCP-") {
		t.Fatalf("the policy is not folded:\n%s", text)
	}
	for i, c := range [][3]*plan.Version{{folded, other, plain}, {plain, folded, other}, {folded, plain, other}} {
		if !selected(i, 3) {
			continue
		}
		m := &machine{Host: newHost(t, dockers, ""), every: 7, shift: i}
		if err := journey(t, m, c[0], c[1], c[2], func(done int) bool { return (done+i)%43 == 0 }); err != nil {
			t.Errorf("case %d: %v", i, err)
		}
	}
}

// The entries of a merged set name its rules, so that a rule with another name is a change.
func TestAnotherNameOfAMergedRuleIsLoaded(t *testing.T) {
	m := &machine{Host: newHost(t, dockers, ""), every: 1}
	m.load(t, compile(t, foldedPolicy(1, 70, "other")))
	want := compile(t, foldedPolicy(1, 70, "renamed"))
	p := m.make(t, want)
	if len(p.Differences.Sets) != 1 || len(p.Differences.Chains) != 0 || len(p.Differences.Jumps) != 0 {
		t.Fatalf("changes: %+v", p.Differences)
	}
	set := p.Differences.Sets[0]
	if got := fmt.Sprint(set.Added, set.Removed); got != `[192.0.2.1 comment "renamed"] [192.0.2.1 comment "other"]` {
		t.Errorf("%s: %s", set.Name, got)
	}
	m.load(t, want)
	if p := m.make(t, want); !p.Differences.Empty() {
		t.Errorf("after the load: %+v", p.Differences)
	}
}

// The chains of folded rules are an implementation of the rules: their names tell nobody anything.
func TestChainsOfFoldedRulesShareALine(t *testing.T) {
	m := &machine{Host: newHost(t, dockers, ""), every: 1}
	lines := m.make(t, compile(t, foldedPolicy(1, 70, "other"))).Differences.Lines()
	text := strings.Join(lines, "\n")
	for _, want := range []string{"IPv4 DOCKER-USER: add the rules\n", " chains of folded rules: add the rules\n", " chains of folded rules in the security table: add the rules"} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q", want)
		}
	}
	if strings.Contains(text, "DOCKERFW-1-") || strings.Count(text, "chains of folded rules") > 4 {
		t.Errorf("each chain is listed:\n%s", text)
	}
}
