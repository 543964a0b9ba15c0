package proof

import (
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
)

// refusalsForwarded returns what the fallback rules for forwarded packets must be equal to: with
// the chain DOCKER, where only some of the forwarded packets meet the policy, there are none.
func refusalsForwarded(policy *parser.Policy, forwarded *packet.Program) *packet.Program {
	if policy.Host.Chain.Value == parser.ChainDocker {
		return &packet.Program{
			Family: forwarded.Family, Default: packet.Verdict{Kind: packet.Docker}, Chains: []*packet.Chain{{Name: "no fallback rules"}},
		}
	}
	return refusals(policy, forwarded)
}

// refusals returns what fallback rules must be equal to: they drop the packets that a program of
// the policy refuses while no limit is reached, and leave all others to the rest of the table.
// They never accept, so that foreign rules there apply.
func refusals(policy *parser.Policy, program *packet.Program) *packet.Program {
	out := &packet.Program{Family: program.Family, ToHost: program.ToHost, Default: packet.Verdict{Kind: packet.Docker}}
	limits := limitsNotReached(policy)
	unreached := func(c packet.Cond) packet.Cond {
		if o, ok := c.(packet.Opaque); ok && limits[o] != nil {
			return limits[o]
		}
		return c
	}
	for _, c := range program.Chains {
		chain := &packet.Chain{Name: c.Name}
		for _, r := range c.Rules {
			rule := &packet.Rule{Text: r.Text, Verdict: packet.Verdict{Kind: packet.Docker}}
			if k := r.Verdict.Kind; k == packet.Drop || k == packet.Reject {
				rule.Verdict.Kind = packet.Drop
			}
			if rule.Matches = r.Matches; len(limits) > 0 {
				rule.Matches = []packet.Cond{packet.Map(packet.All(r.Matches), unreached)}
			}
			chain.Rules = append(chain.Rules, rule)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
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
