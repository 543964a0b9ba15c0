package budget

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

// scanned is what checkPlain must be equal to wherever it accepts a file.
func scanned(src string) bool {
	tokens, _ := hclsyntax.LexConfig([]byte(src), "x.hcl", hcl.InitialPos)
	return checkTokens(tokens) == nil
}

func isPlain(src string) bool {
	_, plain := checkPlain([]byte(src), len(src))
	return plain
}

func TestAPlainFileIsNotDeeperThanTheScannerFinds(t *testing.T) {
	parts := []string{
		"a", "for", "x1-y", "12", "007", "1.5", "1e3", "1a", "\"a b\"", "\"é\"", "\"", "\"\\\"\"", "\"${", "\"$${a}\"", "\"%{if a}", "}", "~}",
		"{", "[", "(", ")", "]", ",", "=", "==", "=>", "-", "- ", "+", "*", "/", "!", "?", ":", ".", "...", ".a", "[0]", "&&", "'", "é", "\x00", "\xff",
		"\n", "\n", "\r\n", "\r", " ", "\t", "# {[(\n", "# é", "// (\n", "/* \n", "*/", "<<A\n", "A\n", "<<-A\n", "\ufeff",
	}
	part := rapid.SampledFrom(parts)
	rapid.Check(t, func(t *rapid.T) {
		// Each part repeated, so that some texts are too deep.
		var b strings.Builder
		for range rapid.IntRange(1, 12).Draw(t, "runs") {
			run := strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "run"), "")
			b.WriteString(strings.Repeat(run, rapid.SampledFrom([]int{1, 1, 2, MaxDepth / 2, MaxDepth}).Draw(t, "times")))
		}
		if src := b.String(); isPlain(src) && !scanned(src) {
			t.Fatalf("taken as plain: %.300q", src)
		}
	})
}

// One byte more or less of depth must not be lost either: the two agree about plain text.
func TestPlainTextIsAsDeepAsTheScannerFinds(t *testing.T) {
	for _, c := range []struct{ open, inner, end string }{
		{"[", "1", "]"},
		{"(", "a", ")"},
		{"{ a = ", "\"x\"", " }"},
		{"a {\n", "b = 1\n", "}\n"},
		{"-", "1", ""},
		{"", "1", "+1"},
		{"f(", "x", ")"},
		{"", "x", "[y]"},
		{"", "x", "[\"y\"]"},
		{"{ for a in b : a = ", "\"x\"", " }"},
		{"[ # [[[\n", "1", "]"},
		{"[[1], -1, ", "1", "]"},
	} {
		for depth := MaxDepth/2 - 3; depth <= MaxDepth+3; depth++ {
			src := strings.Repeat(c.open, depth) + c.inner + strings.Repeat(c.end, depth) + "\n"
			if !strings.HasSuffix(c.open, "{\n") {
				src = "a = " + src
			}
			want := scanned(src)
			if got := isPlain(src); got != want && !strings.Contains(src, ":") {
				t.Errorf("%d times %q: plain %t, scanned %t", depth, c.open, got, want)
			}
			if _, tooMuch := Config([]byte(src), "x.hcl", len(src)); (tooMuch == nil) != want {
				t.Errorf("%d times %q: %v, want taken %t", depth, c.open, tooMuch, want)
			}
		}
	}
}

func TestMostExamplesArePlain(t *testing.T) {
	plain, all := 0, 0
	err := filepath.WalkDir("../../examples", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".hcl" {
			return err
		}
		text, err := os.ReadFile(path)
		if all++; isPlain(string(text)) {
			plain++
		}
		return err
	})
	if err != nil || plain*2 < all || all == 0 {
		t.Errorf("%d of %d examples are plain, %v", plain, all, err)
	}
}
