package packet

import (
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// resolve returns copies of the programs of a space, in which each condition depends on the
// packet alone, or is opaque with a text that no other condition has.
func resolve(programs []*Program) []*Program {
	s := &pairing{named: map[string]int{}}
	out := make([]*Program, 0, len(programs))
	for i, p := range programs {
		q, counts, counting := locate(p)
		s.pair(i, p.Family, counts)
		for _, r := range counting {
			r.Matches = mapEach(r.Matches, settled)
		}
		out = append(out, q)
	}
	return out
}

// site describes where a condition with state is in a program.
type site struct {
	condition, chain string
	rule             string // its text
	decides          bool   // its verdict is not Continue, as that of LOG is
}

// occurrence is a condition with state in one program.
type occurrence struct {
	site
	counter *counter // once it is paired
}

// counter is the state behind a condition, such as the tokens of a limit. A space has one
// Boolean for it: whether the condition holds. Each rule of a program has a counter of its
// own. Programs share the counters that are paired, as if both counted the same packets;
// otherwise a program with a limit would differ from itself, because one of two
// counters can be used up while the other is not.
type counter struct {
	site    // in the first program that has it
	family  ir.Family
	name    string // the text of its condition in the space
	program int    // the last program that has it
}

// freeFor reports whether a site of a program may still be paired with the counter.
func (c *counter) freeFor(program int, f ir.Family) bool {
	return c.program < program && c.family == f
}

// locate returns a copy of a program, its conditions with state, and the rules that have them. Marks
// become opaque: rules before the program may have set them (see Route, which follows marks). Most
// rules have neither, and are those of the program.
func locate(p *Program) (_ *Program, found []*occurrence, counting []*Rule) {
	out := &Program{Family: p.Family, Default: p.Default, ToHost: p.ToHost}
	for _, c := range p.Chains {
		chain := &Chain{Name: c.Name, Rules: make([]*Rule, len(c.Rules))}
		for i, r := range c.Rules {
			if chain.Rules[i] = r; r.Text != "" && !p.hasToResolve(r) {
				continue
			}
			rule := *r
			rule.Text = r.text()
			chain.Rules[i] = &rule
			before := len(found)
			at := site{chain: c.Name, rule: rule.Text, decides: r.Verdict.Kind != Continue}
			rule.Matches = mapEach(r.Matches, func(c Cond) Cond {
				switch c := c.(type) {
				case Mark:
					return c.opaque()
				case Interface:
					if p.ToHost && c.End == Destination {
						return never // packets for the host leave by no interface
					}
				case Opaque:
					if c.Stateful {
						at.condition = c.Text
						c.at = &occurrence{site: at}
						found = append(found, c.at)
						return c
					}
				}
				return c
			})
			if len(found) > before {
				counting = append(counting, &rule)
			}
		}
		out.Chains = append(out.Chains, chain)
	}
	return out, found, counting
}

// hasToResolve reports whether a rule has a condition that locate replaces.
func (p *Program) hasToResolve(r *Rule) bool {
	found := false
	Walk(All(r.Matches), func(c Cond) bool {
		switch c := c.(type) {
		case Mark:
			found = true
		case Interface:
			found = found || p.ToHost && c.End == Destination
		case Opaque:
			found = found || c.Stateful
		}
		return !found
	})
	return found
}

// text is the rule's Text, or if that is empty its conditions and its verdict.
func (r *Rule) text() string {
	if r.Text != "" {
		return r.Text
	}
	return joined(r.Matches, ", ") + ": " + r.Verdict.String()
}

// settled renames an opaque condition that was paired to its counter.
func settled(c Cond) Cond {
	if o, ok := c.(Opaque); ok && o.at != nil {
		return Opaque{Text: o.at.counter.name, Stateful: true}
	}
	return c
}

// pairing finds the counters of one program after the other.
type pairing struct {
	counters []*counter
	named    map[string]int // how many counters there are by the text of their condition
}

// pair finds the counter of each condition with state of a program: one of an earlier
// program from the most similar site, or else a new one.
func (s *pairing) pair(program int, f ir.Family, found []*occurrence) {
	// First the same rule in the same chain, then the same rule in another chain, then
	// another rule of the same chain: a rule that was moved or edited keeps its counter.
	for _, likeness := range []func(site) site{
		func(at site) site { return at },
		func(at site) site { at.chain = ""; return at },
		func(at site) site { at.rule = ""; return at },
	} {
		s.pairBy(likeness, program, f, found)
	}
	s.pairOnly(program, f, found)
	for _, o := range found {
		if o.counter == nil {
			o.counter = s.add(program, f, o.site)
		}
	}
}

// pairBy pairs, in their order, conditions with counters for whose sites likeness returns
// the same.
func (s *pairing) pairBy(likeness func(site) site, program int, f ir.Family, found []*occurrence) {
	free := map[site][]*counter{}
	for _, c := range s.counters {
		if c.freeFor(program, f) {
			free[likeness(c.site)] = append(free[likeness(c.site)], c)
		}
	}
	for _, o := range found {
		if like := free[likeness(o.site)]; o.counter == nil && len(like) > 0 {
			free[likeness(o.site)] = like[1:]
			o.take(like[0], program)
		}
	}
}

// pairOnly pairs a condition that occurs once in the program with the counter for it if
// there is only one, wherever both are. Rules with the verdict Continue do not count.
func (s *pairing) pairOnly(program int, f ir.Family, found []*occurrence) {
	mine, others := map[string][]*occurrence{}, map[string][]*counter{}
	for _, o := range found {
		if o.decides {
			mine[o.condition] = append(mine[o.condition], o)
		}
	}
	for _, c := range s.counters {
		if c.family == f && c.decides {
			others[c.condition] = append(others[c.condition], c)
		}
	}
	for condition, my := range mine {
		other := others[condition]
		if len(my) == 1 && my[0].counter == nil && len(other) == 1 && other[0].freeFor(program, f) {
			my[0].take(other[0], program)
		}
	}
}

func (o *occurrence) take(c *counter, program int) {
	o.counter, c.program = c, program
}

// add makes a counter and names it after its condition.
func (s *pairing) add(program int, f ir.Family, at site) *counter {
	s.named[at.condition]++
	name := at.condition
	if n := s.named[at.condition]; n > 1 {
		name = fmt.Sprintf("%s (no. %d)", at.condition, n)
	}
	c := &counter{site: at, family: f, name: name, program: program}
	s.counters = append(s.counters, c)
	return c
}
