package packet

import "slices"

// Evaluation is a program with the set of packets of each verdict.
type Evaluation struct {
	// Program is the program with the names that opaque conditions have in the space.
	Program *Program

	space  *Space
	source *Program

	family   ref
	outcomes []Verdict // the final verdicts there are, the default first
	decided  []ref     // by outcome
	matches  map[*Rule]ref
	chains   []*chainSets  // nil for those that no rule calls
	order    []*chainSets  // those that are called, each after all that call it
	reached  map[Place]ref // by Handled, when it is called often
	asked    int           // how often Handled was called before it filled reached
}

// Outcome is a verdict and the packets that get it.
type Outcome struct {
	Verdict Verdict
	Set     Set
}

// Source returns the program as it was given to New.
func (e *Evaluation) Source() *Program { return e.source }

// Space returns the space of the program.
func (e *Evaluation) Space() *Space { return e.space }

// Outcomes returns the packets of the program's family by verdict. Each packet is in
// exactly one of the sets; none of them is empty.
func (e *Evaluation) Outcomes() []Outcome {
	var out []Outcome
	for i, v := range e.outcomes {
		if set := e.decided[i]; set != none {
			out = append(out, Outcome{v, Set{e.space, set}})
		}
	}
	return out
}

// Outcome returns the packets that get the verdict.
func (e *Evaluation) Outcome(v Verdict) Set {
	i := slices.Index(e.outcomes, v)
	if i < 0 {
		return e.space.None()
	}
	return Set{e.space, e.decided[i]}
}

// decide computes the verdicts of all packets. It panics with a *BudgetError.
func (e *Evaluation) decide() {
	d := e.space.d
	e.matches, e.reached, e.asked, e.order = make(map[*Rule]ref, e.Program.size()), nil, 0, nil
	e.outcomes = []Verdict{e.Program.Default}
	for _, c := range e.Program.Chains {
		for _, r := range c.Rules {
			if r.Verdict.final() && !slices.Contains(e.outcomes, r.Verdict) {
				e.outcomes = append(e.outcomes, r.Verdict)
			}
		}
	}
	e.family = all
	if e.Program.Family != 0 {
		e.family = e.space.family(e.Program.Family)
	}
	e.chains = make([]*chainSets, len(e.Program.Chains))
	root := e.chain(0)
	e.decided = make([]ref, len(e.outcomes))
	rest := e.family
	for i := len(e.outcomes) - 1; i > 0; i-- {
		e.decided[i] = d.and(e.family, d.has(root.does[0], outcome(i)))
		rest = d.diff(rest, e.decided[i])
	}
	e.decided[0] = rest
}

func (e *Evaluation) match(r *Rule) ref {
	m, ok := e.matches[r]
	if !ok {
		m = e.space.compile(All(r.Matches), e.Program.Family)
		e.matches[r] = m
	}
	return m
}

// handledAlone is how many calls of Handled follow only the packets of their own rule. Each takes
// the time of a small operation for each rule before it; with more calls it is faster to follow
// all packets once.
const handledAlone = 16

// Handled returns the packets that reach a rule and match it; AtEnd, those that get the
// default.
func (e *Evaluation) Handled(at Place) (_ Set, err error) {
	defer Catch(&err)
	if at == AtEnd {
		return Set{e.space, e.part(e.family)[AtEnd]}, nil
	}
	if e.asked++; e.asked <= handledAlone && e.reached == nil {
		matching := e.space.d.and(e.family, e.match(e.Program.Rule(at)))
		return Set{e.space, e.join(e.reachedOf(matching, at), at, none)}, nil
	}
	if e.reached == nil {
		e.reached = e.reachedOf(e.family, AtEnd)
	}
	return Set{e.space, e.join(e.reached, at, none)}, nil
}

// HandledOf returns those packets of a set that reach a rule and match it, by rule. Rules without
// such packets are left out.
func (e *Evaluation) HandledOf(in Set) (_ map[Place]Set, err error) {
	defer Catch(&err)
	out := map[Place]Set{}
	for at, set := range e.reachedOf(e.space.d.and(e.family, in.ref), AtEnd) {
		out[at] = Set{e.space, set}
	}
	return out, nil
}

// reachedOf returns the packets of a set that reach a rule and match it: for the rule at only,
// or for all if only is AtEnd.
func (e *Evaluation) reachedOf(in ref, only Place) map[Place]ref {
	out := map[Place]ref{}
	e.forward(in, func(at Place, set ref, _ bool) {
		if only == AtEnd || at == only {
			out[at] = e.join(out, at, set)
		}
	})
	return out
}

// join returns the set that a map has at a place, together with set.
func (e *Evaluation) join(in map[Place]ref, at Place, set ref) ref {
	if old, ok := in[at]; ok {
		return e.space.d.or(old, set)
	}
	return set
}

// part divides packets by the rule that gives them their verdict. Places without packets
// are left out, except AtEnd.
func (e *Evaluation) part(in ref) map[Place]ref {
	out := map[Place]ref{}
	rest := in
	e.forward(in, func(at Place, set ref, ends bool) {
		if ends {
			out[at] = e.join(out, at, set)
			rest = e.space.d.diff(rest, set)
		}
	})
	out[AtEnd] = rest
	return out
}

// forward sends packets through the program and calls handle for each rule with the packets
// that match it, if there are any. ends is true if the rule gives them their verdict. It may call
// handle twice for a rule, and in any order.
//
// What happens to a packet in a chain does not depend on the rule that called it, so that each
// chain is followed once, with the packets of all calls; only where packets that return go
// differs (top: they leave the program).
func (e *Evaluation) forward(in ref, handle func(at Place, set ref, ends bool)) {
	d := e.space.d
	type entry struct {
		chain int
		top   bool
	}
	entering := map[entry]ref{{0, true}: in}
	enter := func(to entry, m ref) {
		if before, ok := entering[to]; ok {
			m = d.or(before, m)
		}
		entering[to] = m
	}
	for _, c := range e.called() {
		for _, top := range []bool{true, false} {
			in, ok := entering[entry{c.index, top}]
			if !ok {
				continue
			}
			for k := 0; k < len(c.rules) && in != none; k++ {
				v := c.rules[k].Verdict
				if v.Kind == Jump {
					last, m := e.jumps(c, k, in, handle)
					enter(entry{c.calls[k].index, false}, m)
					in = d.diff(in, d.diff(m, e.leaves(c.calls[k])))
					k = last
					continue
				}
				m := d.and(in, e.match(c.rules[k]))
				if m == none {
					continue
				}
				handle(Place{c.index, k}, m, v.final() || v.Kind == Return && top)
				if call := c.calls[k]; call != nil {
					enter(entry{call.index, top && v.Kind == Goto}, m)
				}
				in = d.diff(in, e.takes(c, k))
			}
		}
	}
}

// jumps sends packets through the sequence of jumps to one chain that begins with rule k. It
// returns the last rule of the sequence, and the packets that enter the chain. A packet that
// returns from the chain would return from it again, so that what the chain does need not be
// computed for each jump: with a jump for each of many ports that took quadratic time.
func (e *Evaluation) jumps(c *chainSets, k int, in ref, handle func(at Place, set ref, ends bool)) (last int, entering ref) {
	d := e.space.d
	entering = none
	for last = k; ; last++ {
		m := d.and(in, e.match(c.rules[last]))
		if again := d.and(m, entering); again != none {
			m = d.or(d.diff(m, again), d.and(again, e.leaves(c.calls[k])))
		}
		if m != none {
			handle(Place{c.index, last}, m, false)
			entering = d.or(entering, m)
		}
		if last+1 == len(c.rules) || c.rules[last+1].Verdict != c.rules[k].Verdict {
			return last, entering
		}
	}
}

// called returns the first chain and those that are called, each after all that call it.
func (e *Evaluation) called() []*chainSets {
	if e.order != nil {
		return e.order
	}
	seen := map[int]bool{}
	var visit func(c *chainSets)
	visit = func(c *chainSets) {
		if seen[c.index] {
			return
		}
		seen[c.index] = true
		for _, call := range c.calls {
			visit(call)
		}
		e.order = append(e.order, c)
	}
	visit(e.chains[0])
	slices.Reverse(e.order)
	return e.order
}

// Match returns the packets of the program's family for which the conditions of a rule
// hold.
func (e *Evaluation) Match(at Place) Set {
	return Set{e.space, e.space.d.and(e.family, e.match(e.Program.Rule(at)))}
}
