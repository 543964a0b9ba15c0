package golden

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkTables compares tables of docs/language.md, which are between the lines
// <!-- begin NAME --> and <!-- end -->, with those the program has; -update rewrites them.
func checkTables(t *testing.T, tables map[string]string) {
	t.Helper()
	doc := readDoc(t, languageDoc)
	for name, want := range tables {
		begin := fmt.Sprintf("<!-- begin %s -->\n", name)
		before, rest, found := strings.Cut(doc, begin)
		got, after, ended := strings.Cut(rest, "<!-- end -->\n")
		if !found || !ended {
			t.Errorf("docs/language.md has no table between %q and <!-- end -->", strings.TrimSpace(begin))
			continue
		}
		// Markdown needs an empty line between a comment and a table.
		want = "\n" + want + "\n"
		if *update {
			doc, got = before+begin+want+"<!-- end -->\n"+after, want
		}
		if diff := cmp.Diff(strings.Split(got, "\n"), strings.Split(want, "\n")); diff != "" {
			t.Errorf("docs/language.md, %s: run make golden (-docs +program):\n%s", name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(languageDoc, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
