package diff

import (
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// byReturn divides changes whose packets reach the end of a program by the RETURN rules of
// dockerfw that they match: an accept in a chain of dockerfw's own is a RETURN, and the reason
// why they get to the end.
func (c *comparison) byReturn(f ir.Family, programs []*packet.Evaluation, changes []packet.Change) ([]packet.Change, error) {
	hosts := []*snapshot.Host{c.before, c.after}
	for side, e := range programs[:2] {
		toEnd := func(one *packet.Change) bool {
			at, verdict := one.OldRule, one.Old
			if side == 1 {
				at, verdict = one.NewRule, one.New
			}
			return (at == packet.AtEnd || dispatches(hosts[side], f, e, at)) && verdict.Kind == packet.Docker
		}
		handled, returned, err := ownReturns(hosts[side], f, e, changes, toEnd)
		if err != nil {
			return nil, err
		}
		var out []packet.Change
		for _, one := range changes {
			if !toEnd(&one) {
				out = append(out, one)
				continue
			}
			rest := one.Set
			for {
				witness, ok := rest.And(returned).Witness()
				if !ok {
					break
				}
				last, found := lastReturn(hosts[side], f, e, witness)
				if !found {
					break
				}
				matched, ok := handled[last]
				if !ok || rest.And(matched).IsEmpty() {
					break
				}
				part := one
				part.Set = rest.And(matched)
				if side == 0 {
					part.OldRule = last
				} else {
					part.NewRule = last
				}
				out = append(out, part)
				rest = rest.Diff(matched)
			}
			if one.Set = rest; !rest.IsEmpty() {
				out = append(out, one)
			}
		}
		changes = out
	}
	return changes, nil
}

// ownReturns are the packets of the chosen changes that match a RETURN of dockerfw, by that rule
// and together.
func ownReturns(s *snapshot.Host, f ir.Family, e *packet.Evaluation, changes []packet.Change, chosen func(*packet.Change) bool) (map[packet.Place]packet.Set, packet.Set, error) {
	of, all := e.Space().None(), e.Space().None()
	for _, one := range changes {
		if chosen(&one) {
			of = of.Or(one.Set)
		}
	}
	if of.IsEmpty() {
		return nil, all, nil
	}
	handled, err := e.HandledOf(of)
	if err != nil {
		return nil, all, err
	}
	for at, set := range handled {
		if isOwnReturn(s, f, e, at) {
			all = all.Or(set)
		} else {
			delete(handled, at)
		}
	}
	return handled, all, nil
}

// lastReturn is the last RETURN of dockerfw that a packet matches.
func lastReturn(s *snapshot.Host, f ir.Family, e *packet.Evaluation, p packet.Packet) (at packet.Place, found bool) {
	for _, step := range e.Decide(p).Steps {
		if step.Failed == nil && isOwnReturn(s, f, e, step.At) {
			at, found = step.At, true
		}
	}
	return at, found
}

func isOwnReturn(s *snapshot.Host, f ir.Family, e *packet.Evaluation, at packet.Place) bool {
	r := returning(s, f, e, at)
	return r.Ours() && !r.Dispatches()
}

// dispatches reports whether a RETURN of dockerfw at the end of INPUT protection leaves to the
// host what the protection has not refused: the reason is an earlier rule, or none.
func dispatches(s *snapshot.Host, f ir.Family, e *packet.Evaluation, at packet.Place) bool {
	return returning(s, f, e, at).Dispatches()
}

// returning is the RETURN rule at a place; nil if that has another rule.
func returning(s *snapshot.Host, f ir.Family, e *packet.Evaluation, at packet.Place) *snapshot.Rule {
	rule := e.Program.Rule(at)
	if rule == nil || rule.Verdict.Kind != packet.Return || rule.At.Policy || rule.At.Chain == "" {
		return nil
	}
	return s.RuleAt(f, rule.At)
}
