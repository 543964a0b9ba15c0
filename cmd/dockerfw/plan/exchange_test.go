package plan_test

import (
	"fmt"
	"strings"
	"testing"

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

// The algebra agrees with all packets and moments of small rule sets, tried one by one.
func TestASwapIsOneStepForEachPacket(t *testing.T) {
	answers := map[bool]int{}
	check := func(outer, inner []smallRule) {
		text := "*filter\n:FORWARD ACCEPT [0:0]\n:C - [0:0]\n"
		for _, r := range outer {
			text += "-A FORWARD" + r.text() + "\n"
		}
		for _, r := range inner {
			text += "-A C" + r.text() + "\n"
		}
		file, diags := iptables.ParseRules(strings.NewReader(text+"COMMIT\n"), "small")
		rules := iptables.NewRuleset(iptables.IPv4)
		if !diags.HasErrors() {
			diags = rules.Load(file)
		}
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		want := true
		for packet := range 4 {
			old, now := packet&1 != 0, packet&2 != 0
			// The first rules with the set see its old content.
			verdict := func(before int) string {
				seen := 0
				v := verdictOf(outer, inner, func() bool {
					if seen++; seen <= before {
						return old
					}
					return now
				})
				if v == "" {
					return "ACCEPT"
				}
				return v
			}
			const all = 10
			for before := range all {
				if v := verdict(before); v != verdict(0) && v != verdict(all) {
					want = false
				}
			}
		}
		answers[want]++
		if got := plan.OneStep(rules, ir.IPv4, "s"); got != want {
			t.Fatalf("one step: %t, not %t\n%s", got, want, text)
		}
	}
	outer, inner := smallRules("ACCEPT", "DROP", "RETURN", "C"), smallRules("ACCEPT", "DROP", "RETURN")
	for _, a := range outer {
		for _, b := range outer {
			for _, c := range inner {
				check([]smallRule{a, b}, []smallRule{c})
				if b.jump != "C" {
					check([]smallRule{c, a, b}, nil)
				}
			}
		}
	}
	if answers[true] == 0 || answers[false] == 0 {
		t.Errorf("the rules do not have both answers: %v", answers)
	}
}

// smallRule is a rule with at most one condition: being in the set, or not.
type smallRule struct {
	set, not bool
	jump     string
}

func smallRules(jumps ...string) (out []smallRule) {
	for _, jump := range jumps {
		out = append(out, smallRule{jump: jump}, smallRule{set: true, jump: jump}, smallRule{set: true, not: true, jump: jump})
	}
	return out
}

func (r smallRule) text() string {
	switch {
	case r.not:
		return " -m set ! --match-set s src -j " + r.jump
	case r.set:
		return " -m set --match-set s src -j " + r.jump
	}
	return " -j " + r.jump
}

// verdictOf is the verdict of rules on a packet; "" at their end. content is called once for each rule
// that looks at the set.
func verdictOf(rules, inner []smallRule, content func() bool) string {
	for _, r := range rules {
		if r.set && content() == r.not {
			continue
		}
		switch r.jump {
		case "RETURN":
			return ""
		case "C":
			if v := verdictOf(inner, nil, content); v != "" {
				return v
			}
		default:
			return r.jump
		}
	}
	return ""
}
