package iptables

import (
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

func ruleOf(phase ir.Phase, name string, line int, matches ...Match) *Rule {
	return &Rule{ID: ir.RuleID{Phase: phase, Name: name}, Origin: ir.Origin{Range: at(line)}, Matches: matches, Verdict: Drop{}}
}

func legalizationOf(rules ...*Rule) *legalization {
	return &legalization{out: &Tables{Programs: []*Program{
		{Family: ir.IPv4, Target: "DOCKER-USER", Chains: []*Chain{{Name: "DOCKER-USER", Rules: rules}}},
	}}}
}

// The kernel's tools accept these operands without an error, and the rule then matches
// never or always.
func TestInvalidOperandsAreInternalErrors(t *testing.T) {
	port := &ir.PortRange{First: 443, Last: 443}
	sets := []*Set{
		{Name: "a", Family: ir.IPv4, Type: ir.HashNet},
		{Name: "a-v6", Family: ir.IPv6, Type: ir.HashNet},
	}
	for _, c := range []struct {
		rule *Rule
		want string
	}{
		{ruleOf(ir.PhaseDeny, "x", 1, Address{Prefix: netip.MustParsePrefix("2001:db8::/32")}), "address 2001:db8::/32 in a rule of ipv4"},
		{ruleOf(ir.PhaseDeny, "x", 1, Address{Prefix: netip.MustParsePrefix("0.0.0.0/0")}), "address 0.0.0.0/0"},
		{ruleOf(ir.PhaseDeny, "x", 1, Address{Prefix: netip.MustParsePrefix("10.1.0.0/8")}), "address 10.1.0.0/8"},
		{ruleOf(ir.PhaseDeny, "x", 1, Protocol{}), "protocol 0"},
		{ruleOf(ir.PhaseDeny, "x", 1, Ports{Protocol: 6, Dst: port}), "ports without their protocol"},
		{ruleOf(ir.PhaseDeny, "x", 1, Protocol{Number: 17}, Ports{Protocol: 6, Dst: port}), "ports without their protocol"},
		{ruleOf(ir.PhaseDeny, "x", 1, Protocol{Number: 58}, ICMP{Family: ir.IPv6, Type: 1}), "ICMP type of the other family"},
		{ruleOf(ir.PhaseDeny, "x", 1, Conntrack{OrigDstPort: port, Dir: ir.CTOriginal}), "published port without protocol or direction"},
		{ruleOf(ir.PhaseDeny, "x", 1, Protocol{Number: 6}, Conntrack{OrigDstPort: port}), "published port without protocol or direction"},
		{ruleOf(ir.PhaseDeny, "x", 1, Conntrack{OrigDst: netip.MustParseAddr("2001:db8::1")}), "published address of the other family"},
		{ruleOf(ir.PhaseDeny, "x", 1, SetMatch{Set: "b"}), `set "b" does not exist`},
		{ruleOf(ir.PhaseDeny, "x", 1, SetMatch{Set: "a-v6"}), `set "a-v6" is of the other family`},
		{&Rule{Verdict: Reject{With: "tcp-reset"}}, "tcp-reset without protocol tcp"},
	} {
		broken := legalizationOf(c.rule)
		broken.out.Sets = sets
		broken.checkOperands()
		if len(broken.diags) != 1 || diag.InfoOf(broken.diags[0]).Code != diag.CodeInternal || !strings.Contains(broken.diags[0].Detail, c.want) {
			t.Errorf("want %q, got %v", c.want, broken.diags)
		}
	}
	good := legalizationOf(ruleOf(ir.PhaseDeny, "x", 1,
		Address{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, Protocol{Number: 6}, Ports{Protocol: 6, Dst: port},
		Conntrack{OrigDstPort: port, Dir: ir.CTOriginal}, SetMatch{Set: "a"}))
	good.out.Sets = sets
	good.checkOperands()
	if good.diags.HasErrors() {
		t.Errorf("a valid rule: %v", good.diags)
	}
}

func TestTwoSetsOfOneNameAreAnInternalError(t *testing.T) {
	c := legalizationOf()
	c.out.Sets = []*Set{{Name: "a", Origin: ir.Origin{Range: at(3)}}, {Name: "a", Origin: ir.Origin{Range: at(5)}}}
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
			// 31 bytes, with -v6 and -new (docs/contributing/netfilter.md, "Names of sets").
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
