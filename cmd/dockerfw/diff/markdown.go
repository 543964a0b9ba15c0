package diff

import (
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Marker is the first line of every report in Markdown: a comment that renderers do not show.
// A CI job finds the report that it wrote before by it.
const Marker = "<!-- dockerfw diff -->"

// WriteMarkdown writes reports for a comment on a merge request: the result as a sentence and a
// line for each change stay in sight, the rest is folded.
func WriteMarkdown(w io.Writer, reports []*Report, style Style) error {
	m := &markdown{style: style}
	m.style.Color = false
	m.line(Marker)
	for i, group := range sameReports(reports) {
		if i > 0 {
			m.line("")
		}
		m.report(group)
	}
	_, err := io.WriteString(w, m.String())
	return err
}

// markdown escapes its arguments as text. Rules, packets and places are code, in which
// renderers and code hosts find no links, mentions or markup.
type markdown struct {
	strings.Builder
	style Style
}

func (m *markdown) line(format escape.Literal, args ...any) {
	escape.FprintMarkdown(m, format+"\n", args...)
}

func (m *markdown) report(group []*Report) {
	r := group[0]
	m.line("### dockerfw: %s%s", hosts(group), escape.Markdown(r.Heading())) // numbers and fixed words
	for _, n := range r.Notes {
		m.line("\n> %s.", n)
	}
	for _, f := range r.Facts {
		m.line("\n> %s: %s", f.Heading(), f.Text)
	}
	if len(r.Foreign) > 0 {
		m.line("\n**Rules that dockerfw did not create** in %s%s:\n", foreignChains(r.Foreign), map[bool]escape.Markdown{true: "; loading the new version would delete them"}[r.Foreign[0].Lost])
		m.block("", func(t *text) {
			for _, f := range r.Foreign {
				t.line("%s %s", f.table(), f.line())
			}
		})
	}
	if len(r.Changes) > 0 {
		m.line("\n| | clients and ports | verdict | because of |")
		m.line("|---|---|---|---|")
		for _, c := range r.Changes {
			m.change(c)
		}
		if r.More {
			m.line("\nMore changes are not listed (`--full` lists them).")
		}
		m.line("\n<details><summary>Rules and examples</summary>\n")
		m.block("", func(t *text) {
			for _, c := range r.Changes {
				t.change(c)
			}
		})
		m.line("</details>")
	}
	if len(r.SameReach) > 0 {
		m.line("\n<details><summary>%s</summary>\n\n%s.\n", escape.Markdown(sameReachTitle), escape.Markdown(r.sameReachText()))
		m.block("", func(t *text) { t.sameReach(r, "") })
		m.line("</details>")
	}
	if len(r.Sets) > 0 {
		m.line("\n<details><summary>Set entries</summary>\n")
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
				t.line("# %s, chain %s", words.Family(c.Family), c.Chain)
				// Renderers color only signs in the first column.
				lines := &text{style: t.style}
				lines.list("-", c.Removed)
				lines.list("+", c.Added)
				lines.list("! moved", c.Moved)
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
	lines, more := c.details(m.style.sentences())
	packets := codes(lines)
	for _, l := range more {
		packets = append(packets, escape.MarkdownText(l))
	}
	if conditions := c.dependsOn(); len(conditions) > 0 {
		packets = append(packets, "depends on "+escape.MarkdownCode(strings.Join(conditions, "; ")))
	}
	m.line("| **%s**%s | %s | %s → **%s** | %s |", titles[c.Effect], family, joined(packets, "<br>"),
		c.Path.verdicts(c.Old), c.Path.verdicts(c.New), m.reason(c))
}

// reason is the rules because of which a change is there: those that match now, or those that
// matched before if no block of the policy does now.
func (m *markdown) reason(c Change) escape.Markdown {
	if !explicit(c.NewRules) && explicit(c.OldRules) {
		return "no longer " + m.rules(c.OldRules)
	}
	return m.rules(c.NewRules)
}

func (m *markdown) rules(rules []Rule) escape.Markdown {
	return escape.Markdown(strings.Join(ruleTexts(rules, m.style.Full, func(r Rule) string {
		text := escape.MarkdownCode(r.Name)
		if r.MissingIn != "" {
			return "implicit " + string(text)
		}
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
