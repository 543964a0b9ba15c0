package driver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
)

// guarding is a policy whose guard has one of each.
const guarding = `
host {
  external_interfaces  = ["eth0", "wg+"]
  container_interfaces = ["docker0"]
  install              = "INSTALL"
  proxy_ports          = ["8000-8010", "5353/udp"]
}
ipset "staff" { entries = ["192.0.2.0/24", "2001:db8::/48"] }
established {
  sessions     = "recheck"
  drop_invalid = true
}
deny "bad" {
  source = ["192.0.2.66", "2001:db8::66"]
  action = "reject"
}
deny "db" {
  protocol        = "tcp"
  published_ports = [5432]
  container_ports = [5432]
  destination     = ["172.17.0.0/16"]
  source_not      = ["192.0.2.1"]
}
deny "tunnel" {
  protocol        = "tcp"
  published_ports = [9000]
  interfaces      = ["wg0"]
}
accept "web" {
  protocol          = "tcp"
  published_ports   = [443]
  published_address = ["198.51.100.1", "2001:db8::1"]
}
accept "inner" {
  protocol        = "tcp"
  published_ports = [8443]
  container_ports = [443]
}
accept "dns" {
  protocol        = "udp"
  published_ports = [5353]
  source_ports    = ["1024-65535"]
  rate { limit = "90/minute" }
}
default { allow = [ipset.staff] }
`

// guardOf are the chains of the guard, to be damaged alone.
func guardOf(l lowered) lowered {
	out := &iptables.Tables{}
	for _, p := range l.Programs {
		guard := &iptables.Program{Family: p.Family}
		for _, c := range p.Chains {
			if c.Name == ir.InputChain || c.Name == ir.ProxyChain {
				guard.Chains = append(guard.Chains, c)
			}
		}
		out.Programs = append(out.Programs, guard)
	}
	return lowered{out}
}

// handOver changes the hand-over of ports that start with first.
func (l lowered) handOver(first uint16, f func(*iptables.Rule) []*iptables.Rule) {
	l.each("input", func(r *iptables.Rule) []*iptables.Rule {
		for _, m := range r.Matches {
			if p, ok := m.(iptables.Ports); ok && p.Dst.First == first {
				return f(r)
			}
		}
		return []*iptables.Rule{r}
	})
}

// guardFaults are things that the second lowering could get wrong; g are the
// guard's chains, and l is all.
var guardFaults = []struct {
	name string
	do   func(g, l lowered)
}{
	{"a guarded port forgotten", func(g, _ lowered) { g.handOver(8443, drop) }},
	{"proxy_ports forgotten", func(g, _ lowered) { g.handOver(8000, drop) }},
	{"a guarded range without its end", func(g, _ lowered) {
		change(g, "input", func(m *iptables.Ports) { m.Dst = &ir.PortRange{First: m.Dst.First, Last: m.Dst.First} })
	}},
	{"the wrong protocol handed over", func(g, _ lowered) {
		g.handOver(5353, func(r *iptables.Rule) []*iptables.Rule {
			for i, m := range r.Matches {
				switch m := m.(type) {
				case iptables.Protocol:
					r.Matches[i] = iptables.Protocol{Number: parser.TCP}
				case iptables.Ports:
					r.Matches[i] = iptables.Ports{Protocol: parser.TCP, Dst: m.Dst}
				}
			}
			return []*iptables.Rule{r}
		})
	}},
	{"ssh handed over", func(g, _ lowered) {
		g.handOver(443, func(r *iptables.Rule) []*iptables.Rule {
			ssh := *r
			ssh.Matches = []iptables.Match{r.Matches[0], r.Matches[1], iptables.Ports{Protocol: parser.TCP, Dst: &ir.PortRange{First: 22, Last: 22}}}
			return []*iptables.Rule{r, &ssh}
		})
	}},
	{"all ports handed over", func(g, _ lowered) { g.without("input", iptables.Ports{}) }},
	{"the wrong interface handed over", func(g, _ lowered) {
		change(g, "input", func(m *iptables.Interface) { m.Name = strings.Replace(m.Name, "wg", "tun", 1) })
	}},
	{"handed back for handed over", func(g, _ lowered) {
		g.each("input", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Return{}; return []*iptables.Rule{r} })
	}},
	{"the guard of one family forgotten", func(_, l lowered) {
		p := l.Programs[1]
		p.Chains = p.Chains[:len(p.Chains)-2]
	}},
	{"an accept for a container let in", func(g, _ lowered) {
		g.each("accept web", func(r *iptables.Rule) []*iptables.Rule {
			inner := *r
			inner.Origin.Name = "inner"
			inner.Matches = []iptables.Match{iptables.Protocol{Number: parser.TCP}, iptables.Ports{Protocol: parser.TCP, Dst: &ir.PortRange{First: 8443, Last: 8443}}}
			return []*iptables.Rule{r, &inner}
		})
	}},
	{"a deny for a container left out", func(g, _ lowered) { g.each("deny db", drop) }},
	{"a deny with the address of the container", func(g, _ lowered) {
		g.each("deny db", func(r *iptables.Rule) []*iptables.Rule {
			r.Matches = append([]iptables.Match{iptables.Address{Dir: iptables.Dst, Prefix: netip.MustParsePrefix("172.17.0.0/16")}}, r.Matches...)
			if r.Matches[1] == (iptables.Address{Dir: iptables.Src, Not: true, Prefix: netip.MustParsePrefix("192.0.2.1/32")}) {
				r.Matches[0], r.Matches[1] = r.Matches[1], r.Matches[0]
				return []*iptables.Rule{r}
			}
			return nil // the other family's rule cannot have it
		})
	}},
	{"a deny with the interface of the container lost", func(g, _ lowered) { g.without("deny tunnel", iptables.Interface{}) }},
	{"a deny behind all", func(g, _ lowered) {
		for _, p := range g.Programs {
			c := p.Chains[1]
			var late []*iptables.Rule
			(lowered{&iptables.Tables{Programs: []*iptables.Program{{Chains: []*iptables.Chain{c}}}}}).each("deny bad", func(r *iptables.Rule) []*iptables.Rule {
				r.ID.Phase = ir.PhaseDefault
				late = append(late, r)
				return nil
			})
			c.Rules = append(c.Rules, late...)
		}
	}},
	{"accept for return", func(g, _ lowered) {
		g.each("accept web", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Accept{}; return []*iptables.Rule{r} })
	}},
	{"replies accepted", func(g, _ lowered) {
		g.each("established", func(r *iptables.Rule) []*iptables.Rule {
			if r.Verdict == (iptables.Return{}) {
				r.Verdict = iptables.Accept{}
			}
			return []*iptables.Rule{r}
		})
	}},
	{"the published port as it is after DNAT", func(g, _ lowered) {
		g.matches("accept web", func(m iptables.Match) iptables.Match {
			if p, ok := m.(iptables.Ports); ok {
				return iptables.Conntrack{States: ir.CTDNAT, OrigDstPort: p.Dst, Dir: ir.CTOriginal}
			}
			return m
		})
	}},
	{"the published address lost", func(g, _ lowered) { g.without("accept web", iptables.Address{}) }},
	{"the published address as the source", func(g, _ lowered) {
		change(g, "accept web", func(m *iptables.Address) { m.Dir = iptables.Src })
	}},
	{"the published port lost", func(g, _ lowered) { g.without("deny tunnel", iptables.Ports{}) }},
	{"source ports lost", func(g, _ lowered) { change(g, "accept dns", func(m *iptables.Ports) { m.Src = nil }) }},
	{"a rate lost", func(g, _ lowered) { g.without("accept dns", iptables.HashLimit{}) }},
	{"established forgotten", func(g, _ lowered) { g.each("established", drop) }},
	{"drop_invalid forgotten", func(g, _ lowered) { g.each("established drop_invalid", drop) }},
	{"clients' packets let through as replies", func(g, _ lowered) {
		change(g, "established", func(m *iptables.Conntrack) { m.Dir = ir.CTAny })
	}},
	{"default forgotten", func(g, _ lowered) { g.each("default", drop) }},
	{"negation lost", func(g, _ lowered) { change(g, "default", func(m *iptables.SetMatch) { m.Not = false }) }},
	{"drop for reject", func(g, _ lowered) {
		g.each("deny bad", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Drop{}; return []*iptables.Rule{r} })
	}},
}

func TestFaultsOfTheGuardAreProvedWrong(t *testing.T) {
	for _, install := range []string{"replace", "jump", "insert"} {
		policy := strings.ReplaceAll(guarding, "INSTALL", install)
		for _, fault := range guardFaults {
			host := compileText(t, policy).Hosts[0]
			before := fingerprint(host.Tables)
			all := lowered{host.Tables}
			fault.do(guardOf(all), all)
			if fingerprint(host.Tables) == before {
				t.Errorf("%s, %s: the fault changes nothing; mend the test", install, fault.name)
				continue
			}
			diags := emitAndVerify(t, host)
			if !refused(diags) {
				t.Errorf("%s, %s: accepted", install, fault.name)
				continue
			}
			text := diags[0].Detail
			if !strings.Contains(text, "by the policy") || !strings.Contains(text, "by the text") {
				t.Errorf("%s, %s: refused without a packet that shows it: %s", install, fault.name, text)
			}
			// What comes to INPUT leaves by no interface, and is for no container.
			if strings.Contains(text, " out ") || strings.Contains(text, "-> 172.17.") || strings.Contains(text, "-> [fd00:") {
				t.Errorf("%s, %s: no packet of INPUT: %s", install, fault.name, text)
			}
		}
	}
}

// Where all rules are for the same interfaces, the hand-over alone asks for them.
func TestAnInterfaceLostInTheHandOverIsProvedWrong(t *testing.T) {
	policy := strings.NewReplacer("INSTALL", "replace", `interfaces      = ["wg0"]`, "").Replace(guarding)
	host := compileText(t, policy).Hosts[0]
	guardOf(lowered{host.Tables}).without("input", iptables.Interface{})
	if diags := emitAndVerify(t, host); !refused(diags) {
		t.Error("accepted")
	}
}

func TestAGuardThatThePolicySwitchesOffIsProvedWrong(t *testing.T) {
	host := compileText(t, strings.ReplaceAll(guarding, "INSTALL", "replace")).Hosts[0]
	host.Policy.Host.InputGuard = false
	diags := prove(host, compiler.NewLists(nil), iptablesText(host.Files))
	if !refused(diags) {
		t.Error("accepted")
	}
}

func TestProofsAreNotSharedByHostsWhoseGuardsDiffer(t *testing.T) {
	host := compileText(t, strings.ReplaceAll(guarding, "INSTALL", "replace")).Hosts[0]
	key := func(change func(*parser.Host)) [32]byte {
		t.Helper()
		policy, h := *host.Policy, *host.Policy.Host
		change(&h)
		policy.Host = &h
		key, err := proofKey(&policy, iptablesText(host.Files))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	same := key(func(*parser.Host) {})
	if key(func(h *parser.Host) { h.InputGuard = false }) == same {
		t.Error("input_guard counts for nothing")
	}
	if key(func(h *parser.Host) { h.ProxyPorts = h.ProxyPorts[1:] }) == same {
		t.Error("proxy_ports count for nothing")
	}
	moved := key(func(h *parser.Host) {
		h.ProxyPorts = append([]parser.At[parser.ProxyPorts]{}, h.ProxyPorts...)
		h.ProxyPorts[0].Range.Start.Line += 7
	})
	if moved != same {
		t.Error("the place of proxy_ports counts")
	}
}
