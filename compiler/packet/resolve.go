package packet

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// check finds chains that do not exist and chains that come back to themselves,
// which iptables refuses to load.
func (p *Program) check() error {
	if len(p.Chains) == 0 {
		return fmt.Errorf("a program without chains")
	}
	if !p.Default.final() {
		return fmt.Errorf("%s is not where packets can end", p.Default)
	}
	const unseen, open, done = 0, 1, 2
	seen := make([]int, len(p.Chains))
	var visit func(i int) error
	visit = func(i int) error {
		switch seen[i] {
		case open:
			return fmt.Errorf("chain %s jumps back to itself", p.Chains[i].Name)
		case done:
			return nil
		}
		seen[i] = open
		for _, r := range p.Chains[i].Rules {
			if r.Verdict.Kind != Jump && r.Verdict.Kind != Goto {
				continue
			}
			j := p.chain(r.Verdict.Chain)
			if j < 0 {
				return fmt.Errorf("chain %s jumps to %s, which does not exist", p.Chains[i].Name, r.Verdict.Chain)
			}
			if err := visit(j); err != nil {
				return err
			}
		}
		seen[i] = done
		return nil
	}
	return visit(0)
}

// chain returns the place of a chain by its name, -1 if there is none.
func (p *Program) chain(name string) int {
	if p.index == nil || p.indexed > len(p.Chains) {
		p.index, p.indexed = map[string]int{}, 0
	}
	for ; p.indexed < len(p.Chains); p.indexed++ {
		if _, twice := p.index[p.Chains[p.indexed].Name]; !twice {
			p.index[p.Chains[p.indexed].Name] = p.indexed
		}
	}
	if i, ok := p.index[name]; ok {
		return i
	}
	return -1
}

// slot is one place at which a condition with state stands, in one or several
// programs that are paired there.
type slot struct {
	family            ir.Family
	chain, rule, text string
	name              string
	used              int // 1 + index of the last program that has it
	decides           bool
}

// resolve returns copies of the programs in which every opaque condition is told
// by its text alone. Conditions with state are numbered by the place they stand
// at; the places of the programs are paired, first those whose rules have the same
// text, then those with the same condition in the same chain, in order, then those
// whose condition stands at one place of either program. Pairing means: given the same packets, both count the same.
func resolve(programs []*Program) []*Program {
	var slots []*slot
	names := map[string]int{}
	out := make([]*Program, 0, len(programs))
	for i, p := range programs {
		q := &Program{Family: p.Family, Default: p.Default, ToHost: p.ToHost}
		var places []*place
		for _, c := range p.Chains {
			d := &Chain{Name: c.Name}
			for _, r := range c.Rules {
				rule := *r
				if rule.Text == "" {
					rule.Text = joined(r.Matches, ", ") + ": " + r.Verdict.String()
				}
				rule.Matches = make([]Cond, len(r.Matches))
				for k, m := range r.Matches {
					if p.ToHost {
						m = Map(m, toHost)
					}
					rule.Matches[k] = Map(m, func(x Cond) Cond {
						return collect(x, func(o Opaque) int {
							places = append(places, &place{chain: c.Name, rule: rule.Text, text: o.Text, decides: r.Verdict.Kind != Continue})
							return len(places) - 1
						})
					})
				}
				d.Rules = append(d.Rules, &rule)
			}
			q.Chains = append(q.Chains, d)
		}
		for _, key := range []func(chain, rule string) string{
			func(chain, rule string) string { return chain + "\x00" + rule },
			func(_, rule string) string { return rule },
			func(chain, _ string) string { return chain },
		} {
			free := map[string][]*slot{}
			for _, s := range slots {
				if s.used <= i && s.family == p.Family {
					k := fmt.Sprint(s.text, "\x00", s.decides, "\x00", key(s.chain, s.rule))
					free[k] = append(free[k], s)
				}
			}
			for _, at := range places {
				k := fmt.Sprint(at.text, "\x00", at.decides, "\x00", key(at.chain, at.rule))
				if at.slot == nil && len(free[k]) > 0 {
					at.slot, free[k] = free[k][0], free[k][1:]
					at.slot.used = i + 1
				}
			}
		}
		pairOnly(p.Family, i, slots, places)
		for _, at := range places {
			if at.slot == nil {
				names[at.text]++
				name := at.text
				if n := names[at.text]; n > 1 {
					name = fmt.Sprintf("%s (no. %d)", at.text, n)
				}
				at.slot = &slot{family: p.Family, chain: at.chain, rule: at.rule, text: at.text, name: name, used: i + 1, decides: at.decides}
				slots = append(slots, at.slot)
			}
		}
		for _, c := range q.Chains {
			for _, r := range c.Rules {
				for k, m := range r.Matches {
					r.Matches[k] = Map(m, func(x Cond) Cond { return settle(x, places) })
				}
			}
		}
		out = append(out, q)
	}
	return out
}

// pairOnly pairs a condition that program i has at one place only with the only free
// slot that has its text. Rules that decide nothing, such as LOG, do not count.
func pairOnly(f ir.Family, i int, slots []*slot, places []*place) {
	mine, free := map[string][]*place{}, map[string][]*slot{}
	for _, at := range places {
		if at.decides {
			mine[at.text] = append(mine[at.text], at)
		}
	}
	for _, s := range slots {
		if s.family == f && s.decides {
			free[s.text] = append(free[s.text], s)
		}
	}
	for text, at := range mine {
		if slot := free[text]; len(at) == 1 && at[0].slot == nil && len(slot) == 1 && slot[0].used <= i {
			at[0].slot = slot[0]
			slot[0].used = i + 1
		}
	}
}

// toHost is the condition as it is for packets that leave by no interface.
func toHost(c Cond) Cond {
	if i, ok := c.(Interface); ok && i.End == Destination {
		return never
	}
	return c
}

type place struct {
	chain, rule, text string
	decides           bool // the rule does more than LOG
	slot              *slot
}

// collect numbers the conditions with state: "#" and a number is their text until
// settle gives them the name of their slot.
func collect(c Cond, number func(Opaque) int) Cond {
	switch c := c.(type) {
	case Mark:
		// Nothing is known of marks where a program begins in the middle: see Route.
		return c.opaque()
	case Opaque:
		if c.Stateful {
			return Opaque{Text: fmt.Sprintf("#%d", number(c)), Stateful: true}
		}
	}
	return c
}

func settle(c Cond, places []*place) Cond {
	if o, ok := c.(Opaque); ok && o.Stateful {
		i := 0
		fmt.Sscanf(strings.TrimPrefix(o.Text, "#"), "%d", &i)
		return Opaque{Text: places[i].slot.name, Stateful: true}
	}
	return c
}
