package iptables

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/budget"
)

// expansion writes a rule of the IR as the rules of iptables that together match the
// same: one for each combination of interface, protocol, published port and so on, since
// a rule of iptables holds one of each.
type expansion struct {
	*ir.Rule
	family              ir.Family
	source, destination foldedEnd
	// chainOf returns the chain of a scope.
	chainOf func(ir.Scope) string
}

// size returns the number of rules, or a number past every limit.
func (e *expansion) size() int {
	n := len(e.lines(&combination{}))
	for _, options := range []int{
		len(e.protocolVerdicts()), len(e.PublishedAddresses), len(e.PublishedPorts), len(e.DestinationPorts), len(e.SourcePorts), len(e.ICMP),
		len(alternatives(e.source.in, Src)), len(alternatives(e.destination.in, Dst)), len(e.Out), len(e.In),
	} {
		if n *= max(options, 1); n > budget.MaxRules {
			break
		}
	}
	return n
}

// combination is one choice of each thing that a rule lists.
type combination struct {
	protocol  uint8
	verdict   Verdict
	ports     Ports
	conntrack Conntrack
	matches   []Match
}

// product returns each combination with each of the options; without options they stay as
// they are.
func product[T any](all []combination, options []T, choose func(*combination, T)) []combination {
	if len(options) == 0 {
		return all
	}
	out := make([]combination, 0, len(all)*len(options))
	for _, one := range all {
		for _, option := range options {
			next := one
			next.matches = slices.Clone(one.matches)
			choose(&next, option)
			out = append(out, next)
		}
	}
	return out
}

// rules returns the cartesian product. Interfaces change fastest, so that the rules of a
// published port are together.
func (e *expansion) rules() []*Rule {
	add := func(c *combination, m ...Match) { c.matches = append(c.matches, m...) }
	interfaces := func(d Direction) func(*combination, string) {
		return func(c *combination, name string) { add(c, Interface{Dir: d, Name: name}) }
	}
	translated := e.Scope != ir.ScopeProxy

	all := []combination{{conntrack: Conntrack{States: e.States, Dir: e.Direction}}}
	all = product(all, e.protocolVerdicts(), func(c *combination, p protocolVerdict) {
		c.protocol, c.verdict = p.number, p.verdict
	})
	all = product(all, e.PublishedAddresses, func(c *combination, a netip.Addr) {
		if translated {
			c.conntrack.OrigDst = a
		} else {
			add(c, Address{Dir: Dst, Prefix: netip.PrefixFrom(a, a.BitLen())})
		}
	})
	all = product(all, e.PublishedPorts, func(c *combination, p ir.PortRange) {
		if translated {
			c.conntrack.OrigDstPort = &p
		} else {
			c.ports.Dst = &p
		}
	})
	all = product(all, e.DestinationPorts, func(c *combination, p ir.PortRange) { c.ports.Dst = &p })
	all = product(all, e.SourcePorts, func(c *combination, p ir.PortRange) { c.ports.Src = &p })
	all = product(all, e.ICMP, func(c *combination, t ir.ICMP) {
		add(c, ICMP{Family: e.family, Type: t.Type, Code: t.Code})
	})
	all = product(all, alternatives(e.source.in, Src), func(c *combination, m Match) { add(c, m) })
	all = product(all, alternatives(e.destination.in, Dst), func(c *combination, m Match) { add(c, m) })
	all = product(all, e.Out, interfaces(Dst))
	all = product(all, e.In, interfaces(Src))

	var rules []*Rule
	for i := range all {
		one := &all[i]
		add(one, exclusions(e.source.notIn, Src)...)
		add(one, exclusions(e.destination.notIn, Dst)...)
		if one.protocol != 0 {
			add(one, Protocol{Number: one.protocol})
		}
		if one.ports != (Ports{}) {
			one.ports.Protocol = one.protocol
			add(one, one.ports)
		}
		if one.conntrack.OrigDstPort != nil || one.conntrack.OrigDst.IsValid() {
			// Without the DNAT state a rule would also match a container port of the same
			// number that nobody published; without the direction it would match replies
			// to containers' own connections to that port.
			one.conntrack.States |= ir.CTDNAT
			one.conntrack.Dir = ir.CTOriginal
		}
		rules = append(rules, e.lines(one)...)
	}
	return rules
}

// lines returns the rules of one combination: the one that lets established packets pass
// a limit, the one that logs, and the one that decides.
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
		if accepts && e.SessionsRechecked {
			out = append(out, line(one.verdict, ir.CTEstablished))
		}
	}
	if e.Log != nil {
		logged := state
		if accepts {
			// One line for each connection, not for each packet.
			logged = ir.CTNew
		}
		limit := canonicalRate(e.Log.Limit, limitScale)
		more := append(e.limits("log "), Limit{Rate: limit, Burst: defaultLimitBurst})
		out = append(out, line(logVerdict(e.Log), logged, more...))
	}
	return append(out, line(one.verdict, state, e.limits("")...))
}

// stateMatches adds a state to the conditions on connection tracking. States within one
// match are alternatives: DNAT and NEW together need a match each.
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

// alternatives are the matches of which any one fulfils the positive condition; none when
// there is no condition.
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

// exclusions are the matches that together fulfil the negated condition.
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

// protocolVerdicts pairs protocols with verdicts: a reject answers TCP with a reset, and
// everything else with the error of its family.
func (e *expansion) protocolVerdicts() []protocolVerdict {
	protocols := e.Protocols
	if len(protocols) == 0 {
		protocols = []uint8{0}
		// A limit must be evaluated once a packet, so that there one rule rejects all.
		if _, rejects := e.Verdict.(ir.Reject); rejects && !e.Limited() {
			protocols = []uint8{protocolTCP, 0}
		}
	}
	var out []protocolVerdict
	for _, p := range protocols {
		out = append(out, protocolVerdict{p, e.verdictFor(p)})
	}
	return out
}

func (e *expansion) verdictFor(protocol uint8) Verdict {
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

func rejectWith(protocol uint8, f ir.Family) string {
	switch {
	case protocol == protocolTCP:
		return "tcp-reset"
	case f == ir.IPv6:
		return "icmp6-adm-prohibited"
	}
	return "icmp-admin-prohibited"
}

// rank is the place of a match in a rule as iptables-save prints it: -s -d -i -o -p first,
// then the match extensions, cheap ones before sets, and limits last, since they count
// what passes everything else.
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
	case SetMatch:
		return 7
	case HashLimit, ConnLimit:
		return 8
	case Limit:
		// After the other limits, which must count what this one keeps out of the log.
		return 9
	default:
		panic(fmt.Sprintf("iptables: no rank for %T", m))
	}
}
