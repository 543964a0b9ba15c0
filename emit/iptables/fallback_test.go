package iptables_test

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

// fallbackVerdict returns the verdict of the fallback rules on p: "" leaves it to foreign rules
// of the security table.
func fallbackVerdict(rs *iptables.Tables, p packet) string {
	for _, program := range rs.Programs {
		if (program.Family == ir.IPv6) == p.src.Is6() && len(program.Fallback) > 0 {
			verdict, logged := chainVerdict(rs, program.Fallback, iptables.FallbackChain, p)
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
	dropped, passed, above := 0, 0, 0
	for _, table := range packetTables {
		rs := table.compile(t)
		for line := range strings.Lines(table.packets) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			text, _ := splitVerdict(line)
			p := parsePacket(t, text)
			got := fallbackVerdict(rs, p)
			if p.overRate || p.overNumber {
				above++
			}
			p.overRate, p.overNumber = false, false
			want := ""
			if v := forwardVerdict(rs, p); strings.HasPrefix(v, "drop") || strings.HasPrefix(v, "reject") {
				want = "drop"
				dropped++
			} else {
				passed++
			}
			if got != want {
				t.Errorf("%s: %s: the fallback rules say %q, want %q", table.name, text, got, want)
			}
		}
	}
	if dropped < 20 || passed < 20 || above < 5 {
		t.Errorf("only %d dropped, %d passed and %d above a limit", dropped, passed, above)
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
		{"nothing is refused", host("") + "default { action = \"return\" }", "", ""},
		{"one family refuses", host("") + deny + "default { action = \"return\" }", "DOCKERFW 2", ""},
		{"only what is above a limit is refused", host("") + "deny \"fast\" {\n rate { limit = \"1/second\" }\n}\ndefault { action = \"return\" }", "", ""},
		{"egress", host("container_interfaces = [\"docker0\"]") + "default {}\negress {\n deny \"lan\" { destination = [\"10.0.0.0/8\"] }\n}", "DOCKERFW 3, DOCKERFW-EGRESS 2", "DOCKERFW 3, DOCKERFW-EGRESS 1"},
		{"INPUT protection", host("proxy_ports = [80]") + "default {}", "DOCKERFW 2", "DOCKERFW 2"},
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
