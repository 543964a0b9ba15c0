package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// The proof compares folded rules with the policy as it does all others.
func TestFoldedRandomPoliciesAreProved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.hcl")
	chains, sets, compiled := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := randompolicy.Many(t)
		many := rapid.IntRange(0, 3).Draw(t, "many rules") > 0
		if !many {
			text = randompolicy.Text(t)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, diags := Policy(path, Options{Fold: iptables.Options{FoldAbove: rapid.IntRange(1, 12).Draw(t, "above")}})
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
				}
			}
			for _, s := range h.Tables.Sets {
				if s.Rules != nil {
					sets++
				}
			}
		}
	})
	t.Logf("%d policies compiled, with %d chains of folded rules and %d sets of merged rules", compiled, chains, sets)
	if chains < 20 || sets < 20 {
		t.Error("hardly anything was folded")
	}
}

// manyAccepts returns a policy of 10,000 accepts for 500 ports, whose sources are addresses or sets.
func manyAccepts(sets bool, verdict string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "host {\n  external_interfaces = [\"eth0\"]\n  verdict = %q\n}\n", verdict)
	for i := range 20 {
		fmt.Fprintf(&b, "ipset \"s%d\" {\n  entries = [\"192.0.%d.0/24\"]\n}\n", i, i)
	}
	for i := range 10_000 {
		source := fmt.Sprintf("%q", fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
		if sets {
			source = fmt.Sprintf("ipset.s%d", i/500)
		}
		fmt.Fprintf(&b, "accept \"r%d\" {\n  protocol        = \"tcp\"\n  published_ports = [%d]\n  source          = [%s]\n}\n", i, 10_000+7*(i%500), source)
	}
	return b.String()
}
