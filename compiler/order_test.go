package compiler

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
)

func at(line int) hcl.Range {
	return hcl.Range{Filename: "policy.hcl", Start: hcl.Pos{Line: line, Column: 1}, End: hcl.Pos{Line: line, Column: 2}}
}

func ruleOf(phase ir.Phase, name string, line int, matches ...ir.Match) *ir.Rule {
	return &ir.Rule{Phase: phase, Origin: ir.Origin{Name: name, Range: at(line)}, Matches: matches, Verdict: ir.Drop{}}
}

func compilationOf(rules ...*ir.Rule) *compilation {
	return &compilation{out: &ir.Ruleset{Programs: []*ir.Program{
		{Family: ir.IPv4, Target: "DOCKER-USER", Chains: []*ir.Chain{{Name: "DOCKER-USER", Rules: rules}}},
	}}}
}

// The passes never make such an order; should one of them ever do, nothing is
// written, and the message names both rules.
func TestAnOrderBrokenInTheIRIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []*ir.Rule
		want  string
	}{
		{
			"an accept before a deny",
			[]*ir.Rule{ruleOf(ir.Established, "", 1), ruleOf(ir.Accept, "web", 7), ruleOf(ir.Deny, "bad", 3), ruleOf(ir.Default, "", 9)},
			`chain DOCKER-USER: "dockerfw accept web" of phase accept stands before "dockerfw deny bad" of phase deny (policy.hcl:7)`,
		},
		{
			"the default before an accept",
			[]*ir.Rule{ruleOf(ir.Default, "", 9), ruleOf(ir.Accept, "web", 7)},
			`chain DOCKER-USER: "dockerfw default" of phase default stands before "dockerfw accept web" of phase accept (policy.hcl:9)`,
		},
		{
			"established last",
			[]*ir.Rule{ruleOf(ir.Accept, "web", 7), ruleOf(ir.Established, "", 1)},
			`"dockerfw accept web" of phase accept stands before "dockerfw established" of phase established (policy.hcl:7)`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := compilationOf(c.rules...)
			broken.checkOrder()
			if len(broken.diags) != 1 {
				t.Fatalf("diagnostics: %v", broken.diags)
			}
			d := broken.diags[0]
			if diag.InfoOf(d).Code != diag.CodeInternal || !strings.Contains(d.Detail, c.want) {
				t.Errorf("%s\n got %s\nwant %s", d.Summary, d.Detail, c.want)
			}
			// The pass that orders makes it right.
			broken.diags = nil
			broken.order()
			broken.checkOrder()
			if broken.diags.HasErrors() {
				t.Errorf("after ordering: %v", broken.diags)
			}
		})
	}
}

func TestOrderKeepsWhatIsWrittenWithinAPhase(t *testing.T) {
	c := compilationOf(
		ruleOf(ir.Default, "", 9), ruleOf(ir.Accept, "b", 2), ruleOf(ir.Deny, "z", 3), ruleOf(ir.Accept, "a", 4),
		ruleOf(ir.Egress, "", 5), ruleOf(ir.Deny, "y", 6), ruleOf(ir.Established, "", 1),
	)
	c.order()
	var got []string
	for _, r := range c.out.Programs[0].Chains[0].Rules {
		got = append(got, strings.TrimPrefix(r.Comment(), "dockerfw "))
	}
	want := []string{"established", "deny z", "deny y", "accept b", "accept a", "default", "egress"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What the kernel's tools take without a word, and then never or always match.
func TestOperandsThatTheKernelWouldMisreadAreRefused(t *testing.T) {
	port := &ir.PortRange{First: 443, Last: 443}
	sets := []*ir.Set{
		{Name: "a", Family: ir.IPv4, Type: ir.HashNet},
		{Name: "a-v6", Family: ir.IPv6, Type: ir.HashNet},
	}
	for _, c := range []struct {
		rule *ir.Rule
		want string
	}{
		{ruleOf(ir.Deny, "x", 1, ir.Address{Prefix: netip.MustParsePrefix("2001:db8::/32")}), "address 2001:db8::/32 in a rule of ipv4"},
		{ruleOf(ir.Deny, "x", 1, ir.Address{Prefix: netip.MustParsePrefix("0.0.0.0/0")}), "address 0.0.0.0/0"},
		{ruleOf(ir.Deny, "x", 1, ir.Address{Prefix: netip.MustParsePrefix("10.1.0.0/8")}), "address 10.1.0.0/8"},
		{ruleOf(ir.Deny, "x", 1, ir.Protocol{}), "protocol 0"},
		{ruleOf(ir.Deny, "x", 1, ir.Ports{Protocol: 6, Dst: port}), "ports without their protocol"},
		{ruleOf(ir.Deny, "x", 1, ir.Protocol{Number: 17}, ir.Ports{Protocol: 6, Dst: port}), "ports without their protocol"},
		{ruleOf(ir.Deny, "x", 1, ir.Protocol{Number: 58}, ir.ICMP{Family: ir.IPv6, Type: 1}), "ICMP type of the other family"},
		{ruleOf(ir.Deny, "x", 1, ir.Conntrack{OrigDstPort: port, Dir: ir.CTOriginal}), "published port without protocol or direction"},
		{ruleOf(ir.Deny, "x", 1, ir.Protocol{Number: 6}, ir.Conntrack{OrigDstPort: port}), "published port without protocol or direction"},
		{ruleOf(ir.Deny, "x", 1, ir.Conntrack{OrigDst: netip.MustParseAddr("2001:db8::1")}), "published address of the other family"},
		{ruleOf(ir.Deny, "x", 1, ir.SetMatch{Set: "b"}), `set "b" is not made`},
		{ruleOf(ir.Deny, "x", 1, ir.SetMatch{Set: "a-v6"}), `set "a-v6" is of the other family`},
		{&ir.Rule{Verdict: ir.Reject{With: "tcp-reset"}}, "tcp-reset without protocol tcp"},
	} {
		broken := compilationOf(c.rule)
		broken.out.Sets = sets
		broken.checkOperands()
		if len(broken.diags) != 1 || diag.InfoOf(broken.diags[0]).Code != diag.CodeInternal || !strings.Contains(broken.diags[0].Detail, c.want) {
			t.Errorf("want %q, got %v", c.want, broken.diags)
		}
	}
	good := compilationOf(ruleOf(ir.Deny, "x", 1,
		ir.Address{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, ir.Protocol{Number: 6}, ir.Ports{Protocol: 6, Dst: port},
		ir.Conntrack{OrigDstPort: port, Dir: ir.CTOriginal}, ir.SetMatch{Set: "a"}))
	good.out.Sets = sets
	good.checkOperands()
	if good.diags.HasErrors() {
		t.Errorf("a good rule: %v", good.diags)
	}
}

func TestTwoSetsOfOneNameAreRefused(t *testing.T) {
	c := compilationOf()
	c.out.Sets = []*ir.Set{{Name: "a", Origin: ir.Origin{Range: at(3)}}, {Name: "a", Origin: ir.Origin{Range: at(5)}}}
	c.checkOperands()
	if len(c.diags) != 1 || !strings.Contains(c.diags[0].Detail, `two sets named "a", the other from policy.hcl:3`) || c.diags[0].Subject.Start.Line != 5 {
		t.Errorf("%v", c.diags)
	}
}

func TestNamesOfLiteralSetsFitTheKernel(t *testing.T) {
	seen := map[string]string{}
	for _, rule := range []string{"a", "web", strings.Repeat("a", 24), strings.Repeat("a", 25), strings.Repeat("a", 26), strings.Repeat("a", 120), strings.Repeat("a", 119) + "b"} {
		for _, suffix := range []string{".src", ".src-not", ".srcs", ".dst", ".dst-not", ".dsts", ".allow"} {
			name := literalSetName(rule, suffix)
			// 31 bytes, with -v6 and -new (facts/netfilter.md, section 1.5).
			if len(name)+len("-v6-new") > 31 || !strings.HasSuffix(name, suffix) {
				t.Errorf("%s + %s: %q", rule, suffix, name)
			}
			if other, dup := seen[name]; dup {
				t.Errorf("%q is the name of %s and %s", name, other, rule+suffix)
			}
			seen[name] = rule + suffix
		}
	}
}
