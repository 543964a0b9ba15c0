package parser

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/parser/budget"
)

// inPieces parses a text in pieces of at least some bytes. It returns the file, nil if the text must be parsed at
// once, and the number of pieces.
func inPieces(text string, piece int) (*hcl.File, int) {
	cuts, tooMuch := budget.Config([]byte(text), "x.hcl", piece)
	if tooMuch != nil {
		return nil, 0
	}
	return parsePieces([]byte(text), "x.hcl", cuts), len(cuts) + 1
}

// samePieces reports a difference between a text that is parsed in pieces and at once.
func samePieces(t interface{ Fatalf(string, ...any) }, text string, piece int) (pieces int) {
	file, pieces := inPieces(text, piece)
	if file == nil {
		return 0
	}
	whole, diags := hclsyntax.ParseConfig([]byte(text), "x.hcl", hcl.InitialPos)
	if len(diags) > 0 {
		t.Fatalf("no error in pieces of %d bytes, at once %s:\n%s", piece, diags, text)
	}
	budget.Instrument(whole.Body.(*hclsyntax.Body))
	if !reflect.DeepEqual(whole.Body, file.Body) || string(whole.Bytes) != string(file.Bytes) {
		t.Fatalf("pieces of %d bytes are not the whole:\n%s", piece, text)
	}
	return pieces
}

func TestPiecesAreTheWhole(t *testing.T) {
	// Mostly whole items, so that few texts have errors.
	items := rapid.SampledFrom([]string{
		"# comment [ {\n", "\n", "  \n", "b = [\n  1,\n]\n", "c = (1 +\n2)\n", "d = { x = 1 }\n", "  e = \"a b\"\n", "f = g(\"é\", -1)\n", "h = x.y[0]\n",
		"accept \"web\" {\n  source = [\"192.0.2.1\",\n    ipset.a]\n}\n", "egress {\ndeny \"a\" { log = true }\n}\n", "locals {} # end\n", "t {\n}\n",
	})
	parts := rapid.SampledFrom([]string{"}\n", "}", "{\n", "deny \"a\" {\n", "i = for\n", "\"j\" = 1\n", "k =\n", "]\n", "l = [\n"})
	lines := rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 19).Draw(t, "part") == 0 {
			return parts.Draw(t, "line")
		}
		return items.Draw(t, "item")
	})
	joined := 0
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(lines, 1, 20).Draw(t, "lines"), "")
		for _, piece := range []int{1, 10, 40} {
			joined += samePieces(t, text, piece)
		}
	})
	if joined == 0 {
		t.Error("nothing was parsed in pieces")
	}
}

func TestAPolicyIsParsedInPieces(t *testing.T) {
	const block = "accept \"web\" {\n  source = [\"192.0.2.1\"] # the office\n}\n\n"
	for _, text := range []string{strings.Repeat(block, 9), "# begins\n\n" + strings.Repeat(block, 9) + "# ends", strings.TrimSpace(strings.Repeat(block, 9))} {
		if pieces := samePieces(t, text, 1); pieces != 9 && pieces != 10 {
			t.Errorf("%d pieces: %s", pieces, text)
		}
	}
}

// An attribute that is in two pieces is an error, and so is a file that is not plain or has an error.
func TestSomeTextsAreParsedAtOnce(t *testing.T) {
	for _, text := range []string{"a = 1\nb {\n}\na = 2\n", "b {\n}\nc = [\n", "b {\n}\nc = <<E\n}\nE\n", "b {\n}\n/*\n}\n*/\n", "b {\r\n}\r\nc = 1\r\n", "\ufeffb {\n}\nc = 1\n", "b {\n}"} {
		if file, pieces := inPieces(text, 1); file != nil {
			t.Errorf("%d pieces: %q", pieces, text)
		}
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("accept \"web\" {\n  source = [\"192.0.2.1\"]\n}\nlocals {\n  a = 1\n}\n")
	f.Add("a = 1\nb {\n}\n# {\na = 2\nc = [\n]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if notText([]byte(text), "x.hcl") == nil {
			samePieces(t, text, 1)
		}
	})
}
