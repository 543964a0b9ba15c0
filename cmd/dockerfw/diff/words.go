package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// signs mark the effects of changes, and titles name them.
var (
	signs  = map[Effect]string{Widened: "+", Narrowed: "-", Changed: "~"}
	titles = map[Effect]string{Widened: "newly allowed", Narrowed: "newly blocked", Changed: "different verdict"}
)

// sameReachTitle is the title of changes without an effect.
const sameReachTitle = "Same reach, different verdict"

// sameReachText explains the changes without an effect by what accepts on the sides that do.
func (r *Report) sameReachText() string {
	var inTable, inIPTables bool
	for _, c := range r.SameReach {
		for side, verdicts := range [][]packet.Verdict{c.Old, c.New} {
			if slices.ContainsFunc(verdicts, func(v packet.Verdict) bool { return v.Kind == packet.Accept }) {
				inTable, inIPTables = inTable || r.inTable[side], inIPTables || !r.inTable[side]
			}
		}
	}
	const text = "Docker's own rules accept these packets too"
	switch {
	case inTable && inIPTables:
		return text + ". ACCEPT of iptables ends the filter table, so later rules in FORWARD do not see the packet; accept of nft ends only dockerfw's own chain, so they do"
	case inTable:
		return text + ", and see them in either case: accept of nft ends only dockerfw's own chain"
	}
	return text + ", but ACCEPT ends the filter table, so later rules in FORWARD do not see the packet"
}

// Heading is the result in one line.
func (r *Report) Heading() string {
	if len(r.Changes) > 0 {
		some := ""
		if r.More {
			some = "more than "
		}
		return some + words.Count(len(r.Changes), "change") + ": " + map[Effect]string{
			Widened: "some traffic is newly allowed", Narrowed: "some traffic is newly blocked",
			Both:    "some traffic is newly allowed, some newly blocked",
			Changed: "some traffic gets a different verdict, none is newly allowed or blocked",
		}[r.Effect]
	}
	if len(r.Sets) > 0 && r.Different() {
		return "no difference in the compared chains, but set entries that other rules use differ"
	}
	var parts []string
	if len(r.SameReach) > 0 {
		parts = append(parts, "same reach, different verdict")
	}
	if n := r.differingLines(); n > 0 {
		parts = append(parts, words.Count(n, "rule")+" written differently")
	}
	if len(r.Sets) > 0 {
		parts = append(parts, words.Count(len(r.Sets), "set")+" added, removed or changed")
	}
	if len(parts) == 0 {
		return "no difference"
	}
	return "no difference in allowed traffic (" + strings.Join(parts, "; ") + ")"
}

func (r *Report) differingLines() int {
	n := 0
	for _, c := range r.Rules {
		n += max(len(c.Added), len(c.Removed)) + len(c.Moved)
	}
	return n
}

// verdictText is a verdict of a path's packets.
func (p Path) verdictText(v packet.Verdict) string {
	if v.Kind == packet.Docker {
		if p == ToProxy {
			return "left to the host's own rules"
		}
		return "left to Docker's rules"
	}
	return v.String()
}

func (p Path) verdicts(all []packet.Verdict) string {
	var texts []string
	for _, v := range all {
		texts = append(texts, p.verdictText(v))
	}
	return strings.Join(texts, ", ")
}

// families is the family of a change; "" for both.
func (c *Change) families() string {
	if len(c.Families) == 2 {
		return ""
	}
	return words.Family(c.Families[0])
}

// details are the lines about a change's packets, as Markdown and text have them: first the
// packets themselves, then what else is known of them.
func (c *Change) details(s sentences) (packets, more []string) {
	packets = s.description(c.Packets)
	if len(c.Proxy) > 0 {
		packets = append(packets, "and the same clients to "+s.destinations(c.Proxy))
	}
	if c.Unpublished {
		more = append(more, "only where Docker's own rules drop: unpublished ports, and traffic between Docker's networks")
	}
	if c.StillOpen != "" {
		more = append(more, "but "+c.StillOpen)
	}
	return packets, more
}

// dependsOn are the conditions of the change that its packets do not show.
func (c *Change) dependsOn() []string {
	shown := map[string]bool{}
	for _, t := range c.Packets.Traffic {
		for _, d := range t.To {
			for _, condition := range d.Conditions {
				shown[condition.Name] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(c.Conditions), func(name string) bool { return shown[name] })
}

// example is the witness, with its verdicts where the change has several.
func (c *Change) example() string {
	text := c.Witness.String()
	if len(c.Old) > 1 || len(c.New) > 1 {
		text += ": " + c.Path.verdictText(c.WitnessOld) + " → " + c.Path.verdictText(c.WitnessNew)
	}
	return text
}

func (r Rule) place() string { return snapshot.PlaceText(r.Place) }

func (r Rule) String() string {
	if end, ok := strings.CutPrefix(r.Name, noRule); ok {
		return "none" + strings.Replace(end, "(the end", "(end", 1)
	}
	if r.MissingIn != "" {
		return fmt.Sprintf("implicit %s (%s has no %[1]s block)", r.Name, r.MissingIn)
	}
	if p := r.place(); p != "" {
		return r.Name + " (" + p + ")"
	}
	return r.Name
}

// shownRules is how many rules of a side are listed.
const shownRules = 4

// ruleTexts writes rules; without full, the first few.
func ruleTexts(rules []Rule, full bool, text func(Rule) string) []string {
	limit := shownRules
	if full {
		limit = 0
	}
	shown, more := words.First(len(rules), limit)
	var texts []string
	for _, r := range rules[:shown] {
		texts = append(texts, text(r))
	}
	if more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return texts
}

// heading is the set with how many entries were added and removed.
func (s SetChange) heading() string {
	text := s.Name
	switch {
	case s.New:
		text = "new set " + s.Name
	case s.Gone:
		text = "removed set " + s.Name
	}
	if s.Unused {
		text += " (not used by any rule)"
	}
	var counts []string
	if n := len(s.Added) + len(s.AddedMembers); n > 0 {
		counts = append(counts, words.Count(n, "entry")+" added")
	}
	if n := len(s.Removed) + len(s.RemovedMembers); n > 0 {
		counts = append(counts, words.Count(n, "entry")+" removed")
	}
	if len(counts) == 0 {
		return text + ": no entries"
	}
	return text + ": " + strings.Join(counts, ", ")
}
