package driver

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/parser"
)

// Recording where values were written may change the positions of errors, but not the
// errors.
func TestErrorsAreTheSameWithAndWithoutOrigins(t *testing.T) {
	policies, err := filepath.Glob("../../../golden/bad/*/policy.hcl")
	if err != nil || len(policies) < 40 {
		t.Fatalf("%d bad policies, %v", len(policies), err)
	}
	mutants, want := 4, 200 // mutants of each policy, errors of all
	if testing.Short() {
		mutants, want = 1, 100
		t.Log("-short: one mutant of each policy instead of 4, and none of golden/bad/budget, which takes longest")
	}
	random := rand.New(rand.NewPCG(14, 22))
	errors := 0
	for _, name := range policies {
		if testing.Short() && filepath.Base(filepath.Dir(name)) == "budget" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		errors += sameErrors(t, string(text))
		for range mutants {
			// Copying a part of the text elsewhere gives values of the wrong type, references in
			// cycles and nested blocks.
			from, at := random.IntN(len(text)), random.IntN(len(text))
			part := text[from:min(len(text), from+random.IntN(24))]
			errors += sameErrors(t, string(text[:at])+string(part)+string(text[min(len(text), at+random.IntN(24)):]))
		}
	}
	if errors < want {
		t.Errorf("only %d errors were compared", errors)
	}
}

func sameErrors(t *testing.T, text string) int {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	source, diags := parser.Load(file, parser.Inputs{}, false)
	if !source.Evaluable() {
		return 0
	}
	defer source.Close()
	broken := diags.HasErrors()
	c := &compilation{lists: compiler.NewLists(source.Dir)}
	count := 0
	for _, host := range source.Hosts() {
		policy, diags := source.Evaluate(host, time.Time{})
		_, plain := c.compile(policy, diags, broken)
		policy, origins, diags := source.EvaluateOrigins(host, time.Time{})
		_, traced := c.compile(policy, diags, broken)
		if diff := cmp.Diff(summaries(plain), summaries(origins.Explain(traced))); diff != "" {
			t.Fatalf("host %q of\n%s\n-plain +traced:\n%s", host, text, diff)
		}
		for _, d := range origins.Explain(traced) {
			if r := d.Subject; r != nil && r.Filename == file && (r.Start.Byte > r.End.Byte || r.End.Byte > len(text)) {
				t.Fatalf("%v is not in\n%s", d, text)
			}
		}
		count += len(plain)
	}
	return count
}

func summaries(diags hcl.Diagnostics) []string {
	out := []string{}
	for _, d := range diags {
		out = append(out, d.Summary)
	}
	slices.Sort(out)
	return out
}
