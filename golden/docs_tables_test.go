package golden

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// eachBlock calls f for each block of the language with the type of the block around it.
func eachBlock(f func(outer string, b *parser.Block)) {
	var visit func(outer *parser.Block)
	visit = func(outer *parser.Block) {
		for _, b := range outer.Blocks {
			f(outer.Type, b)
			visit(b)
		}
	}
	visit(parser.Schema())
}

// schemaTables are the tables of docs/language.md that list blocks and attributes.
func schemaTables() map[string]string {
	out := map[string]string{"blocks: policy": blockTable(parser.Schema(), true)}
	eachBlock(func(_ string, b *parser.Block) {
		if len(b.Attributes) > 0 {
			out["attributes: "+b.Type] = attributeTable(b)
		}
		if b.Type == "deny" {
			out["blocks: "+b.Type] = blockTable(b, false)
		}
	})
	// They have the same attributes.
	delete(out, "attributes: accept")
	return out
}

func attributeTable(b *parser.Block) string {
	defaults := slices.ContainsFunc(b.Attributes, func(a parser.Attribute) bool { return a.DefaultMarkdown() != "" })
	out := "| attribute | type | default | meaning |\n|---|---|---|---|\n"
	if !defaults {
		out = strings.ReplaceAll(strings.ReplaceAll(out, " default |", ""), "---|---|---|---", "---|---|---")
	}
	for _, a := range b.Attributes {
		out += fmt.Sprintf("| `%s` | %s |", a.Name, a.Type)
		if defaults {
			out += fmt.Sprintf(" %s |", a.DefaultMarkdown())
		}
		out += fmt.Sprintf(" %s |\n", a.Meaning)
	}
	return out
}

func blockTable(b *parser.Block, often bool) string {
	out := "| block | meaning |\n|---|---|\n"
	if often {
		out = "| block | how often | meaning |\n|---|---|---|\n"
	}
	for _, inner := range b.Blocks {
		name, count := inner.Type, "one"
		switch {
		case inner.Label == parser.OptionalLabel:
			count = "one, or several with a label each"
		case inner.Many:
			count = "any number"
		}
		if inner.Label == parser.NameLabel {
			name += ` "NAME"`
		}
		out += fmt.Sprintf("| `%s` |", name)
		if often {
			out += fmt.Sprintf(" %s |", count)
		}
		out += fmt.Sprintf(" %s |\n", inner.Meaning)
	}
	return out
}

func TestTheDocsListEveryBlockAndAttribute(t *testing.T) {
	checkTables(t, schemaTables())
}

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

// classTables are the tables of docs/language.md that list the diagnostic codes.
func classTables() map[string]string {
	out := map[string]string{}
	for _, c := range diag.Classes() {
		name := "codes: warnings"
		switch {
		case c.Published:
			name = "codes: published"
		case c.Severity == diag.SeverityError:
			name = "codes: errors"
		case c.OnlyCheck:
			name = "codes: check"
		}
		if out[name] == "" {
			out[name] = "| class | meaning | example |\n|---|---|---|\n"
		}
		out[name] += fmt.Sprintf("| `%s` | %s | %s |\n", c.Name, c.Meaning, c.Example)
	}
	return out
}

func TestTheDocsListEveryDiagnosticCode(t *testing.T) {
	checkTables(t, classTables())
}
