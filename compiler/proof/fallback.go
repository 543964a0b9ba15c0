package proof

import (
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
)

// refusals returns the packets that a program of the policy refuses.
func refusals(byPolicy *packet.Evaluation) packet.Set {
	refused := byPolicy.Space().None()
	for _, o := range byPolicy.Outcomes() {
		if k := o.Verdict.Kind; k == packet.Drop || k == packet.Reject {
			refused = refused.Or(o.Set)
		}
	}
	return refused
}

// mustRefuse returns an error unless the fallback rules drop exactly the packets that a program of the policy refuses,
// none if it is nil, and leave all others to the rest of the table. They never accept, so that foreign rules there apply.
func mustRefuse(byPolicy, fallback *packet.Evaluation) error {
	refused := fallback.Space().None()
	if byPolicy != nil {
		refused = refusals(byPolicy)
	}
	drop, docker := packet.Verdict{Kind: packet.Drop}, packet.Verdict{Kind: packet.Docker}
	wrong := refused.And(fallback.Outcome(docker))
	for _, o := range fallback.Outcomes() {
		switch o.Verdict {
		case docker:
		case drop:
			wrong = wrong.Or(o.Set.Diff(refused))
		default:
			wrong = wrong.Or(o.Set)
		}
	}
	p, found := wrong.Witness()
	if !found {
		return nil
	}
	wanted, by, got := docker, noRule, fallback.Decide(p)
	if refused.Contains(p) {
		wanted = drop
	}
	if byPolicy != nil {
		by = ruleName(byPolicy.Source(), byPolicy.Decide(p).At)
	}
	return fmt.Errorf("security table: the verdict on %s is %q by the policy (%s) and %q by the text (%s)",
		p, wanted, by, got.Verdict, ruleName(fallback.Source(), got.At))
}

// withoutLimits returns a program of the policy as it is while no limit is reached; the program itself if
// no rule has a limit.
func withoutLimits(policy *parser.Policy, program *packet.Program) *packet.Program {
	limits := limitsNotReached(policy)
	if len(limits) == 0 {
		return program
	}
	return program.Map(func(_ *packet.Rule, c packet.Cond) packet.Cond {
		if o, ok := c.(packet.Opaque); ok && limits[o] != nil {
			return limits[o]
		}
		return c
	})
}

// limitsNotReached returns, for the conditions of limits, whether they match while no limit is reached:
// those of an accept always, those of a deny never.
func limitsNotReached(policy *parser.Policy) map[packet.Opaque]packet.Cond {
	matches := map[packet.Opaque]packet.Cond{}
	for _, r := range policy.AllRules() {
		if r.Rate == nil && r.Connections == nil {
			continue
		}
		value := packet.Cond(packet.All{})
		if r.Kind == parser.KindDeny {
			value = packet.Any{}
		}
		for _, limit := range []packet.Cond{semantics.RateOf(r.Name.Value), semantics.ConnectionsOf(r.Name.Value)} {
			matches[limit.(packet.Opaque)] = value
		}
	}
	return matches
}
