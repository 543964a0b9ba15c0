package iptables

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/golden/lab/sealed"
	text "github.com/dockerfw/dockerfw/parser/iptables"
)

// stateful are the matches that depend on earlier packets, which packet/netfilter therefore
// keeps as opaque conditions.
var stateful = []string{"HashLimit", "ConnLimit", "Limit"}

// TestEveryKindOfMatchIsHandledEverywhere runs a sample of each type of match through every
// stage that handles matches, and reports the stages that do not support it. A new type
// needs a line in matchTexts, which is its sample.
func TestEveryKindOfMatchIsHandledEverywhere(t *testing.T) {
	for _, kind := range sealed.Types(t, ".", "isMatch") {
		found := false
		for _, c := range matchTexts {
			if reflect.TypeOf(c.match).Name() != kind {
				continue
			}
			found = true
			for _, stage := range matchStages {
				if problem := problemOrPanic(func() string { return stage.problem(c.match, c.want) }); problem != "" {
					t.Errorf("match %s: %s does not handle %+v: %s", kind, stage.name, c.match, problem)
				}
			}
		}
		if !found {
			var names []string
			for _, stage := range matchStages {
				names = append(names, stage.name)
			}
			t.Errorf("match %s: no sample in matchTexts; it is not tested with %s", kind, strings.Join(names, ", "))
		}
	}
}

// TestEveryKindOfVerdictIsHandledEverywhere does the same for verdicts.
func TestEveryKindOfVerdictIsHandledEverywhere(t *testing.T) {
	for _, kind := range sealed.Types(t, ".", "isVerdict") {
		found := false
		for _, c := range verdictTexts {
			if reflect.TypeOf(c.verdict).Name() != kind {
				continue
			}
			found = true
			for _, stage := range verdictStages {
				if problem := problemOrPanic(func() string { return stage.problem(c.verdict, c.want) }); problem != "" {
					t.Errorf("verdict %s: %s does not handle %+v: %s", kind, stage.name, c.verdict, problem)
				}
			}
		}
		if !found {
			t.Errorf("verdict %s: no sample in verdictTexts", kind)
		}
	}
}

// problemOrPanic returns the problem that f returns, or the panic that it raises.
func problemOrPanic(f func() string) (problem string) {
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Sprint("panic: ", r)
		}
	}()
	return f()
}

var matchStages = []struct {
	name string
	// problem returns "" if the stage handles the match m, whose text is want.
	problem func(m Match, want string) string
}{
	{"the canonical order (rank)", func(m Match, _ string) string {
		rank(m)
		return ""
	}},
	{"the operand check (operandProblem)", func(m Match, _ string) string {
		operandProblem(familyOf(m), 0, &Rule{Matches: []Match{m}, Verdict: Drop{}}, nil)
		return ""
	}},
	{"the fallback rules (isLimit)", func(m Match, _ string) string {
		if limit, above := isLimit(m); limit != slices.Contains(stateful, reflect.TypeOf(m).Name()) || above && !limit {
			return fmt.Sprintf("limit is %t, above is %t", limit, above)
		}
		return ""
	}},
	{"printing (match)", func(m Match, want string) string {
		if got := match(m); got != want {
			return "it is printed as " + got
		}
		return ""
	}},
	{"the grammar of rules (parser/iptables)", func(m Match, want string) string {
		_, problem := parseRule(familyOf(m), want+" -j DROP")
		return problem
	}},
	{"read-back (readRule)", func(m Match, want string) string {
		if a, ok := m.(Address); ok && a.Prefix != a.Prefix.Masked() {
			return "" // printing clears the bits below the mask
		}
		r, problem := parseRule(familyOf(m), want+" -j DROP")
		if problem != "" {
			return problem
		}
		back, err := readRule(r, familyOf(m))
		switch {
		case err != nil:
			return err.Error()
		case len(back.Matches) != 1 || !reflect.DeepEqual(back.Matches[0], m):
			return fmt.Sprintf("it is read as %+v", back.Matches)
		}
		return ""
	}},
	{"translation into packets (packet/netfilter)", func(m Match, want string) string {
		return packetsProblem(familyOf(m), want+" -j DROP", slices.Contains(stateful, reflect.TypeOf(m).Name()))
	}},
}

var verdictStages = []struct {
	name    string
	problem func(v Verdict, want string) string
}{
	{"the fallback rules (fallbackVerdict)", func(v Verdict, _ string) string {
		switch got := fallbackVerdict(v).(type) {
		case nil, Return, Drop, Jump, Goto:
			return ""
		default:
			return fmt.Sprintf("it becomes %T", got)
		}
	}},
	{"printing (verdict)", func(v Verdict, want string) string {
		if got := verdict(v); got != want {
			return "it is printed as " + got
		}
		return ""
	}},
	{"read-back (readVerdict)", func(v Verdict, want string) string {
		r, problem := parseRule(ir.IPv4, want)
		if problem != "" {
			return problem
		}
		back, err := readVerdict(r)
		if err != nil {
			return err.Error()
		}
		if !reflect.DeepEqual(back, v) {
			return fmt.Sprintf("it is read as %+v", back)
		}
		return ""
	}},
	{"translation into packets (packet/netfilter)", func(_ Verdict, want string) string {
		return packetsProblem(ir.IPv4, want, false)
	}},
}

// familyOf returns a family whose rules can have the match.
func familyOf(m Match) ir.Family {
	switch m := m.(type) {
	case Address:
		return ir.FamilyOf(m.Prefix.Addr())
	case ICMP:
		return m.Family
	case Conntrack:
		if m.OrigDst.Is6() {
			return ir.IPv6
		}
	}
	return ir.IPv4
}

func parseRule(f ir.Family, spec string) (*text.Rule, string) {
	table, problem := parseTable(f, spec)
	if problem != "" {
		return nil, problem
	}
	return table.Chain("X").Rules[0], ""
}

func parseTable(f ir.Family, spec string) (*text.Table, string) {
	lines := "*filter\n:X - [0:0]\n:" + ir.EgressChain + " - [0:0]\n-A X " + spec + "\nCOMMIT\n"
	file, diags := text.ParseRules(strings.NewReader(lines), "sample")
	host := text.NewRuleset(text.Family(f))
	if !diags.HasErrors() {
		diags = append(diags, host.Load(file)...)
	}
	if len(diags) > 0 {
		return nil, diags.Error()
	}
	return host.Table("filter"), ""
}

// packetsProblem reports a rule that packet/netfilter does not support in full.
func packetsProblem(f ir.Family, spec string, opaque bool) string {
	table, problem := parseTable(f, spec)
	if problem != "" {
		return problem
	}
	p := netfilter.Program(table, f, "X", netfilter.KnownSets(map[string]*packet.AddrSet{
		"clients": packet.NewAddrSet("clients", nil), "web.dst-v6": packet.NewAddrSet("web.dst-v6", nil),
	}))
	r := p.Chains[0].Rules[0]
	for _, c := range r.Matches {
		packet.Walk(c, func(c packet.Cond) bool {
			if o, ok := c.(packet.Opaque); ok && !opaque {
				problem = fmt.Sprintf("it becomes an opaque condition, %q", o.Text)
			}
			return true
		})
	}
	if r.Verdict.Kind == packet.Other {
		problem = fmt.Sprintf("it becomes the unknown target %q", r.Verdict.With)
	}
	return problem
}
