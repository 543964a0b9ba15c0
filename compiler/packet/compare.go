package packet

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Effect is how a change affects which packets pass.
type Effect int

// The effects. Changed is neither wider nor narrower: another kind of refusal, or from
// Docker's rules to a target that is not known. SameReach is a change between ACCEPT and
// Docker's rules, for packets that Docker's rules accept.
const (
	Changed Effect = iota
	Widened
	Narrowed
	SameReach
)

func (e Effect) String() string {
	return [...]string{"changed", "widened", "narrowed", "same reach"}[e]
}

// effect compares verdicts. Accept passes more than Docker, unless accepts is true:
// Docker's rules accept these packets. A target that is not known may accept or refuse.
func effect(before, after Verdict, accepts bool) Effect {
	rank := func(v Verdict) int {
		switch v.Kind {
		case Drop, Reject:
			return 0
		case Docker, Other:
			return 1
		case Accept:
			return 2
		case Continue, Return, Jump, Goto:
		}
		panic(fmt.Sprintf("packets cannot end with %s", v))
	}
	a, b := rank(before), rank(after)
	switch {
	case accepts && passedOn(before) && passedOn(after):
		return SameReach
	case a == b:
		return Changed
	case a < b:
		return Widened
	}
	return Narrowed
}

// passedOn reports whether packets are accepted or left to Docker's rules.
func passedOn(v Verdict) bool { return v.Kind == Accept || v.Kind == Docker }

// Change is a set of packets that get another verdict, each from the same rule before and
// the same rule after.
type Change struct {
	Old, New         Verdict
	OldRule, NewRule Place
	Effect           Effect
	Set              Set
	Witness          Packet
	// Conditions are the opaque conditions that the change depends on. Whether they hold
	// for the witness is in Witness.Conditions.
	Conditions []string
}

// Comparison is the difference of two programs.
type Comparison struct {
	// Changed are all packets that get another verdict. Widened and Narrowed are those of
	// them that pass where they did not, and the reverse. SameReach are those that Docker's
	// rules accept, left to them in one program and accepted in the other.
	Changed, Widened, Narrowed, SameReach Set
	// Changes are sorted by effect: those that widen, that narrow, others, and those of the
	// same reach; within an effect in the order of the old rules. More reports that there
	// are others.
	Changes []Change
	More    bool
}

// sameOutcomes reports whether two programs of a space give all packets the same verdict.
func sameOutcomes(a, b *Evaluation) bool {
	for _, o := range a.Outcomes() {
		if b.Outcome(o.Verdict).ref != o.Set.ref {
			return false
		}
	}
	return true
}

// Compare returns all packets that get different verdicts from two programs of a space, and
// up to limit changes of each effect. It does not know which packets Docker's rules accept:
// to be accepted is more than to be left to them.
func Compare(before, after *Evaluation, limit int) (*Comparison, error) {
	return CompareReach(before, after, before.space.None(), limit)
}

// CompareReach is Compare where Docker's rules are known to accept some packets: to accept
// those, and to leave them to Docker's rules, is the same reach.
func CompareReach(before, after *Evaluation, accepted Set, limit int) (_ *Comparison, err error) {
	defer Catch(&err)
	if before.space != after.space || accepted.space != before.space {
		return nil, errors.New("programs of different spaces cannot be compared")
	}
	s := before.space
	if !sameOutcomes(before, after) {
		s.d.growCache(wholeShare)
	}
	out := &Comparison{}
	parts := [SameReach + 1]Set{}
	for e := range parts {
		parts[e] = s.None()
	}
	for _, a := range before.Outcomes() {
		for _, b := range after.Outcomes() {
			if a.Verdict == b.Verdict {
				continue
			}
			both := a.Set.And(b.Set)
			inside := effect(a.Verdict, b.Verdict, true)
			outside := effect(a.Verdict, b.Verdict, false)
			parts[inside] = parts[inside].Or(both.And(accepted))
			parts[outside] = parts[outside].Or(both.Diff(accepted))
		}
	}
	out.Widened, out.Narrowed, out.SameReach = parts[Widened], parts[Narrowed], parts[SameReach]
	out.Changed = parts[Changed].Or(out.Widened).Or(out.Narrowed).Or(out.SameReach)
	for _, e := range []Effect{Widened, Narrowed, Changed, SameReach} {
		changes, more := pairs(before, after, parts[e].ref, e, limit)
		out.Changes, out.More = append(out.Changes, changes...), out.More || more
	}
	return out, nil
}

// pairs divides packets by the rules that give them their verdicts before and after, into
// up to limit changes of one effect.
func pairs(before, after *Evaluation, in ref, e Effect, limit int) (changes []Change, more bool) {
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
					Effect: e, Set: Set{s, region},
				}
				c.Conditions = c.Set.Conditions()
				c.Witness, _ = c.Set.Witness()
				changes = append(changes, c)
				break
			}
		}
	}
	return changes, false
}

// verdict returns the verdict of packets that get it at a place.
func (e *Evaluation) verdict(at Place) Verdict {
	if r := e.Program.Rule(at); r != nil && r.Verdict.Kind != Return {
		return r.Verdict
	}
	return e.Program.Default
}

// some returns an assignment that is in a set, which must not be empty.
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
