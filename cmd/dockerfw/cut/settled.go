package cut

import (
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// settled returns a program in which every condition follows from the packet: limits are not
// reached, it is now, and a rule with any other opaque condition accepts the packets that it may match. A
// mark is opaque, because other tables may have set it.
func settled(p *packet.Program, now time.Time) *packet.Program {
	out := &packet.Program{Family: p.Family, Default: p.Default, ToHost: p.ToHost}
	for _, c := range p.Chains {
		chain := &packet.Chain{Name: c.Name}
		for _, r := range c.Rules {
			chain.Rules = append(chain.Rules, settledRule(r, now))
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}

func settledRule(r *packet.Rule, now time.Time) *packet.Rule {
	out := *r
	out.Matches = nil
	open := false
	for _, c := range r.Matches {
		out.Matches = append(out.Matches, possible(c, true, now, &open))
	}
	if open && r.Verdict.Kind != packet.Continue {
		out.Verdict = packet.Verdict{Kind: packet.Accept}
	}
	return &out
}

// possible returns a condition without opaque ones. It holds if c may hold or, with holds
// false, only if c certainly holds. open is set if it is not equivalent to c.
func possible(c packet.Cond, holds bool, now time.Time, open *bool) packet.Cond {
	each := func(cs []packet.Cond) []packet.Cond {
		out := make([]packet.Cond, 0, len(cs))
		for _, c := range cs {
			out = append(out, possible(c, holds, now, open))
		}
		return out
	}
	switch c := c.(type) {
	case packet.Opaque:
		if isLimit(c.Text) {
			return packet.All{}
		}
		*open = true
		return truth(holds)
	case packet.Until:
		return truth(now.Unix() < c.End)
	case packet.Mark:
		*open = true
		return truth(holds)
	case packet.Not:
		return packet.Not{C: possible(c.C, !holds, now, open)}
	case packet.All:
		return packet.All(each(c))
	case packet.Any:
		return packet.Any(each(c))
	case packet.InSet:
		return possible(c.C, holds, now, open)
	}
	return c
}

// truth is the condition that always holds, or never.
func truth(holds bool) packet.Cond {
	if holds {
		return packet.All{}
	}
	return packet.Any{}
}

// isLimit reports whether an opaque condition is a limit that holds until it is reached. The
// algebra writes the opposite, such as --hashlimit-above, as the negation of such a condition.
func isLimit(condition string) bool {
	match, _, _ := strings.Cut(condition, " ")
	return match == "hashlimit" || match == "connlimit" || match == "limit"
}
