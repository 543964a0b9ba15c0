package golden

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// withoutBadPolicy are a fault of dockerfw, a failing disk, and what takes too long
// to ask; a policy of that size is no example.
var withoutBadPolicy = []string{"internal", "list-read", "too-large"}

// TestBadPoliciesGetExactlyTheseDiagnostics compiles each folder under bad, and
// compares all that is printed with its diagnostics.txt.
func TestBadPoliciesGetExactlyTheseDiagnostics(t *testing.T) {
	entries, err := os.ReadDir("bad")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			dir := filepath.Join("bad", e.Name())
			result, diags := driver.Policy(dir, driver.Options{Now: today})
			if diags.HasErrors() != (result.Hosts == nil) {
				t.Errorf("errors: %t, files: %t", diags.HasErrors(), result.Hosts != nil)
			}
			if !diags.HasErrors() {
				diags = diag.Unique(append(diags, result.Lint()...))
			}
			if len(diags) == 0 {
				t.Fatal("nothing is wrong with it")
			}
			for _, d := range diags {
				code := string(diag.InfoOf(d).Code)
				seen[code] = true
				if code == "" || code == "internal" {
					t.Errorf("class %q: %s", code, d)
				}
			}
			var got bytes.Buffer
			if err := (diag.Printer{Sources: result.Sources}).Write(&got, diags); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "diagnostics.txt")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(strings.Split(readOr(t, file, ""), "\n"), strings.Split(got.String(), "\n")); diff != "" {
				t.Errorf("-golden +got:\n%s", diff)
			}
		})
	}
	if len(entries) < 40 {
		t.Errorf("%d bad policies", len(entries))
	}
	for _, code := range sourceCodes(t) {
		if !seen[code] && !slices.Contains(withoutBadPolicy, code) {
			t.Errorf("no bad policy has class %s", code)
		}
	}
}
