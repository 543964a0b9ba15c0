package golden

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// withoutGolden are codes that no file can show: a fault of dockerfw, a failing disk, a
// policy that takes too long to analyze, and a line that only the simulated loading of
// parser/iptables refuses, whose tests have it.
var withoutGolden = []diag.Code{diag.CodeInternal, diag.CodeListRead, diag.CodeTooLarge, diag.CodeDumpLoad}

// TestBadPoliciesHaveTheirDiagnostics compiles each folder under bad, and compares its
// diagnostics, as printed, with diagnostics.txt.
func TestBadPoliciesHaveTheirDiagnostics(t *testing.T) {
	entries, err := os.ReadDir("bad")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[diag.Code]bool{}
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
				t.Fatal("the policy has no diagnostics")
			}
			for _, d := range diags {
				code := diag.InfoOf(d).Code
				seen[code] = true
				if code == 0 || code == diag.CodeInternal {
					t.Errorf("code %q: %s", code, d)
				} else if isError := code.Class().Severity == diag.SeverityError; isError != (d.Severity == hcl.DiagError) {
					t.Errorf("code %s with severity %s: %s", code, diag.Level(d), d)
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
	scripts := allScripts(t)
	for _, c := range diag.Classes() {
		if !seen[c.Code] && !strings.Contains(scripts, "["+c.Name+"]") && !slices.Contains(withoutGolden, c.Code) {
			t.Errorf("neither a bad policy nor a script has code %s", c.Name)
		}
	}
}

// allScripts is the text of the terminal sessions that test the command.
func allScripts(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("../cmd/dockerfw/testdata/script/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts (%v)", err)
	}
	var all strings.Builder
	for _, name := range names {
		all.WriteString(readOr(t, name, ""))
	}
	return all.String()
}
