package diff

import (
	"fmt"
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/firewall"
)

// WriteMarkdown writes reports for a comment on a merge request: the heading and
// what it means stay in sight, the rest folds away.
func WriteMarkdown(w io.Writer, reports []*Report, style Style) error {
	m := &text{style: style}
	m.style.Color = false
	for i, group := range sameReports(reports) {
		if i > 0 {
			m.line("")
		}
		m.markdown(group)
	}
	_, err := io.WriteString(w, m.String())
	return err
}

func (t *text) markdown(group []*Report) {
	r := group[0]
	t.line("### dockerfw: %s%s", escape(hosts(group)), r.Heading())
	for _, n := range r.Notes {
		t.line("\n> %s.", escape(n))
	}
	if len(r.Foreign) > 0 {
		t.line("\n**Rules that are not dockerfw's** stand in a chain that it owns%s:\n", map[bool]string{true: "; loading the new version would delete them"}[r.Foreign[0].Lost])
		t.code(r.Foreign, func(f Foreign) string {
			return fmt.Sprintf("%s -A %s %s", firewall.FamilyText(f.Family), f.Chain, f.Text)
		})
	}
	if len(r.Changes) > 0 {
		t.line("\n| | who → where | verdict | decided by | for example |")
		t.line("|---|---|---|---|---|")
		for _, c := range r.Changes {
			family := c.families()
			if family != "" {
				family = "<br>" + family
			}
			packets := escape(strings.Join(c.Packets, "\n"))
			if len(c.Proxy) > 0 {
				packets += "<br>" + escape(c.proxyText())
			}
			if len(c.Conditions) > 0 {
				packets += "<br>depends on " + escape(strings.Join(c.Conditions, "; "))
			}
			t.line("| **%s**%s | %s | %s → **%s** | %s → %s | `%s` |", c.Effect, family, packets,
				c.Path.verdicts(c.Old), c.Path.verdicts(c.New), rulesText(c.OldRules, t.style.Full, ruleMarkdown), rulesText(c.NewRules, t.style.Full, ruleMarkdown), strings.ReplaceAll(c.example(), "|", "\\|"))
		}
		if r.More {
			t.line("\nMore changes are not listed (`--full` lists them).")
		}
	}
	if len(r.Sets) > 0 {
		t.line("\n<details><summary>Set members</summary>\n\n```")
		for _, s := range r.Sets {
			t.set(s)
		}
		t.line("```\n</details>")
	}
	if len(r.Rules) > 0 && (r.Different() || t.style.Full) {
		t.line("\n<details><summary>Rules</summary>\n\n```diff")
		for _, c := range r.Rules {
			t.line("# %s, chain %s", firewall.FamilyText(c.Family), c.Chain)
			lines := &text{style: t.style}
			lines.members("-", c.Removed)
			lines.members("+", c.Added)
			lines.members("! moved", c.Moved)
			// Colours come only for signs in the first column.
			t.WriteString(strings.ReplaceAll(lines.String(), "    ", ""))
		}
		t.line("```\n</details>")
	}
}

func (t *text) code(rules []Foreign, line func(Foreign) string) {
	t.line("```")
	for _, f := range rules {
		t.line("%s", line(f))
	}
	t.line("```")
}

func ruleMarkdown(r Rule) string {
	text := "`" + strings.ReplaceAll(r.Name, "|", "\\|") + "`"
	if p := r.place(); p != "" {
		text += " " + escape(p)
	}
	return text
}

// escape keeps text from being taken for markdown or for cells of a table.
func escape(s string) string {
	return strings.NewReplacer("\n", "<br>", "|", "\\|", "<", "&lt;", ">", "&gt;", "*", "\\*", "_", "\\_", "`", "\\`").Replace(s)
}
