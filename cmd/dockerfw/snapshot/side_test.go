package snapshot

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Hosts that are equal but for their labels share what they compile to. The rules of default, which the policy does not
// have, are nevertheless at the host block of each.
func TestImplicitRulesAreAtTheirOwnHostBlock(t *testing.T) {
	text := ""
	for i := range 5 {
		text += fmt.Sprintf("host \"h%d\" {\n  external_interfaces = [\"eth0\"]\n}\n", i)
	}
	path := write(t, filepath.Join(t.TempDir(), "policy.hcl"), text)
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	ofResult, diags := OfResult(path, result)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	opened, diags, err := Open(path, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	for _, fleet := range []*Fleet{ofResult, opened} {
		var got, want []int
		for i, h := range fleet.Hosts {
			key := RuleKey{"DOCKER-USER", ir.RuleID{Phase: ir.PhaseDefault}}
			if !h.Implicit[key] {
				t.Errorf("host %s: default is not implicit", h.Label)
			}
			got, want = append(got, h.Origins[key].Range.Start.Line), append(want, 1+3*i)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	}
}
