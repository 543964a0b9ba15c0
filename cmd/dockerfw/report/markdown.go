package report

import (
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// marker is the first line of every report in Markdown; see diff.Marker.
const marker = "<!-- dockerfw report -->"

// WriteMarkdown writes reports for a page or a comment: the tables stay in sight, the rules and
// examples are folded.
func WriteMarkdown(w io.Writer, reports []*Report) (err error) {
	defer packet.Catch(&err)
	m := &markdown{}
	m.line(marker)
	for _, group := range sameReports(reports) {
		m.report(group)
	}
	_, err = io.WriteString(w, m.String())
	return err
}

// markdown escapes its arguments as text.
type markdown struct{ strings.Builder }

func (m *markdown) line(format escape.Literal, args ...any) {
	escape.FprintMarkdown(m, format+"\n", args...)
}

func (m *markdown) report(group []*Report) {
	r := group[0]
	m.line("## %s", titleOf(group))
	if r.Change != "" {
		m.line("\n**%s**", r.Change)
	}
	for _, n := range r.Notes {
		m.line("\n> %s.", n)
	}
	for i := range r.Tables {
		m.table(&r.Tables[i])
	}
	if len(r.Sets) > 0 {
		m.line("\n### Sets\n\n| set | type | entries | the first ones |\n|---|---|---|---|")
		for i := range r.Sets {
			s := &r.Sets[i]
			m.line("| %s | %s | %s | %s |", escape.MarkdownCode(s.Name), escape.MarkdownCode(s.Type), s.size(), escape.MarkdownCode(s.sample()))
		}
	}
	if len(r.Findings) > 0 {
		m.line("\n### Findings\n")
		for i := range r.Findings {
			m.line("- %s", r.Findings[i].text())
		}
	}
}

// marks show a reach beside its word.
var marks = map[Reach]string{Allowed: "✅", Refused: "⛔", Left: "❔", Depends: "⚠️"}

func (m *markdown) table(t *Table) {
	m.line("\n### %s\n\n%s %s\n", t.heading(), t.about(), t.summary())
	if len(t.Clients) <= wideTable {
		m.matrix(t)
	} else {
		m.line("| %s | verdict | clients |\n|---|---|---|", t.rows())
		for i := range t.Ports {
			for _, g := range t.verdicts(i) {
				m.line("| %s | %s %s | %s |", escape.MarkdownCode(t.Ports[i].title()), escape.Markdown(marks[g.reach]), g.verdict, escape.MarkdownCode(g.clients))
			}
		}
	}
	m.line("\n<details><summary>Rules and examples</summary>\n")
	details := &text{}
	for i := range t.Ports {
		details.details(t, i)
	}
	m.line("%s", escape.MarkdownBlock("", escape.Safe(details.String())))
	m.line("</details>")
}

func (m *markdown) matrix(t *Table) {
	head, rule := escape.Markdown("| "+t.rows()+" |"), escape.Markdown("|---|")
	for k := range t.Clients {
		head += " " + escape.MarkdownCode(t.Clients[k].name(t)) + " |"
		rule += "---|"
	}
	m.line("%s\n%s", head, rule)
	for i := range t.Ports {
		line := "| " + escape.MarkdownCode(t.Ports[i].title()) + " |"
		for k := range t.Clients {
			c := t.Cells[i][k]
			if len(c.Outcomes) == 0 {
				line += " – |"
				continue
			}
			line += " " + escape.Markdown(marks[c.Reach()]) + " " + escape.MarkdownText(c.verdict(t.Kind))
			if change := c.change(); change != "" {
				line += " **" + escape.MarkdownText(change) + "**"
			}
			for _, r := range rulesOf(c.Outcomes) {
				line += "<br>" + escape.MarkdownCode(r.title())
			}
			line += " |"
		}
		m.line("%s", line)
	}
}
