package diff

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape/escapetest"
)

// foreignReport has a text that dockerfw did not write wherever a report can have one.
func foreignReport(s string) *Report {
	rules := []Rule{{Name: s, Place: hcl.Range{Filename: s}, Text: s}, {Name: "accept x" + s, Place: hcl.Range{Filename: s + ".hcl"}}, {Name: s}}
	a := netip.MustParseAddr("192.0.2.1")
	return &Report{
		Host: s, Old: s, New: s, Effect: Widened, More: true, Notes: []string{s, s + " has none"},
		Changes: []Change{{
			Path: Forwarded, Families: []ir.Family{ir.IPv4}, Effect: Widened, Old: []packet.Verdict{{Kind: packet.Drop}}, New: []packet.Verdict{{Kind: packet.Accept}},
			OldRules: rules, NewRules: rules, Packets: Description{Traffic: []Traffic{
				{Clients{Addresses: &packet.Addresses{Sets: []string{s}}}, []Destination{{Address: &packet.Addresses{Sets: []string{s}}, Conditions: []packet.Condition{{Name: s}}}}},
				{Clients{In: &packet.Interfaces{Names: []string{s}}}, []Destination{{Target: MatchedByNew, Rules: rules[:1]}}},
			}},
			Proxy: []Destination{{Out: &packet.Interfaces{Names: []string{s}}}}, Conditions: []string{s, s},
			Witness: packet.Packet{Source: a, Destination: a, OriginalDestination: a, In: s, Out: s},
		}},
		Sets:    []SetChange{{Name: s, AddedMembers: []string{s}, RemovedMembers: []string{s}}},
		Rules:   []ChainChange{{Family: ir.IPv4, Chain: s, Added: []string{s}, Removed: []string{s}, Moved: []string{s}}},
		Foreign: []Foreign{{Family: ir.IPv4, Chain: s, Text: s, Lost: true}},
	}
}

func written(t testing.TB, write func(io.Writer, []*Report, Style) error, s string, style Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, []*Report{foreignReport(s), foreignReport(s + "y")}, style); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func FuzzReportsAreInert(f *testing.F) {
	for _, s := range []string{
		"x", "\x1b[31mRED \x1b]0;title\a", "a\rb\b\x9b\u009b\u202e", "x\n::error::y", "::add-mask::x", "##[error]x",
		"x` <img src=http://e/i.png> @org/team [l](http://evil)", "```\n</details>\n# x", `z\|y`, "![i](http://e/i.png) #1 :smile: <b> &lt;", "www.evil.com a@example.com http://evil", "    x", "` | `",
	} {
		f.Add(s)
	}
	shape := escapetest.Markdown(written(f, WriteMarkdown, "x", Style{})).Outline
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return // without a name the report has another outline
		}
		markdown := written(t, WriteMarkdown, s, Style{Color: true})
		got := escapetest.Markdown(markdown)
		if len(got.Live) > 0 || !cmp.Equal(shape, got.Outline) {
			t.Errorf("%q are live; the shape (-want +got):\n%s\n%s", got.Live, cmp.Diff(shape, got.Outline), markdown)
		}
		texts := map[string]bool{markdown: false, written(t, WriteText, s, Style{Full: true}): false, written(t, WriteText, s, Style{Color: true}): true}
		record := written(t, WriteJSON, s, Style{})
		texts[record] = false
		for text, color := range texts {
			if problem := escapetest.Terminal(text, color); problem != "" {
				t.Errorf("%s\n%q", problem, text)
			}
			if line := escapetest.Runner(text); line != "" {
				t.Errorf("a runner executes %q", line)
			}
		}
		if !json.Valid([]byte(record)) {
			t.Errorf("no JSON: %s", record)
		}
	})
}
