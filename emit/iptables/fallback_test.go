package iptables_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

// fallbackVerdict returns the verdict of the fallback rules on p, which begin in a chain: ""
// leaves it to foreign rules of the security table.
func fallbackVerdict(rs *iptables.Tables, start string, p packet) string {
	for _, program := range rs.Programs {
		has := slices.ContainsFunc(program.Fallback, func(c *iptables.Chain) bool { return c.Name == start })
		if (program.Family == ir.IPv6) == p.src.Is6() && has {
			verdict, logged := chainVerdict(rs, program.Fallback, start, p)
			if logged {
				verdict += "+log"
			}
			return verdict
		}
	}
	return ""
}

// The fallback rules drop exactly the packets that the rules of the filter table drop or
// reject while no limit is reached, whether or not limits are reached, and never log or
// accept.
func TestFallbackRulesRefuseWhatTheRulesRefuse(t *testing.T) {
	for _, path := range []struct {
		name, start string
		verdict     func(*iptables.Tables, packet) string
		tables      []packetTable
		// atLeast are the numbers of packets that must have been dropped, passed and above a limit.
		atLeast [3]int
	}{
		{"forwarded", iptables.FallbackChain, forwardVerdict, packetTables, [3]int{20, 20, 5}},
		{"to the host", ir.InputChain, inputVerdict, slices.Concat(packetTables, protectionTables), [3]int{20, 20, 5}},
	} {
		dropped, passed, above := 0, 0, 0
		for _, table := range path.tables {
			rs := table.compile(t)
			for line := range strings.Lines(table.packets) {
				line = strings.TrimSpace(line)
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				text, _ := splitVerdict(line)
				p := parsePacket(t, text)
				if path.start == ir.InputChain {
					p.out = ""
				}
				got := fallbackVerdict(rs, path.start, p)
				if p.overRate || p.overNumber {
					above++
				}
				p.overRate, p.overNumber = false, false
				want := ""
				if v := path.verdict(rs, p); strings.HasPrefix(v, "drop") || strings.HasPrefix(v, "reject") {
					want = "drop"
					dropped++
				} else {
					passed++
				}
				if got != want {
					t.Errorf("%s: %s, %s: the fallback rules say %q, want %q", table.name, text, path.name, got, want)
				}
			}
		}
		if dropped < path.atLeast[0] || passed < path.atLeast[1] || above < path.atLeast[2] {
			t.Errorf("%s: only %d dropped, %d passed and %d above a limit", path.name, dropped, passed, above)
		}
	}
}

func TestFallbackChains(t *testing.T) {
	const deny = "deny \"one\" { source = [\"192.0.2.66\"] }\n"
	host := func(attributes string) string {
		return "host {\n external_interfaces = [\"eth0\"]\n" + attributes + "\n}\n"
	}
	for _, c := range []struct {
		name, policy string
		// v4 and v6 are the chains of each family with their numbers of rules.
		v4, v6 string
	}{
		{"replace", host("") + "default {}", "DOCKERFW 2", "DOCKERFW 2"},
		{"jump", host("install = \"jump\"") + "default {}", "DOCKERFW 2", "DOCKERFW 2"},
		{"insert", host("install = \"insert\"") + "default {}", "DOCKERFW 2", "DOCKERFW 2"},
		{"chain DOCKER", host("chain = \"DOCKER\"\n install = \"insert\"") + "default {}", "", ""},
		{"chain DOCKER and INPUT protection", host("chain = \"DOCKER\"\n install = \"insert\"\n proxy_ports = [80]") + "default {}", "DOCKERFW-INPUT 1, DOCKERFW-PROXY 2", "DOCKERFW-INPUT 1, DOCKERFW-PROXY 2"},
		{"nothing is refused", host("") + "default { action = \"return\" }", "", ""},
		{"one family refuses", host("") + deny + "default { action = \"return\" }", "DOCKERFW 2", ""},
		{"only what is above a limit is refused", host("") + "deny \"fast\" {\n rate { limit = \"1/second\" }\n}\ndefault { action = \"return\" }", "", ""},
		{"egress", host("container_interfaces = [\"docker0\"]") + "default {}\negress {\n deny \"lan\" { destination = [\"10.0.0.0/8\"] }\n}", "DOCKERFW 3, DOCKERFW-EGRESS 2", "DOCKERFW 3, DOCKERFW-EGRESS 1"},
		{"INPUT protection", host("proxy_ports = [80]") + "default {}", "DOCKERFW 2, DOCKERFW-INPUT 1, DOCKERFW-PROXY 2", "DOCKERFW 2, DOCKERFW-INPUT 1, DOCKERFW-PROXY 2"},
		{"INPUT protection and an input block", host("proxy_ports = [80]") + "default {}\ninput {}", "DOCKERFW 2, DOCKERFW-INPUT 3, DOCKERFW-PROXY 2, DOCKERFW-HOST 7", "DOCKERFW 2, DOCKERFW-INPUT 3, DOCKERFW-PROXY 2, DOCKERFW-HOST 7"},
		{"only an input block refuses", host("") + "default { action = \"return\" }\ninput {}", "DOCKERFW-INPUT 1, DOCKERFW-HOST 7", "DOCKERFW-INPUT 1, DOCKERFW-HOST 7"},
		{"INPUT refuses only what is above a limit", host("") + "default { action = \"return\" }\ninput {\n deny \"fast\" {\n rate { limit = \"1/second\" }\n}\ndefault { action = \"return\" }\n}", "", ""},
		{"logs", host("") + "deny \"one\" {\n source = [\"192.0.2.66\"]\n log {}\n}\ndefault { action = \"return\" }", "DOCKERFW 2", ""},
	} {
		rs, diags := compile(t, c.policy)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", c.name, diags)
		}
		for i, want := range []string{c.v4, c.v6} {
			var chains []string
			for _, chain := range rs.Programs[i].Fallback {
				chains = append(chains, chain.Name+" "+string(rune('0'+len(chain.Rules))))
			}
			if got := strings.Join(chains, ", "); got != want {
				t.Errorf("%s: %s has the fallback chains %q, want %q", c.name, rs.Programs[i].Family, got, want)
			}
		}
	}
}
