package compiler

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// expand writes each clause as the rules that together match what it says: one
// rule a combination of interface, protocol, published port and so on, since a
// rule of iptables holds one of each.
func (c *compilation) expand() {
	if c.tooManyRules() {
		return
	}
	for _, f := range c.families {
		program := &ir.Program{
			Family:  f,
			Install: installs[c.policy.Host.Install.Value],
			Target:  c.policy.Host.Chain.Value,
		}
		for _, s := range c.scopes() {
			if s.isGuard() {
				if entry := c.chain(ir.GuardChain, f); len(entry.Rules) > 0 {
					program.Chains = append(program.Chains, entry, c.chain(s.chain, f))
				}
				continue
			}
			program.Chains = append(program.Chains, c.chain(s.chain, f))
		}
		c.out.Programs = append(c.out.Programs, program)
	}
}

// tooManyRules reports the rule with which a family would have more rules than a host
// may have, before any of them is made.
func (c *compilation) tooManyRules() bool {
	for _, f := range c.families {
		rules := 0
		for _, cl := range c.clauses {
			if cl.family != f {
				continue
			}
			if rules += cl.size(); rules > budget.MaxRules {
				c.error(diag.CodeBudget, cl.origin.Range, "too many rules", "With this block the host has more than %d rules of %s, the most there can be. A block becomes a rule for each combination of the interfaces, protocols, addresses and ports it lists; join ports to ranges, addresses to an ipset, and interfaces to a prefix such as \"br-+\".", budget.MaxRules, f)
				return true
			}
		}
	}
	return false
}

// size is the number of rules a clause becomes, or a number past every limit.
func (cl *clause) size() int {
	n := len(cl.lines(&combination{}))
	for _, options := range []int{
		len(cl.protocolVerdicts()), len(cl.publishedAddresses), len(cl.published), len(cl.container), len(cl.fromPorts), len(cl.icmp),
		len(alternatives(cl.source.in, ir.Src)), len(alternatives(cl.destination.in, ir.Dst)), len(cl.outInterfaces), len(cl.interfaces),
	} {
		if n *= max(options, 1); n > budget.MaxRules {
			break
		}
	}
	return n
}

// chain makes a chain of its clauses.
func (c *compilation) chain(name string, f ir.Family) *ir.Chain {
	chain := &ir.Chain{Name: name}
	for _, cl := range c.clauses {
		if cl.family == f && cl.chain == name {
			chain.Rules = append(chain.Rules, cl.rules()...)
		}
	}
	return chain
}

var installs = map[parser.Install]ir.Install{
	parser.InstallReplace: ir.Replace,
	parser.InstallJump:    ir.Jump,
	parser.InstallInsert:  ir.Insert,
}

// The chains of ours.
const (
	// OwnChain is what install = "jump" fills.
	OwnChain = "DOCKERFW"
	// EgressChain decides what leaves containers.
	EgressChain = "DOCKERFW-EGRESS"
)

func chainName(h *parser.Host) string {
	if h.Install.Value == parser.InstallJump {
		return OwnChain
	}
	return h.Chain.Value
}

// combination is one way to pick one of each thing a clause lists.
type combination struct {
	protocol  uint8
	verdict   ir.Verdict
	ports     ir.Ports
	conntrack ir.Conntrack
	matches   []ir.Match
}

// vary multiplies combinations by options; without options they stay as they are.
func vary[T any](all []combination, options []T, pick func(*combination, T)) []combination {
	if len(options) == 0 {
		return all
	}
	out := make([]combination, 0, len(all)*len(options))
	for _, one := range all {
		for _, option := range options {
			next := one
			next.matches = slices.Clone(one.matches)
			pick(&next, option)
			out = append(out, next)
		}
	}
	return out
}

// rules multiplies the clause out. Interfaces vary fastest, so that a published
// port's rules stand together.
func (cl *clause) rules() []*ir.Rule {
	add := func(c *combination, m ...ir.Match) { c.matches = append(c.matches, m...) }
	interfaces := func(d ir.Direction) func(*combination, string) {
		return func(c *combination, name string) { add(c, ir.Interface{Dir: d, Name: name}) }
	}

	all := []combination{{conntrack: cl.state}}
	all = vary(all, cl.protocolVerdicts(), func(c *combination, p protocolVerdict) {
		c.protocol, c.verdict = p.number, p.verdict
	})
	all = vary(all, cl.publishedAddresses, func(c *combination, a netip.Addr) {
		if cl.inInput {
			add(c, ir.Address{Dir: ir.Dst, Prefix: netip.PrefixFrom(a, a.BitLen())})
		} else {
			c.conntrack.OrigDst = a
		}
	})
	all = vary(all, cl.published, func(c *combination, p parser.Ports) {
		if cl.inInput {
			c.ports.Dst = portRange(p)
		} else {
			c.conntrack.OrigDstPort = portRange(p)
		}
	})
	all = vary(all, cl.container, func(c *combination, p parser.Ports) { c.ports.Dst = portRange(p) })
	all = vary(all, cl.fromPorts, func(c *combination, p parser.Ports) { c.ports.Src = portRange(p) })
	all = vary(all, cl.icmp, func(c *combination, t parser.ICMPCode) {
		add(c, ir.ICMP{Family: cl.family, Type: t.Type, Code: t.Code})
	})
	all = vary(all, alternatives(cl.source.in, ir.Src), func(c *combination, m ir.Match) { add(c, m) })
	all = vary(all, alternatives(cl.destination.in, ir.Dst), func(c *combination, m ir.Match) { add(c, m) })
	all = vary(all, cl.outInterfaces, interfaces(ir.Dst))
	all = vary(all, cl.interfaces, interfaces(ir.Src))

	var rules []*ir.Rule
	for i := range all {
		one := &all[i]
		add(one, exclusions(cl.source.notIn, ir.Src)...)
		add(one, exclusions(cl.destination.notIn, ir.Dst)...)
		if one.protocol != 0 {
			add(one, ir.Protocol{Number: one.protocol})
		}
		if one.ports != (ir.Ports{}) {
			one.ports.Protocol = one.protocol
			add(one, one.ports)
		}
		if one.conntrack.OrigDstPort != nil || one.conntrack.OrigDst.IsValid() {
			// Without the DNAT state a rule would also match a container port of
			// the same number that nobody published; without the direction it
			// would match replies to containers' own connections to that port.
			one.conntrack.States |= ir.CTDNAT
			one.conntrack.Dir = ir.CTOriginal
		}
		rules = append(rules, cl.lines(one)...)
	}
	return rules
}

// lines are the rules of one combination: what lets established packets pass a
// limit, what logs, and what decides.
func (cl *clause) lines(one *combination) []*ir.Rule {
	line := func(verdict ir.Verdict, state ir.CTState, more ...ir.Match) *ir.Rule {
		matches := slices.Concat(one.matches, stateMatches(one.conntrack, state), more)
		slices.SortStableFunc(matches, func(a, b ir.Match) int { return cmp.Compare(rank(a), rank(b)) })
		return &ir.Rule{Phase: cl.phase, Origin: cl.origin, Matches: matches, Verdict: verdict}
	}
	var out []*ir.Rule
	accepts := cl.phase == ir.Accept
	var state ir.CTState
	if cl.limited() {
		state = ir.CTNew
		if accepts && cl.recheck {
			out = append(out, line(one.verdict, ir.CTEstablished))
		}
	}
	if cl.log != nil {
		logged := state
		if accepts {
			// One line a connection, not one a packet.
			logged = ir.CTNew
		}
		limit := canonicalRate(cl.log.Limit, limitScale)
		more := append(cl.limits("log "), ir.Limit{Rate: limit, Burst: defaultLimitBurst})
		out = append(out, line(logVerdict(cl.log), logged, more...))
	}
	return append(out, line(one.verdict, state, cl.limits("")...))
}

// stateMatches adds a state to conntrack conditions. States within one match are
// alternatives: DNAT and NEW together need a match each.
func stateMatches(c ir.Conntrack, state ir.CTState) []ir.Match {
	switch {
	case state == 0 && c == (ir.Conntrack{}):
		return nil
	case state == 0:
		return []ir.Match{c}
	case c.States == 0:
		c.States = state
		return []ir.Match{c}
	}
	return []ir.Match{c, ir.Conntrack{States: state}}
}

// protocolVerdict is a protocol, 0 for any, with what happens to its packets.
type protocolVerdict struct {
	number  uint8
	verdict ir.Verdict
}

// protocolVerdicts pairs protocols with the verdict: what rejects answers TCP with
// a reset, and all else as its family does.
func (cl *clause) protocolVerdicts() []protocolVerdict {
	protocols := cl.protocols
	if len(protocols) == 0 {
		protocols = []uint8{0}
		// A limit must be asked once a packet, so that there one rule rejects all.
		if cl.verdict == nil && cl.action == parser.ActionReject && !cl.limited() {
			protocols = []uint8{parser.TCP, 0}
		}
	}
	var out []protocolVerdict
	for _, p := range protocols {
		v := cl.verdict
		switch {
		case v != nil:
		case cl.action == parser.ActionReject:
			v = ir.Reject{With: rejectWith(p, cl.family)}
		default:
			v = ir.Drop{}
		}
		out = append(out, protocolVerdict{p, v})
	}
	return out
}

func rejectWith(protocol uint8, f ir.Family) string {
	switch {
	case protocol == parser.TCP:
		return "tcp-reset"
	case f == ir.IPv6:
		return "icmp6-adm-prohibited"
	}
	return "icmp-admin-prohibited"
}

// rank is the place of a match in a rule as iptables-save prints it: -s -d -i -o
// -p first, then the match extensions, cheap ones before sets.
func rank(m ir.Match) int {
	switch m := m.(type) {
	case ir.Address:
		return int(m.Dir)
	case ir.Interface:
		return 2 + int(m.Dir)
	case ir.Protocol:
		return 4
	case ir.Ports, ir.ICMP:
		return 5
	case ir.Conntrack:
		return 6
	case ir.SetMatch:
		return 7
	case ir.Limit:
		// Behind other limits, which are to count what this one keeps out of the log.
		return 9
	}
	// Limits count what passes all else.
	return 8
}

func portRange(p parser.Ports) *ir.PortRange {
	return &ir.PortRange{First: p.First, Last: p.Last}
}
