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

// portLists returns ports as lists of which each fits in one rule: one with all single ports, and each range. nft makes a
// set with intervals of a list with a range: docs/contributing/netfilter.md, "Sets and rules in one transaction".
func portLists(ports []ir.PortRange) [][]ir.PortRange {
	joined := joinPorts(ports)
	if len(joined) == 1 {
		return [][]ir.PortRange{joined}
	}
	var single []ir.PortRange
	var out [][]ir.PortRange
	for _, p := range joined {
		switch p.Last - p.First {
		case 0:
			single = append(single, p)
		case 1:
			single = append(single, ir.PortRange{First: p.First, Last: p.First}, ir.PortRange{First: p.Last, Last: p.Last})
		default:
			out = append(out, []ir.PortRange{p})
		}
	}
	if len(single) > 0 {
		out = append([][]ir.PortRange{single}, out...)
	}
	return out
}

// hasSinglePort reports whether one of the lists has one port.
func hasSinglePort(lists [][]ir.PortRange) bool {
	return slices.ContainsFunc(lists, func(list []ir.PortRange) bool { return len(list) == 1 && list[0].First == list[0].Last })
}

// portOptions returns the options of lists of ports.
func portOptions(lists [][]ir.PortRange, d Direction) factor {
	var out factor
	for _, list := range lists {
		out = append(out, func(c combination) combination {
			c.ports = append(c.ports[:len(c.ports):len(c.ports)], Ports{Dir: d, Ranges: list})
			return c
		})
	}
	return out
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

// operand is the addresses in one condition: literal ones or a named set.
type operand struct {
	ranges []netipx.IPRange
	set    *Set
}

func (o operand) match(d Direction, not bool) Match {
	if o.set != nil {
		return SetMatch{Set: o.set.Name, Family: o.set.Family, Dir: d, Not: not}
	}
	return Address{Dir: d, Not: not, Ranges: o.ranges}
}

// operands returns the conditions for a list of addresses and sets at one end of a rule: one for the literals, and one
// for each set.
func (l *legalization) operands(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction, not bool) []operand {
	var out []operand
	if len(a.Prefixes) > 0 {
		out = append(out, l.literals(r, f, a, d, not))
	}
	seen := map[string]bool{}
	for _, s := range a.Sets {
		for _, set := range l.declared[setKey{s.Name, f}] {
			if !seen[set.Name] {
				seen[set.Name] = true
				out = append(out, operand{set: set})
			}
		}
	}
	return out
}

// literals returns the condition for the addresses that a rule lists itself: a range, single addresses, or a named set
// where nft would make an anonymous one with intervals.
func (l *legalization) literals(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction, not bool) operand {
	ranges := joinAddresses(a.Prefixes)
	if len(ranges) == 1 {
		return operand{ranges: ranges}
	}
	if slices.ContainsFunc(a.Prefixes, func(p netip.Prefix) bool { return !p.IsSingleIP() }) {
		return operand{set: l.literalSet(r, f, a, d, not)}
	}
	ranges = nil
	for _, p := range sorted(a.Prefixes) {
		ranges = append(ranges, netipx.RangeOfPrefix(p))
	}
	return operand{ranges: slices.Compact(ranges)}
}

// alternatives returns the options of a list of which a packet must have one address. A limit must count each packet
// once, so that the options of a limited rule exclude each other.
func (l *legalization) alternatives(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction) factor {
	var out factor
	var before []Match
	for _, o := range l.operands(r, f, a, d, false) {
		matches := []Match{o.match(d, false)}
		if r.Limited() {
			matches = slices.Concat(before, matches)
			before = append(before, o.match(d, true))
		}
		out = append(out, func(c combination) combination { return c.with(matches...) })
	}
	return out
}

// exclusions returns the conditions of having none of the addresses.
func (l *legalization) exclusions(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction) []Match {
	var out []Match
	for _, o := range l.operands(r, f, a, d, true) {
		out = append(out, o.match(d, true))
	}
	return out
}

// interfaces returns the options of a list of interfaces: one with all names, unless releases of nft print an anonymous
// set of them in different orders (docs/contributing/netfilter.md, "Printed tables"), and each wildcard, which would make
// it a set with intervals ("Sets and rules in one transaction").
func interfaces(names []string, d Direction) factor {
	var exact, wildcards []string
	for _, name := range names {
		if prefix, wild := strings.CutSuffix(name, "+"); wild {
			wildcards = append(wildcards, prefix)
		}
	}
	// A limit counts a packet once: the options of a limited rule exclude each other.
	covered := func(name string) bool {
		return slices.ContainsFunc(wildcards, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "+") && !covered(name) {
			exact = append(exact, name)
		}
	}
	slices.Sort(exact)
	exact = slices.Compact(exact)
	slices.Sort(wildcards)
	wildcards = slices.Compact(wildcards)
	wildcards = slices.DeleteFunc(slices.Clone(wildcards), func(name string) bool {
		return slices.ContainsFunc(wildcards, func(prefix string) bool { return prefix != name && strings.HasPrefix(name, prefix) })
	})
	var lists [][]string
	if slices.IsSortedFunc(exact, compareAsNumbers) {
		if len(exact) > 0 {
			lists = append(lists, exact)
		}
	} else {
		for _, name := range exact {
			lists = append(lists, []string{name})
		}
	}
	for _, prefix := range wildcards {
		lists = append(lists, []string{prefix + "*"})
	}
	var out factor
	for _, list := range lists {
		out = append(out, func(c combination) combination { return c.with(Interface{Dir: d, Names: list}) })
	}
	return out
}

// compareAsNumbers compares names as numbers whose least significant byte is the first.
func compareAsNumbers(a, b string) int {
	reversed := func(s string) string {
		bytes := []byte(s)
		slices.Reverse(bytes)
		return string(bytes)
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(reversed(a), reversed(b)))
}

// joinPorts returns sorted ranges that neither overlap nor touch.
func joinPorts(list []ir.PortRange) []ir.PortRange {
	var out []ir.PortRange
	for _, p := range slices.SortedFunc(slices.Values(list), func(a, b ir.PortRange) int { return cmp.Compare(a.First, b.First) }) {
		if n := len(out); n > 0 && int(p.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, p.Last)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// sorted returns the prefixes in the order of their addresses, shorter ones first.
func sorted(prefixes []netip.Prefix) []netip.Prefix {
	return slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare)
}

// joinAddresses returns sorted ranges that neither overlap nor touch.
func joinAddresses(prefixes []netip.Prefix) []netipx.IPRange {
	var out []netipx.IPRange
	for _, p := range sorted(prefixes) {
		next := netipx.RangeOfPrefix(p)
		if n := len(out); n > 0 {
			if last := out[n-1]; last.Contains(next.From()) || last.To().Next() == next.From() {
				if last.To().Less(next.To()) {
					out[n-1] = netipx.IPRangeFrom(last.From(), next.To())
				}
				continue
			}
		}
		out = append(out, next)
	}
	return out
}

// icmpMatches returns the alternatives for ICMP types: one for all types with any code, and one for each type with a code.
func icmpMatches(list []ir.ICMP, f ir.Family) []Match {
	var any []uint8
	var out []Match
	for _, t := range list {
		if t.Code < 0 {
			any = append(any, t.Type)
		}
	}
	if len(any) > 0 {
		slices.Sort(any)
		out = append(out, ICMP{Family: f, Types: slices.Compact(any), Code: -1})
	}
	for _, t := range list {
		if t.Code >= 0 && !slices.Contains(any, t.Type) {
			out = append(out, ICMP{Family: f, Types: []uint8{t.Type}, Code: t.Code})
		}
	}
	return out
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
