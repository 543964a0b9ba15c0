package packet

import (
	"cmp"
	"errors"
	"maps"
	"slices"
)

// Effect is what a change does to who gets through.
type Effect int

// The effects. Changed is neither wider nor narrower: another way of refusing, or
// from Docker's rules to a target we do not know.
const (
	Changed Effect = iota
	Widened
	Narrowed
)

func (e Effect) String() string { return [...]string{"changed", "widened", "narrowed"}[e] }

// effect compares verdicts: accept lets through, docker lets Docker's rules decide.
// A target we do not know may let through, or refuse.
func effect(before, after Verdict) Effect {
	const unknown = 1
	rank := func(k Kind) int {
		switch k {
		case Drop, Reject:
			return 0
		case Docker:
			return 1
		case Accept:
			return 2
		}
		return unknown
	}
	a, b := rank(before.Kind), rank(after.Kind)
	switch {
	case a == b:
		return Changed
	case a < b:
		return Widened
	}
	return Narrowed
}

// Change is a region of packets that one pair of rules decides differently.
type Change struct {
	Old, New         Verdict
	OldRule, NewRule Place
	Effect           Effect
	Set              Set
	Witness          Packet
	// Conditions are opaque ones that the change depends on: it is there only while
	// they hold or do not, as the witness says.
	Conditions []string
}

// Comparison is what differs between two programs.
type Comparison struct {
	// Changed are all packets that get another verdict; Widened and Narrowed those
	// of them that get further and less far.
	Changed, Widened, Narrowed Set
	// Changes are those that widen, then those that narrow, then others, each in the
	// order of the old rules. More says that there are others.
	Changes []Change
	More    bool
}

// Compare finds all packets that two programs of a space decide differently, and
// shows up to limit changes of each effect.
func Compare(before, after *Evaluation, limit int) (_ *Comparison, err error) {
	defer Catch(&err)
	if before.space != after.space {
		return nil, errors.New("programs of different spaces cannot be compared")
	}
	s, d := before.space, before.space.d
	out := &Comparison{Changed: s.None(), Widened: s.None(), Narrowed: s.None()}
	for _, a := range before.Outcomes() {
		for _, b := range after.Outcomes() {
			if a.Verdict == b.Verdict {
				continue
			}
			both := a.Set.And(b.Set)
			out.Changed = out.Changed.Or(both)
			switch effect(a.Verdict, b.Verdict) {
			case Widened:
				out.Widened = out.Widened.Or(both)
			case Narrowed:
				out.Narrowed = out.Narrowed.Or(both)
			}
		}
	}
	if out.Changed.IsEmpty() {
		return out, nil
	}
	neither := d.diff(d.diff(out.Changed.ref, out.Widened.ref), out.Narrowed.ref)
	for _, in := range []ref{out.Widened.ref, out.Narrowed.ref, neither} {
		changes, more := pairs(before, after, in, limit)
		out.Changes, out.More = append(out.Changes, changes...), out.More || more
	}
	return out, nil
}

// pairs splits packets by the rules that decide them before and after, into up to
// limit changes.
func pairs(before, after *Evaluation, in ref, limit int) (changes []Change, more bool) {
	if in == none {
		return nil, false
	}
	s, d := before.space, before.space.d
	old, now := before.part(in), after.part(in)
	byPlace := func(a, b Place) int {
		// The end of the chain comes after all rules.
		if a == AtEnd || b == AtEnd {
			return cmp.Compare(b.Chain, a.Chain)
		}
		return cmp.Or(cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.Rule, b.Rule))
	}
	for _, from := range slices.SortedFunc(maps.Keys(old), byPlace) {
		for rest := old[from]; rest != none; {
			if len(changes) >= limit {
				return changes, true
			}
			bits := d.some(rest)
			for to, set := range now {
				if !d.holds(set, bits) {
					continue
				}
				region := d.and(rest, set)
				rest = d.diff(rest, region)
				c := Change{
					Old: before.verdict(from), New: after.verdict(to), OldRule: from, NewRule: to,
					Set: Set{s, region},
				}
				c.Effect = effect(c.Old, c.New)
				c.Conditions = c.Set.Conditions()
				c.Witness, _ = c.Set.Witness()
				changes = append(changes, c)
				break
			}
		}
	}
	return changes, false
}

// verdict returns what becomes of packets decided at a place.
func (e *Evaluation) verdict(at Place) Verdict {
	if r := e.Program.Rule(at); r != nil && r.Verdict.Kind != Return {
		return r.Verdict
	}
	return e.Program.Default
}

// some returns an assignment in a set that is not empty.
func (d *diagram) some(a ref) func(level uint32) bool {
	set := map[uint32]bool{}
	for a != all {
		n := d.nodes[a>>1]
		lo, hi := n.lo^a&1, n.hi^a&1
		if lo != none {
			a = lo
			continue
		}
		set[n.level] = true
		a = hi
	}
	return func(level uint32) bool { return set[level] }
}
