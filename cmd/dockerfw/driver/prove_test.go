package driver

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit"
)

// lowered is a finished ruleset that a test damages as a faulty pass would: text
// and IR agree, and both are wrong.
type lowered struct{ *ir.Ruleset }

// each calls f for every rule whose comment starts with prefix, which returns the
// rules to put in its place.
func (l lowered) each(prefix string, f func(*ir.Rule) []*ir.Rule) {
	for _, p := range l.Programs {
		for _, c := range p.Chains {
			var out []*ir.Rule
			for _, r := range c.Rules {
				if strings.HasPrefix(r.Comment(), "dockerfw "+prefix) {
					out = append(out, f(r)...)
				} else {
					out = append(out, r)
				}
			}
			c.Rules = out
		}
	}
}

// matches replaces matches: f returns what stands for one, nil for nothing.
func (l lowered) matches(prefix string, f func(ir.Match) ir.Match) {
	l.each(prefix, func(r *ir.Rule) []*ir.Rule {
		var out []ir.Match
		for _, m := range r.Matches {
			if m = f(m); m != nil {
				out = append(out, m)
			}
		}
		r.Matches = out
		return []*ir.Rule{r}
	})
}

// without drops matches of the type of sample.
func (l lowered) without(prefix string, sample ir.Match) {
	l.matches(prefix, func(m ir.Match) ir.Match {
		if reflect.TypeOf(m) == reflect.TypeOf(sample) {
			return nil
		}
		return m
	})
}

// change applies f to the matches of its type.
func change[M ir.Match](l lowered, prefix string, f func(*M)) {
	l.matches(prefix, func(m ir.Match) ir.Match {
		if one, ok := m.(M); ok {
			f(&one)
			return one
		}
		return m
	})
}

func (l lowered) set(name string) *ir.Set {
	return l.Sets[slices.IndexFunc(l.Sets, func(s *ir.Set) bool { return s.Name == name })]
}

func drop(*ir.Rule) []*ir.Rule { return nil }

// loweringFaults are things that a pass could get wrong without the order or the
// text being wrong.
var loweringFaults = []struct {
	name string
	do   func(lowered)
}{
	{"a rule forgotten", func(l lowered) { l.each("deny flood", drop) }},
	{"an accept forgotten", func(l lowered) { l.each("accept dns", drop) }},
	{"established forgotten", func(l lowered) { l.each("established", drop) }},
	{"default forgotten", func(l lowered) { l.each("default", drop) }},
	{"drop_invalid forgotten", func(l lowered) { l.each("established drop_invalid", drop) }},
	{"egress forgotten", func(l lowered) { l.each("egress", drop) }},
	{"IPv6 forgotten for one rule", func(l lowered) {
		(lowered{&ir.Ruleset{Programs: l.Programs[1:]}}).each("accept ping", drop)
	}},
	{"one of several rules forgotten", func(l lowered) {
		n := 0
		l.each("accept web", func(r *ir.Rule) []*ir.Rule {
			if n++; n == 3 {
				return nil
			}
			return []*ir.Rule{r}
		})
	}},
	{"negation lost", func(l lowered) { change(l, "default", func(m *ir.SetMatch) { m.Not = false }) }},
	{"negation of an address lost", func(l lowered) { change(l, "default", func(m *ir.Address) { m.Not = false }) }},
	{"negation added", func(l lowered) { change(l, "deny blocked", func(m *ir.SetMatch) { m.Not = true }) }},
	{"source for destination", func(l lowered) { change(l, "accept dns", func(m *ir.Address) { m.Dir = ir.Src }) }},
	{"the wrong end of a set", func(l lowered) { change(l, "deny blocked", func(m *ir.SetMatch) { m.Dir = ir.Dst }) }},
	{"the wrong set", func(l lowered) { change(l, "deny blocked", func(m *ir.SetMatch) { m.Set = l.Sets[0].Name }) }},
	{"an exclusion lost", func(l lowered) {
		l.matches("accept web", func(m ir.Match) ir.Match {
			if s, ok := m.(ir.SetMatch); ok && s.Not {
				return nil
			}
			return m
		})
	}},
	{"a prefix too wide", func(l lowered) {
		change(l, "accept dns", func(m *ir.Address) { m.Prefix = netip.MustParsePrefix("172.16.0.0/12") })
	}},
	{"an interface lost", func(l lowered) { l.without("deny flood", ir.Interface{}) }},
	{"the wrong interface", func(l lowered) {
		change(l, "deny flood", func(m *ir.Interface) {
			if m.Dir == ir.Src {
				m.Name = "eth0"
			}
		})
	}},
	{"a wildcard lost", func(l lowered) {
		change(l, "default", func(m *ir.Interface) { m.Name = strings.TrimSuffix(m.Name, "+") })
	}},
	{"in for out", func(l lowered) { change(l, "deny flood", func(m *ir.Interface) { m.Dir = 1 - m.Dir }) }},
	{"protocol lost", func(l lowered) {
		l.each("accept ping", func(r *ir.Rule) []*ir.Rule { r.Matches = r.Matches[:1]; return []*ir.Rule{r} })
	}},
	{"UDP for TCP", func(l lowered) {
		change(l, "accept web", func(m *ir.Protocol) { m.Number = 17 })
	}},
	{"a published port off by one", func(l lowered) {
		change(l, "deny flood", func(m *ir.Conntrack) {
			if m.OrigDstPort != nil {
				m.OrigDstPort = &ir.PortRange{First: 54, Last: 54}
			}
		})
	}},
	{"a range without its end", func(l lowered) {
		change(l, "accept web", func(m *ir.Conntrack) {
			if m.OrigDstPort != nil {
				m.OrigDstPort = &ir.PortRange{First: m.OrigDstPort.First, Last: m.OrigDstPort.First}
			}
		})
	}},
	{"the container port for the published one", func(l lowered) {
		l.matches("deny flood", func(m ir.Match) ir.Match {
			if c, ok := m.(ir.Conntrack); ok && c.OrigDstPort != nil {
				return ir.Ports{Protocol: 17, Dst: c.OrigDstPort}
			}
			return m
		})
	}},
	{"the published address lost", func(l lowered) { change(l, "accept web", func(m *ir.Conntrack) { m.OrigDst = netip.Addr{} }) }},
	{"the DNAT state lost", func(l lowered) {
		change(l, "accept web", func(m *ir.Conntrack) { m.States &^= ir.CTDNAT })
	}},
	{"replies of the other side let through", func(l lowered) { change(l, "established", func(m *ir.Conntrack) { m.Dir = ir.CTAny }) }},
	{"replies in the wrong direction", func(l lowered) {
		change(l, "established", func(m *ir.Conntrack) {
			if m.Dir == ir.CTReply {
				m.Dir = ir.CTOriginal
			}
		})
	}},
	{"related traffic forgotten", func(l lowered) {
		change(l, "established", func(m *ir.Conntrack) {
			if m.States == ir.CTRelated {
				m.States = ir.CTEstablished
			}
		})
	}},
	{"a limit on established connections", func(l lowered) {
		l.each("accept web", func(r *ir.Rule) []*ir.Rule {
			if !slices.ContainsFunc(r.Matches, func(m ir.Match) bool { _, ok := m.(ir.ConnLimit); return ok }) && ir.Terminal(r.Verdict) {
				return nil
			}
			return []*ir.Rule{r}
		})
	}},
	{"a limit lost", func(l lowered) { l.without("deny flood", ir.HashLimit{}) }},
	{"a number of connections lost", func(l lowered) { l.without("accept web", ir.ConnLimit{}) }},
	{"a limit that does not ask for new connections", func(l lowered) {
		l.matches("deny flood", func(m ir.Match) ir.Match {
			if c, ok := m.(ir.Conntrack); ok && c.States == ir.CTNew {
				return nil
			}
			return m
		})
	}},
	{"source ports lost", func(l lowered) { change(l, "accept dns", func(m *ir.Ports) { m.Src = nil }) }},
	{"source and destination port swapped", func(l lowered) {
		change(l, "accept dns", func(m *ir.Ports) { m.Src, m.Dst = m.Dst, m.Src })
	}},
	{"another ICMP type", func(l lowered) { change(l, "accept ping", func(m *ir.ICMP) { m.Type = 13 }) }},
	{"drop for reject", func(l lowered) {
		l.each("deny blocked", func(r *ir.Rule) []*ir.Rule {
			if ir.Terminal(r.Verdict) {
				r.Verdict = ir.Drop{}
			}
			return []*ir.Rule{r}
		})
	}},
	{"accept for drop", func(l lowered) {
		l.each("deny flood", func(r *ir.Rule) []*ir.Rule { r.Verdict = ir.AcceptPacket{}; return []*ir.Rule{r} })
	}},
	{"a log that decides", func(l lowered) {
		l.each("deny blocked", func(r *ir.Rule) []*ir.Rule {
			if !ir.Terminal(r.Verdict) {
				r.Verdict = ir.Drop{}
			}
			return []*ir.Rule{r}
		})
	}},
	{"an element lost", func(l lowered) { l.set("friends").Prefixes = nil }},
	{"an element too wide", func(l lowered) {
		l.set("vpn").Prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/23").Masked()}
	}},
	{"IPv6 elements lost", func(l lowered) { l.set("friends-v6").Prefixes = nil }},
	{"a member lost", func(l lowered) { l.set("all").Members = []string{"vpn"} }},
}

// emitAndVerify emits the ruleset of a host, faults and all, and verifies the text.
func emitAndVerify(t *testing.T, host Host) hcl.Diagnostics {
	t.Helper()
	files, err := emit.Files(host.Ruleset, emit.Source{Policy: []string{"policy.hcl"}})
	if err != nil {
		t.Fatal(err)
	}
	return compiler.Verify(host.Policy, compiler.NewLists(nil), host.Ruleset, emittedText(files))
}

func TestFaultsOfTheLoweringAreProvedWrong(t *testing.T) {
	for _, install := range []string{"replace", "jump", "insert"} {
		policy := strings.ReplaceAll(everything, "INSTALL", install)
		for _, fault := range loweringFaults {
			host := compileText(t, policy).Hosts[0]
			before := fingerprint(host.Ruleset)
			fault.do(lowered{host.Ruleset})
			if fingerprint(host.Ruleset) == before {
				t.Errorf("%s, %s: the fault changes nothing; mend the test", install, fault.name)
				continue
			}
			diags := emitAndVerify(t, host)
			if !refused(diags) {
				t.Errorf("%s, %s: accepted", install, fault.name)
				continue
			}
			if text := diags[0].Detail; !strings.Contains(text, "by the policy") || !strings.Contains(text, "by the text") {
				t.Errorf("%s, %s: refused without a packet that shows it: %s", install, fault.name, text)
			}
		}
	}
}

// fingerprint is all of a ruleset as text.
func fingerprint(rs *ir.Ruleset) string {
	var b strings.Builder
	for _, p := range rs.Programs {
		b.Write(emit.Rules(p, ""))
	}
	b.Write(emit.Sets(rs.Sets, ""))
	return b.String()
}

func TestAProofNamesThePacketThatAFaultLetsThrough(t *testing.T) {
	host := compileText(t, strings.ReplaceAll(everything, "INSTALL", "replace")).Hosts[0]
	change(lowered{host.Ruleset}, "accept web", func(m *ir.Conntrack) { m.States &^= ir.CTDNAT })
	files, err := emit.Files(host.Ruleset, emit.Source{})
	if err != nil {
		t.Fatal(err)
	}
	diags := compiler.Verify(host.Policy, compiler.NewLists(nil), host.Ruleset, emittedText(files))
	want := `tcp 192.0.2.1:40000 -> 198.51.100.1:443 in eth0 out br-0 NEW [connections of web] gets "reject tcp-reset" by the policy (default) and "accept" by the text (dockerfw accept web)`
	if !refused(diags) || !strings.Contains(diags[0].Detail, want) {
		t.Errorf("want %s, got %v", want, diags)
	}
}
