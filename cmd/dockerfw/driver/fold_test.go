package driver

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab/policies"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// The proof compares folded rules with the policy as it does all others.
func TestFoldedRandomPoliciesAreProved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.hcl")
	chains, calls, sets, compiled := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := randompolicy.Many(t)
		many := rapid.IntRange(0, 3).Draw(t, "many rules") > 0
		if !many {
			text = randompolicy.Text(t)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, diags := Policy(path, Options{Fold: iptables.Options{FoldAbove: rapid.IntRange(1, 12).Draw(t, "above"), MaxLevels: rapid.IntRange(3, 14).Draw(t, "levels")}})
		for _, d := range diags {
			if code := diag.InfoOf(d).Code; code == diag.CodeInternal || many && d.Severity == hcl.DiagError {
				t.Fatalf("%s\n%s", d, text)
			}
		}
		for _, h := range result.Hosts {
			compiled++
			for _, p := range h.Tables.Programs {
				for _, c := range p.Chains {
					if c.Protocol != 0 {
						chains++
					}
					for _, r := range c.Rules {
						if _, jumps := r.Verdict.(iptables.Jump); jumps && r.ID.Phase == ir.PhaseDeny {
							calls++
						}
					}
				}
			}
			for _, s := range h.Tables.Sets {
				if s.Rules != nil {
					sets++
				}
			}
		}
	})
	t.Logf("%d policies compiled, with %d chains of folded rules, %d calls of denies and %d sets of merged rules", compiled, chains, calls, sets)
	// With -short rapid tries a fifth of the cases.
	if chains < 20 || calls == 0 || sets == 0 {
		t.Error("hardly anything was folded")
	}
}

// A packet for a published port meets one rule on each level of the search, and the rules of its
// port.
func TestAPacketMeetsFewOfTenThousandRules(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles two policies of 10,000 rules")
	}
	for _, c := range []struct {
		name  string
		sets  bool
		most  int
		lines int // of the chains, without INPUT protection
	}{
		{"clients with addresses", false, 20, 900},
		{"clients with sets", true, 40, 12000},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := policyFile(t, policies.ManyAccepts("udp", c.sets))
			result, diags := Policy(path, Options{})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			tables := result.Hosts[0].Tables
			lines := 0
			for _, chain := range tables.Programs[0].Chains {
				if chain.Scope == ir.ScopeForward {
					lines += len(chain.Rules)
				}
			}
			loaded, more := iptables.ReadBack(tables, iptablesText(result.Hosts[0].Files))
			if more.HasErrors() {
				t.Fatal(more)
			}
			program := netfilter.Program(loaded.Filter[ir.IPv4].Reachable("DOCKER-USER"), ir.IPv4, "DOCKER-USER", netfilter.NewSets(loaded.Sets, nil))
			most, accepted := 0, 0
			for i := range 500 {
				for _, source := range []string{fmt.Sprintf("10.0.%d.%d", (i+9500)>>8, (i+9500)&255), "192.0.19.1", "198.51.100.2", "203.0.113.1"} {
					p := packet.Packet{
						Family: ir.IPv4, In: "eth0", Out: "docker0", Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr("172.17.0.2"),
						Protocol: 17, SourcePort: 40000, DestinationPort: 80, State: ir.CTNew, Direction: ir.CTOriginal, DNAT: true,
						OriginalDestination: netip.MustParseAddr("198.51.100.1"), OriginalPort: uint16(policies.ManyAcceptsPort(i)),
					}
					p.Complete()
					d := program.Decide(p)
					if d.Verdict.Kind == packet.Accept {
						accepted++
					}
					most = max(most, len(d.Steps))
				}
			}
			t.Logf("at most %d rules met of %d", most, lines)
			if most > c.most || lines > c.lines {
				t.Errorf("a packet meets %d rules of %d; want at most %d of %d", most, lines, c.most, c.lines)
			}
			if accepted != 500 {
				t.Errorf("%d packets are accepted, not one for each port", accepted)
			}
		})
	}
}
