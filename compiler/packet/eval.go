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
	reached  map[Place]ref // by Handled, when it is first called
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
	e.matches, e.reached = map[*Rule]ref{}, nil
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

// Handled returns the packets that reach a rule and match it; AtEnd, those that get the
// default.
func (e *Evaluation) Handled(at Place) (_ Set, err error) {
	defer Catch(&err)
	if at == AtEnd {
		return Set{e.space, e.part(e.family)[AtEnd]}, nil
	}
	if e.reached == nil {
		reached := map[Place]ref{}
		e.forward(e.chains[0], e.family, true, func(at Place, set ref, _ bool) {
			reached[at] = e.join(reached, at, set)
		})
		e.reached = reached
	}
	return Set{e.space, e.join(e.reached, at, none)}, nil
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
	e.forward(e.chains[0], in, true, func(at Place, set ref, ends bool) {
		if ends {
			out[at] = e.join(out, at, set)
			rest = e.space.d.diff(rest, set)
		}
	})
	out[AtEnd] = rest
	return out
}

// forward sends packets through a chain and calls handle for each rule with the packets
// that match it, if there are any. ends is true if the rule gives them their verdict; top,
// if packets that return from the chain leave the program.
func (e *Evaluation) forward(c *chainSets, in ref, top bool, handle func(at Place, set ref, ends bool)) {
	d := e.space.d
	for k, r := range c.rules {
		if in == none {
			return
		}
		m := d.and(in, e.match(r))
		if m == none {
			continue
		}
		v := r.Verdict
		handle(Place{c.index, k}, m, v.final() || v.Kind == Return && top)
		if call := c.calls[k]; call != nil {
			e.forward(call, m, top && v.Kind == Goto, handle)
		}
		in = d.diff(in, e.takes(c, k))
	}
}

// Match returns the packets of the program's family for which the conditions of a rule
// hold.
func (e *Evaluation) Match(at Place) Set {
	return Set{e.space, e.space.d.and(e.family, e.match(e.Program.Rule(at)))}
}
