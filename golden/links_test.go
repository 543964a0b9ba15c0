package golden

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	explicitID = regexp.MustCompile(`<a id="([^"]+)">`)
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
)

// markdownFiles are all documents of the repository.
func markdownFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(path, ".md"):
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// prose is the text of a document outside its fenced blocks.
func prose(t *testing.T, doc string) string {
	t.Helper()
	var b strings.Builder
	inBlock := false
	for line := range strings.SplitSeq(readDoc(t, doc), "\n") {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		} else if !inBlock {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// anchors are the names in a document that links can have after #.
func anchors(t *testing.T, doc string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	text := prose(t, doc)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := anchor(m[1])
		for i := 1; out[name]; i++ {
			name = fmt.Sprintf("%s-%d", anchor(m[1]), i)
		}
		out[name] = true
	}
	for _, m := range explicitID.FindAllStringSubmatch(text, -1) {
		out[m[1]] = true
	}
	return out
}

func TestLinksBetweenDocumentsLeadSomewhere(t *testing.T) {
	found := 0
	for _, doc := range markdownFiles(t) {
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(prose(t, doc), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			path, name, _ := strings.Cut(m[1], "#")
			target := doc
			if path != "" {
				target = filepath.Join(filepath.Dir(doc), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", doc, m[1], err)
			} else if name != "" && !anchors(t, target)[name] {
				t.Errorf("%s: %s has no heading for %s", doc, target, m[1])
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d links found", found)
	}
}
