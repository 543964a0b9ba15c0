package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// heading is the title of a table.
func (t *Table) heading() string {
	return map[Kind]string{Published: "Published ports", Host: "Ports of the host", Egress: "From containers to the outside"}[t.Kind]
}

// about explains a table.
func (t *Table) about() string {
	return map[Kind]string{
		Published: "New connections from outside to containers.",
		Host:      "New connections from outside to the host itself: its own services, and docker-proxy, which answers for containers.",
		Egress:    "New connections from containers to the outside.",
	}[t.Kind]
}

// rows is what the rows of a table are.
func (t *Table) rows() string {
	if t.Kind == Egress {
		return "Destination"
	}
	return "Port"
}

// name is the clients with their family, if the column is about one of two.
func (c *Clients) name(t *Table) string {
	two := slices.ContainsFunc(t.Clients, func(o Clients) bool { return !slices.Equal(o.Families, c.Families) })
	name := c.Name
	if t.Kind == Egress {
		name = strings.Replace(name, "everyone", "all containers", 1)
		name = strings.Replace(name, anyoneElse, "all other containers", 1)
	}
	if len(c.Families) == 1 && two {
		return name + " (" + words.Family(c.Families[0]) + ")"
	}
	return name
}

// verdict is what an outcome means, in a word or two.
func (o *Outcome) verdict(k Kind) string {
	switch o.Reach {
	case Allowed:
		return "allowed"
	case Refused:
		if o.Verdict.Kind == packet.Reject {
			return "rejected"
		}
		return "dropped"
	}
	switch {
	case o.Verdict.Kind == packet.Other:
		return "left to " + o.Verdict.With
	case k == Host:
		return "left to the host's rules"
	}
	return "left to Docker's rules"
}

// verdict is that of a cell: for each family, if they differ, and "depends" if the packets of one
// differ.
func (c *Cell) verdict(k Kind) string {
	var texts []string
	var families []ir.Family
	for _, o := range c.Outcomes {
		for _, f := range o.Families {
			if !slices.Contains(families, f) {
				families = append(families, f)
				texts = append(texts, c.verdictOver(k, f))
			}
		}
	}
	if len(texts) == 2 && texts[0] != texts[1] {
		return words.Family(families[0]) + ": " + texts[0] + ", " + words.Family(families[1]) + ": " + texts[1]
	}
	return strings.Join(slices.Compact(texts), "")
}

func (c *Cell) verdictOver(k Kind, f ir.Family) string {
	var of []Outcome
	var texts []string
	for _, o := range c.Outcomes {
		if !slices.Contains(o.Families, f) {
			continue
		}
		of = append(of, o)
		if text := o.verdict(k); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if reachOf(of) == Depends {
		return "depends"
	}
	return strings.Join(texts, " or ")
}

// change is how a cell differs from the old side: "newly allowed"; "" if it does not.
func (c *Cell) change() string {
	var texts []string
	for _, x := range c.Changes {
		if text := effects[x.Effect]; !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return words.And(texts)
}

// effects name what changes.
var effects = map[Effect]string{Widened: "newly allowed", Narrowed: "newly blocked", Changed: "different verdict"}

// rules are the rules of outcomes, each once.
func rulesOf(all []Outcome) []Rule {
	var out []Rule
	for _, o := range all {
		// Those of the two families differ in their text.
		if !slices.ContainsFunc(out, func(r Rule) bool { return r.Name == o.Rule.Name && r.Place == o.Rule.Place }) {
			out = append(out, o.Rule)
		}
	}
	return out
}

func (r Rule) title() string {
	if r.MissingIn != "" {
		return "implicit " + r.Name
	}
	return r.Name
}

func (r Rule) String() string {
	if r.Name == noRule {
		return "no rule of dockerfw"
	}
	if r.Place == "" {
		return r.title()
	}
	return r.title() + " (" + r.Place + ")"
}

// openTo are the ports that the clients no rule lists reach, in full or in part: on one of several
// interfaces, over one family, or under a condition.
func (t *Table) openTo() (open, partly []string) {
	for i := range t.Ports {
		var reaches []Reach
		for k := range t.Clients {
			if c := t.Cells[i][k]; t.Clients[k].Rest && len(c.Outcomes) > 0 {
				reaches = append(reaches, c.Reach())
			}
		}
		slices.Sort(reaches)
		switch reaches = slices.Compact(reaches); {
		case slices.Equal(reaches, []Reach{Allowed}):
			open = append(open, t.Ports[i].Name)
		case slices.Contains(reaches, Allowed), slices.Contains(reaches, Depends):
			partly = append(partly, t.Ports[i].Name)
		}
	}
	return open, partly
}

// summary is the main result of a table in a sentence.
func (t *Table) summary() string {
	open, partly := t.openTo()
	who := "Open to everyone"
	if t.Kind == Egress {
		who = "Open to every container"
	}
	const shown = 20
	switch {
	case len(open) > 0 && len(partly) > 0:
		return fmt.Sprintf("%s: %s. In part: %s.", who, words.List(open, shown), words.List(partly, shown))
	case len(open) > 0:
		return fmt.Sprintf("%s: %s.", who, words.List(open, shown))
	case len(partly) > 0:
		return fmt.Sprintf("%s in part: %s.", who, words.List(partly, shown))
	}
	return "Nothing is open to " + strings.ToLower(strings.TrimPrefix(who, "Open to ")) + "."
}

func familyNames(families []ir.Family) []string {
	var out []string
	for _, f := range families {
		out = append(out, f.String())
	}
	return out
}

// size is how many entries a set has, in words.
func (s *Set) size() string {
	if s.Unknown {
		return "unmanaged: another program fills it"
	}
	text := words.Count(s.Entries, "entry")
	if !s.Managed {
		text += ", unmanaged"
	}
	if s.Added > 0 {
		text += fmt.Sprintf(", %d added", s.Added)
	}
	if s.Removed > 0 {
		text += fmt.Sprintf(", %d removed", s.Removed)
	}
	return text
}

// sample are the first entries, and how many more there are.
func (s *Set) sample() string {
	text := strings.Join(s.Sample, ", ")
	if more := s.Entries - len(s.Sample); more > 0 && len(s.Sample) > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
