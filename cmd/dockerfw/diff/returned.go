package diff

import (
	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
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
		returned, err := ownReturns(hosts[side], f, e)
		if err != nil {
			return nil, err
		}
		var out []packet.Change
		for _, one := range changes {
			at, verdict := &one.OldRule, one.Old
			if side == 1 {
				at, verdict = &one.NewRule, one.New
			}
			if *at != packet.AtEnd || verdict.Kind != packet.Docker {
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
				handled, err := e.Handled(last)
				if err != nil {
					return nil, err
				}
				part := one.Set
				if one.Set = rest.And(handled); one.Set.IsEmpty() {
					one.Set = part
					break
				}
				*at = last
				out = append(out, one)
				rest, one.Set, *at = rest.Diff(handled), part, packet.AtEnd
			}
			if one.Set = rest; !rest.IsEmpty() {
				out = append(out, one)
			}
		}
		changes = out
	}
	return changes, nil
}

// ownReturns are the packets that match a RETURN of dockerfw.
func ownReturns(s *snapshot.Host, f ir.Family, e *packet.Evaluation) (packet.Set, error) {
	all := e.Space().None()
	for c, chain := range e.Program.Chains {
		for i := range chain.Rules {
			at := packet.Place{Chain: c, Rule: i}
			if !isOwnReturn(s, f, e, at) {
				continue
			}
			set, err := e.Handled(at)
			if err != nil {
				return all, err
			}
			all = all.Or(set)
		}
	}
	return all, nil
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
	rule := e.Program.Rule(at)
	from := rule.At
	if rule.Verdict.Kind != packet.Return || from.Policy || from.Chain == "" {
		return false
	}
	return identity.Ours(s.Rules[f].Table(from.Table).Chain(from.Chain).Rules[from.Rule])
}
