package escape_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/parser/escape"
	"github.com/dockerfw/dockerfw/parser/escape/escapetest"
)

func TestTerminalEscapesWhatATerminalInterprets(t *testing.T) {
	for text, want := range map[string]string{
		"plain text, #1 [x] ::":            "plain text, #1 [x] ::",
		"é 中 👍 ❤\ufe0f":                    "é 中 👍 ❤\ufe0f",
		`a \x1b that was written so`:       `a \x1b that was written so`,
		"\x1b[31mred\x1b]0;title\a":        `\x1b[31mred\x1b]0;title\x07`,
		"a\rb\bc\x00\x7f":                  `a\rb\x08c\x00\x7f`,
		"a\nb\tc":                          `a\nb\tc`,
		"\x9b31m \u009b31m \xff":           `\x9b31m \u009b31m \xff`,
		"\u202e\u2066\u200e\u061c":         `\u202e\u2066\u200e\u061c`,
		"a\u200bb\ufeff\u2060\u00ad\u3164": `a\u200bb\ufeff\u2060\u00ad\u3164`,
		"\u2028\u2029\u0085":               `\u2028\u2029\u0085`,
		"a\u00a0b":                         `a\u00a0b`,
		"\U000e0041":                       `\U000e0041`,
		"##[error]x ##vso[task.x]":         `##\x5berror]x ##vso\x5btask.x]`,
		"##\u200b[error]":                  `##\u200b[error]`,
		"## [x] #[x]":                      "## [x] #[x]",
		"�":                                "�",
	} {
		if got := string(escape.Terminal(text)); got != want {
			t.Errorf("%+q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestWritersEscapeOnlyTheirArguments(t *testing.T) {
	red := escape.Safe("\x1b[31m")
	got := escape.Sprintf("%s|%-6s|%q|%d|%v|%[1]s\n", red, "a\x1b", "b\x1b", 7, fmt.Errorf("c\n%s", "\u202e"))
	want := escape.Safe("\x1b[31m|a\\x1b    |\"b\\x1b\"|7|c\\n\\u202e|\x1b[31m\n")
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoLineIsAWorkflowCommand(t *testing.T) {
	for text, want := range map[string]string{
		"::error::x":              `\x3a:error::x`,
		"::add-mask file=a,b=c::": `\x3a:add-mask file=a,b=c::`,
		"::/0":                    "::/0",
		"::ffff:192.0.2.1":        "::ffff:192.0.2.1",
		"x ::error::y":            "x ::error::y",
	} {
		if got := string(escape.Sprintf("  %s\n", text)); got != "  "+want+"\n" {
			t.Errorf("%q is written as %q", text, got)
		}
		if got := string(escape.Lines("a\n\t" + text)); got != "a\n\t"+want {
			t.Errorf("%q in lines is written as %q", text, got)
		}
	}
}

func TestJSONReadsBackTheSame(t *testing.T) {
	want := "a\x1b\u009b\u202e\u2028\U000e0041\"\\ ##[error] ##\\[ é <b>\x7f"
	var b bytes.Buffer
	if err := escape.JSON(&b, []string{want}); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got[0] != want {
		t.Errorf("%s is read back as %q (%v)", b.String(), got, err)
	}
	if !strings.Contains(b.String(), `é <b>`) {
		t.Errorf("more is escaped than has to be: %s", b.String())
	}
}

func TestCommandWritesOneCommand(t *testing.T) {
	var b bytes.Buffer
	err := escape.Command(&b, "error", []escape.Property{{"file", "a,b:c\n\x1b.hcl"}, {"line", "1"}}, "100%\n::error::\u202e")
	want := "::error file=a%2Cb%3Ac%0A\\x1b.hcl,line=1::100%25%0A::error::\\u202e\n"
	if err != nil || b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// hostile are texts that terminals or renderers interpret, or once did.
var hostile = []string{
	"", " ", "x", "\x1b[31mRED \x1b]0;title\a", "a\rb\b\x9b\u009b\u202e", "x\n::error::y", "##[error]x", "##vso[task.x]y", "::stop-commands::x",
	"x` <img src=http://e/i.png> @org/team [l](http://evil)", "``` x", "~~~", "| a | b |", `z\|y`, `z\\|`, "`|`", `\`, "[l](http://evil)", "[l]: http://evil",
	"![i](http://e/i.png)", "<script>alert(1)</script>", "<!-- x", "&lt;b&gt; &#60;", "@user", "#1 !1 org/repo#1", ":smile: :100:", "http://evil www.evil.com",
	"a@example.com", "~~s~~ **b** __b__ *i* _i_", "- [ ] x", "1. x", "---", "===", "    code", "# h", "> q", "$x$ $`x`$", "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
	"GH-1", "[^1]", "a ` b `` c", "` `", "```\n</details>\n# x", "\u2028# x", "^[note]", "@@@@a", ": x",
}

func FuzzTerminal(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var out, record bytes.Buffer
		escape.Fprintf(&out, "%s\n  %s: x\n%q %v\n", s, s, s, fmt.Errorf("%s", s))
		out.WriteString(string(escape.Sprintf("  %s", s)) + "\n")
		out.WriteString(string(escape.Sprintf("%s%s", "\t", strings.Repeat(s, 2))) + "\n")
		if escape.JSON(&record, map[string]string{s: s}) != nil {
			t.Fatal("no JSON")
		}
		out.WriteString(strings.ReplaceAll(string(escape.Lines(s)), "\t", "") + "\n")
		for _, text := range []string{out.String(), record.String()} {
			if problem := escapetest.Terminal(text, false); problem != "" {
				t.Error(problem)
			}
			if line := escapetest.Runner(text); line != "" {
				t.Errorf("a runner executes %q", line)
			}
		}
		var back map[string]string
		if err := json.Unmarshal(record.Bytes(), &back); err != nil || utf8.ValidString(s) && back[s] != s {
			t.Errorf("%s is read back as %q (%v)", record.String(), back, err)
		}
		var command bytes.Buffer
		escape.Command(&command, "error", []escape.Property{{"file", s}}, s)
		text := command.String()
		if problem := escapetest.Terminal(text, false); problem != "" || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "::error file=") {
			t.Errorf("%s in %q", problem, text)
		}
	})
}

// document has foreign text at all places in Markdown where the program writes it.
func document(s string) string {
	var b bytes.Buffer
	escape.FprintMarkdown(&b, "### x: %s: y\n\n> %s.\n\n%s\n\n- %s\n\n| a | b |\n|---|---|\n| %s | %s |\n| **b** %s<br>%s | %s, %s |\n\n%s\n\n%s end\n",
		s, s, s, s, s, escape.MarkdownCode(s+"x"), s, escape.MarkdownCode("x"+s), escape.MarkdownCode("x"+s+"x"), escape.MarkdownCode(s+"."),
		escape.MarkdownBlock("diff", escape.Sprintf("+ %s\n%s\n", s, s)), escape.MarkdownCode("."+s))
	return b.String()
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	tame := escapetest.Markdown(document("x"))
	f.Fuzz(func(t *testing.T, s string) {
		text := document(s)
		got := escapetest.Markdown(text)
		shape := tame.Outline
		if strings.TrimSpace(s) == "" {
			return // a paragraph and an item without text have another shape, and nothing to show
		}
		if len(got.Live) > 0 {
			t.Errorf("%q are live", got.Live)
		}
		if d := cmp.Diff(shape, got.Outline); d != "" {
			t.Errorf("the shape changes (-want +got):\n%s", d)
		}
		shown := strings.ReplaceAll(string(escape.Terminal(s)), "|", `\x7c`)
		if want := []string{shown + "x", "x" + shown, "x" + shown + "x", shown + ".", "." + shown}; !cmp.Equal(want, got.Spans) {
			t.Errorf("code shows %q, want %q", got.Spans, want)
		}
		block := string(escape.Sprintf("+ %s\n%s\n", s, s))
		if want := []string{block}; !cmp.Equal(want, got.Blocks) {
			t.Errorf("the block shows %q, want %q", got.Blocks, want)
		}
		if prose := strings.ReplaceAll(got.Text, "\u200b", ""); !strings.Contains(prose, strings.TrimSpace(string(escape.Terminal(s)))) {
			t.Errorf("the text shows %q without %q", prose, s)
		}
		if problem := escapetest.Terminal(text, false); problem != "" {
			t.Error(problem)
		}
		if line := escapetest.Runner(text); line != "" {
			t.Errorf("a runner executes %q", line)
		}
		if t.Failed() {
			t.Logf("%s", text)
		}
	})
}
