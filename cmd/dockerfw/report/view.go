package report

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
)

// sameReports groups the reports of hosts that are equal except for the host's name.
func sameReports(reports []*Report) [][]*Report {
	if len(reports) == 1 {
		return [][]*Report{reports}
	}
	var out [][]*Report
	index := map[string]int{}
	for _, r := range reports {
		all := &text{}
		all.body(r)
		if i, ok := index[all.String()]; ok {
			out[i] = append(out[i], r)
			continue
		}
		index[all.String()] = len(out)
		out = append(out, []*Report{r})
	}
	return out
}

// titleOf is what the reports of a group are about.
func titleOf(group []*Report) string {
	const shown = 4
	var hosts []string
	for _, r := range group {
		if r.Host != "" {
			hosts = append(hosts, r.Host)
		}
	}
	text := "Who can reach what: " + group[0].Name
	if len(hosts) == 1 {
		text += ", host " + hosts[0]
	} else if len(hosts) > 1 {
		text += ", hosts " + words.List(hosts, shown)
	}
	if group[0].Old != "" {
		text += ", compared with " + group[0].Old
	}
	return text
}

// title is the ports with what publishes them.
func (p *Ports) title() string {
	const shown = 3
	if len(p.By) == 0 {
		return p.Name
	}
	return p.Name + " (" + words.List(p.By, shown) + ")"
}

// who lists clients of a table by their indexes: all of them as everyone, and those that no rule
// lists, with many others, as all others. others reports that.
func (t *Table) who(clients []int) (text string, others bool) {
	const many = 3
	switch {
	case len(clients) == len(t.Clients) && t.Kind == Egress:
		return "all containers", false
	case len(clients) == len(t.Clients):
		return "everyone", false
	case len(clients) > many && slices.ContainsFunc(clients, func(k int) bool { return t.Clients[k].Rest }):
		return "all others", true
	}
	var names []string
	for _, k := range clients {
		names = append(names, t.Clients[k].name(t))
	}
	return strings.Join(names, ", "), false
}

// verdictGroup is the clients who get one verdict at a port.
type verdictGroup struct {
	verdict string
	reach   Reach
	clients string

	indexes []int
}

// verdicts are the verdicts at a port, with the clients who get them; those of all others are last.
func (t *Table) verdicts(port int) []verdictGroup {
	var out []verdictGroup
	group := map[*Cell]int{} // of the cells that were seen
	for k, c := range t.Cells[port] {
		if len(c.Outcomes) == 0 {
			continue
		}
		i, known := group[c]
		if !known {
			text := c.verdict(t.Kind)
			if change := c.change(); change != "" {
				text += " (" + change + ")"
			}
			i = slices.IndexFunc(out, func(g verdictGroup) bool { return g.verdict == text && g.reach == c.Reach() })
			if i < 0 {
				i, out = len(out), append(out, verdictGroup{verdict: text, reach: c.Reach()})
			}
			group[c] = i
		}
		out[i].indexes = append(out[i].indexes, k)
	}
	last := map[string]bool{}
	for i := range out {
		var others bool
		out[i].clients, others = t.who(out[i].indexes)
		last[out[i].verdict] = others
	}
	slices.SortStableFunc(out, func(a, b verdictGroup) int { return boolOrder(last[a.verdict]) - boolOrder(last[b.verdict]) })
	return out
}

// detail is what decides about the packets of some clients to a port.
type detail struct {
	clients string
	// family is the one that it is about, if another one differs.
	family     string
	verdict    string
	reach      Reach
	rule       Rule
	conditions []string
	examples   []string
	// change is how it differs from before; both are "" if it does not.
	change, before string

	indexes []int
}

// details are what decides at a port. Clients with the same rule share one, with the examples of
// the first of them.
func (t *Table) details(port int) []detail {
	var out []detail
	shown := map[*Cell][]int{} // the details of the cells that were seen
	for k, c := range t.Cells[port] {
		of, known := shown[c]
		if !known {
			for i := range c.Outcomes {
				d := t.detail(c, &c.Outcomes[i])
				same := slices.IndexFunc(out, func(other detail) bool {
					return other.verdict == d.verdict && other.family == d.family && other.rule.String() == d.rule.String() && other.before == d.before && slices.Equal(other.conditions, d.conditions)
				})
				if same < 0 {
					d.examples = c.Outcomes[i].examples(&t.Clients[k])
					same, out = len(out), append(out, d)
				}
				if !slices.Contains(of, same) {
					of = append(of, same)
				}
			}
			shown[c] = of
		}
		for _, i := range of {
			out[i].indexes = append(out[i].indexes, k)
		}
	}
	for i := range out {
		out[i].clients, _ = t.who(out[i].indexes)
	}
	return out
}

func (t *Table) detail(c *Cell, o *Outcome) detail {
	d := detail{verdict: o.verdict(t.Kind), reach: o.Reach, rule: o.Rule, conditions: o.Conditions}
	if len(o.Families) == 1 && slices.ContainsFunc(c.Outcomes, func(x Outcome) bool { return !slices.Equal(x.Families, o.Families) }) {
		d.family = words.Family(o.Families[0])
	}
	var changes, before []string
	for _, x := range c.Changes {
		if x.New.Rule == o.Rule && x.New.Verdict == o.Verdict {
			changes = append(changes, effects[x.Effect])
			before = append(before, x.Old.verdict(t.Kind)+" by "+x.Old.Rule.String())
		}
	}
	slices.Sort(changes)
	d.change, d.before = words.And(slices.Compact(changes)), strings.Join(before, "; ")
	return d
}

// sentence is the verdict with the rule that decides.
func (d *detail) sentence() string {
	text := d.verdict
	if d.family != "" {
		text = d.family + " " + text
	}
	if d.rule.Name == noRule {
		return text + ": no rule matches"
	}
	return text + " by " + d.rule.String()
}
