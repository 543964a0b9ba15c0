package golden

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

const languageDoc = "../docs/language.md"

// docsNow is the date for compiling the examples of the docs.
var docsNow = time.Date(2027, 1, 20, 12, 0, 0, 0, time.UTC)

// fence is a fenced block of a Markdown file.
type fence struct {
	language string
	line     int // of its first line of text
	text     string
	// afterProse is whether there is text between this block and the one before.
	afterProse bool
}

func (f fence) lines() []string { return strings.Split(strings.TrimSuffix(f.text, "\n"), "\n") }

func fences(t *testing.T, name string) []fence {
	t.Helper()
	var out []fence
	var open *fence
	prose := true
	for i, line := range strings.Split(readDoc(t, name), "\n") {
		language, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &fence{language: language, line: i + 2, afterProse: prose}
		case isFence:
			out = append(out, *open)
			open, prose = nil, false
		case open != nil:
			open.text += line + "\n"
		case strings.TrimSpace(line) != "":
			prose = true
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block is not closed", name, open.line)
	}
	return out
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docsFiles are files that examples of the docs refer to. Other *.txt files have an address
// of each family.
var docsFiles = map[string]string{
	"services.yaml":     "- name: web\n  protocol: tcp\n  port: 80\n",
	"lists/object.json": "{}\n",
	"lists/not-cdn.txt": "192.0.2.7\n",
}

var docsFileName = regexp.MustCompile(`"([\w./-]+\.(?:txt|netset|json|yaml|csv))"`)

// compileExample compiles an example in a new directory, with a file name such as policy.hcl.
func compileExample(t *testing.T, name, text string) (*driver.Result, hcl.Diagnostics, string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{name: text}
	for _, m := range docsFileName.FindAllStringSubmatch(text, -1) {
		content, ok := docsFiles[m[1]]
		if !ok {
			content = "192.0.2.0/24\n2001:db8::/32 # a comment\n"
		}
		if m[1] != "missing.txt" {
			files[m[1]] = content
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	result, diags := driver.Policy(filepath.Join(dir, name), driver.Options{Now: docsNow})
	if !diags.HasErrors() {
		diags = diag.Unique(append(diags, result.Lint()...))
	}
	var printed bytes.Buffer
	if err := (diag.Printer{Sources: result.Sources}).Write(&printed, diags); err != nil {
		t.Fatal(err)
	}
	return result, diags, strings.ReplaceAll(printed.String(), dir+string(filepath.Separator), "")
}

// complete appends what a fragment needs to be a policy: a host, and the sets it uses and
// does not declare. Line numbers stay the same.
func complete(fragment string) string {
	file, diags := hclsyntax.ParseConfig([]byte(fragment), "fragment", hcl.InitialPos)
	if diags.HasErrors() {
		return fragment
	}
	hasHost := false
	declared := map[string]bool{}
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		hasHost = hasHost || b.Type == "host"
		if b.Type == "ipset" && len(b.Labels) == 1 {
			declared[b.Labels[0]] = true
		}
	}
	if !hasHost {
		fragment += "\nhost {\n  external_interfaces = [\"eth0\"]\n}\n"
	}
	for _, m := range regexp.MustCompile(`ipset\.([\w-]+)`).FindAllStringSubmatch(fragment, -1) {
		if !declared[m[1]] && m[1] != "nobody" {
			declared[m[1]] = true
			fragment += fmt.Sprintf("\nipset %q {\n  entries = [\"192.0.2.10\", \"2001:db8::10\"]\n}\n", m[1])
		}
	}
	return fragment
}

// Every hcl and json block of the docs compiles without a warning. A block whose first line
// is "# refused: CLASS" has only errors of that class. The lines of an iptables or nft block are,
// in that order, in a file that the hcl block before it compiles to; those of a text block
// right after one are in its diagnostics.
func TestExamplesOfTheDocsCompileToTheTextBelowThem(t *testing.T) {
	examples := 0
	for _, doc := range []string{languageDoc, "../README.md"} {
		if _, err := os.Stat(doc); err != nil && doc != languageDoc {
			continue
		}
		var result *driver.Result
		var printed string
		for _, f := range fences(t, doc) {
			place := fmt.Sprintf("%s:%d", filepath.Base(doc), f.line)
			switch f.language {
			case "hcl", "json":
				examples++
				name, text := "policy.hcl", complete(f.text)
				if f.language == "json" {
					name, text = "policy.hcl.json", f.text
				}
				var diags hcl.Diagnostics
				result, diags, printed = compileExample(t, name, text)
				// Examples of other blocks do not repeat an input block.
				diags = slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return diag.InfoOf(d).Code == diag.CodeProxyOpen })
				checkExample(t, place, f, diags, printed)
			case "iptables", "nft":
				if result == nil || !foldersHold(result, f.lines()) {
					t.Errorf("%s: the example above does not compile to these lines in this order:\n%s\nIt compiles to:\n%s", place, f.text, restoreFiles(result))
				}
			case "text":
				if !f.afterProse && !holdsInOrder(printed, f.lines()) {
					t.Errorf("%s: the example above does not print these lines in this order:\n%s\nIt prints:\n%s", place, f.text, printed)
				}
			}
		}
	}
	if examples < 30 {
		t.Errorf("only %d examples found", examples)
	}
}

// inFragments are warnings that a whole policy would not have: a fragment that shows a set
// or a variable need not use it, and a deny alone has no effect.
var inFragments = []string{"unused-set", "unused-name", "redundant"}

func checkExample(t *testing.T, place string, f fence, diags hcl.Diagnostics, printed string) {
	t.Helper()
	want, refused := strings.CutPrefix(f.lines()[0], "# refused: ")
	if refused && !diags.HasErrors() {
		t.Errorf("%s: the example compiles", place)
	}
	for _, d := range diags {
		code := diag.InfoOf(d).Code.String()
		if refused && code == want || slices.Contains(inFragments, code) || diag.Level(d) == "note" {
			continue
		}
		t.Errorf("%s: the example does not compile without %s:\n%s", place, code, printed)
		return
	}
}

// foldersHold reports whether any one file has the lines in that order.
func foldersHold(result *driver.Result, lines []string) bool {
	for _, h := range result.Hosts {
		for _, f := range h.Files {
			if holdsInOrder(string(f.Content), lines) {
				return true
			}
		}
	}
	return false
}

func holdsInOrder(text string, lines []string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if len(lines) > 0 && line == lines[0] {
			lines = lines[1:]
		}
	}
	return len(lines) == 0
}

func restoreFiles(result *driver.Result) string {
	var b strings.Builder
	if result != nil {
		for _, h := range result.Hosts {
			for _, f := range h.Files {
				if strings.HasSuffix(f.Name, ".restore") || f.Name == folder.NFTFile {
					b.Write(f.Content)
				}
			}
		}
	}
	return b.String()
}

// section is the text of the docs under a heading, up to the next heading of the
// same rank or a higher one.
func section(t *testing.T, heading string) string {
	t.Helper()
	doc := readDoc(t, languageDoc)
	start := strings.Index(doc, "\n"+heading+"\n")
	if start < 0 {
		t.Errorf("docs/language.md has no section %q", heading)
		return ""
	}
	rest := doc[start+1+len(heading):]
	// The title is the only heading of rank 1: other lines like it are comments in examples.
	for rank := strings.Index(heading, " "); rank > 1; rank-- {
		if end := strings.Index(rest, "\n"+strings.Repeat("#", rank)+" "); end >= 0 {
			rest = rest[:end]
		}
	}
	return rest
}

func TestTheDocsListEveryFunctionOfExpressions(t *testing.T) {
	names := parser.FunctionNames()
	text := section(t, "## Expressions")
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/language.md: function %s is not in the list", name)
		}
	}
	// Nor does the list name what is not there.
	for line := range strings.SplitSeq(text, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[2], -1) {
			if !slices.Contains(names, m[1]) {
				t.Errorf("docs/language.md: there is no function %s", m[1])
			}
		}
	}
}

func TestExamplesOfCodesCauseTheirDiagnostic(t *testing.T) {
	for _, c := range diag.Classes() {
		if c.Example == "" {
			continue
		}
		policy, ok := examplePolicy(c.Example)
		if !ok {
			t.Errorf("%s: no example in %q", c.Name, c.Example)
			continue
		}
		want := hcl.DiagWarning
		if c.Severity == diag.SeverityError {
			want = hcl.DiagError
		}
		_, diags, printed := compileExample(t, "policy.hcl", complete(policy))
		if !slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool {
			return diag.InfoOf(d).Code == c.Code && d.Severity == want
		}) {
			t.Errorf("%s: the example %s prints:\n%s", c.Name, c.Example, printed)
		}
	}
}

// examplePolicy reads "`LINE` and `LINE` in `BLOCK`", or "`BLOCK` and `BLOCK`".
func examplePolicy(cell string) (string, bool) {
	all := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1)
	if len(all) == 0 {
		return "", false
	}
	if len(all) == 1 || strings.Contains(all[0][1], "{") {
		policy := ""
		for _, m := range all {
			policy += m[1] + "\n"
		}
		return policy, true
	}
	last := len(all) - 1
	header := map[string]string{"accept": `accept "example"`, "ipset": `ipset "example"`, "host": "host"}[all[last][1]]
	text := header + " {\n"
	if header == "host" {
		text += "  external_interfaces = [\"eth0\"]\n"
	}
	for _, m := range all[:last] {
		text += "  " + m[1] + "\n"
	}
	return text + "}\n", header != ""
}
