package nftables

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/budget"
)

const protocolTCP = 6

// combination is the conditions of one rule of nft, without limits. The protocols are apart, because a reject
// answers them differently.
type combination struct {
	protocols []uint8
	ports     []Ports // without their protocols
	matches   []Match
}

// with returns the combination with more matches.
func (c combination) with(more ...Match) combination {
	c.matches = append(c.matches[:len(c.matches):len(c.matches)], more...)
	return c
}

// factor is one thing of which a rule lists any number and a rule of nft has one: each option changes a
// combination. Without options it changes nothing.
type factor []func(combination) combination

// factors returns those of the cartesian product.
func (l *legalization) factors(r *ir.Rule, f ir.Family) []factor {
	var published, protocols, icmp factor
	if len(r.PublishedPorts) > 0 && r.Scope != ir.ScopeProxy {
		for _, protocol := range r.Protocols {
			for _, p := range joinPorts(r.PublishedPorts) {
				published = append(published, func(c combination) combination {
					c.protocols = []uint8{protocol}
					return c.with(OriginalPort{p})
				})
			}
		}
	}
	sourcePorts, destinationPorts := portLists(r.SourcePorts), portLists(destinationPorts(r))
	if len(published) == 0 && hasSinglePort(sourcePorts) && hasSinglePort(destinationPorts) && len(r.Protocols) > 1 {
		// Two ports without their protocol are one number to nft, which prints it as such (docs/contributing/netfilter.md,
		// "Printed tables").
		for _, protocol := range r.Protocols {
			protocols = append(protocols, func(c combination) combination {
				c.protocols = []uint8{protocol}
				return c
			})
		}
	}
	for _, m := range icmpMatches(r.ICMP, f) {
		icmp = append(icmp, func(c combination) combination { return c.with(m) })
	}
	return []factor{
		published, protocols, portOptions(sourcePorts, Src), portOptions(destinationPorts, Dst), icmp,
		l.alternatives(r, f, r.Source.In, Src), l.alternatives(r, f, r.Destination.In, Dst),
		interfaces(r.Out, Dst), interfaces(r.In, Src),
	}
}

// combinations returns the cartesian product; none for a rule that no packet can match, since it lists only a list:set
// without members.
func (l *legalization) combinations(r *ir.Rule, f ir.Family) []combination {
	for d, end := range []ir.End{r.Source, r.Destination} {
		if !end.In.IsEmpty() && len(l.operands(r, f, end.In, Direction(d), false)) == 0 {
			return nil
		}
	}
	first := combination{protocols: slices.Sorted(slices.Values(r.Protocols))}
	if len(r.ICMP) > 0 {
		first.protocols = nil // the type implies it
	}
	if r.States != 0 {
		first = first.with(State{r.States})
	}
	published := len(r.PublishedPorts) > 0 || len(r.PublishedAddresses) > 0
	translated := published && r.Scope != ir.ScopeProxy
	switch {
	case translated:
		// Without the status the rule would also match an unpublished container port of the same number; without the
		// direction it would match replies to containers' own connections to that port.
		first = first.with(Translated{}, CTDirection{ir.CTOriginal})
	case r.Direction != ir.CTAny:
		first = first.with(CTDirection{r.Direction})
	}
	if len(r.PublishedAddresses) > 0 {
		addresses := slices.SortedFunc(slices.Values(r.PublishedAddresses), netip.Addr.Compare)
		if translated {
			first = first.with(OriginalAddress{slices.Compact(addresses)})
		} else {
			var ranges []netipx.IPRange
			for _, a := range slices.Compact(addresses) {
				ranges = append(ranges, netipx.IPRangeFrom(a, a))
			}
			first = first.with(Address{Dir: Dst, Ranges: ranges})
		}
	}
	first = first.with(l.exclusions(r, f, r.Source.NotIn, Src)...)
	first = first.with(l.exclusions(r, f, r.Destination.NotIn, Dst)...)
	if !r.Until.IsZero() {
		first = first.with(Time{r.Until.UTC()})
	}
	all := []combination{first}
	for _, options := range l.factors(r, f) {
		if len(options) == 0 {
			continue
		}
		var next []combination
		for _, c := range all {
			for _, choose := range options {
				next = append(next, choose(c))
			}
		}
		all = next
	}
	return all
}

// destinationPorts returns the destination ports of packets of a rule. In ScopeProxy these are the published ones, which
// Docker has not translated.
func destinationPorts(r *ir.Rule) []ir.PortRange {
	if len(r.PublishedPorts) > 0 && r.Scope == ir.ScopeProxy {
		return r.PublishedPorts
	}
	return r.DestinationPorts
}

// size returns the number of combinations of a pair, or some number above budget.MaxRules.
func (l *legalization) size(p *pair) int {
	total := 0
	for _, r := range p.all() {
		n := 1
		for _, options := range l.factors(r, p.family(r)) {
			if n *= max(len(options), 1); n > budget.MaxRules {
				break
			}
		}
		total += n
	}
	return total
}

// rules returns the rules of nft for a rule of the policy in a chain.
func (l *legalization) rules(p *pair, chain *plannedChain) []*Rule {
	type one struct {
		rule   *ir.Rule
		family ir.Family
		combination
	}
	var all []one
	for _, r := range p.all() {
		f := p.family(r)
		for _, c := range l.combinations(r, f) {
			all = append(all, one{r, f, c})
		}
	}
	// Only a base chain is entered by packets of a family that is not compiled.
	needsFamily := func(f ir.Family) bool { return f != 0 && (len(l.out.Families) > 1 || chain.base) }
	finish := func(o one, m []Match) []Match {
		if implied := slices.ContainsFunc(m, func(m Match) bool { _, ok := familyOf(m); return ok }); !implied && needsFamily(o.family) {
			m = append(m, Family{Family: o.family})
		}
		return inOrder(m)
	}
	var out []*Rule
	if len(all) > 1 && counts(p.any()) {
		// One count for all combinations: they lead to a chain with the limits.
		inner := &Chain{Name: countChain(p.any()), Scope: chain.scope}
		l.inner = append(l.inner, inner)
		for _, o := range all {
			out = append(out, rule(o.rule, finish(o, o.matchesFor(o.protocols)), Jump{inner.Name}))
		}
		var protocols []uint8
		for _, r := range p.all() {
			protocols = append(protocols, r.Protocols...)
		}
		slices.Sort(protocols)
		protocols = slices.Compact(protocols)
		families := []*ir.Rule{p.any()}
		if perSource(p.any()) {
			families = p.all()
		}
		for _, r := range families {
			f := ir.Family(0)
			if perSource(r) {
				f = p.family(r)
			}
			o := one{r, f, combination{protocols: protocols}}
			for _, line := range l.lines(r, f, o.combination, true) {
				inner.Rules = append(inner.Rules, rule(r, finish(o, line.matches), line.verdict))
			}
		}
		return out
	}
	for _, o := range all {
		for _, line := range l.lines(o.rule, o.family, o.combination, false) {
			out = append(out, rule(o.rule, finish(o, line.matches), line.verdict))
		}
	}
	return out
}

func rule(r *ir.Rule, matches []Match, v Verdict) *Rule {
	if v == (Reject{TCPReset: true}) {
		// nft does not print the family in front of a reset, unless it is excluded (docs/contributing/netfilter.md,
		// "Printed tables"): the listed table, loaded again, would reset the connections of both.
		for i, m := range matches {
			if f, ok := m.(Family); ok {
				matches[i] = Family{Family: otherFamily(f.Family), Not: true}
			}
		}
	}
	return &Rule{ID: r.ID(), Origin: r.Origin, Matches: matches, Verdict: v}
}

// counts reports whether a rule counts packets of all its combinations together. A return would leave only the chain
// with the limits: rules with that verdict count those of each combination.
func counts(r *ir.Rule) bool {
	_, returns := r.Verdict.(ir.Return)
	return !returns && (r.Log != nil || r.Rate != nil && !r.Rate.PerSource)
}

// countChain returns the name of the chain with the limits of a rule.
func countChain(r *ir.Rule) string {
	parts := []string{r.Phase.String(), r.Origin.Name, r.Scope.String()}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ".")
}

type line struct {
	matches []Match
	verdict Verdict
}

// lines returns the rules of one combination: one that exempts established connections from the limits, if needed; one
// that logs, if the rule logs; and those with the verdict. In the chain of a count the combinations have been matched.
func (l *legalization) lines(r *ir.Rule, f ir.Family, c combination, matched bool) []line {
	var out []line
	accepts := r.Phase == ir.PhaseAccept
	add := func(protocols []uint8, v Verdict, state ir.CTState, more ...Match) {
		var m []Match
		if !matched || len(protocols) > 0 {
			m = c.matchesFor(protocols)
		}
		if state != 0 {
			m = append(m, State{state})
		}
		out = append(out, line{append(m, more...), v})
	}
	all := c.protocols
	if matched {
		all = nil
	}
	var state ir.CTState
	if r.Limited() {
		state = ir.CTNew
		if accepts && r.SessionsRechecked {
			add(all, l.verdict(r), ir.CTEstablished)
		}
	}
	if r.Log != nil {
		logged := state
		if accepts {
			// An accepted connection is logged once, not once per packet.
			logged = ir.CTNew
		}
		limit := Limit{Rate: Rate{r.Log.Limit, defaultLogBurst}}
		add(all, logVerdict(r.Log), logged, append(l.limits(r, f, "log-"), limit)...)
	}
	if _, rejects := r.Verdict.(ir.Reject); !rejects {
		add(all, l.verdict(r), state, l.limits(r, f, "")...)
		return out
	}
	tcp := slices.Contains(c.protocols, protocolTCP)
	others := slices.DeleteFunc(slices.Clone(c.protocols), func(n uint8) bool { return n == protocolTCP })
	if tcp || len(c.protocols) == 0 && len(r.ICMP) == 0 && !r.Limited() {
		// A reset needs the protocol in the same rule.
		add([]uint8{protocolTCP}, Reject{TCPReset: true}, state, l.limits(r, f, "")...)
	}
	if !tcp || len(others) > 0 {
		if matched && !(tcp && perSource(r)) {
			// If both rules have a count of their own, this one is that of all protocols. The counts of sources
			// are in one set, where a packet must count once.
			others = nil
		}
		// A limit without a protocol must count each packet once: TCP then gets the ICMP error, too.
		add(others, Reject{}, state, l.limits(r, f, "")...)
	}
	return out
}

// defaultLogBurst is how many lines of a log may come at once.
const defaultLogBurst = 5

// matchesFor returns the matches of the combination for some of its protocols.
func (c combination) matchesFor(protocols []uint8) []Match {
	out := slices.Clone(c.matches)
	var only uint8
	if len(protocols) == 1 {
		only = protocols[0]
	}
	if len(protocols) > 0 && (only == 0 || len(c.ports) == 0) {
		out = append(out, Protocol{protocols})
	}
	for _, p := range c.ports {
		p.Protocol = only
		out = append(out, p)
	}
	return out
}

// verdict returns the verdict of a rule that does not reject.
func (l *legalization) verdict(r *ir.Rule) Verdict {
	switch v := r.Verdict.(type) {
	case ir.Accept:
		return Accept{}
	case ir.Return:
		return Return{}
	case ir.Drop:
		return Drop{}
	case ir.Jump:
		return Jump{ir.NFTChainOf(v.To)}
	default:
		panic(fmt.Sprintf("nftables: no verdict for %T", v))
	}
}

func logVerdict(l *ir.Log) Verdict {
	if l.Group != nil {
		return NFLog{Prefix: l.Prefix, Group: *l.Group}
	}
	return Log{Prefix: l.Prefix, Level: l.Level}
}

// familyOf returns the family of the packets that a match can be true for; false if it is either.
func familyOf(m Match) (ir.Family, bool) {
	switch m := m.(type) {
	case Family:
		if m.Not {
			return otherFamily(m.Family), true
		}
		return m.Family, true
	case ICMP:
		return m.Family, true
	case OriginalAddress:
		return ir.FamilyOf(m.Addresses[0]), true
	case Address:
		return ir.FamilyOf(m.Ranges[0].From()), true
	case SetMatch:
		return m.Family, true
	case SourceLimit:
		return m.Family, true
	case SourceConnections:
		return m.Family, true
	}
	return 0, false
}

func otherFamily(f ir.Family) ir.Family {
	if f == ir.IPv4 {
		return ir.IPv6
	}
	return ir.IPv4
}

// inOrder sorts the matches of a rule in canonical order. nft leaves out conditions that it takes for implied by later ones:
// in this order it prints all that are in the rule. Limits are last, because they must count only packets that fulfill
// all other conditions.
func inOrder(matches []Match) []Match {
	slices.SortStableFunc(matches, func(a, b Match) int { return cmp.Compare(rank(a), rank(b)) })
	return matches
}

func rank(m Match) int {
	switch m := m.(type) {
	case Interface:
		return int(m.Dir)
	case State:
		return 2
	case Translated:
		return 3
	case CTDirection:
		return 4
	case Protocol:
		return 5
	case Ports:
		return 6 + int(m.Dir)
	case ICMP:
		return 8
	case Family:
		return 9
	case OriginalAddress:
		return 10
	case OriginalPort:
		return 11
	case Address:
		return 12 + 2*int(m.Dir)
	case SetMatch:
		return 13 + 2*int(m.Dir)
	case Time:
		return 16
	case SourceLimit, SourceConnections:
		return 17
	case Limit:
		// After the limits of sources, which must also count the packets that are not logged.
		return 18
	default:
		panic(fmt.Sprintf("nftables: no rank for %T", m))
	}
}
