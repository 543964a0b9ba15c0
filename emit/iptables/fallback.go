package iptables

import (
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// FallbackChain is the chain of the security table that has the fallback rules of
// ir.ScopeForward, however the rules of the filter table are installed.
const FallbackChain = ir.OwnChain

// addFallbacks adds the fallback rules of each family.
func (l *legalization) addFallbacks() {
	for _, p := range l.out.Programs {
		p.Fallback = fallback(p)
	}
}

// fallback returns the chains of the security table that refuse what p refuses of forwarded
// packets; nil if it refuses none whatever the limits.
//
// Packets traverse that table after the filter table, and no engine changes it. It refuses
// what would get through while FORWARD does not lead to the rules in the filter table:
// docs/operations.md, "Fallback rules". To pass is to return from it, so that foreign rules
// of the table apply. It neither logs nor counts: limits are not reached, and each packet has
// been logged, counted and answered by the filter table.
//
// Only the chain DOCKER-USER gets all forwarded packets. Engines before 17.06 send those for
// containers to the chain DOCKER; a jump in FORWARD would lead others to the fallback rules.
func fallback(p *Program) []*Chain {
	if p.Target != "DOCKER-USER" {
		return nil
	}
	var chains []*Chain
	refuses := false
	for i, c := range p.Chains {
		out := &Chain{Name: c.Name}
		switch {
		case i == 0:
			out.Name = FallbackChain
		case c.Name != ir.EgressChain:
			continue
		}
		for _, r := range c.Rules {
			if f := fallbackRule(r); f != nil {
				out.Rules = append(out.Rules, f)
				_, drops := f.Verdict.(Drop)
				refuses = refuses || drops
			}
		}
		chains = append(chains, out)
	}
	if !refuses {
		return nil
	}
	return chains
}

// fallbackRule returns the fallback rule for a rule of the filter table, nil if that needs
// none: it only logs, or refuses what is above a limit.
func fallbackRule(r *Rule) *Rule {
	v := fallbackVerdict(r.Verdict)
	if v == nil {
		return nil
	}
	out := &Rule{ID: r.ID, Origin: r.Origin, Verdict: v}
	for _, m := range r.Matches {
		switch limit, above := isLimit(m); {
		case above:
			return nil
		case !limit:
			out.Matches = append(out.Matches, m)
		}
	}
	return out
}

// isLimit reports whether a match is a limit, and whether it matches what is above the limit.
func isLimit(m Match) (limit, above bool) {
	switch m := m.(type) {
	case Address, Interface, Protocol, Ports, ICMP, Conntrack, SetMatch, Time:
		return false, false
	case HashLimit:
		return true, m.Above
	case ConnLimit:
		return true, m.Above
	case Limit:
		return true, false
	}
	panic(fmt.Sprintf("iptables: is %T a limit?", m))
}

// fallbackVerdict returns the verdict of a fallback rule, nil for a rule that only logs.
func fallbackVerdict(v Verdict) Verdict {
	switch v := v.(type) {
	case Accept, Return:
		return Return{}
	case Drop, Reject:
		return Drop{}
	case Jump:
		return v
	case Log, NFLog:
		return nil
	}
	panic(fmt.Sprintf("iptables: no fallback for verdict %T", v))
}
