package driver

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
)

const closedHost = `
host {
  external_interfaces = ["eth0"]
  install             = "INSTALL"
  proxy_ports         = ["53/udp"]
}
ipset "office" { entries = ["192.0.2.0/24", "2001:db8::/32"] }
ipset "partners" { entries = ["203.0.113.0/25", "2001:db8:bad::/64"] }
established { sessions = "recheck" }
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}
input {
  deny "bad" {
    source = ["203.0.113.0/24", "2001:db8:bad::/48"]
  }
  accept "ssh" {
    protocol = "tcp"
    ports    = [22, "2200-2202"]
    source   = [ipset.office]
  }
  default { allow = [ipset.partners] }
}
`

// hostFaults are faults of passes in the chains that an input block makes.
var hostFaults = []struct {
	name string
	// chain has the rules that do gets.
	chain string
	do    func(lowered)
}{
	{"the jump missing", ir.InputChain, func(l lowered) { l.onlyJumps("input", ir.HostChain, drop) }},
	{"the jump of one family missing", ir.InputChain, func(l lowered) {
		n := 0
		l.onlyJumps("input", ir.HostChain, func(r *iptables.Rule) []*iptables.Rule {
			if n++; n%2 == 0 {
				return nil
			}
			return []*iptables.Rule{r}
		})
	}},
	{"the jump on all interfaces", ir.InputChain, func(l lowered) {
		l.onlyJumps("input", ir.HostChain, func(r *iptables.Rule) []*iptables.Rule { r.Matches = nil; return []*iptables.Rule{r} })
	}},
	{"published ports not kept from it", ir.InputChain, func(l lowered) {
		l.each("input", func(r *iptables.Rule) []*iptables.Rule {
			if _, returns := r.Verdict.(iptables.Return); returns {
				return nil
			}
			return []*iptables.Rule{r}
		})
	}},
	{"published ports kept from INPUT protection", ir.InputChain, func(l lowered) { l.onlyJumps("input", ir.ProxyChain, drop) }},
	{"open connections rechecked", ir.HostChain, func(l lowered) {
		change(l, "established", func(m *iptables.Conntrack) { m.States &^= ir.CTEstablished })
	}},
	{"established missing", ir.HostChain, func(l lowered) { l.each("established", drop) }},
	{"the deny missing", ir.HostChain, func(l lowered) { l.each("deny bad", drop) }},
	{"the accept missing", ir.HostChain, func(l lowered) { l.each("accept ssh", drop) }},
	{"the default missing", ir.HostChain, func(l lowered) { l.each("default", drop) }},
	{"the port lost", ir.HostChain, func(l lowered) { l.without("accept ssh", iptables.Ports{}) }},
	{"the source lost", ir.HostChain, func(l lowered) { l.without("accept ssh", iptables.SetMatch{}) }},
	{"the default for every protocol", ir.HostChain, func(l lowered) {
		l.each("default", func(r *iptables.Rule) []*iptables.Rule {
			if _, drops := r.Verdict.(iptables.Drop); drops {
				r.Matches = slices.DeleteFunc(r.Matches, func(m iptables.Match) bool { _, is := m.(iptables.Protocol); return is })
			}
			return []*iptables.Rule{r}
		})
	}},
	{"one protocol of the default missing", ir.HostChain, func(l lowered) {
		l.each("default", func(r *iptables.Rule) []*iptables.Rule {
			if slices.Contains(r.Matches, iptables.Match(iptables.Protocol{Number: 136})) {
				return nil
			}
			return []*iptables.Rule{r}
		})
	}},
	{"DHCP clients cut off", ir.HostChain, func(l lowered) {
		l.each("default", func(r *iptables.Rule) []*iptables.Rule {
			if _, returns := r.Verdict.(iptables.Return); returns {
				return nil
			}
			return []*iptables.Rule{r}
		})
	}},
	{"accept instead of return", ir.HostChain, func(l lowered) {
		l.each("accept ssh", func(r *iptables.Rule) []*iptables.Rule { r.Verdict = iptables.Accept{}; return []*iptables.Rule{r} })
	}},
}

// onlyJumps is each for the rules that jump to a chain.
func (l lowered) onlyJumps(prefix, to string, f func(*iptables.Rule) []*iptables.Rule) {
	l.each(prefix, func(r *iptables.Rule) []*iptables.Rule {
		if r.Verdict == (iptables.Jump{Chain: to}) {
			return f(r)
		}
		return []*iptables.Rule{r}
	})
}

// inChain applies a fault to one chain of each program.
func inChain(tables *iptables.Tables, chain string, do func(lowered)) {
	only := &iptables.Tables{}
	for _, p := range tables.Programs {
		part := &iptables.Program{Family: p.Family}
		for _, c := range p.Chains {
			if c.Name == chain {
				part.Chains = append(part.Chains, c)
			}
		}
		only.Programs = append(only.Programs, part)
	}
	do(lowered{only})
}

func TestFaultsInTheInputBlockAreRefused(t *testing.T) {
	for _, install := range installs(t) {
		policy := strings.ReplaceAll(closedHost, "INSTALL", install)
		for _, fault := range hostFaults {
			for _, table := range []string{"filter", "security"} {
				if testing.Short() && table == "security" && install != "replace" {
					continue
				}
				host := compileText(t, policy).Hosts[0]
				tables, beginning := host.Tables, "the verdict on "
				if table == "security" {
					tables, beginning = fallbackOnly(host.Tables).Tables, "security table: the verdict on "
				}
				before := fingerprint(host.Tables)
				inChain(tables, fault.chain, fault.do)
				if fingerprint(host.Tables) == before {
					t.Errorf("%s, %s, %s: the fault changes nothing; fix the test", install, table, fault.name)
					continue
				}
				diags := emitAndProve(t, host)
				if !refused(diags) {
					t.Errorf("%s, %s, %s: accepted", install, table, fault.name)
					continue
				}
				text := diags[0].Detail
				if !strings.Contains(text, ": "+beginning) || !strings.Contains(text, "by the policy") || !strings.Contains(text, "by the text") || strings.Contains(text, " out ") {
					t.Errorf("%s, %s, %s: refused without an example packet in INPUT: %s", install, table, fault.name, text)
				}
			}
		}
	}
}

func TestFaultsInThePrintedInputBlockAreRefused(t *testing.T) {
	for _, install := range installs(t) {
		host := compileText(t, strings.ReplaceAll(closedHost, "INSTALL", install)).Hosts[0]
		good := iptablesText(host.Files)
		for _, fault := range []struct{ name, old, new string }{
			{"the accept after the default", `(?m)^(-A DOCKERFW-HOST .*accept ssh".*\n)(?s:(.*?))(-A DOCKERFW-HOST .*default".*\n)`, "$2$3$1"},
			{"a rule lost", `(?m)^-A DOCKERFW-HOST .*deny bad".*\n`, ""},
			{"the chain not flushed", `(?m)^:DOCKERFW-HOST .*\n`, ""},
			{"the jump first", `(?m)(?s:^(-A DOCKERFW-INPUT .*?))(^-A DOCKERFW-INPUT .*-j DOCKERFW-HOST\n)`, "$2$1"},
			{"a jump to another chain", `-j DOCKERFW-HOST`, "-j DOCKERFW-PROXY"},
			{"another port", `(DOCKERFW-HOST .*)--dport 22 `, "${1}--dport 23 "},
		} {
			broken := good
			broken.Rules = maps.Clone(good.Rules)
			broken.Rules[ir.IPv6] = regexp.MustCompile(fault.old).ReplaceAll(good.Rules[ir.IPv6], []byte(fault.new))
			if bytes.Equal(broken.Rules[ir.IPv6], good.Rules[ir.IPv6]) {
				t.Errorf("%s, %s: the fault changes nothing; fix the test", install, fault.name)
			}
			if !refused(prove(host, broken)) {
				t.Errorf("%s, %s: accepted:\n%s", install, fault.name, broken.Rules[ir.IPv6])
			}
		}
		removal := strings.SplitAfter(string(good.RulesRemoval[ir.IPv4]), "\n")
		for i, line := range removal {
			if !strings.HasPrefix(line, "-") {
				continue
			}
			text := iptablesText(host.Files)
			text.RulesRemoval[ir.IPv4] = []byte(strings.Join(slices.Delete(slices.Clone(removal), i, i+1), ""))
			if !refused(prove(host, text)) {
				t.Errorf("%s: removal without %q accepted", install, line)
			}
		}
	}
}

func TestAnInputBlockThatThePolicyDoesNotHaveIsRefused(t *testing.T) {
	host := compileText(t, strings.ReplaceAll(closedHost, "INSTALL", "replace")).Hosts[0]
	key := func(in *parser.HostInput) Key {
		policy := *host.Policy
		policy.Input = in
		return proofKey(digest(&policy), iptablesText(host.Files))
	}
	if key(nil) == key(host.Policy.Input) {
		t.Error("hosts with and without an input block share a proof")
	}
	host.Policy.Input = nil
	if !refused(prove(host, iptablesText(host.Files))) {
		t.Error("accepted")
	}
}

// Families and interfaces in which the block refuses nothing have no chain of it.
func TestAnInputBlockThatRefusesNothingMakesNoChain(t *testing.T) {
	host := compileText(t, `
host { external_interfaces = ["eth0"] }
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}
input {
  deny "bad" { source = ["203.0.113.0/24"] }
  default { action = "return" }
}
`).Hosts[0]
	rules := iptablesText(host.Files).Rules
	if !bytes.Contains(rules[ir.IPv4], []byte("-j DOCKERFW-HOST")) {
		t.Error("IPv4: no jump to the chain")
	}
	if bytes.Contains(rules[ir.IPv6], []byte(ir.HostChain)) || bytes.Contains(rules[ir.IPv6], []byte("--dport 443 -m comment --comment \"dockerfw input\" -j RETURN")) {
		t.Errorf("IPv6 has rules of the block:\n%s", rules[ir.IPv6])
	}
}
