package diff

import (
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// WriteMarkdown writes reports for a comment on a merge request: the heading and
// what it means stay in sight, the rest folds away.
func WriteMarkdown(w io.Writer, reports []*Report, style Style) error {
	m := &markdown{style: style}
	m.style.Color = false
	for i, group := range sameReports(reports) {
		if i > 0 {
			m.line("")
		}
		m.report(group)
	}
	_, err := io.WriteString(w, m.String())
	return err
}

// markdown escapes what it is given as text; what names rules, packets and places is
// code, in which renderers and code hosts look for nothing.
type markdown struct {
	strings.Builder
	style Style
}

func (m *markdown) line(format escape.Literal, args ...any) {
	escape.FprintMarkdown(m, format+"\n", args...)
}

func (m *markdown) report(group []*Report) {
	r := group[0]
	m.line("### dockerfw: %s%s", hosts(group), escape.Markdown(r.Heading())) // numbers and our own words
	for _, n := range r.Notes {
		m.line("\n> %s.", n)
	}
	if len(r.Foreign) > 0 {
		m.line("\n**Foreign rules** in %s%s:\n", foreignChains(r.Foreign), map[bool]escape.Markdown{true: "; loading the new version would delete them"}[r.Foreign[0].Lost])
		m.block("", func(t *text) {
			for _, f := range r.Foreign {
				t.line("%s -A %s %s", snapshot.FamilyText(f.Family), f.Chain, f.Text)
			}
		})
	}
	if len(r.Changes) > 0 {
		m.line("\n| | clients and ports | verdict | old rule → new rule | example |")
		m.line("|---|---|---|---|---|")
		for _, c := range r.Changes {
			m.change(c)
		}
		if r.More {
			m.line("\nMore changes are not listed (`--full` lists them).")
		}
	}
	if len(r.SameReach) > 0 {
		m.line("\n<details><summary>Same reach, other verdict</summary>\n\nDocker's own rules accept these packets; ACCEPT skips all rules that follow.\n")
		m.block("", func(t *text) { t.sameReachLines(r, "") })
		m.line("</details>")
	}
	if len(r.Sets) > 0 {
		m.line("\n<details><summary>Set members</summary>\n")
		m.block("", func(t *text) {
			for _, s := range r.Sets {
				t.set(s)
			}
		})
		m.line("</details>")
	}
	if len(r.Rules) > 0 && (r.Different() || m.style.Full) {
		m.line("\n<details><summary>Rules</summary>\n")
		m.block("diff", func(t *text) {
			for _, c := range r.Rules {
				t.line("# %s, chain %s", snapshot.FamilyText(c.Family), c.Chain)
				// Colours come only for signs in the first column.
				lines := &text{style: t.style}
				lines.members("-", c.Removed)
				lines.members("+", c.Added)
				lines.members("! moved", c.Moved)
				for l := range strings.Lines(lines.String()) {
					t.WriteString(strings.TrimPrefix(l, "    "))
				}
			}
		})
		m.line("</details>")
	}
}

func (m *markdown) change(c Change) {
	var family escape.Markdown
	if f := c.families(); f != "" {
		family = "<br>" + escape.MarkdownText(f)
	}
	packets := codes(c.Packets)
	if len(c.Proxy) > 0 {
		packets = append(packets, escape.MarkdownCode(c.proxyText()))
	}
	if c.StillOpen != "" {
		packets = append(packets, escape.MarkdownText("but "+c.StillOpen))
	}
	if c.Unpublished {
		packets = append(packets, escape.MarkdownText(unpublishedText))
	}
	if len(c.Conditions) > 0 {
		packets = append(packets, "depends on "+escape.MarkdownCode(strings.Join(c.Conditions, "; ")))
	}
	m.line("| **%s**%s | %s | %s → **%s** | %s → %s | %s |", titles[c.Effect], family, joined(packets, "<br>"),
		c.Path.verdicts(c.Old), c.Path.verdicts(c.New), m.rules(c.OldRules), m.rules(c.NewRules), escape.MarkdownCode(c.example()))
}

func (m *markdown) rules(rules []Rule) escape.Markdown {
	return escape.Markdown(strings.Join(ruleTexts(rules, m.style.Full, func(r Rule) string {
		text := escape.MarkdownCode(r.Name)
		if p := r.place(); p != "" {
			text += " " + escape.MarkdownCode(p)
		}
		return string(text)
	}), ", "))
}

// codes are texts as code.
func codes(texts []string) []escape.Markdown {
	var out []escape.Markdown
	for _, t := range texts {
		out = append(out, escape.MarkdownCode(t))
	}
	return out
}

// block writes lines of text as fenced code.
func (m *markdown) block(language escape.Literal, write func(*text)) {
	t := &text{style: m.style}
	write(t)
	m.line("%s", escape.MarkdownBlock(language, escape.Safe(t.String())))
}

func joined(parts []escape.Markdown, separator escape.Markdown) escape.Markdown {
	var out escape.Markdown
	for i, p := range parts {
		if i > 0 {
			out += separator
		}
		out += p
	}
	return out
}
