package diag

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/escape"
)

// Printer writes diagnostics for people.
type Printer struct {
	// Sources are the contents of files by name, for source lines.
	Sources map[string][]byte
	// Color turns on ANSI colors.
	Color bool
	// Width is the number of columns to which text is wrapped; 0 means 80.
	Width int
}

const (
	bold   escape.Safe = "\x1b[1m"
	red    escape.Safe = "\x1b[31m"
	yellow escape.Safe = "\x1b[33m"
	reset  escape.Safe = "\x1b[0m"
)

// Write writes each of diags, with an empty line after each.
func (p Printer) Write(w io.Writer, diags hcl.Diagnostics) error {
	var buf bytes.Buffer
	for i, d := range diags {
		if i == MaxPrinted && len(diags) > MaxPrinted+1 {
			escape.Fprintf(&buf, "%s\n\n", more(diags[i:]))
			break
		}
		p.one(&buf, d)
		buf.WriteByte('\n')
	}
	return escape.Write(w, escape.Safe(buf.String()))
}

// MaxPrinted is how many diagnostics are written in full. One mistake in a large file can
// cause one for each of its lines.
const MaxPrinted = 200

// more counts the diagnostics that are not written, for people.
func more(diags hcl.Diagnostics) string {
	counts := map[string]int{}
	for _, d := range diags {
		counts[Level(d)]++
	}
	var parts []string
	for _, level := range []string{"error", "warning", "note"} {
		switch n := counts[level]; n {
		case 0:
		case 1:
			parts = append(parts, "1 more "+level)
		default:
			parts = append(parts, fmt.Sprintf("%d more %ss", n, level))
		}
	}
	return "... and " + strings.Join(parts, ", ") + ". Fix the ones above and run the command again."
}

func (p Printer) one(buf *bytes.Buffer, d *hcl.Diagnostic) {
	info := InfoOf(d)
	word := Level(d)
	color := map[string]escape.Safe{"error": red, "warning": yellow}[word]
	if d.Subject != nil {
		escape.Fprintf(buf, "%s: ", position(*d.Subject))
	}
	escape.Fprintf(buf, "%s %s", p.paint(bold+color, word+":"), p.paint(bold, strings.TrimSuffix(d.Summary, ".")))
	if hosts := info.HostsText(); hosts != "" {
		escape.Fprintf(buf, " (%s)", hosts)
	}
	if info.Code != 0 {
		escape.Fprintf(buf, " [%s]", info.Code)
	}
	buf.WriteByte('\n')
	if d.Subject != nil {
		p.snippet(buf, *d.Subject, info.Line, color)
	}
	for _, r := range info.Related {
		escape.Fprintf(buf, "  %s: %s\n", position(r.Range), r.Message)
		p.snippet(buf, r.Range, "", "")
	}
	for _, line := range wrap(d.Detail, p.width()-2) {
		if line == "" {
			buf.WriteByte('\n')
			continue
		}
		escape.Fprintf(buf, "  %s\n", line)
	}
}

func (p Printer) width() int {
	if p.Width <= 0 {
		return 80
	}
	return max(p.Width, 40)
}

func (p Printer) paint(codes escape.Safe, text string) escape.Safe {
	if !p.Color || codes == "" {
		return escape.Terminal(text)
	}
	return codes + escape.Terminal(text) + reset
}

func position(r hcl.Range) string {
	if name, ok := OutsideName(r); ok {
		return name
	}
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

// longest is how many columns of a line are shown.
const longest = 400

// snippet shows the first line of the range and underlines what the range
// covers of it.
func (p Printer) snippet(buf *bytes.Buffer, r hcl.Range, line string, color escape.Safe) {
	if line == "" {
		src, ok := p.Sources[r.Filename]
		if !ok {
			return
		}
		line = sourceLine(src, r.Start.Line)
	}
	if line == "" {
		return
	}
	number := fmt.Sprint(r.Start.Line)
	columns := split(line)
	from := min(max(r.Start.Column-1, 0), len(columns))
	to := len(columns)
	if r.End.Line == r.Start.Line {
		to = min(max(r.End.Column-1, from), len(columns))
	}
	// Of a very long line only the part around the range is shown.
	if len(columns) > longest {
		first := min(max(from-longest/4, 0), len(columns)-longest)
		columns = columns[first : first+longest]
		from, to = from-first, min(to-first, longest)
		line = strings.Join(columns, "")
	}
	escape.Fprintf(buf, "  %s | %s\n", number, visible(line))
	indent := screenWidth(columns[:from])
	width := max(1, screenWidth(columns[from:to]))
	escape.Fprintf(buf, "  %s | %s%s\n", strings.Repeat(" ", len(number)), strings.Repeat(" ", indent),
		p.paint(color, strings.Repeat("^", width)))
}

// visible replaces tabs by two blanks, so that the underline is below its text, and escapes
// what a terminal would interpret.
func visible(s string) escape.Safe {
	return escape.Terminal(strings.ReplaceAll(s, "\t", "  "))
}

// Columns is the number of columns of text as HCL counts them: grapheme clusters.
func Columns(text string) int { return len(split(text)) }

// split splits a line into columns as HCL counts them: grapheme clusters.
func split(line string) []string {
	var out []string
	for rest := []byte(line); len(rest) > 0; {
		n, cluster, _ := textseg.ScanGraphemeClusters(rest, true) // returns no errors
		out = append(out, string(cluster))
		rest = rest[n:]
	}
	return out
}

// wide are the letters with the width of two columns in a terminal: East Asian ones, emoji.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x2e80, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1},
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// screenWidth is the number of columns of characters in a terminal, after visible.
func screenWidth(characters []string) int {
	n := 0
	for _, c := range characters {
		for _, shown := range split(string(visible(c))) {
			first, _ := utf8.DecodeRuneInString(shown)
			n++
			if unicode.Is(wide, first) {
				n++
			}
		}
	}
	return n
}

func sourceLine(src []byte, n int) string {
	for i := 1; i < n; i++ {
		_, rest, found := bytes.Cut(src, []byte("\n"))
		if !found {
			return ""
		}
		src = rest
	}
	line, _, _ := bytes.Cut(src, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r")
}

// wrap breaks text at blanks into lines of at most width columns; lines that start with a
// blank (examples) are not wrapped.
func wrap(text string, width int) []string {
	var out []string
	for para := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		para = string(visible(para))
		if strings.HasPrefix(para, " ") {
			out = append(out, para)
			continue
		}
		line := ""
		for _, word := range strings.Fields(para) {
			switch {
			case line == "":
				line = word
			case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
				out = append(out, line)
				line = word
			default:
				line += " " + word
			}
		}
		out = append(out, line)
	}
	if len(out) == 1 && out[0] == "" {
		return nil
	}
	return out
}

func sortByPlace(diags hcl.Diagnostics) {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		switch {
		case a.Subject == nil && b.Subject == nil:
			return 0
		case a.Subject == nil:
			return -1
		case b.Subject == nil:
			return 1
		}
		return cmp.Or(
			cmp.Compare(a.Subject.Filename, b.Subject.Filename),
			cmp.Compare(a.Subject.Start.Line, b.Subject.Start.Line),
			cmp.Compare(a.Subject.Start.Column, b.Subject.Start.Column),
			cmp.Compare(a.Summary, b.Summary),
			cmp.Compare(a.Detail, b.Detail),
		)
	})
}
