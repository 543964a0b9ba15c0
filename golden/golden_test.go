package golden

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// today is the date of all compilations here.
var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

const (
	examplesDir = "../examples"
	// goldenDir has a folder for each example, with the files that it compiles to.
	goldenDir = "examples"
)

// expectedWarnings are the warnings that an example demonstrates.
var expectedWarnings = map[string][]diag.Code{"tutorial-insert": {diag.CodeChainDocker, diag.CodeProxyOpen}}

// examples returns the names of the example policies.
func examples(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(examplesDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "ci" { // for CI systems, without a policy
			names = append(names, e.Name())
		}
	}
	return names
}

func exampleFolder(t *testing.T, name string) folder.Contents {
	t.Helper()
	result, diags := driver.Policy(filepath.Join(examplesDir, name), driver.Options{Now: today})
	if !diags.HasErrors() {
		diags = append(diags, result.Lint()...)
	}
	for _, d := range diags {
		if diag.Level(d) != "note" && (d.Severity == hcl.DiagError || !slices.Contains(expectedWarnings[name], diag.InfoOf(d).Code)) {
			t.Errorf("an example must have no errors and no warnings: %s", d)
		}
	}
	results, err := result.Test()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Passed() {
			t.Errorf("test %q of the example: %s by %s: %s", r.Test.Name.Value, r.Got, r.By, r.Packet)
		}
	}
	return result.Folder()
}

func readOr(t *testing.T, path, fallback string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return fallback
	} else if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExamplesCompileToTheirGoldens(t *testing.T) {
	for _, name := range examples(t) {
		t.Run(name, func(t *testing.T) {
			got := exampleFolder(t, name)
			if again := exampleFolder(t, name); !maps.EqualFunc(got, again, bytes.Equal) {
				t.Error("two compilations have different bytes")
			}
			dir := filepath.Join(goldenDir, name)
			if *update {
				if _, err := got.Write(dir); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(texts(filesIn(t, dir)), texts(got)); diff != "" {
				t.Errorf("compiled files differ (-golden +compiled); if this is intended, run make golden and read its diff:\n%s", diff)
			}
		})
	}
}

// filesIn returns the files below a directory.
func filesIn(t *testing.T, dir string) folder.Contents {
	t.Helper()
	out := folder.Contents{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[rel], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func texts(f folder.Contents) map[string]string {
	out := map[string]string{}
	for path, content := range f {
		out[path] = string(content)
	}
	return out
}

func TestEachGoldenHasAnExample(t *testing.T) {
	names := examples(t)
	entries, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			t.Errorf("golden/examples/%s: there is no policy of that name in examples", e.Name())
		}
	}
}

func TestEachExampleIsFormattedAndHasALineInTheReadme(t *testing.T) {
	readme := readOr(t, filepath.Join(examplesDir, "README.md"), "")
	for _, name := range examples(t) {
		if !strings.Contains(readme, "("+name+"/") {
			t.Errorf("examples/README.md has no line for %s", name)
		}
		files, err := filepath.Glob(filepath.Join(examplesDir, name, "*.hcl"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text := readOr(t, file, "")
			formatted, diags := parser.Format([]byte(text), file)
			if diags.HasErrors() || string(formatted) != text {
				t.Errorf("%s is not formatted; run dockerfw fmt -w", file)
			}
		}
	}
}

// With every attribute in an example, the goldens and the tests that load them into a kernel
// cover the whole language.
func TestOneExampleUsesEveryAttribute(t *testing.T) {
	path := filepath.Join(examplesDir, "every-attribute", "policy.hcl")
	file, diags := hclsyntax.ParseConfig([]byte(readOr(t, path, "")), path, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	// Denies and accepts have the same attributes, and either of them may show one.
	kindOf := func(block string) string {
		if block == "accept" {
			return "deny"
		}
		return block
	}
	used := map[string]bool{}
	var visit func(block string, b *hclsyntax.Body)
	visit = func(block string, b *hclsyntax.Body) {
		for name := range b.Attributes {
			used[kindOf(block)+"."+name] = true
		}
		for _, inner := range b.Blocks {
			used[kindOf(block)+"/"+inner.Type] = true
			visit(inner.Type, inner.Body)
		}
	}
	visit("", file.Body.(*hclsyntax.Body))
	eachBlock(func(outer string, b *parser.Block) {
		if !used[kindOf(outer)+"/"+b.Type] {
			t.Errorf("the example has no block %s in %q", b.Type, outer)
		}
		for _, a := range b.Attributes {
			// The example's variables have values on every host, and need no default.
			if name := kindOf(b.Type) + "." + a.Name; !used[name] && name != "variable.default" {
				t.Errorf("the example has no %s", name)
			}
		}
	})
}
