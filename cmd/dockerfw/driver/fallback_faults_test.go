package driver

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

// fallbackOnly is the fallback rules of a ruleset as programs of their own, so that faults are
// in them alone.
func fallbackOnly(t *iptables.Tables) lowered {
	out := &iptables.Tables{Sets: t.Sets}
	for _, p := range t.Programs {
		out.Programs = append(out.Programs, &iptables.Program{Family: p.Family, Chains: p.Fallback})
	}
	return lowered{out}
}

// fallbackFaults are faults of the pass that derives the fallback rules.
var fallbackFaults = []struct {
	name string
	do   func(l lowered)
}{
	{"a refusal missing", func(l lowered) { l.each("default", drop) }},
	{"a deny missing", func(l lowered) { l.each("deny blocked", drop) }},
	{"an accept missing", func(l lowered) { l.each("accept web", drop) }},
	{"established missing", func(l lowered) { l.each("established", drop) }},
	{"egress missing", func(l lowered) { l.each("egress", drop) }},
	{"IPv6 missing", func(l lowered) {
		(lowered{&iptables.Tables{Programs: l.Programs[1:]}}).each("default", drop)
	}},
	{"the egress chain empty", func(l lowered) {
		for _, p := range l.Programs {
			p.Chains[1].Rules = nil
		}
	}},
	{"return instead of drop", func(l lowered) {
		l.each("default", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Return{}; return []*iptables.Rule{r} })
	}},
	{"drop instead of return", func(l lowered) {
		l.each("accept dns", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Drop{}; return []*iptables.Rule{r} })
	}},
	{"accept instead of return", func(l lowered) {
		l.each("accept dns", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Accept{}; return []*iptables.Rule{r} })
	}},
	{"reject instead of drop", func(l lowered) {
		l.each("deny blocked", func(r *iptables.Rule) []*iptables.Rule {
			r.Verdict = iptables.Reject{With: "icmp-admin-prohibited"}
			if slices.ContainsFunc(r.Matches, func(m iptables.Match) bool { p, ok := m.(iptables.Protocol); return ok && p.Number == 6 }) {
				r.Verdict = iptables.Reject{With: "tcp-reset"}
			}
			return []*iptables.Rule{r}
		})
	}},
	{"a limit kept in an accept", func(l lowered) {
		l.each("accept web", func(r *iptables.Rule) []*iptables.Rule {
			r.Matches = append(slices.Clone(r.Matches), iptables.ConnLimit{Max: 20, PrefixLength: 32})
			return []*iptables.Rule{r}
		})
	}},
	{"a deny above a limit kept", func(l lowered) {
		first := true
		l.each("deny blocked", func(r *iptables.Rule) []*iptables.Rule {
			if !first {
				return []*iptables.Rule{r}
			}
			first = false
			return []*iptables.Rule{r, {
				ID: ir.RuleID{Phase: ir.PhaseDeny, Name: "flood"}, Verdict: iptables.Drop{},
				Matches: []iptables.Match{iptables.HashLimit{Above: true, Rate: iptables.Rate{Count: 90, Unit: iptables.PerMinute}, Burst: 5, Name: "dfw-floo-1"}},
			}}
		})
	}},
	{"an interface lost", func(l lowered) { l.without("default", iptables.Interface{}) }},
	{"negation lost", func(l lowered) { change(l, "default", func(m *iptables.SetMatch) { m.Not = false }) }},
	{"the wrong set", func(l lowered) {
		change(l, "deny blocked", func(m *iptables.SetMatch) { m.Set = l.Sets[0].Name })
	}},
	{"INPUT protection missing", func(l lowered) { l.each("input", drop) }},
	{"the chain of INPUT protection empty", func(l lowered) { inChain(l.Tables, ir.ProxyChain, func(l lowered) { l.each("", drop) }) }},
	{"the DNAT state lost", func(l lowered) {
		change(l, "accept web", func(m *iptables.Conntrack) { m.States &^= ir.CTDNAT })
	}},
}

// The proof of the fallback rules finds faults in them alone, whatever the rules of the filter
// table, which are correct here.
func TestFaultsInFallbackRulesAreRefused(t *testing.T) {
	for _, install := range installs(t) {
		policy := strings.ReplaceAll(everything, "INSTALL", install)
		for _, fault := range fallbackFaults {
			host := compileText(t, policy).Hosts[0]
			before := fingerprint(host.Tables)
			fault.do(fallbackOnly(host.Tables))
			if fingerprint(host.Tables) == before {
				t.Errorf("%s, %s: the fault changes nothing; fix the test", install, fault.name)
				continue
			}
			diags := emitAndProve(t, host)
			if !refused(diags) {
				t.Errorf("%s, %s: accepted", install, fault.name)
				continue
			}
			if text := diags[0].Detail; !strings.Contains(text, "security table: the verdict on ") {
				t.Errorf("%s, %s: refused without an example packet: %s", install, fault.name, text)
			}
		}
	}
}
