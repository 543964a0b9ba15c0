package diff

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Style is how a report is written.
type Style struct {
	// Full lists all members of sets and all lines of chains.
	Full bool
	// Color marks what is widened and what is narrowed.
	Color bool
}

// samples is how many members or lines are shown without Full.
const samples = 5

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

// sameReports groups the reports of hosts that differ in the host's name alone.
func sameReports(reports []*Report) [][]*Report {
	var out [][]*Report
	index := map[string]int{}
	for _, r := range reports {
		plain := &text{style: Style{Full: true}}
		plain.body(r)
		key := string(r.Effect) + plain.String()
		if i, ok := index[key]; ok {
			out[i] = append(out[i], r)
			continue
		}
		index[key] = len(out)
		out = append(out, []*Report{r})
	}
	return out
}

// hosts names the hosts of a group.
func hosts(group []*Report) string {
	const shown = 4
	var names []string
	for _, r := range group {
		if r.Host != "" {
			names = append(names, r.Host)
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) == 1:
		return "host " + names[0] + ": "
	case len(names) > shown+1:
		return fmt.Sprintf("hosts %s and %d more: ", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return "hosts " + strings.Join(names, ", ") + ": "
}

// Heading is the outcome in a line.
func (r *Report) Heading() string {
	if len(r.Changes) == 0 {
		var parts []string
		if len(r.SameReach) > 0 {
			parts = append(parts, "same reach, other verdict")
		}
		if n := r.differingLines(); n > 0 {
			parts = append(parts, words.Count(n, "rule")+" written differently")
		}
		switch {
		case len(r.Sets) > 0 && r.Different():
			return "no difference in what anyone can reach; set members differ"
		case len(r.Sets) > 0:
			parts = append(parts, words.Count(len(r.Sets), "set")+" new, gone or changed")
		}
		if len(parts) == 0 {
			return "no difference"
		}
		return "no difference in what anyone can reach (" + strings.Join(parts, "; ") + ")"
	}
	some := ""
	if r.More {
		some = "more than "
	}
	return some + words.Count(len(r.Changes), "change") + ": " + map[Effect]string{
		Widened: "some traffic is newly allowed", Narrowed: "some traffic is newly blocked",
		Both:    "some traffic is newly allowed, some newly blocked",
		Changed: "other answers, nobody reaches more or less",
	}[r.Effect]
}

func (r *Report) differingLines() int {
	n := 0
	for _, c := range r.Rules {
		n += max(len(c.Added), len(c.Removed)) + len(c.Moved)
	}
	return n
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
	t.sameReach(r)
	if len(r.Sets) > 0 {
		t.line("\nSet members")
		for _, s := range r.Sets {
			t.set(s)
		}
	}
	if len(r.Rules) > 0 && (r.Different() || t.style.Full) {
		t.line("\nRules")
		for _, c := range r.Rules {
			t.chain(c)
		}
	}
}

func (t *text) foreign(rules []Foreign, r *Report) {
	if len(rules) == 0 {
		return
	}
	where := " contains foreign rules"
	if rules[0].Lost {
		where += "; loading " + r.New + " would delete them"
	}
	t.line("  %s%s:", foreignChains(rules), where)
	for i, f := range rules {
		if i == samples && !t.style.Full && len(rules) > samples+1 {
			t.line("    … and %d more", len(rules)-i)
			break
		}
		t.line("    %s: -A %s %s", snapshot.FamilyText(f.Family), f.Chain, f.Text)
	}
	if rules[0].Lost {
		t.line("    To keep them, set install = \"jump\" on the host.")
	}
}

// foreignChains names the chains that have them.
func foreignChains(rules []Foreign) string {
	var names []string
	for _, f := range rules {
		if !slices.Contains(names, f.Chain) {
			names = append(names, f.Chain)
		}
	}
	return strings.Join(names, ", ")
}

// signs mark the effects of changes, and titles say them.
var (
	signs  = map[Effect]string{Widened: "+", Narrowed: "-", Changed: "~"}
	titles = map[Effect]string{Widened: "newly allowed", Narrowed: "newly blocked", Changed: "another answer"}
)

func (t *text) change(c Change) {
	family := ""
	if f := c.families(); f != "" {
		family = " (" + f + ")"
	}
	t.line("  %s %s → %s", t.mark(c.Effect, signs[c.Effect]+" "+titles[c.Effect]+family+":"), c.Path.verdicts(c.Old), c.Path.verdicts(c.New))
	for _, l := range c.Packets {
		t.line("      %s", l)
	}
	if c.Unpublished {
		t.line("      %s", unpublishedText)
	}
	if len(c.Proxy) > 0 {
		t.line("      %s", c.proxyText())
	}
	if c.StillOpen != "" {
		t.line("      but %s", c.StillOpen)
	}
	t.rules("old", c.OldRules)
	t.rules("new", c.NewRules)
	if len(c.Conditions) > 0 {
		t.line("      depends on: %s", strings.Join(c.Conditions, "; "))
	}
	t.line("      example:    %s", c.example())
}

// unpublishedText says which packets of a change are those that change.
const unpublishedText = "only where Docker's own rules refuse: ports that are not published, traffic between Docker's networks"

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

// sameReach lists what is decided otherwise and reaches the same.
func (t *text) sameReach(r *Report) {
	if len(r.SameReach) == 0 {
		return
	}
	t.line("\nSame reach, other verdict (Docker's own rules accept these packets; ACCEPT skips all rules that follow)")
	t.sameReachLines(r, "  ")
}

// sameReachLines writes a line for each, without Full the first few.
func (t *text) sameReachLines(r *Report, indent string) {
	for i, c := range r.SameReach {
		if i == samples && len(r.SameReach) > samples+1 && !t.style.Full {
			t.line("%s… and %d more (--full lists them)", indent, len(r.SameReach)-i)
			return
		}
		family := c.families()
		if family != "" {
			family += ": "
		}
		t.line("%s%s%s → %s: %s", indent, family, c.Path.verdicts(c.Old), c.Path.verdicts(c.New), strings.Join(c.Packets, "; "))
	}
	if r.MoreSameReach {
		t.line("%s… and more (--full lists them)", indent)
	}
}

// proxyText says what of the change holds where docker-proxy answers.
func (c *Change) proxyText() string {
	return "and the same clients to " + strings.Join(c.Proxy, "; ")
}

// example is the witness, with its verdicts where the change has several.
func (c *Change) example() string {
	text := c.Witness.String()
	if len(c.Old) > 1 || len(c.New) > 1 {
		text += ": " + c.Path.verdictText(c.WitnessOld) + " → " + c.Path.verdictText(c.WitnessNew)
	}
	return text
}

func (t *text) set(s SetChange) {
	state := ""
	switch {
	case s.New:
		state = " is new"
	case s.Gone:
		state = " is gone"
	}
	unused := ""
	if s.Unused {
		unused = " (no rule uses it)"
	}
	t.line("  %s%s%s: %s added, %s removed", s.Name, state, unused, words.Count(len(s.Added)+len(s.AddedMembers), "entry"), words.Count(len(s.Removed)+len(s.RemovedMembers), "entry"))
	t.members("+", prefixTexts(s.Added), s.AddedMembers)
	t.members("-", prefixTexts(s.Removed), s.RemovedMembers)
}

func prefixTexts(prefixes []netip.Prefix) []string {
	out := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, prefixText(p))
	}
	return out
}

func (t *text) members(sign string, lists ...[]string) {
	for _, all := range lists {
		for i, m := range all {
			if i == samples && !t.style.Full && len(all) > samples+1 {
				t.line("    %s … and %d more (--full lists them)", sign, len(all)-i)
				break
			}
			t.line("    %s %s", sign, m)
		}
	}
}

func (t *text) chain(c ChainChange) {
	t.line("  %s, chain %s", snapshot.FamilyText(c.Family), c.Chain)
	t.members("-", c.Removed)
	t.members("+", c.Added)
	t.members("moved", c.Moved)
}
