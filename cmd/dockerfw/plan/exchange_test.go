package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// The usual change, of one list of addresses, needs no transaction of rules. Where a packet could meet
// two rules with different contents and get a verdict that neither gives it, it does.
func TestOneSetIsExchangedUnderTheRules(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\"]\n}\nipset \"office\" {\n  entries = [%s]\n}\nipset \"other\" {\n  entries = [%s]\n}\n"
	const oneRule = "accept \"https\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n}\ndefault {\n  allow = [ipset.office]\n}\n"
	const twoRules = "deny \"office\" {\n  source = [ipset.office]\n}\ndefault {\n  allow = [ipset.office]\n}\n"
	const both = "accept \"other\" {\n  source = [ipset.other]\n  protocol = \"tcp\"\n  published_ports = [443]\n}\ndefault {\n  allow = [ipset.office]\n}\n"
	for _, c := range []struct {
		name, before, after string
		exchanged           bool
	}{
		{
			"one rule for each path",
			fmt.Sprintf(host, `"192.0.2.1", "2001:db8::1"`, "") + oneRule, fmt.Sprintf(host, `"192.0.2.2", "2001:db8::2"`, "") + oneRule, true,
		},
		{
			// Of a new client, the deny would see the old content and the default the new one.
			"a deny and an accept",
			fmt.Sprintf(host, `"192.0.2.1"`, "") + twoRules, fmt.Sprintf(host, `"192.0.2.2"`, "") + twoRules, false,
		},
		{
			"two sets",
			fmt.Sprintf(host, `"192.0.2.1"`, `"192.0.2.3"`) + both, fmt.Sprintf(host, `"192.0.2.2"`, `"192.0.2.4"`) + both, false,
		},
		{
			"a rule as well",
			fmt.Sprintf(host, `"192.0.2.1"`, "") + oneRule, fmt.Sprintf(host, `"192.0.2.2"`, "") + strings.ReplaceAll(oneRule, "443", "444"), false,
		},
	} {
		m := &machine{Host: newHost(t, dockers, "")}
		before, after := compile(t, c.before), compile(t, c.after)
		if err := complete(t, m, before, setNames(before, after), false); err != nil {
			t.Fatal(err)
		}
		p := m.make(t, after)
		rules := 0
		for _, s := range p.Load {
			if s.Tool == plan.IPTables {
				rules++
			}
		}
		if (rules == 0) != c.exchanged {
			t.Errorf("%s: %d transactions of rules:\n%s", c.name, rules, text(p))
		}
		if err := complete(t, m, after, setNames(before, after), true); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The algebra agrees with all packets and moments of small random rules, tried one by one.
func TestASwapIsOneStepForEachPacket(t *testing.T) {
	answers := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		inner, outer := randomRules(t, "C", false), randomRules(t, "FORWARD", true)
		text := "*filter\n:FORWARD ACCEPT [0:0]\n:C - [0:0]\n"
		for _, r := range append(outer, inner...) {
			text += r.text() + "\n"
		}
		file, diags := iptables.ParseRules(strings.NewReader(text+"COMMIT\n"), "random")
		rules := iptables.NewRuleset(iptables.IPv4)
		if !diags.HasErrors() {
			diags = rules.Load(file)
		}
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		want := true
		for packet := range 8 {
			old, now, tcp := packet&1 != 0, packet&2 != 0, packet&4 != 0
			verdict := func(before int) string {
				seen := 0
				content := func() bool {
					seen++
					if seen <= before {
						return old
					}
					return now
				}
				if v := verdictOf(outer, inner, content, tcp); v != "" {
					return v
				}
				return "ACCEPT"
			}
			const all = 1000
			for before := range 20 {
				if v := verdict(before); v != verdict(0) && v != verdict(all) {
					want = false
				}
			}
		}
		answers[want]++
		if got := plan.OneStep(rules, ir.IPv4, "s"); got != want {
			t.Fatalf("one step: %t, not %t\n%s", got, want, text)
		}
	})
	if answers[true] == 0 || answers[false] == 0 {
		t.Errorf("the random rules do not have both answers: %v", answers)
	}
}

// randomRule is a rule with at most two conditions.
type randomRule struct {
	chain   string
	on, not bool // on: the rule matches on the set
	tcp     bool
	jump    string
}

func randomRules(t *rapid.T, chain string, jumps bool) []randomRule {
	targets := []string{"ACCEPT", "DROP", "RETURN"}
	if jumps {
		targets = append(targets, "C")
	}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) randomRule {
		return randomRule{
			chain: chain, on: rapid.Bool().Draw(t, "on"), not: rapid.Bool().Draw(t, "not"),
			tcp: rapid.Bool().Draw(t, "tcp"), jump: rapid.SampledFrom(targets).Draw(t, "jump"),
		}
	}), 0, 4).Draw(t, chain)
}

func (r randomRule) text() string {
	text := "-A " + r.chain
	if r.tcp {
		text += " -p tcp"
	}
	if r.on {
		text += " -m set "
		if r.not {
			text += "! "
		}
		text += "--match-set s src"
	}
	return text + " -j " + r.jump
}

// verdictOf is the verdict of rules on a packet; "" at their end. content is called once for each rule
// that looks at the set.
func verdictOf(rules, inner []randomRule, content func() bool, tcp bool) string {
	for _, r := range rules {
		if r.tcp && !tcp || r.on && content() == r.not {
			continue
		}
		switch r.jump {
		case "RETURN":
			return ""
		case "C":
			if v := verdictOf(inner, nil, content, tcp); v != "" {
				return v
			}
		default:
			return r.jump
		}
	}
	return ""
}
