package report

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Style is how a report is written.
type Style struct {
	// Color marks what is allowed and what is refused.
	Color bool
}

// Formats are those of Write.
var Formats = []string{"text", "markdown", "json", "html"}

// Write writes reports in one of the Formats.
func Write(w io.Writer, format string, reports []*Report, style Style) error {
	switch format {
	case "json":
		return WriteJSON(w, reports)
	case "markdown":
		return WriteMarkdown(w, reports)
	case "html":
		return WriteHTML(w, reports)
	}
	return WriteText(w, reports, style)
}

// WriteText writes reports for people; hosts with the same report share one.
func WriteText(w io.Writer, reports []*Report, style Style) (err error) {
	defer packet.Catch(&err)
	t := &text{style: style}
	for i, group := range sameReports(reports) {
		if i > 0 {
			t.line("")
		}
		t.report(group)
	}
	_, err = io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	style Style
}

func (t *text) line(format escape.Literal, args ...any) { escape.Fprintf(t, format+"\n", args...) }

func (t *text) report(group []*Report) {
	r := group[0]
	t.line("%s", titleOf(group))
	t.body(r)
}

func (t *text) body(r *Report) {
	if r.Change != "" {
		t.line("%s", r.Change)
	}
	for _, n := range r.Notes {
		t.line("note: %s", n)
	}
	for i := range r.Tables {
		t.table(&r.Tables[i])
	}
	if len(r.Sets) > 0 {
		t.line("\nSets")
		var lines [][]cellText
		for i := range r.Sets {
			s := &r.Sets[i]
			lines = append(lines, []cellText{{text: "  " + s.Name}, {text: s.Type}, {text: s.size()}, {text: s.sample()}})
		}
		t.columns(lines)
	}
	if len(r.Findings) > 0 {
		t.line("\nFindings")
		for _, f := range r.Findings {
			t.line("  %s", f.text())
		}
	}
}

// text is a finding in a line: policy.hcl:9:8: note: … [world-open].
func (f *Finding) text() string {
	out := f.Level + ": " + f.Text
	if f.Place != "" {
		out = f.Place + ": " + out
	}
	if f.Code != "" {
		out += " [" + f.Code + "]"
	}
	return out
}

// cellText is a text of a column, with the color that it has.
type cellText struct {
	text  string
	color escape.Safe
}

// wideTable is how many clients a table of text has side by side; with more, each port has a line
// for those who get the same.
const wideTable = 4

func (t *text) table(table *Table) {
	t.line("\n%s: %s", table.heading(), table.about())
	t.line("%s\n", table.summary())
	if len(table.Clients) <= wideTable {
		t.matrix(table)
	} else {
		t.list(table)
	}
	t.line("\n  Rules and examples")
	for i := range table.Ports {
		t.details(table, i)
	}
}

// matrix writes a line for each port, with the verdict of each of the clients.
func (t *text) matrix(table *Table) {
	head := []cellText{{text: "  " + table.rows()}}
	for k := range table.Clients {
		head = append(head, cellText{text: table.Clients[k].name(table)})
	}
	lines := [][]cellText{head}
	for i := range table.Ports {
		line := []cellText{{text: "  " + table.Ports[i].title()}}
		for k := range table.Clients {
			line = append(line, t.cell(table, table.Cells[i][k]))
		}
		lines = append(lines, line)
	}
	t.columns(lines)
}

// list writes the verdicts at each port, each with the clients who get it.
func (t *text) list(table *Table) {
	for i := range table.Ports {
		t.line("  %s", table.Ports[i].title())
		var lines [][]cellText
		for _, g := range table.verdicts(i) {
			lines = append(lines, []cellText{{text: "    " + g.verdict, color: t.color(g.reach)}, {text: g.clients}})
		}
		t.columns(lines)
	}
}

func (t *text) cell(table *Table, c *Cell) cellText {
	if len(c.Outcomes) == 0 {
		return cellText{text: "–"}
	}
	out := cellText{text: c.verdict(table.Kind), color: t.color(c.Reach())}
	if change := c.change(); change != "" {
		out.text += " (" + change + ")"
	}
	return out
}

func (t *text) color(r Reach) escape.Safe {
	if !t.style.Color {
		return ""
	}
	return map[Reach]escape.Safe{Allowed: "\x1b[32m", Refused: "\x1b[31m", Left: "\x1b[33m", Depends: "\x1b[33m"}[r]
}

// columns writes lines in columns. Widths are those of the escaped text.
func (t *text) columns(lines [][]cellText) {
	var widths []int
	for _, line := range lines {
		for i, c := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(string(escape.Terminal(c.text))))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		pad := 0
		for i, c := range line {
			shown := escape.Terminal(c.text)
			if shown == "" {
				pad += widths[i] + 2
				continue
			}
			b.WriteString(strings.Repeat(" ", pad))
			pad = widths[i] - utf8.RuneCountInString(string(shown)) + 2
			if c.color != "" {
				shown = c.color + shown + "\x1b[0m"
			}
			b.WriteString(string(shown))
		}
		t.line("%s", escape.Safe(b.String()))
	}
}

// details writes what decides at a port: the rule, its position and an example, each with its
// clients.
func (t *text) details(table *Table, i int) {
	t.line("  %s", table.Ports[i].title())
	for _, d := range table.details(i) {
		t.line("    %s: %s", d.clients, d.sentence())
		if d.before != "" {
			t.line("      %s; before: %s", d.change, d.before)
		}
		if len(d.conditions) > 0 {
			t.line("      depends on: %s", strings.Join(d.conditions, "; "))
		}
		for _, e := range d.examples {
			t.line("      example: %s", e)
		}
	}
}
