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
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// today is the date of all compiles here.
var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

const (
	examplesDir = "../examples"
	// goldenDir has a folder for each example, with the files that it compiles to.
	goldenDir = "examples"
)

// expectedWarnings are the warnings that are part of what an example shows.
var expectedWarnings = map[string]diag.Code{"tutorial-insert": diag.CodeChainDocker}

// examples are the names of the example policies.
func examples(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(examplesDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func exampleFolder(t *testing.T, name string) folder.Contents {
	t.Helper()
	result, diags := driver.Policy(filepath.Join(examplesDir, name), driver.Options{Now: today})
	for _, d := range diags {
		if d.Severity == hcl.DiagError || diag.InfoOf(d).Code != expectedWarnings[name] {
			t.Errorf("an example to copy has no errors and no warnings: %s", d)
		}
	}
	for _, r := range result.Test() {
		if !r.Passed() {
			t.Errorf("test %q of the example: got %s by %s: %s", r.Test.Name.Value, r.Got, r.By, r.Packet)
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
				t.Error("compiled twice, the bytes differ")
			}
			withoutScripts(t, got)
			dir := filepath.Join(goldenDir, name)
			if *update {
				if _, err := got.Write(dir); err != nil {
					t.Fatal(err)
				}
			}
			want := folder.Contents{}
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				rel, err := filepath.Rel(dir, path)
				if err != nil {
					return err
				}
				want[rel], err = os.ReadFile(path)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(texts(want), texts(got)); diff != "" {
				t.Errorf("compiled files differ (-golden +compiled); if that is meant, run make golden and read its diff:\n%s", diff)
			}
		})
	}
}

// withoutScripts takes the scripts out, which are the same in every folder, and their
// digests.
func withoutScripts(t *testing.T, f folder.Contents) {
	t.Helper()
	for path, content := range f {
		if filepath.Base(path) != folder.ManifestFile {
			continue
		}
		for _, s := range emit.Scripts() {
			script := filepath.Join(filepath.Dir(path), s.Name)
			if !bytes.Equal(f[script], s.Content) {
				t.Errorf("%s is not the script of that name", script)
			}
			delete(f, script)
			content = bytes.ReplaceAll(content, []byte(folder.Digest(s.Content)), []byte("that of "+s.Name))
		}
		f[path] = content
	}
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

// TestOneExampleUsesEveryAttribute keeps every attribute of the language in the
// goldens, and with them in the tests that load goldens into a kernel.
func TestOneExampleUsesEveryAttribute(t *testing.T) {
	path := filepath.Join(examplesDir, "every-attribute", "policy.hcl")
	file, diags := hclsyntax.ParseConfig([]byte(readOr(t, path, "")), path, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	used := map[string]bool{}
	var visit func(*hclsyntax.Body)
	visit = func(b *hclsyntax.Body) {
		for name := range b.Attributes {
			used[name] = true
		}
		for _, inner := range b.Blocks {
			used[inner.Type] = true
			visit(inner.Body)
		}
	}
	visit(file.Body.(*hclsyntax.Body))
	for _, source := range parseGo(t, "../parser") {
		for _, decl := range source.Decls {
			for name, node := range declarations(decl) {
				if schemaSections[name] == "" {
					continue
				}
				attributes, blocks := schemaNames(node)
				for _, word := range append(attributes, blocks...) {
					// default has an attribute and a block of that name; variables that have
					// values on every host need no default.
					if word != "name" && !used[word] {
						t.Errorf("%s of the parser's %s is not in the example", word, name)
					}
				}
			}
		}
	}
}
