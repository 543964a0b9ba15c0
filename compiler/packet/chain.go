package packet

import "slices"

// chainSets is the effect of a chain, whichever rule calls it. It is computed from the last
// rule to the first, which was the fastest order measured: each step makes nodes only where
// its rule matches.
type chainSets struct {
	index int
	rules []*Rule
	calls map[int]*chainSets // by rule that jumps
	// does is the effect of the rules from i on; len(rules) is the end of the chain. Within
	// a sequence of jumps to one chain it may be later: see from.
	does []ref
	// leaves is filled by the method of that name.
	leaves ref
	// reach is the set of packets that reach rule i if all packets enter the chain; filled
	// by follow.
	reach []ref
}

// chain returns the effect of a chain of the program.
func (e *Evaluation) chain(i int) *chainSets {
	if e.chains[i] != nil {
		return e.chains[i]
	}
	d := e.space.d
	rules := e.Program.Chains[i].Rules
	c := &chainSets{index: i, rules: rules, calls: map[int]*chainSets{}, does: make([]ref, len(rules)+1), leaves: later}
	back, end := returns, passes
	if i == 0 {
		back, end = outcome(0), outcome(0) // no chain jumps to the first: packets that return from it leave the program
	}
	c.does[len(rules)] = d.effect(end)
	// A packet that returns from a chain would return from it again: several jumps to one
	// chain in sequence are one jump for what any of them matches.
	var run struct{ matches, next ref }
	for k := len(rules) - 1; k >= 0; k-- {
		r, next := rules[k], c.does[k+1]
		c.does[k] = next
		switch r.Verdict.Kind {
		case Continue:
		case Return:
			c.does[k] = d.rule(e.match(r), back, next)
		case Jump:
			c.calls[k] = e.chain(e.Program.chain(r.Verdict.Chain))
			if k+1 == len(rules) || rules[k+1].Verdict != r.Verdict {
				run.matches, run.next = none, next
			}
			run.matches = d.or(run.matches, e.match(r))
			if k > 0 && rules[k-1].Verdict == r.Verdict {
				c.does[k] = later
				continue
			}
			c.does[k] = d.choose(run.matches, d.then(c.calls[k].does[0], run.next, run.next), run.next)
		case Goto:
			c.calls[k] = e.chain(e.Program.chain(r.Verdict.Chain))
			c.does[k] = d.choose(e.match(r), d.then(c.calls[k].does[0], d.effect(back), d.effect(back)), next)
		case Docker, Accept, Drop, Reject, Other:
			c.does[k] = d.rule(e.match(r), outcome(slices.Index(e.outcomes, r.Verdict)), next)
		default:
			panic(r.Verdict.unknown())
		}
	}
	e.chains[i] = c
	return c
}

// later is what is computed only when it is needed: the effect of the rules from one within such
// a sequence on, and the packets that leave a chain.
const later = ^ref(0)

// from returns the effect of the rules from i on.
func (e *Evaluation) from(c *chainSets, i int) ref {
	if c.does[i] == later {
		d, next := e.space.d, e.from(c, i+1)
		c.does[i] = d.choose(e.match(c.rules[i]), d.then(c.calls[i].does[0], next, next), next)
	}
	return c.does[i]
}

// takes returns the packets that reach rule k and do not go on to the next.
func (e *Evaluation) takes(c *chainSets, k int) ref {
	d := e.space.d
	m := e.match(c.rules[k])
	switch c.rules[k].Verdict.Kind {
	case Continue:
		return none
	case Jump:
		return d.diff(m, e.leaves(c.calls[k]))
	case Docker, Accept, Drop, Reject, Other, Return, Goto:
		return m
	}
	panic(c.rules[k].Verdict.unknown())
}

// leaves returns the packets that reach the end of a chain or return from it.
func (e *Evaluation) leaves(c *chainSets) ref {
	if c.leaves == later {
		d := e.space.d
		c.leaves = d.or(d.has(c.does[0], passes), d.has(c.does[0], returns))
	}
	return c.leaves
}

// follow fills c.reach.
func (e *Evaluation) follow(c *chainSets) {
	if c.reach != nil {
		return
	}
	reach := make([]ref, len(c.rules)+1)
	reach[0] = all
	for k := range c.rules {
		reach[k+1] = e.space.d.diff(reach[k], e.takes(c, k))
	}
	c.reach = reach
}
