package iptables

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/budget"
)

// expansion converts a rule of the IR to the iptables rules that together match the same
// packets: an iptables rule has one interface, one protocol, one port range and so on, so
// that each combination becomes one rule.
type expansion struct {
	*ir.Rule
	// to is the chain that the rule leads to, if calls with -j; "" for one with a verdict of its own.
	to                  string
	calls               bool
	family              ir.Family
	source, destination foldedEnd
	// chainOf returns the name of a scope's chain.
	chainOf func(ir.Scope) string
}

// factor is one thing of which a rule lists any number and an iptables rule has one.
type factor struct {
	// options is the number of things listed; without any, the factor changes nothing.
	options int
	// choose applies option i to a combination.
	choose func(c *combination, i int)
}

func factorOf[T any](options []T, choose func(*combination, T)) factor {
	if len(options) == 0 {
		return factor{}
	}
	return factor{len(options), func(c *combination, i int) { choose(c, options[i]) }}
}

// product returns the factors of the cartesian product, the last of which varies fastest:
// interfaces, so that the rules of a published port are adjacent. A factor more needs its options
// counted in sizeOf.
func (e *expansion) product() []factor {
	add := func(c *combination, m Match) { c.matches = append(c.matches, m) }
	interfaces := func(d Direction) func(*combination, string) {
		return func(c *combination, name string) { add(c, Interface{Dir: d, Name: name}) }
	}
	translated := e.Scope != ir.ScopeProxy // ScopeHost has no published ports
	return []factor{
		factorOf(e.protocolVerdicts(), func(c *combination, p protocolVerdict) {
			c.protocol, c.verdict = p.number, p.verdict
		}),
		factorOf(e.PublishedAddresses, func(c *combination, a netip.Addr) {
			if translated {
				c.conntrack.OrigDst = a
			} else {
				add(c, Address{Dir: Dst, Prefix: netip.PrefixFrom(a, a.BitLen())})
			}
		}),
		factorOf(e.PublishedPorts, func(c *combination, p ir.PortRange) {
			if translated {
				c.conntrack.OrigDstPort = &p
			} else {
				c.ports.Dst = &p
			}
		}),
		factorOf(e.DestinationPorts, func(c *combination, p ir.PortRange) { c.ports.Dst = &p }),
		factorOf(e.SourcePorts, func(c *combination, p ir.PortRange) { c.ports.Src = &p }),
		factorOf(e.ICMP, func(c *combination, t ir.ICMP) {
			add(c, ICMP{Family: e.family, Type: t.Type, Code: t.Code})
		}),
		factorOf(alternatives(e.source.in, Src), add),
		factorOf(alternatives(e.destination.in, Dst), add),
		factorOf(e.Out, interfaces(Dst)),
		factorOf(e.In, interfaces(Src)),
	}
}

// size returns the number of rules, or some number above budget.MaxRules.
func (e *expansion) size() int { return sizeOf(e.Rule, e.source.in.len(), e.destination.in.len()) }

// sizeOf returns the size of the expansion of a rule with so many alternatives of the source and of
// the destination, without making anything: rules are counted several times before they are
// expanded.
func sizeOf(r *ir.Rule, sources, destinations int) int {
	n := 1
	if r.Log != nil {
		n++
	}
	if exempts(r) {
		n++
	}
	for _, options := range [...]int{
		len(protocolsOf(r)), len(r.PublishedAddresses), len(r.PublishedPorts), len(r.DestinationPorts), len(r.SourcePorts),
		len(r.ICMP), sources, destinations, len(r.Out), len(r.In),
	} {
		if n *= max(options, 1); n > budget.MaxRules {
			break
		}
	}
	return n
}

// exempts reports whether established connections are exempt from the limits of a rule, which
// takes a rule of its own.
func exempts(r *ir.Rule) bool {
	return r.Limited() && r.Phase == ir.PhaseAccept && r.SessionsRechecked
}

// combination is one element of the cartesian product.
type combination struct {
	protocol  uint8
	verdict   Verdict
	ports     Ports
	conntrack Conntrack
	matches   []Match
}

// times returns every combination with every option of a factor; all of them unchanged if
// it has none.
func times(all []combination, f factor) []combination {
	switch f.options {
	case 0:
		return all
	case 1: // each combination has its own matches
		for i := range all {
			f.choose(&all[i], 0)
		}
		return all
	}
	out := make([]combination, 0, len(all)*f.options)
	for _, one := range all {
		for i := range f.options {
			next := one
			next.matches = slices.Clone(one.matches)
			f.choose(&next, i)
			out = append(out, next)
		}
	}
	return out
}

// rules returns the cartesian product.
func (e *expansion) rules() []*Rule {
	add := func(c *combination, m ...Match) { c.matches = append(c.matches, m...) }
	all := []combination{{conntrack: Conntrack{States: e.States, Dir: e.Direction}}}
	for _, f := range e.product() {
		all = times(all, f)
	}

	var rules []*Rule
	for i := range all {
		one := &all[i]
		add(one, exclusions(e.source.notIn, Src)...)
		add(one, exclusions(e.destination.notIn, Dst)...)
		if !e.Until.IsZero() {
			add(one, Time{Last: e.Until.Add(-time.Second).UTC()})
		}
		if one.protocol != 0 {
			add(one, Protocol{Number: one.protocol})
		}
		if one.ports != (Ports{}) {
			one.ports.Protocol = one.protocol
			add(one, one.ports)
		}
		if one.conntrack.OrigDstPort != nil || one.conntrack.OrigDst.IsValid() {
			// Without the DNAT state the rule would also match an unpublished container port
			// of the same number; without the direction it would match replies to
			// containers' own connections to that port.
			one.conntrack.States |= ir.CTDNAT
			one.conntrack.Dir = ir.CTOriginal
		}
		rules = append(rules, e.lines(one)...)
	}
	return rules
}

// lines returns the rules of one combination: one that exempts established connections from
// the limits, if needed; one that logs, if the rule logs; and the one with the verdict.
func (e *expansion) lines(one *combination) []*Rule {
	line := func(verdict Verdict, state ir.CTState, more ...Match) *Rule {
		matches := slices.Concat(one.matches, stateMatches(one.conntrack, state), more)
		slices.SortStableFunc(matches, func(a, b Match) int { return cmp.Compare(rank(a), rank(b)) })
		return &Rule{ID: e.ID(), Origin: e.Origin, Matches: matches, Verdict: verdict}
	}
	var out []*Rule
	accepts := e.Phase == ir.PhaseAccept
	var state ir.CTState
	if e.Limited() {
		state = ir.CTNew
	}
	if exempts(e.Rule) {
		out = append(out, line(one.verdict, ir.CTEstablished))
	}
	if e.Log != nil {
		logged := state
		if accepts {
			// An accepted connection is logged once, not once per packet.
			logged = ir.CTNew
		}
		limit := canonicalRate(e.Log.Limit, limitScale)
		more := append(e.limits("log "), Limit{Rate: limit, Burst: defaultLimitBurst})
		out = append(out, line(logVerdict(e.Log), logged, more...))
	}
	return append(out, line(one.verdict, state, e.limits("")...))
}

// stateMatches returns the conntrack matches for c and state together. The states of one
// match are alternatives, so that DNAT and NEW need a match each.
func stateMatches(c Conntrack, state ir.CTState) []Match {
	switch {
	case state == 0 && c == (Conntrack{}):
		return nil
	case state == 0:
		return []Match{c}
	case c.States == 0:
		c.States = state
		return []Match{c}
	}
	return []Match{c, Conntrack{States: state}}
}

// alternatives returns the matches for the positive condition, any one of which must be
// true; none if there is no condition.
func alternatives(o operands, d Direction) []Match {
	var out []Match
	for _, p := range o.prefixes {
		out = append(out, Address{Dir: d, Prefix: p})
	}
	for _, s := range o.sets {
		out = append(out, SetMatch{Set: s, Dir: d})
	}
	return out
}

// exclusions returns the matches for the negated condition, all of which must be true.
func exclusions(o operands, d Direction) []Match {
	var out []Match
	for _, p := range o.prefixes {
		out = append(out, Address{Dir: d, Not: true, Prefix: p})
	}
	for _, s := range o.sets {
		out = append(out, SetMatch{Set: s, Dir: d, Not: true})
	}
	return out
}

// protocolVerdict is a protocol, 0 for any, with the verdict for its packets.
type protocolVerdict struct {
	number  uint8
	verdict Verdict
}

// protocolVerdicts returns the protocols with their verdicts: a reject sends a reset for TCP
// and the ICMP error of the family for all other protocols.
func (e *expansion) protocolVerdicts() []protocolVerdict {
	var out []protocolVerdict
	for _, p := range protocolsOf(e.Rule) {
		out = append(out, protocolVerdict{p, e.verdictFor(p)})
	}
	return out
}

var (
	anyProtocol = []uint8{0}
	tcpAndAny   = []uint8{protocolTCP, 0}
)

// protocolsOf returns the protocols that need rules of their own, 0 for any.
func protocolsOf(r *ir.Rule) []uint8 {
	if len(r.Protocols) > 0 {
		return r.Protocols
	}
	// A limit must count each packet once, so a limited rule is not split by protocol
	// and sends the ICMP error for TCP, too.
	if _, rejects := r.Verdict.(ir.Reject); rejects && !r.Limited() {
		return tcpAndAny
	}
	return anyProtocol
}

// verdictFor returns the verdict for packets of a protocol, 0 for any.
func (e *expansion) verdictFor(protocol uint8) Verdict {
	switch {
	case e.calls:
		return Jump{Chain: e.to}
	case e.to != "":
		return Goto{Chain: e.to}
	}
	switch v := e.Verdict.(type) {
	case ir.Accept:
		return Accept{}
	case ir.Return:
		return Return{}
	case ir.Drop:
		return Drop{}
	case ir.Reject:
		return Reject{With: rejectWith(protocol, e.family)}
	case ir.Jump:
		return Jump{Chain: e.chainOf(v.To)}
	default:
		panic(fmt.Sprintf("iptables: no verdict for %T", v))
	}
}

const protocolTCP = 6

// rejectWith returns the value of --reject-with.
func rejectWith(protocol uint8, f ir.Family) string {
	switch {
	case protocol == protocolTCP:
		return "tcp-reset"
	case f == ir.IPv6:
		return "icmp6-adm-prohibited"
	}
	return "icmp-admin-prohibited"
}

// rank returns the position of a match in a rule: -s -d -i -o -p first, as in
// iptables-save, then match extensions, cheap ones before sets; limits are last, because
// they must count only packets that fulfill all other conditions.
func rank(m Match) int {
	switch m := m.(type) {
	case Address:
		return int(m.Dir)
	case Interface:
		return 2 + int(m.Dir)
	case Protocol:
		return 4
	case Ports, ICMP:
		return 5
	case Conntrack:
		return 6
	case Time:
		return 7
	case SetMatch:
		return 8
	case HashLimit, ConnLimit:
		return 9
	case Limit:
		// After the other limits, which must also count the packets that are not logged.
		return 10
	default:
		panic(fmt.Sprintf("iptables: no rank for %T", m))
	}
}
