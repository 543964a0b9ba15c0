package packet

import (
	"cmp"
	"slices"
	"sort"
)

// Flaw is the reason why a rule has no effect.
type Flaw int

// The flaws.
const (
	// Impossible: its conditions exclude each other.
	Impossible Flaw = iota
	// Unreached: no packet that enters the rule's chain matches it, even without the rules
	// before it.
	Unreached
	// Covered: rules before it in its chain take all that it would match.
	Covered
	// Redundant: packets match it, but would get the same verdict without it.
	Redundant
	// Permitted: without it, all that it accepts would be left to Docker's rules or be
	// accepted by other rules.
	Permitted
)

func (f Flaw) String() string {
	return [...]string{"impossible", "unreached", "covered", "redundant", "permitted"}[f]
}

// Lint is a rule that has no effect.
type Lint struct {
	Flaw Flaw
	At   Place
	// CoveredBy are rules of the same chain that together match what a covered rule would,
	// none of them dispensable, sorted by how much they match.
	CoveredBy []Place
	// More reports that there are too many to list.
	More bool
}

// coverLimit is the number of covering rules that are listed.
const coverLimit = 64

// Lints returns the rules that never match or whose removal changes nothing, in their
// order. A rule without a verdict, such as LOG, is one only if it never matches. Chains
// that no rule calls are left out.
func (e *Evaluation) Lints() (_ []Lint, err error) {
	defer Catch(&err)
	d := e.space.d
	l := &linter{e, map[Place]ref{}, map[Place]bool{}, map[Place]bool{}, make([]ref, len(e.chains)), make([]bool, len(e.chains[0].rules))}
	for i := range l.entering {
		l.entering[i] = none
	}
	l.walk(e.chains[0], e.family, all, all) // no packet goes on or returns from the first chain
	var out []Lint
	for i, chain := range e.chains {
		if chain == nil {
			continue
		}
		for k, r := range e.Program.Chains[i].Rules {
			if i == 0 && l.effective[k] {
				continue
			}
			at := Place{i, k}
			m := e.match(r)
			would := d.and(m, l.entering[i])
			_, reached := l.reached[at]
			switch {
			case d.and(m, e.family) == none:
				out = append(out, Lint{Flaw: Impossible, At: at})
			case would == none:
				out = append(out, Lint{Flaw: Unreached, At: at})
			case !reached:
				lint := Lint{Flaw: Covered, At: at}
				lint.CoveredBy, lint.More = e.cover(chain, k, would)
				out = append(out, lint)
			case r.Verdict.Kind != Continue && !l.matters[at]:
				out = append(out, Lint{Flaw: Redundant, At: at})
			case r.Verdict.Kind == Accept && e.Program.Default.Kind == Docker && !l.needed[at]:
				out = append(out, Lint{Flaw: Permitted, At: at})
			}
		}
	}
	return out, nil
}

// linter follows packets to each rule, on all paths through the chains.
type linter struct {
	*Evaluation
	reached map[Place]ref
	matters map[Place]bool
	// needed are accepting rules without which some packets would be refused.
	needed   map[Place]bool
	entering []ref // by chain
	// effective are the rules of the first chain that isEffective found to have no flaw. Nothing else
	// is known of them.
	effective []bool
}

// walk follows the packets that enter a chain. pass and back are the effects for packets
// that reach its end and for those that return from it.
func (l *linter) walk(c *chainSets, in, pass, back ref) {
	d := l.space.d
	l.follow(c)
	l.entering[c.index] = d.or(l.entering[c.index], in)
	for k, r := range c.rules {
		if c.index == 0 && l.isEffective(c, k, in) {
			l.effective[k] = true
			continue
		}
		m := d.and(in, d.and(c.reach[k], l.match(r)))
		if m == none {
			continue
		}
		at := Place{c.index, k}
		l.reached[at] = l.join(l.reached, at, m)
		// Only for these packets: the effect on other packets is of no interest.
		then := func(i int) ref { return d.then(d.and(m, l.from(c, i)), pass, back) }
		next := then(k + 1)
		l.matters[at] = l.matters[at] || then(k) != next
		if r.Verdict.Kind == Accept && !l.needed[at] {
			fares := d.has(next, outcome(0))
			for i, v := range l.outcomes {
				if v.Kind == Accept {
					fares = d.or(fares, d.has(next, outcome(i)))
				}
			}
			l.needed[at] = fares != m
		}
		switch r.Verdict.Kind {
		case Jump:
			l.walk(c.calls[k], m, next, next)
		case Goto:
			if c.index == 0 {
				back = d.effect(outcome(0))
			}
			l.walk(c.calls[k], m, d.and(m, back), d.and(m, back))
		}
	}
}

// isEffective reports whether some packet shows that a rule of the first chain has no flaw: it reaches
// the rule, matches it, and would get another verdict without it; of an accept, one that refuses
// it. Of most rules one packet does, and to look for it makes no nodes. If there is none,
// or if the rule has no verdict of its own, its flaw is still to be found.
func (l *linter) isEffective(c *chainSets, k int, in ref) bool {
	d, v := l.space.d, c.rules[k].Verdict
	if !v.final() {
		return false
	}
	own := outcome(slices.Index(l.outcomes, v))
	if own > int(maxOperation-opFind) {
		return false
	}
	op, other := opFind+operation(own), func(k int) bool { return k != own }
	if v.Kind == Accept && l.Program.Default.Kind == Docker {
		op, other = opFind, func(k int) bool { return k != outcome(0) && l.outcomes[k-firstOutcome].Kind != Accept }
	}
	return d.find(op, l.match(c.rules[k]), d.and(in, c.reach[k]), l.from(c, k+1), other)
}

// find reports whether some packet in a and in b has one of the wanted effects by the effect e. op is
// one that only calls with the same wanted effects have.
func (d *diagram) find(op operation, a, b, e ref, wanted func(k int) bool) bool {
	var walk func(a, b, e ref) bool
	walk = func(a, b, e ref) bool {
		level, last := d.level(e), false
		if level >= effectLevel {
			last = true
			if !wanted(int(level - effectLevel)) {
				return false
			}
		}
		switch {
		case a == none || b == none || a == not(b):
			return false
		case last && (a == all || b == all || a == b):
			return true
		}
		if _, no := d.known(op, a, b, uint32(e)); no {
			return false
		}
		d.step()
		level = min(level, d.level(a), d.level(b))
		a0, a1 := d.split(a, level)
		b0, b1 := d.split(b, level)
		e0, e1 := d.split(e, level)
		if walk(a0, b0, e0) || walk(a1, b1, e1) {
			return true
		}
		d.keepResult(op, a, b, uint32(e), none)
		return false
	}
	return walk(a, b, e)
}

// cover returns rules before rule k that together take all of target: the one that takes
// some packet of it, then the one that takes a packet that is left, and so on. The set of
// packets that reach a rule shrinks from rule to rule, so that a binary search finds the
// rule that takes a packet.
func (e *Evaluation) cover(c *chainSets, k int, target ref) (places []Place, more bool) {
	d := e.space.d
	type taker struct {
		at    Place
		takes ref // of the target
		size  float64
	}
	var takers []taker
	for left := target; left != none; {
		if len(takers) >= coverLimit {
			more = true
			break
		}
		packet := d.some(left)
		by := sort.Search(k, func(i int) bool { return !d.holds(c.reach[i+1], packet) })
		takes := d.and(e.takes(c, by), target)
		left = d.diff(left, takes)
		takers = append(takers, taker{Place{c.index, by}, takes, d.share(takes)})
	}
	slices.SortStableFunc(takers, func(a, b taker) int { return cmp.Compare(b.size, a.size) })
	// Rules that take least are tried first: are they covered by the others?
	for k := len(takers) - 1; k >= 0 && !more; k-- {
		rest := takers[k].takes
		for j, t := range takers {
			if j != k && rest != none {
				rest = d.diff(rest, t.takes)
			}
		}
		if rest == none {
			takers = slices.Delete(takers, k, k+1)
		}
	}
	for _, t := range takers {
		places = append(places, t.at)
	}
	return places, more
}

// share returns the part of all assignments that is in a set.
func (d *diagram) share(a ref) float64 {
	memo := map[ref]float64{}
	var walk func(a ref) float64
	walk = func(a ref) float64 {
		if a&1 != 0 {
			return 1 - walk(not(a))
		}
		if a == all {
			return 1
		}
		if x, ok := memo[a]; ok {
			return x
		}
		n := d.nodes[a>>1]
		x := (walk(n.lo) + walk(n.hi)) / 2
		memo[a] = x
		return x
	}
	return walk(a)
}
