package diag

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

// span is a range on one line; columns count from 1, the end is exclusive.
func span(line, from, to int) hcl.Range {
	return hcl.Range{Filename: "p.hcl", Start: hcl.Pos{Line: line, Column: from}, End: hcl.Pos{Line: line, Column: to}}
}

func lines(first, last int) hcl.Range {
	r := span(first, 3, 0)
	r.End = hcl.Pos{Line: last, Column: 2}
	return r
}

func TestPrinter(t *testing.T) {
	related := WithRelated(New(CodeDuplicate, span(2, 6, 9), "second rule", "Rename one."), "the first one", span(1, 1, 4))
	onHost := New(CodeType, span(1, 1, 4), "bad value", "")
	info := InfoOf(onHost)
	info.Host = "web1"
	onHost.Extra = info
	streamed := New(CodeAddressSyntax, span(70000, 1, 4), "no address", "")
	info = InfoOf(streamed)
	info.Line = "x.y # from a list that is not at hand"
	streamed.Extra = info

	for _, c := range []struct {
		name, source string
		diag         *hcl.Diagnostic
		want         string
	}{
		{"a plain error", "one two three\n", New(CodeValue, span(1, 5, 8), "bad word", "Say something else."), `
p.hcl:1:5: error: bad word [value]
  1 | one two three
    |     ^^^
  Say something else.
`},
		{"a warning", "one\n", Warn(CodeUnusedSet, span(1, 1, 4), "not used", "No rule names it."), `
p.hcl:1:1: warning: not used [unused-set]
  1 | one
    | ^^^
  No rule names it.
`},
		{"no detail", "one\n", New(CodeValue, span(1, 1, 4), "bad word.", ""), `
p.hcl:1:1: error: bad word [value]
  1 | one
    | ^^^
`},
		{"no place", "", &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "cannot read"}, `
error: cannot read
`},
		{"tabs count as two columns", "\t\tone two\n", New(CodeValue, span(1, 7, 10), "bad word", ""), `
p.hcl:1:7: error: bad word [value]
  1 |     one two
    |         ^^^
`},
		{"a tab in the middle of the range", "one\ttwo\n", New(CodeValue, span(1, 1, 8), "bad word", ""), `
p.hcl:1:1: error: bad word [value]
  1 | one  two
    | ^^^^^^^^
`},
		{"accented text is one column a letter", "é = \"ü\"\n", New(CodeValue, span(1, 5, 8), "bad word", ""), `
p.hcl:1:5: error: bad word [value]
  1 | é = "ü"
    |     ^^^
`},
		{"combining marks belong to their letter", "e\u0301 = \"u\u0308\"\n", New(CodeValue, span(1, 5, 8), "bad word", ""), "\np.hcl:1:5: error: bad word [value]\n  1 | e\u0301 = \"u\u0308\"\n    |     ^^^\n"},
		{"wide text takes two columns a letter", "日本 = \"東京\"\n", New(CodeValue, span(1, 6, 10), "bad word", ""), `
p.hcl:1:6: error: bad word [value]
  1 | 日本 = "東京"
    |        ^^^^^^
`},
		{"a range of several lines is marked to the end of its first", "a {\n  b = [\n  1,\n]\n", New(CodeValue, lines(2, 4), "bad list", ""), `
p.hcl:2:3: error: bad list [value]
  2 |   b = [
    |   ^^^^^
`},
		{"an empty range has one mark", "one two\n", New(CodeValue, span(1, 5, 5), "something is missing", ""), `
p.hcl:1:5: error: something is missing [value]
  1 | one two
    |     ^
`},
		{"past the end of the line", "one\n", New(CodeValue, span(1, 4, 4), "something is missing", ""), `
p.hcl:1:4: error: something is missing [value]
  1 | one
    |    ^
`},
		{"far past the end of the line", "one\n", New(CodeValue, span(1, 40, 90), "odd", ""), `
p.hcl:1:40: error: odd [value]
  1 | one
    |    ^
`},
		{"lines that end as on Windows", "one\r\ntwo\r\n", New(CodeValue, span(2, 1, 4), "bad word", ""), `
p.hcl:2:1: error: bad word [value]
  2 | two
    | ^^^
`},
		{"the last line without a newline", "one\ntwo", New(CodeValue, span(2, 1, 4), "bad word", ""), `
p.hcl:2:1: error: bad word [value]
  2 | two
    | ^^^
`},
		{"a line that is not there", "one\n", New(CodeValue, span(9, 1, 4), "bad word", "Detail."), `
p.hcl:9:1: error: bad word [value]
  Detail.
`},
		{"control characters are shown, not sent to the terminal", "a\x1b[31m\x07\u009bb\n", New(CodeValue, span(1, 1, 2), "bad \x1b[1mword", "Not \x1b]0;title\x07."), "\np.hcl:1:1: error: bad \\x1b[1mword [value]\n  1 | a\\x1b[31m\\x07\\u009bb\n    | ^\n  Not \\x1b]0;title\\x07.\n"},
		{"text that reads from right to left cannot turn a line around", "a\u202eb\u2066c\n", New(CodeValue, span(1, 1, 2), "bad word", ""), "\np.hcl:1:1: error: bad word [value]\n  1 | a\\u202eb\\u2066c\n    | ^\n"},
		{"bytes that are no text", "a\xff\xfeb\n", New(CodeValue, span(1, 1, 2), "bad word", ""), "\np.hcl:1:1: error: bad word [value]\n  1 | a\\xff\\xfeb\n    | ^\n"},
		{"what is marked is below what is shown", "\x1bb\u202e c\n", New(CodeValue, span(1, 2, 4), "bad word", ""), `
p.hcl:1:2: error: bad word [value]
  1 | \x1bb\u202e c
    |     ^^^^^^^
`},
		{"lines of a message are no workflow commands", "one\n", New(CodeValue, span(1, 1, 4), "two\n::error::x", "Three.\n::error::y\n"+strings.Repeat("words ", 12)+"::add-mask::z ##[error]w"), `
p.hcl:1:1: error: two\n::error::x [value]
  1 | one
    | ^^^
  Three.
  \x3a:error::y
  words words words words words words words words words words words words
  \x3a:add-mask::z ##\x5berror]w
`},
		{"names of files are no workflow commands", "", New(CodeValue, hcl.Range{Filename: "::error x", Start: hcl.InitialPos, End: hcl.InitialPos}, "bad a::b", ""), `
\x3a:error x:1:1: error: bad a::b [value]
`},
		{"long details are wrapped", "", &hcl.Diagnostic{Summary: "long", Detail: strings.Repeat("words ", 20)}, `
error: long
  words words words words words words words words words words words words words
  words words words words words words words
`},
		{"a word longer than a line stays whole", "", &hcl.Diagnostic{Summary: "long", Detail: "a " + strings.Repeat("b", 90) + " c"}, "\nerror: long\n  a\n  " + strings.Repeat("b", 90) + "\n  c\n"},
		{"examples keep their lines", "", &hcl.Diagnostic{Summary: "no host", Detail: "Add:\n\n  host {\n    a = 1\n  }\n"}, `
error: no host
  Add:

    host {
      a = 1
    }
`},
		{"a related place", "one\n     two\n", related, `
p.hcl:2:6: error: second rule [duplicate]
  2 |      two
    |      ^^^
  p.hcl:1:1: the first one
  1 | one
    | ^^^
  Rename one.
`},
		{"one host of a fleet", "one\n", onHost, `
p.hcl:1:1: error: bad value (host web1) [type]
  1 | one
    | ^^^
`},
		{"a line of a streamed file", "", streamed, `
p.hcl:70000:1: error: no address [address-syntax]
  70000 | x.y # from a list that is not at hand
        | ^^^
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Printer{}
			if c.source != "" {
				p.Sources = map[string][]byte{"p.hcl": []byte(c.source)}
			}
			if c.diag.Severity == hcl.DiagInvalid {
				c.diag.Severity = hcl.DiagError
			}
			var out strings.Builder
			if err := p.Write(&out, hcl.Diagnostics{c.diag}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n")+"\n", out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestPrinterColors(t *testing.T) {
	p := Printer{Color: true, Sources: map[string][]byte{"p.hcl": []byte("one\n")}}
	var out strings.Builder
	err := p.Write(&out, hcl.Diagnostics{
		New(CodeValue, span(1, 1, 4), "bad", "Detail."),
		Warn(CodeValue, span(1, 1, 4), "odd", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "p.hcl:1:1: \x1b[1m\x1b[31merror:\x1b[0m \x1b[1mbad\x1b[0m [value]\n" +
		"  1 | one\n    | \x1b[31m^^^\x1b[0m\n  Detail.\n\n" +
		"p.hcl:1:1: \x1b[1m\x1b[33mwarning:\x1b[0m \x1b[1modd\x1b[0m [value]\n" +
		"  1 | one\n    | \x1b[33m^^^\x1b[0m\n\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPrinterWidth(t *testing.T) {
	detail := strings.Repeat("word ", 30)
	for _, c := range []struct{ width, longest int }{{0, 80}, {60, 60}, {10, 40}, {120, 120}} {
		var out strings.Builder
		if err := (Printer{Width: c.width}).Write(&out, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "x", Detail: detail}}); err != nil {
			t.Fatal(err)
		}
		longest := 0
		for line := range strings.Lines(out.String()) {
			longest = max(longest, len(strings.TrimSuffix(line, "\n")))
		}
		if longest > c.longest || longest < c.longest-6 {
			t.Errorf("width %d: the longest line has %d columns", c.width, longest)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestPrinterReturnsTheErrorOfItsWriter(t *testing.T) {
	if err := (Printer{}).Write(brokenPipe{}, hcl.Diagnostics{{Summary: "x"}}); err == nil {
		t.Error("no error")
	}
}

func TestUnique(t *testing.T) {
	noPlace := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "no place"}
	other := span(1, 1, 2)
	other.Filename = "a.hcl"
	in := hcl.Diagnostics{
		New(CodeValue, span(2, 1, 4), "b", "d"),
		New(CodeValue, span(1, 5, 8), "b", "d"),
		New(CodeValue, span(1, 1, 4), "b", "d"),
		New(CodeValue, span(1, 1, 4), "b", "d"),       // the same once more
		Warn(CodeValue, span(1, 1, 4), "b", "d"),      // of another severity
		New(CodeValue, span(1, 1, 4), "b", "another"), // of another reason
		New(CodeValue, other, "b", "d"),
		noPlace,
	}
	var got []string
	for _, d := range Unique(in) {
		place := "-"
		if d.Subject != nil {
			place = position(*d.Subject)
		}
		got = append(got, place+" "+d.Summary+" "+d.Detail)
	}
	want := []string{"- no place ", "a.hcl:1:1 b d", "p.hcl:1:1 b another", "p.hcl:1:1 b d", "p.hcl:1:1 b d", "p.hcl:1:5 b d", "p.hcl:2:1 b d"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWithCodeKeepsExistingCodes(t *testing.T) {
	diags := WithCode(CodeSyntax, hcl.Diagnostics{{Summary: "theirs"}, New(CodeValue, span(1, 1, 2), "ours", "")})
	if a, b := InfoOf(diags[0]).Code, InfoOf(diags[1]).Code; a != CodeSyntax || b != CodeValue {
		t.Errorf("%s, %s", a, b)
	}
}
