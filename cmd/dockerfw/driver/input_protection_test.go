package driver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
)

// protecting is a policy whose INPUT protection has rules of every kind.
const protecting = `
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

// inputChains returns only the chains of INPUT protection.
func inputChains(l lowered) lowered {
	out := &iptables.Tables{}
	for _, p := range l.Programs {
		program := &iptables.Program{Family: p.Family}
		for _, c := range p.Chains {
			if c.Name == ir.InputChain || c.Name == ir.ProxyChain {
				program.Chains = append(program.Chains, c)
			}
		}
		out.Programs = append(out.Programs, program)
	}
	return lowered{out}
}

// jump replaces the jump to INPUT protection for the ports that start with first.
func (l lowered) jump(first uint16, f func(*iptables.Rule) []*iptables.Rule) {
	l.each("input", func(r *iptables.Rule) []*iptables.Rule {
		for _, m := range r.Matches {
			if p, ok := m.(iptables.Ports); ok && p.Dst.First == first {
				return f(r)
			}
		}
		return []*iptables.Rule{r}
	})
}

// inputFaults are faults that a pass could have in INPUT protection. in are its chains, all
// the chains of the host.
var inputFaults = []struct {
	name string
	do   func(in, all lowered)
}{
	{"a protected port missing", func(in, _ lowered) { in.jump(8443, drop) }},
	{"proxy_ports missing", func(in, _ lowered) { in.jump(8000, drop) }},
	{"a protected range without its end", func(in, _ lowered) {
		change(in, "input", func(m *iptables.Ports) { m.Dst = &ir.PortRange{First: m.Dst.First, Last: m.Dst.First} })
	}},
	{"the wrong protocol in a jump", func(in, _ lowered) {
		in.jump(5353, func(r *iptables.Rule) []*iptables.Rule {
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
	{"a jump for ssh", func(in, _ lowered) {
		in.jump(443, func(r *iptables.Rule) []*iptables.Rule {
			ssh := *r
			ssh.Matches = []iptables.Match{r.Matches[0], r.Matches[1], iptables.Ports{Protocol: parser.TCP, Dst: &ir.PortRange{First: 22, Last: 22}}}
			return []*iptables.Rule{r, &ssh}
		})
	}},
	{"a jump for all ports", func(in, _ lowered) { in.without("input", iptables.Ports{}) }},
	{"the wrong interface in a jump", func(in, _ lowered) {
		change(in, "input", func(m *iptables.Interface) { m.Name = strings.Replace(m.Name, "wg", "tun", 1) })
	}},
	{"return instead of a jump", func(in, _ lowered) {
		in.each("input", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Return{}; return []*iptables.Rule{r} })
	}},
	{"one family without INPUT protection", func(_, all lowered) {
		p := all.Programs[1]
		p.Chains = p.Chains[:len(p.Chains)-2]
	}},
	{"an accept for a container", func(in, _ lowered) {
		in.each("accept web", func(r *iptables.Rule) []*iptables.Rule {
			inner := *r
			inner.Origin.Name = "inner"
			inner.Matches = []iptables.Match{iptables.Protocol{Number: parser.TCP}, iptables.Ports{Protocol: parser.TCP, Dst: &ir.PortRange{First: 8443, Last: 8443}}}
			return []*iptables.Rule{r, &inner}
		})
	}},
	{"a deny for a container missing", func(in, _ lowered) { in.each("deny db", drop) }},
	{"a deny with the address of the container", func(in, _ lowered) {
		in.each("deny db", func(r *iptables.Rule) []*iptables.Rule {
			r.Matches = append([]iptables.Match{iptables.Address{Dir: iptables.Dst, Prefix: netip.MustParsePrefix("172.17.0.0/16")}}, r.Matches...)
			if r.Matches[1] == (iptables.Address{Dir: iptables.Src, Not: true, Prefix: netip.MustParsePrefix("192.0.2.1/32")}) {
				r.Matches[0], r.Matches[1] = r.Matches[1], r.Matches[0]
				return []*iptables.Rule{r}
			}
			return nil // the address is not of the other family
		})
	}},
	{"a deny with the interface of the container lost", func(in, _ lowered) { in.without("deny tunnel", iptables.Interface{}) }},
	{"a deny after all other rules", func(in, _ lowered) {
		for _, p := range in.Programs {
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
	{"accept instead of return", func(in, _ lowered) {
		in.each("accept web", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Accept{}; return []*iptables.Rule{r} })
	}},
	{"replies accepted", func(in, _ lowered) {
		in.each("established", func(r *iptables.Rule) []*iptables.Rule {
			if r.Verdict == (iptables.Return{}) {
				r.Verdict = iptables.Accept{}
			}
			return []*iptables.Rule{r}
		})
	}},
	{"the published port as after DNAT", func(in, _ lowered) {
		in.matches("accept web", func(m iptables.Match) iptables.Match {
			if p, ok := m.(iptables.Ports); ok {
				return iptables.Conntrack{States: ir.CTDNAT, OrigDstPort: p.Dst, Dir: ir.CTOriginal}
			}
			return m
		})
	}},
	{"the published address lost", func(in, _ lowered) { in.without("accept web", iptables.Address{}) }},
	{"the published address as the source", func(in, _ lowered) {
		change(in, "accept web", func(m *iptables.Address) { m.Dir = iptables.Src })
	}},
	{"the published port lost", func(in, _ lowered) { in.without("deny tunnel", iptables.Ports{}) }},
	{"source ports lost", func(in, _ lowered) { change(in, "accept dns", func(m *iptables.Ports) { m.Src = nil }) }},
	{"a rate lost", func(in, _ lowered) { in.without("accept dns", iptables.HashLimit{}) }},
	{"established missing", func(in, _ lowered) { in.each("established", drop) }},
	{"drop_invalid missing", func(in, _ lowered) { in.each("established drop_invalid", drop) }},
	{"clients' packets passed as replies", func(in, _ lowered) {
		change(in, "established", func(m *iptables.Conntrack) { m.Dir = ir.CTAny })
	}},
	{"default missing", func(in, _ lowered) { in.each("default", drop) }},
	{"negation lost", func(in, _ lowered) { change(in, "default", func(m *iptables.SetMatch) { m.Not = false }) }},
	{"drop instead of reject", func(in, _ lowered) {
		in.each("deny bad", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Drop{}; return []*iptables.Rule{r} })
	}},
}

func TestFaultsInINPUTProtectionAreRefused(t *testing.T) {
	for _, install := range installs(t) {
		policy := strings.ReplaceAll(protecting, "INSTALL", install)
		for _, fault := range inputFaults {
			host := compileText(t, policy).Hosts[0]
			before := fingerprint(host.Tables)
			all := lowered{host.Tables}
			fault.do(inputChains(all), all)
			if fingerprint(host.Tables) == before {
				t.Errorf("%s, %s: the fault changes nothing; fix the test", install, fault.name)
				continue
			}
			diags := emitAndProve(t, host)
			if !refused(diags) {
				t.Errorf("%s, %s: accepted", install, fault.name)
				continue
			}
			text := diags[0].Detail
			if !strings.Contains(text, "by the policy") || !strings.Contains(text, "by the text") {
				t.Errorf("%s, %s: refused without an example packet: %s", install, fault.name, text)
			}
			// A packet in INPUT has no outgoing interface, and no container's address.
			if strings.Contains(text, " out ") || strings.Contains(text, "-> 172.17.") || strings.Contains(text, "-> [fd00:") {
				t.Errorf("%s, %s: not a packet in INPUT: %s", install, fault.name, text)
			}
		}
	}
}

// If all rules are for the same interfaces, only the jump matches them.
func TestAnInterfaceLostInTheJumpIsRefused(t *testing.T) {
	policy := strings.NewReplacer("INSTALL", "replace", `interfaces      = ["wg0"]`, "").Replace(protecting)
	host := compileText(t, policy).Hosts[0]
	inputChains(lowered{host.Tables}).without("input", iptables.Interface{})
	if diags := emitAndProve(t, host); !refused(diags) {
		t.Error("accepted")
	}
}

func TestINPUTProtectionThatThePolicyDisablesIsRefused(t *testing.T) {
	host := compileText(t, strings.ReplaceAll(protecting, "INSTALL", "replace")).Hosts[0]
	host.Policy.Host.InputGuard = false
	diags := prove(host, iptablesText(host.Files))
	if !refused(diags) {
		t.Error("accepted")
	}
}

func TestHostsWithDifferentINPUTProtectionShareNoProof(t *testing.T) {
	host := compileText(t, strings.ReplaceAll(protecting, "INSTALL", "replace")).Hosts[0]
	key := func(change func(*parser.Host)) Key {
		t.Helper()
		policy, h := *host.Policy, *host.Policy.Host
		change(&h)
		policy.Host = &h
		return proofKey(digest(&policy), iptablesText(host.Files))
	}
	same := key(func(*parser.Host) {})
	if key(func(h *parser.Host) { h.InputGuard = false }) == same {
		t.Error("the key does not depend on input_guard")
	}
	if key(func(h *parser.Host) { h.ProxyPorts = h.ProxyPorts[1:] }) == same {
		t.Error("the key does not depend on proxy_ports")
	}
	moved := key(func(h *parser.Host) {
		h.ProxyPorts = append([]parser.At[parser.ProxyPorts]{}, h.ProxyPorts...)
		h.ProxyPorts[0].Range.Start.Line += 7
	})
	if moved != same {
		t.Error("the key depends on the position of proxy_ports")
	}
}
