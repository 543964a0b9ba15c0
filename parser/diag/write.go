package diag

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Printer writes diagnostics for people.
type Printer struct {
	// Sources holds the bytes of files by name, to show source lines from.
	Sources map[string][]byte
	// Color turns on ANSI colours.
	Color bool
	// Width is the width text is wrapped to, in columns; 0 means 80.
	Width int
}

const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// Write writes each of diags, with an empty line after each.
func (p Printer) Write(w io.Writer, diags hcl.Diagnostics) error {
	var buf bytes.Buffer
	for _, d := range diags {
		p.one(&buf, d)
		buf.WriteByte('\n')
	}
	_, err := w.Write(buf.Bytes())
	return err
}

func (p Printer) one(buf *bytes.Buffer, d *hcl.Diagnostic) {
	info := InfoOf(d)
	word, color := "error", red
	if d.Severity == hcl.DiagWarning {
		word, color = "warning", yellow
	}
	if d.Subject != nil {
		fmt.Fprintf(buf, "%s: ", position(*d.Subject))
	}
	buf.WriteString(p.paint(bold+color, word+":"))
	fmt.Fprintf(buf, " %s", p.paint(bold, strings.TrimSuffix(d.Summary, ".")))
	if info.Host != "" {
		fmt.Fprintf(buf, " (host %s)", info.Host)
	}
	if info.Code != "" {
		fmt.Fprintf(buf, " [%s]", info.Code)
	}
	buf.WriteByte('\n')
	if d.Subject != nil {
		p.snippet(buf, *d.Subject, info.Line, color)
	}
	for _, r := range info.Related {
		fmt.Fprintf(buf, "  %s: %s\n", position(r.Range), r.Message)
		p.snippet(buf, r.Range, "", "")
	}
	for _, line := range wrap(d.Detail, p.width()-2) {
		if line == "" {
			buf.WriteByte('\n')
			continue
		}
		fmt.Fprintf(buf, "  %s\n", line)
	}
}

func (p Printer) width() int {
	if p.Width <= 0 {
		return 80
	}
	return max(p.Width, 40)
}

func (p Printer) paint(codes, text string) string {
	if !p.Color || codes == "" {
		return text
	}
	return codes + text + reset
}

func position(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

// snippet shows the first line of the range and underlines what the range
// covers of it.
func (p Printer) snippet(buf *bytes.Buffer, r hcl.Range, line, color string) {
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
	fmt.Fprintf(buf, "  %s | %s\n", number, untab(line))

	columns := []rune(line)
	from := min(max(r.Start.Column-1, 0), len(columns))
	to := len(columns)
	if r.End.Line == r.Start.Line {
		to = min(max(r.End.Column-1, 0), len(columns))
	}
	indent := len([]rune(untab(string(columns[:from]))))
	width := max(1, len([]rune(untab(string(columns[from:max(from, to)])))))
	fmt.Fprintf(buf, "  %s | %s%s\n", strings.Repeat(" ", len(number)), strings.Repeat(" ", indent),
		p.paint(color, strings.Repeat("^", width)))
}

// untab shows a tab as two blanks, so that what is below a character stays below
// it, and makes control characters visible: source is somebody else's text, and
// must not drive the reader's terminal.
func untab(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString("  ")
		case r < ' ' || r == 0x7f || r == utf8.RuneError || (r >= 0x80 && r < 0xa0):
			b.WriteRune('\uFFFD')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
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

// wrap breaks text at blanks into lines of at most width columns; lines that
// start with a blank (examples) stay as they are.
func wrap(text string, width int) []string {
	var out []string
	for para := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		para = untab(para)
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
		)
	})
}
