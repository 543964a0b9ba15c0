package golden

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

// contributingDocs are the pages that comments cite.
const contributingDocs = "../docs/contributing"

// citation matches a citation with the headings that follow the page, such as
//
//	docs/contributing/netfilter.md, "Quotes" and "Restore lines"
var (
	citation = regexp.MustCompile(`docs/contributing/([\w-]+\.md)((?:,? (?:and )?"[^"]+")*)`)
	quoted   = regexp.MustCompile(`"([^"]+)"`)
)

func TestCommentsCiteHeadingsThatExist(t *testing.T) {
	headings := map[string][]string{}
	for _, page := range contributingPages(t) {
		headings[filepath.Base(page)] = headingsOf(readDoc(t, page))
	}
	cited := 0
	for file, comments := range repositoryComments(t) {
		for _, comment := range comments {
			for _, m := range citation.FindAllStringSubmatch(comment, -1) {
				have, exists := headings[m[1]]
				if !exists {
					t.Errorf("%s cites docs/contributing/%s, which does not exist", file, m[1])
					continue
				}
				for _, h := range quoted.FindAllStringSubmatch(m[2], -1) {
					cited++
					if !slices.Contains(have, h[1]) {
						t.Errorf("%s cites docs/contributing/%s, %q, a heading that does not exist", file, m[1], h[1])
					}
				}
			}
		}
	}
	if cited < 20 {
		t.Errorf("found %d citations only", cited)
	}
}

// Pages for contributors name tests, which are renamed more easily than they are read.
func TestContributingDocsNameTestsThatExist(t *testing.T) {
	declared := map[string]bool{}
	for _, file := range repositoryFiles(t, ".go") {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+|Example\w+|Benchmark\w+)\(`).FindAllStringSubmatch(readDoc(t, file), -1) {
			declared[m[1]] = true
		}
	}
	for _, page := range append(contributingPages(t), "../CONTRIBUTING.md") {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Example|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(readDoc(t, page), -1) {
			if !declared[m[1]] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
}

// Links between the pages for contributors, and from CONTRIBUTING.md, lead to files and
// headings that exist.
func TestContributingDocsLinkToWhatExists(t *testing.T) {
	for _, page := range append(contributingPages(t), "../CONTRIBUTING.md") {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(readDoc(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if name != "" {
				target = filepath.Join(filepath.Dir(page), name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
				continue
			}
			if anchor == "" {
				continue
			}
			var anchors []string
			for _, h := range headingsOf(readDoc(t, target)) {
				anchors = append(anchors, anchorOf(h))
			}
			if !slices.Contains(anchors, anchor) {
				t.Errorf("%s links to %s, a heading that does not exist", page, m[1])
			}
		}
	}
}

// Paths in the pages for contributors are those of the repository.
func TestContributingDocsNamePathsThatExist(t *testing.T) {
	path := regexp.MustCompile("`((?:cmd|compiler|docs|emit|examples|golden|parser)/[a-z0-9_./-]+)`")
	for _, page := range append(contributingPages(t), "../CONTRIBUTING.md") {
		for _, m := range path.FindAllStringSubmatch(readDoc(t, page), -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
}

func contributingPages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(contributingDocs, "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages in %s: %v", contributingDocs, err)
	}
	return pages
}

// headingsOf returns the headings of a Markdown text, without those of fenced code.
func headingsOf(text string) []string {
	var out []string
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") && !fenced {
			out = append(out, strings.TrimSpace(title))
		}
	}
	return out
}

// anchorOf returns the anchor that forges make of a heading.
func anchorOf(heading string) string {
	heading = strings.ReplaceAll(strings.ToLower(heading), " ", "-")
	return regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(heading, "")
}

// repositoryFiles returns the files of the repository whose names end in suffix.
func repositoryFiles(t *testing.T, suffix string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, suffix):
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// repositoryComments returns the comments of all Go files and shell scripts by file, each
// as one line.
func repositoryComments(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	join := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	for _, file := range repositoryFiles(t, ".go") {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range parsed.Comments {
			out[file] = append(out[file], join(group.Text()))
		}
	}
	shellComment := regexp.MustCompile(`(?m)^\s*# ?(.*)$`)
	for _, file := range repositoryFiles(t, ".sh") {
		var lines []string
		for _, m := range shellComment.FindAllStringSubmatch(readDoc(t, file), -1) {
			lines = append(lines, m[1])
		}
		out[file] = append(out[file], join(strings.Join(lines, " ")))
	}
	return out
}

// The rule that architecture.md follows through the compiler has the text that it shows.
func TestArchitectureShowsWhatItsPolicyCompilesTo(t *testing.T) {
	policy := ""
	for _, f := range fences(t, filepath.Join(contributingDocs, "architecture.md")) {
		switch f.language {
		case "hcl":
			policy = filepath.Join(t.TempDir(), "policy.hcl")
			if err := os.WriteFile(policy, []byte(f.text), 0o644); err != nil {
				t.Fatal(err)
			}
		case "iptables":
			result, diags := driver.Policy(policy, driver.Options{})
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			if !foldersHold(result, f.lines()) {
				t.Errorf("architecture.md:%d: the policy does not compile to\n%s", f.line, f.text)
			}
		}
	}
	if policy == "" {
		t.Error("architecture.md has no policy")
	}
}
