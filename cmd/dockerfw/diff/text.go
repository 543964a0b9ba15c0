package diff

import (
	"io"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Style is how a report is written.
type Style struct {
	// Full lists everything: all entries of sets, all lines of chains, all ports.
	Full bool
	// Color marks what is newly allowed and what is newly blocked.
	Color bool

	exact bool // see sentences
}

// samples is how many entries or lines are listed without Full.
const samples = 5

func (s Style) sentences() sentences { return sentences{full: s.Full, exact: s.exact} }

// limit is samples, or 0 for all.
func (s Style) limit() int {
	if s.Full {
		return 0
	}
	return samples
}

// things is how many sets and chains are listed, or 0 for all.
func (s Style) things() int {
	if s.Full {
		return 0
	}
	return 20
}

// Write writes reports in one of the Formats.
func Write(w io.Writer, format string, reports []*Report, style Style) error {
	switch format {
	case "json":
		return WriteJSON(w, reports, style)
	case "markdown":
		return WriteMarkdown(w, reports, style)
	}
	return WriteText(w, reports, style)
}

// WriteText writes reports for people; hosts with the same report share one.
func WriteText(w io.Writer, reports []*Report, style Style) error {
	t := &text{style: style}
	for i, group := range sameReports(reports) {
		if i > 0 {
			t.line("")
		}
		t.report(group)
	}
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	style Style
}

func (t *text) line(format escape.Literal, args ...any) {
	escape.Fprintf(t, format+"\n", args...)
}

// sameReports groups the reports of hosts that are equal except for the host's name.
func sameReports(reports []*Report) [][]*Report {
	var out [][]*Report
	index := map[string]int{}
	for _, r := range reports {
		all := &text{style: Style{Full: true, exact: true}}
		all.body(r)
		key := string(r.Effect) + all.String()
		if i, ok := index[key]; ok {
			out[i] = append(out[i], r)
			continue
		}
		index[key] = len(out)
		out = append(out, []*Report{r})
	}
	return out
}

// hosts lists the hosts of a group, before the heading.
func hosts(group []*Report) string {
	const shown = 4
	var names []string
	for _, r := range group {
		if r.Host != "" {
			names = append(names, r.Host)
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return "host " + names[0] + ": "
	}
	return "hosts " + words.List(names, shown) + ": "
}

func (t *text) report(group []*Report) {
	r := group[0]
	t.line("%s%s", hosts(group), t.mark(r.Effect, r.Heading()))
	t.body(r)
}

func (t *text) mark(e Effect, s string) escape.Safe {
	color := map[Effect]escape.Safe{Widened: "31", Both: "31", Narrowed: "33", Changed: "33"}[e]
	if !t.style.Color || color == "" {
		return escape.Terminal(s)
	}
	return "\x1b[1;" + color + "m" + escape.Terminal(s) + "\x1b[0m"
}

func (t *text) body(r *Report) {
	for _, n := range r.Notes {
		t.line("  note: %s.", n)
	}
	for _, f := range r.Facts {
		t.line("  %s: %s", f.Heading(), f.Text)
	}
	t.foreign(r.Foreign, r)
	if len(r.Changes) > 0 {
		t.line("\nChanges")
		for _, c := range r.Changes {
			t.change(c)
		}
		if r.More {
			t.line("  … and more changes (--full lists them).")
		}
	}
	if len(r.SameReach) > 0 {
		t.line("\n%s (%s)", sameReachTitle, r.sameReachText())
		t.sameReach(r, "  ")
	}
	if len(r.Sets) > 0 {
		t.line("\nSet entries")
		shown, more := words.First(len(r.Sets), t.style.things())
		for _, s := range r.Sets[:shown] {
			t.set(s)
		}
		if more > 0 {
			t.line("  … and %d more sets (--full lists them)", more)
		}
	}
	if len(r.Rules) > 0 && (r.Different() || t.style.Full) {
		t.line("\nRules")
		shown, more := words.First(len(r.Rules), t.style.things())
		for _, c := range r.Rules[:shown] {
			t.chain(c)
		}
		if more > 0 {
			t.line("  … and %d more chains (--full lists them)", more)
		}
	}
}

func (t *text) foreign(rules []Foreign, r *Report) {
	if len(rules) == 0 {
		return
	}
	then := ""
	if rules[0].Lost {
		then = "; loading " + r.New + " would delete them"
	}
	t.line("  %s contains rules that dockerfw did not create%s:", foreignChains(rules), then)
	shown, more := words.First(len(rules), t.style.limit())
	for _, f := range rules[:shown] {
		t.line("    %s: %s", f.table(), f.line())
	}
	if more > 0 {
		t.line("    … and %d more", more)
	}
	switch {
	case rules[0].Lost && rules[0].Family == 0:
		t.line("    To keep them, move them to a table of their own.")
	case rules[0].Lost:
		t.line("    To keep them, set install = \"jump\" on the host.")
	}
}

// foreignChains lists the chains of foreign rules.
func foreignChains(rules []Foreign) string {
	var names []string
	for _, f := range rules {
		if !slices.Contains(names, f.Chain) {
			names = append(names, f.Chain)
		}
	}
	return strings.Join(names, ", ")
}

func (t *text) change(c Change) {
	family := ""
	if f := c.families(); f != "" {
		family = " (" + f + ")"
	}
	t.line("  %s %s → %s", t.mark(c.Effect, signs[c.Effect]+" "+titles[c.Effect]+family+":"), c.Path.verdicts(c.Old), c.Path.verdicts(c.New))
	packets, more := c.details(t.style.sentences())
	for _, l := range slices.Concat(packets, more) {
		t.line("      %s", l)
	}
	t.rules("old", c.OldRules)
	t.rules("new", c.NewRules)
	if conditions := c.dependsOn(); len(conditions) > 0 {
		t.line("      depends on: %s", strings.Join(conditions, "; "))
	}
	t.line("      example:    %s", c.example())
}

// rules lists the rules of a side, one a line.
func (t *text) rules(side string, rules []Rule) {
	title := side + " rule:"
	if len(rules) > 1 {
		title = side + " rules:"
	}
	for _, name := range ruleTexts(rules, t.style.Full, Rule.String) {
		t.line("      %-11s %s", title, name)
		title = ""
	}
}

// sameReach writes a line for each change without an effect.
func (t *text) sameReach(r *Report, indent string) {
	shown, more := words.First(len(r.SameReach), t.style.limit())
	for _, c := range r.SameReach[:shown] {
		family := c.families()
		if family != "" {
			family += ": "
		}
		packets, _ := c.details(t.style.sentences())
		t.line("%s%s%s → %s: %s", indent, family, c.Path.verdicts(c.Old), c.Path.verdicts(c.New), strings.Join(packets, "; "))
	}
	switch {
	case more > 0:
		t.line("%s… and %d more (--full lists them)", indent, more)
	case r.MoreSameReach:
		t.line("%s… and more (--full lists them)", indent)
	}
}

func (t *text) set(s SetChange) {
	t.line("  %s", s.heading())
	t.list("+", words.Prefixes(s.Added), s.AddedMembers)
	t.list("-", words.Prefixes(s.Removed), s.RemovedMembers)
}

// list writes the first items of each list, with a sign before them.
func (t *text) list(sign string, lists ...[]string) {
	for _, items := range lists {
		shown, more := words.First(len(items), t.style.limit())
		for _, item := range items[:shown] {
			t.line("    %s %s", sign, item)
		}
		if more > 0 {
			t.line("    %s … and %d more (--full lists them)", sign, more)
		}
	}
}

func (t *text) chain(c ChainChange) {
	t.line("  %s, chain %s", words.Family(c.Family), c.Chain)
	t.list("-", c.Removed)
	t.list("+", c.Added)
	t.list("moved", c.Moved)
}
