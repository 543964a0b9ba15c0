package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape/escapetest"
)

// foreignReport has a text that dockerfw did not write wherever a report can have one.
func foreignReport(s string, clients int) *Report {
	a := netip.MustParseAddr("192.0.2.1")
	rule := Rule{Name: s, Place: s + ".hcl:1:1", Text: s}
	o := Outcome{
		Families: []ir.Family{ir.IPv4}, Verdict: packet.Verdict{Kind: packet.Other, With: s}, Reach: Left, Rule: rule, Conditions: []string{s, s + "x"},
		Examples: []Example{func(*Clients) packet.Packet {
			return packet.Packet{Source: a, Destination: a, OriginalDestination: a, In: s, Out: s, Conditions: map[string]bool{s: true}}
		}},
	}
	old := o
	old.Rule.MissingIn, old.Reach, old.Verdict = s, Refused, packet.Verdict{Kind: packet.Reject, With: s}
	change := Change{Families: []ir.Family{ir.IPv4}, Effect: Widened, Old: old, New: o, Example: o.Examples[0]}
	t := Table{Kind: Published, Ports: []Ports{{Name: s, By: []string{s, s + "x"}}}, Cells: [][]*Cell{nil}}
	for range clients {
		t.Clients = append(t.Clients, Clients{Name: s, Detail: s + " and more", Rest: true, Families: []ir.Family{ir.IPv4, ir.IPv6}})
		t.Cells[0] = append(t.Cells[0], &Cell{Outcomes: []Outcome{o}, Before: []Outcome{old}, Changes: []Change{change}})
	}
	return &Report{
		Host: s, Name: s, Old: s, Change: s, Notes: []string{s}, Tables: []Table{t},
		Sets:     []Set{{Name: s, Type: s, Managed: true, Sample: []string{s}}},
		Findings: []Finding{{Level: s, Code: s, Place: s, Text: s}},
	}
}

func written(t testing.TB, format, s string, color bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, []*Report{foreignReport(s, 2), foreignReport(s+"y", wideHTML+1)}, Style{Color: color}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// elements are the tags of a page with their attributes, and its text.
func elements(t testing.TB, page string) (tags []string, text string) {
	t.Helper()
	var words strings.Builder
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return tags, words.String()
		case html.TextToken:
			words.Write(z.Text())
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken, html.CommentToken, html.DoctypeToken:
			tags = append(tags, z.Token().String())
		}
	}
}

func FuzzReportsAreInert(f *testing.F) {
	for _, s := range []string{
		"x", "\x1b[31mRED \x1b]0;title\a", "a\rb\b\x9b\u009b\u202e", "x\n::error::y", "::add-mask::x", "##[error]x",
		"x` <img src=http://e/i.png> @org/team [l](http://evil)", "```\n</details>\n# x", `z\|y`, "<script>alert(1)</script>", `" onfocus="x`, "</style><b>", "{{.}}", "<!-- x", "&lt;b&gt;", "' x", "`${x}`",
	} {
		f.Add(s)
	}
	outline := escapetest.Markdown(written(f, "markdown", "x", false)).Outline
	tags, _ := elements(f, written(f, "html", "x", false))
	f.Fuzz(func(t *testing.T, s string) {
		if strings.TrimSpace(s) == "" {
			return // without a name the report has another outline
		}
		markdown, page := written(t, "markdown", s, false), written(t, "html", s, false)
		got := escapetest.Markdown(markdown)
		if len(got.Live) > 0 || !cmp.Equal(outline, got.Outline) {
			t.Errorf("%q are live; the shape (-want +got):\n%s\n%s", got.Live, cmp.Diff(outline, got.Outline), markdown)
		}
		if found, _ := elements(t, page); !cmp.Equal(tags, found) {
			t.Errorf("the page has other elements (-want +got):\n%s", cmp.Diff(tags, found))
		}
		record := written(t, "json", s, false)
		for _, one := range []struct {
			text  string
			color bool
		}{{markdown, false}, {page, false}, {record, false}, {written(t, "text", s, false), false}, {written(t, "text", s, true), true}} {
			if problem := escapetest.Terminal(one.text, one.color); problem != "" {
				t.Errorf("%s\n%q", problem, one.text)
			}
			if line := escapetest.Runner(one.text); line != "" {
				t.Errorf("a runner executes %q", line)
			}
		}
		if !json.Valid([]byte(record)) {
			t.Errorf("no JSON: %s", record)
		}
	})
}

// A page needs nothing but itself: it refers to its own parts only, and forbids everything else.
func TestAPageRefersToItselfOnly(t *testing.T) {
	page := written(t, "html", "x", false)
	tags, _ := elements(t, page)
	for _, tag := range tags {
		for _, attribute := range []string{"src=", "srcset=", "http:", "https:", "//", "<script", "<link", "<iframe", " on"} {
			if strings.Contains(tag, attribute) && !strings.HasPrefix(tag, "<!") {
				t.Errorf("%s", tag)
			}
		}
		if strings.Contains(tag, `href="`) && !strings.Contains(tag, `href="#`) {
			t.Errorf("%s", tag)
		}
	}
	if strings.Contains(htmlStyle, "url(") || strings.Contains(htmlStyle, "@import") || !strings.Contains(page, "default-src &#39;none&#39;") && !strings.Contains(page, "default-src 'none'") {
		t.Error("the style or the policy of the page permits the network")
	}
}
