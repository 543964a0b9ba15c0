package driver

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// leads is a rule that leads to a chain.
var leads = regexp.MustCompile(`^-A (\S+) .*-[jg] (\S+)$`)

// longest returns the number of chains on the longest path in any table of a restore file.
func longest(text string) int {
	most := 0
	for table := range strings.SplitSeq(text, "COMMIT\n") {
		next := map[string][]string{}
		for line := range strings.Lines(table) {
			if m := leads.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
				next[m[1]] = append(next[m[1]], m[2])
			}
		}
		known := map[string]int{}
		var levels func(chain string) int
		levels = func(chain string) int {
			if n, ok := known[chain]; ok {
				return n
			}
			n := 0
			for _, to := range next[chain] {
				n = max(n, levels(to))
			}
			if _, isChain := next[chain]; isChain {
				n++
			}
			known[chain] = n
			return n
		}
		for chain := range next {
			most = max(most, levels(chain))
		}
	}
	return most
}

// The kernel loads at most 16 levels of nf_tables chains, and FORWARD is one
// (docs/contributing/netfilter.md, "Chains that lead to each other").
func TestFoldedChainsHaveFewLevels(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles policies of thousands of rules")
	}
	const host = "host {\n  external_interfaces = [\"eth0\"]\n  families = [\"ipv4\"]\n  install = %q\n}\n"
	rules := func(kind, name, protocol string, ports, first int) string {
		return fmt.Sprintf(`%s "%s" {
  for_each        = { for n in range(%d) : n => n }
  protocol        = "%s"
  published_ports = [%d + 2*each.value]
  source          = ["10.${floor(each.value/250)}.${each.value%%250}.0/24"]
}
`, kind, name, ports, protocol, first)
	}
	for _, c := range []struct {
		name, text string
		chains     []string // one of each folded run
	}{
		{"one run", rules("accept", "a", "tcp", 500, 1000), []string{"DOCKERFW-1-TCP"}},
		{"two protocols", rules("accept", "a", "tcp", 500, 1000) + rules("accept", "b", "udp", 500, 1000), []string{"DOCKERFW-1-TCP", "DOCKERFW-1-UDP"}},
		{"denies and accepts", rules("deny", "d", "tcp", 500, 1000) + rules("accept", "a", "tcp", 500, 1001), []string{"DOCKERFW-1-TCP", "DOCKERFW-2-TCP"}},
		{"4,000 ports", rules("accept", "a", "tcp", 1000, 1000) + rules("accept", "b", "tcp", 1000, 3000) + rules("accept", "c", "tcp", 1000, 5000) + rules("accept", "d", "tcp", 1000, 7000), []string{"DOCKERFW-1-TCP"}},
		{"with egress", rules("accept", "a", "tcp", 500, 1000) + "egress {\n" + strings.NewReplacer("published", "container", "source ", "destination ").Replace(rules("deny", "e", "tcp", 500, 1000)) + "}\n", []string{"DOCKERFW-1-TCP", "DOCKERFW-2-TCP"}},
	} {
		for _, install := range []string{"replace", "jump"} {
			t.Run(c.name+"/"+install, func(t *testing.T) {
				result, diags := Policy(policyFile(t, fmt.Sprintf(host, install)+c.text), Options{})
				if diags.HasErrors() {
					t.Fatal(diags)
				}
				for _, emitted := range result.Hosts[0].Files {
					if emitted.Name != "iptables.restore" {
						continue
					}
					file := string(emitted.Content)
					above := 1 // FORWARD or INPUT
					if install == "jump" {
						above = 2 // DOCKER-USER too
					}
					if n := above + longest(file); n > 14 {
						t.Errorf("%d levels of chains", n)
					}
					for _, chain := range c.chains {
						if !strings.Contains(file, ":"+chain+" ") {
							t.Errorf("no chain %s", chain)
						}
					}
				}
			})
		}
	}
}
