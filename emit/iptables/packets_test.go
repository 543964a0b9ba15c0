package iptables_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
)

// compile returns the tables of a policy's first host.
func compile(t testing.TB, text string) (*iptables.Tables, hcl.Diagnostics) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	source, diags := parser.Load(path, parser.Inputs{}, false)
	if diags.HasErrors() {
		return nil, diags
	}
	defer source.Close()
	policy, more := source.Evaluate(source.Hosts()[0], time.Time{})
	diags = append(diags, more...)
	if diags.HasErrors() {
		return nil, diags
	}
	ruleset, more := compiler.Compile(policy, compiler.NewLists(source.Dir))
	if diags = append(diags, more...); ruleset == nil {
		return nil, diags
	}
	tables, more := iptables.Legalize(ruleset, iptables.Options{})
	return tables, append(diags, more...)
}

const hostEth0 = `
host {
  external_interfaces = ["eth0"]
}
`

// packetTable is a policy with packets and the expected verdict for each.
type packetTable struct{ name, policy, packets string }

// packetTables are the tables of all topics. Those without a host block get hostEth0.
var packetTables = slices.Concat(phaseTables, portTables, addressTables, interfaceTables, protocolTables, limitTables)

func TestPackets(t *testing.T) {
	testTables(t, packetTables, forwardVerdict)
}

// compile returns the tables of the policy, with hostEth0 if it has no host block.
func (table packetTable) compile(t *testing.T) *iptables.Tables {
	t.Helper()
	policy := table.policy
	if !strings.Contains(policy, "host {") {
		policy = hostEth0 + policy
	}
	rs, diags := compile(t, policy)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", table.name, diags)
	}
	return rs
}

func testTables(t *testing.T, tables []packetTable, verdictOf func(*iptables.Tables, packet) string) {
	for _, table := range tables {
		t.Run(table.name, func(t *testing.T) {
			rs := table.compile(t)
			tested := 0
			for line := range strings.Lines(table.packets) {
				line = strings.TrimSpace(line)
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				text, want := splitVerdict(line)
				if got := verdictOf(rs, parsePacket(t, text)); got != want {
					t.Errorf("%s\n got %s\nwant %s", text, got, want)
				}
				tested++
			}
			if tested == 0 {
				t.Error("no packets")
			}
		})
	}
}

// splitVerdict splits a line into the packet and the verdict at its end.
func splitVerdict(line string) (packet, verdict string) {
	words := strings.Fields(line)
	n := len(words) - 1
	if words[n-1] == "reject" {
		n--
	}
	return strings.Join(words[:n], " "), strings.Join(words[n:], " ")
}

// Compiled rules keep the order of phases, and each has at most one -s, -d, -i, -o and -p,
// in this order and before all match extensions, as iptables requires.
func TestCompiledPoliciesKeepTheOrder(t *testing.T) {
	for _, table := range slices.Concat(packetTables, protectionTables) {
		for _, p := range table.compile(t).Programs {
			for _, c := range p.Chains {
				var ids []ir.RuleID
				for _, r := range c.Rules {
					ids = append(ids, r.ID)
				}
				if err := ir.CheckOrder(ids); err != nil {
					t.Errorf("%s: chain %s: %v", table.name, c.Name, err)
				}
				for _, r := range c.Rules {
					if ranks := baseRanks(r); !slices.IsSorted(ranks) || len(slices.Compact(ranks)) != len(baseRanks(r)) {
						t.Errorf("%s: %q has matches %v", table.name, r.ID.Comment(), r.Matches)
					}
				}
			}
		}
	}
}

// baseRanks returns the canonical position of each match: 0 to 4 for the options that a rule
// can have once, increasing numbers for match extensions, which may repeat.
func baseRanks(r *iptables.Rule) []int {
	var out []int
	for i, m := range r.Matches {
		switch m := m.(type) {
		case iptables.Address:
			out = append(out, int(m.Dir))
		case iptables.Interface:
			out = append(out, 2+int(m.Dir))
		case iptables.Protocol:
			out = append(out, 4)
		default:
			out = append(out, 5+i)
		}
	}
	return out
}
