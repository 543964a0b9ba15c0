package driver

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

// lowered is a compiled ruleset to which a test adds the fault of a pass: text and tables
// agree, and both are wrong.
type lowered struct{ *iptables.Tables }

// each replaces every rule whose comment starts with prefix by the rules that f returns.
func (l lowered) each(prefix string, f func(*iptables.Rule) []*iptables.Rule) {
	for _, p := range l.Programs {
		for _, c := range p.Chains {
			var out []*iptables.Rule
			for _, r := range c.Rules {
				if strings.HasPrefix(r.ID.Comment(), "dockerfw "+prefix) {
					out = append(out, f(r)...)
				} else {
					out = append(out, r)
				}
			}
			c.Rules = out
		}
	}
}

// matches replaces every match by the one that f returns, nil for none.
func (l lowered) matches(prefix string, f func(iptables.Match) iptables.Match) {
	l.each(prefix, func(r *iptables.Rule) []*iptables.Rule {
		var out []iptables.Match
		for _, m := range r.Matches {
			if m = f(m); m != nil {
				out = append(out, m)
			}
		}
		r.Matches = out
		return []*iptables.Rule{r}
	})
}

// without removes matches of the type of sample.
func (l lowered) without(prefix string, sample iptables.Match) {
	l.matches(prefix, func(m iptables.Match) iptables.Match {
		if reflect.TypeOf(m) == reflect.TypeOf(sample) {
			return nil
		}
		return m
	})
}

// change applies f to the matches of its type.
func change[M iptables.Match](l lowered, prefix string, f func(*M)) {
	l.matches(prefix, func(m iptables.Match) iptables.Match {
		if one, ok := m.(M); ok {
			f(&one)
			return one
		}
		return m
	})
}

func (l lowered) set(name string) *iptables.Set {
	return l.Sets[slices.IndexFunc(l.Sets, func(s *iptables.Set) bool { return s.Name == name })]
}

// ends reports whether a rule has a final verdict, unlike a log or jump.
func ends(r *iptables.Rule) bool {
	switch r.Verdict.(type) {
	case iptables.Log, iptables.NFLog, iptables.Jump:
		return false
	}
	return true
}

func drop(*iptables.Rule) []*iptables.Rule { return nil }

// ruleFaults are faults of a pass that change neither the order nor how text is printed.
var ruleFaults = []struct {
	name string
	do   func(lowered)
}{
	{"a rule missing", func(l lowered) { l.each("deny flood", drop) }},
	{"an accept missing", func(l lowered) { l.each("accept dns", drop) }},
	{"established missing", func(l lowered) { l.each("established", drop) }},
	{"default missing", func(l lowered) { l.each("default", drop) }},
	{"drop_invalid missing", func(l lowered) { l.each("established drop_invalid", drop) }},
	{"egress missing", func(l lowered) { l.each("egress", drop) }},
	{"IPv6 missing for one rule", func(l lowered) {
		(lowered{&iptables.Tables{Programs: l.Programs[1:]}}).each("accept ping", drop)
	}},
	{"one of several rules missing", func(l lowered) {
		n := 0
		l.each("accept web", func(r *iptables.Rule) []*iptables.Rule {
			if n++; n == 3 {
				return nil
			}
			return []*iptables.Rule{r}
		})
	}},
	{"negation lost", func(l lowered) { change(l, "default", func(m *iptables.SetMatch) { m.Not = false }) }},
	{"negation of an address lost", func(l lowered) { change(l, "default", func(m *iptables.Address) { m.Not = false }) }},
	{"negation added", func(l lowered) { change(l, "deny blocked", func(m *iptables.SetMatch) { m.Not = true }) }},
	{"source instead of destination", func(l lowered) { change(l, "accept dns", func(m *iptables.Address) { m.Dir = iptables.Src }) }},
	{"the wrong end of a set", func(l lowered) { change(l, "deny blocked", func(m *iptables.SetMatch) { m.Dir = iptables.Dst }) }},
	{"the wrong set", func(l lowered) { change(l, "deny blocked", func(m *iptables.SetMatch) { m.Set = l.Sets[0].Name }) }},
	{"an exclusion lost", func(l lowered) {
		l.matches("accept web", func(m iptables.Match) iptables.Match {
			if s, ok := m.(iptables.SetMatch); ok && s.Not {
				return nil
			}
			return m
		})
	}},
	{"a wider prefix", func(l lowered) {
		change(l, "accept dns", func(m *iptables.Address) { m.Prefix = netip.MustParsePrefix("172.16.0.0/12") })
	}},
	{"an interface lost", func(l lowered) { l.without("deny flood", iptables.Interface{}) }},
	{"the wrong interface", func(l lowered) {
		change(l, "deny flood", func(m *iptables.Interface) {
			if m.Dir == iptables.Src {
				m.Name = "eth0"
			}
		})
	}},
	{"a wildcard lost", func(l lowered) {
		change(l, "default", func(m *iptables.Interface) { m.Name = strings.TrimSuffix(m.Name, "+") })
	}},
	{"in instead of out", func(l lowered) { change(l, "deny flood", func(m *iptables.Interface) { m.Dir = 1 - m.Dir }) }},
	{"protocol lost", func(l lowered) {
		l.each("accept ping", func(r *iptables.Rule) []*iptables.Rule { r.Matches = r.Matches[:1]; return []*iptables.Rule{r} })
	}},
	{"UDP instead of TCP", func(l lowered) {
		change(l, "accept web", func(m *iptables.Protocol) { m.Number = 17 })
	}},
	{"a published port off by one", func(l lowered) {
		change(l, "deny flood", func(m *iptables.Conntrack) {
			if m.OrigDstPort != nil {
				m.OrigDstPort = &ir.PortRange{First: 54, Last: 54}
			}
		})
	}},
	{"a range without its end", func(l lowered) {
		change(l, "accept web", func(m *iptables.Conntrack) {
			if m.OrigDstPort != nil {
				m.OrigDstPort = &ir.PortRange{First: m.OrigDstPort.First, Last: m.OrigDstPort.First}
			}
		})
	}},
	{"the container port instead of the published one", func(l lowered) {
		l.matches("deny flood", func(m iptables.Match) iptables.Match {
			if c, ok := m.(iptables.Conntrack); ok && c.OrigDstPort != nil {
				return iptables.Ports{Protocol: 17, Dst: c.OrigDstPort}
			}
			return m
		})
	}},
	{"the published address lost", func(l lowered) { change(l, "accept web", func(m *iptables.Conntrack) { m.OrigDst = netip.Addr{} }) }},
	{"the DNAT state lost", func(l lowered) {
		change(l, "accept web", func(m *iptables.Conntrack) { m.States &^= ir.CTDNAT })
	}},
	{"replies of the other side let through", func(l lowered) { change(l, "established", func(m *iptables.Conntrack) { m.Dir = ir.CTAny }) }},
	{"replies in the wrong direction", func(l lowered) {
		change(l, "established", func(m *iptables.Conntrack) {
			if m.Dir == ir.CTReply {
				m.Dir = ir.CTOriginal
			}
		})
	}},
	{"related traffic missing", func(l lowered) {
		change(l, "established", func(m *iptables.Conntrack) {
			if m.States == ir.CTRelated {
				m.States = ir.CTEstablished
			}
		})
	}},
	{"a limit on established connections", func(l lowered) {
		l.each("accept web", func(r *iptables.Rule) []*iptables.Rule {
			if !slices.ContainsFunc(r.Matches, func(m iptables.Match) bool { _, ok := m.(iptables.ConnLimit); return ok }) && ends(r) {
				return nil
			}
			return []*iptables.Rule{r}
		})
	}},
	{"a limit lost", func(l lowered) { l.without("deny flood", iptables.HashLimit{}) }},
	{"a number of connections lost", func(l lowered) { l.without("accept web", iptables.ConnLimit{}) }},
	{"a limit on all packets instead of new connections", func(l lowered) {
		l.matches("deny flood", func(m iptables.Match) iptables.Match {
			if c, ok := m.(iptables.Conntrack); ok && c.States == ir.CTNew {
				return nil
			}
			return m
		})
	}},
	{"source ports lost", func(l lowered) { change(l, "accept dns", func(m *iptables.Ports) { m.Src = nil }) }},
	{"source and destination port swapped", func(l lowered) {
		change(l, "accept dns", func(m *iptables.Ports) { m.Src, m.Dst = m.Dst, m.Src })
	}},
	{"another ICMP type", func(l lowered) { change(l, "accept ping", func(m *iptables.ICMP) { m.Type = 13 }) }},
	{"drop instead of reject", func(l lowered) {
		l.each("deny blocked", func(r *iptables.Rule) []*iptables.Rule {
			if ends(r) {
				r.Verdict = iptables.Drop{}
			}
			return []*iptables.Rule{r}
		})
	}},
	{"accept instead of drop", func(l lowered) {
		l.each("deny flood", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Accept{}; return []*iptables.Rule{r} })
	}},
	{"a log with a verdict", func(l lowered) {
		l.each("deny blocked", func(r *iptables.Rule) []*iptables.Rule {
			if !ends(r) {
				r.Verdict = iptables.Drop{}
			}
			return []*iptables.Rule{r}
		})
	}},
	{"an element lost", func(l lowered) { l.set("clients").Prefixes = ir.Prefixes{} }},
	{"a wider element", func(l lowered) {
		l.set("vpn").Prefixes = ir.PrefixesOf(netip.MustParsePrefix("198.51.100.0/23").Masked())
	}},
	{"IPv6 elements lost", func(l lowered) { l.set("clients-v6").Prefixes = ir.Prefixes{} }},
	{"a member lost", func(l lowered) { l.set("all").Members = []string{"vpn"} }},
}

// emitAndProve prints the ruleset of a host, with its fault, and proves the text.
func emitAndProve(t *testing.T, host Host) hcl.Diagnostics {
	t.Helper()
	files, err := emit.Files(host.Tables, emit.Source{Policy: []string{"policy.hcl"}})
	if err != nil {
		t.Fatal(err)
	}
	return prove(host, iptablesText(files))
}

// installs are the ways to install rules, each of which the faults are tried with.
func installs(t *testing.T) []string {
	t.Helper()
	if testing.Short() {
		t.Log("-short: only with install = \"replace\"")
		return []string{"replace"}
	}
	return []string{"replace", "jump", "insert"}
}

func TestFaultsOfPassesAreRefused(t *testing.T) {
	for _, install := range installs(t) {
		policy := strings.ReplaceAll(everything, "INSTALL", install)
		for _, fault := range ruleFaults {
			host := compileText(t, policy).Hosts[0]
			before := fingerprint(host.Tables)
			fault.do(lowered{host.Tables})
			if fingerprint(host.Tables) == before {
				t.Errorf("%s, %s: the fault changes nothing; fix the test", install, fault.name)
				continue
			}
			diags := emitAndProve(t, host)
			if !refused(diags) {
				t.Errorf("%s, %s: accepted", install, fault.name)
				continue
			}
			if text := diags[0].Detail; !strings.Contains(text, "by the policy") || !strings.Contains(text, "by the text") {
				t.Errorf("%s, %s: refused without an example packet: %s", install, fault.name, text)
			}
		}
	}
}

// fingerprint returns a ruleset as text.
func fingerprint(rs *iptables.Tables) string {
	var b strings.Builder
	for _, p := range rs.Programs {
		b.Write(iptables.Rules(p, ""))
	}
	b.Write(iptables.Sets(rs.Sets, ""))
	return b.String()
}

func TestAFailedProofReportsAPacketWithBothVerdicts(t *testing.T) {
	host := compileText(t, strings.ReplaceAll(everything, "INSTALL", "replace")).Hosts[0]
	change(lowered{host.Tables}, "accept web", func(m *iptables.Conntrack) { m.States &^= ir.CTDNAT })
	files, err := emit.Files(host.Tables, emit.Source{})
	if err != nil {
		t.Fatal(err)
	}
	diags := prove(host, iptablesText(files))
	want := `the verdict on tcp 192.0.2.1:40000 -> 198.51.100.1:443 in eth0 out br-0 NEW [connections of web] is "reject tcp-reset" by the policy (default) and "accept" by the text (dockerfw accept web)`
	if !refused(diags) || !strings.Contains(diags[0].Detail, want) {
		t.Errorf("want %s, got %v", want, diags)
	}
}
