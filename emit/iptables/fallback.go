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
		p.Fallback = append(fallbackForward(p), fallbackInput(p)...)
	}
}

// Packets traverse the security table after the filter table, and no engine changes it. The
// fallback rules refuse what would get through while FORWARD or INPUT does not lead to the rules
// in the filter table: docs/operations.md, "Fallback rules". To pass is to return from them, so
// that foreign rules of the table apply. They neither log nor count: limits are not reached, and
// each packet has been logged, counted and answered by the filter table.

// fallbackForward returns the chains that refuse what p refuses of forwarded packets; nil if it
// refuses none whatever the limits.
//
// Only the chain DOCKER-USER gets all forwarded packets. Engines before 17.06 send those for
// containers to the chain DOCKER; a jump in FORWARD would lead others to the fallback rules.
func fallbackForward(p *Program) []*Chain {
	if p.Target != "DOCKER-USER" {
		return nil
	}
	chains := fallback(p, p.Chains[0].Name)
	if chains != nil {
		chains[0].Name = FallbackChain
	}
	return chains
}

// fallbackInput returns the chains that refuse what p refuses of packets to the host itself; nil
// if it refuses none whatever the limits. They have the names of those in the filter table.
func fallbackInput(p *Program) []*Chain {
	if !p.ProtectsInput() {
		return nil
	}
	return fallback(p, ir.InputChain)
}

// fallback returns the fallback rules of a chain of p and of all to which it leads, in the order
// of p; nil if none of them drops a packet.
func fallback(p *Program, start string) []*Chain {
	var chains []*Chain
	refuses := false
	reached := map[string]bool{start: true}
	// A chain only leads to later ones.
	for _, c := range p.Chains {
		if !reached[c.Name] {
			continue
		}
		out := &Chain{Name: c.Name, Scope: c.Scope, Protocol: c.Protocol}
		for _, r := range c.Rules {
			f := fallbackRule(r)
			if f == nil {
				continue
			}
			out.Rules = append(out.Rules, f)
			switch v := f.Verdict.(type) {
			case Drop:
				refuses = true
			case Jump:
				reached[v.Chain] = true
			case Goto:
				reached[v.Chain] = true
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
	case Jump, Goto:
		return v
	case Log, NFLog:
		return nil
	}
	panic(fmt.Sprintf("iptables: no fallback for verdict %T", v))
}
