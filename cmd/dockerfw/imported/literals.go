package imported

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// The states that a packet can be in; SNAT and DNAT are properties of its connection.
const allStates = ir.CTInvalid | ir.CTNew | ir.CTRelated | ir.CTEstablished | ir.CTUntracked

// openSessions are the states that the block established is about; fresh are the others.
const (
	openSessions = ir.CTRelated | ir.CTEstablished
	fresh        = allStates &^ openSessions
)

// addresses is the condition that an address is in one of some sets, or in none of them.
type addresses struct {
	sets []*packet.AddrSet
	// unknown are names of sets whose entries are not known.
	unknown []string
	not     bool
}

// literals are the conditions of a rule, by field. Several conditions on one field hold together.
type literals struct {
	states   ir.CTState
	dnat     bool
	dir      ir.CTDir
	in, out  []string
	notIn    []string
	notOut   []string
	src, dst []addresses
	// protocols, and ports by end: nil for any.
	protocols               []uint8
	dports, sports, origins []ir.PortRange
	original                *packet.AddrSet
	icmp                    []packet.ICMPType
	// limited: a condition counts packets. syn: only TCP packets that open a connection.
	limited, syn bool
	// above: only packets above a limit, of a rule that lets those below it through.
	above *iptables.Match
	// never: two conditions exclude each other.
	never bool
	// other are conditions that the language does not have.
	other []string
}

// read returns the conditions of a rule by field.
func read(conds []packet.Cond, setNames []string) literals {
	l := literals{states: allStates}
	for _, c := range conds {
		l.add(c, setNames)
	}
	return l
}

func (l *literals) add(c packet.Cond, setNames []string) {
	switch c := c.(type) {
	case packet.FamilyIs:
	case packet.All:
		for _, one := range c {
			l.add(one, setNames)
		}
	case packet.Addr:
		l.address(c.End, addresses{sets: []*packet.AddrSet{c.In}}, c)
	case packet.Port:
		l.ports(c.End, c.Ranges, c)
	case packet.Proto:
		l.protocol(c.Numbers, c)
	case packet.ICMPType:
		if len(l.icmp) > 0 {
			l.unknown(c)
			return
		}
		l.icmp = []packet.ICMPType{c}
	case packet.Interface:
		if c.End == packet.Source {
			l.in = l.narrowed(l.in, c.Name)
		} else {
			l.out = l.narrowed(l.out, c.Name)
		}
	case packet.State:
		l.state(c.States, c)
	case packet.Dir:
		if c.Dir == ir.CTAny || l.dir == c.Dir || l.dir == ir.CTAny {
			l.dir = max(l.dir, c.Dir)
			return
		}
		l.unknown(c)
	case packet.Any:
		l.any(c)
	case packet.Not:
		l.negated(c, setNames)
	case packet.Opaque:
		l.opaque(c, setNames, false)
	default:
		l.unknown(c)
	}
}

// narrowed is the pattern of interfaces that match another one as well.
func (l *literals) narrowed(have []string, name string) []string {
	switch {
	case name == "+": // any
	case len(have) == 0 || parser.Covers(have[0], name):
		return []string{name}
	case have[0] != name && !parser.Covers(name, have[0]):
		l.never = true
	}
	return have
}

func (l *literals) unknown(c packet.Cond) { l.other = append(l.other, c.String()) }

func (l *literals) address(end packet.End, a addresses, c packet.Cond) {
	switch end {
	case packet.Source:
		l.src = append(l.src, a)
	case packet.Destination:
		l.dst = append(l.dst, a)
	default:
		if l.original != nil || a.not || len(a.sets) != 1 {
			l.unknown(c)
			return
		}
		l.original = a.sets[0]
	}
}

func (l *literals) ports(end packet.End, ranges []ir.PortRange, c packet.Cond) {
	to := map[packet.End]*[]ir.PortRange{packet.Source: &l.sports, packet.Destination: &l.dports, packet.OriginalDestination: &l.origins}[end]
	if *to != nil && !slices.Equal(*to, ranges) {
		l.unknown(c)
		return
	}
	*to = ranges
}

func (l *literals) protocol(numbers []uint8, c packet.Cond) {
	if l.protocols == nil {
		l.protocols = numbers
		return
	}
	both := slices.DeleteFunc(slices.Clone(l.protocols), func(n uint8) bool { return !slices.Contains(numbers, n) })
	if len(both) == 0 {
		l.unknown(c) // no packet
		return
	}
	l.protocols = both
}

func (l *literals) state(states ir.CTState, c packet.Cond) {
	switch {
	case states == ir.CTDNAT:
		l.dnat = true
	case states&^allStates != 0:
		l.unknown(c)
	default:
		l.states &= states
	}
}

// any reads alternatives: addresses of one end, as of a list of sets, or types of ICMP.
func (l *literals) any(c packet.Any) {
	var a addresses
	end := packet.Source
	for i, one := range c {
		x, ok := one.(packet.Addr)
		if !ok || i > 0 && x.End != end {
			l.unknown(c)
			return
		}
		end = x.End
		a.sets = append(a.sets, x.In)
	}
	if len(c) == 0 {
		a.sets = []*packet.AddrSet{packet.NewAddrSet("", nil)}
	}
	l.address(end, a, c)
}

func (l *literals) negated(c packet.Not, setNames []string) {
	switch x := c.C.(type) {
	case packet.Addr:
		l.address(x.End, addresses{sets: []*packet.AddrSet{x.In}, not: true}, c)
	case packet.Any:
		before := len(l.other)
		var inner literals
		inner.any(x)
		if len(inner.other) > 0 || len(inner.src)+len(inner.dst) != 1 {
			l.other = append(l.other[:before], c.String())
			return
		}
		for _, a := range inner.src {
			a.not = true
			l.src = append(l.src, a)
		}
		for _, a := range inner.dst {
			a.not = true
			l.dst = append(l.dst, a)
		}
	case packet.Interface:
		l.never = l.never || x.Name == "+"
		if x.End == packet.Source {
			l.notIn = append(l.notIn, x.Name)
		} else {
			l.notOut = append(l.notOut, x.Name)
		}
	case packet.State:
		if x.States&^allStates != 0 {
			l.unknown(c)
			return
		}
		l.states &^= x.States
	case packet.Port:
		// The negation also holds for protocols without ports: the rule has -p, which excludes them.
		if x.End == packet.OriginalDestination {
			l.unknown(c)
			return
		}
		l.ports(x.End, complement(x.Ranges), c)
	case packet.Opaque:
		l.opaque(x, setNames, true)
	default:
		l.unknown(c)
	}
}

// opaque reads a condition that does not follow from the packet: being in a set of unknown entries,
// or a limit.
func (l *literals) opaque(c packet.Opaque, setNames []string, not bool) {
	for _, name := range setNames {
		for _, end := range []packet.End{packet.Source, packet.Destination} {
			if netfilter.InUnknownSet(name, end).Text == c.Text {
				l.address(end, addresses{unknown: []string{name}, not: not}, c)
				return
			}
		}
	}
	switch {
	case c.Stateful:
		l.limited = true
	case !not && strings.Contains(c.Text, "--tcp-flags FIN,SYN,RST,ACK SYN") || !not && strings.Contains(c.Text, "--syn"):
		l.syn = true
	default:
		if not {
			l.unknown(packet.Not{C: c})
			return
		}
		l.unknown(c)
	}
}

// complement are all other ports.
func complement(ranges []ir.PortRange) []ir.PortRange {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b ir.PortRange) int { return int(a.First) - int(b.First) })
	var out []ir.PortRange
	next := 0
	for _, r := range sorted {
		if int(r.First) > next {
			out = append(out, ir.PortRange{First: uint16(next), Last: r.First - 1})
		}
		next = max(next, int(r.Last)+1)
	}
	if next <= 65535 {
		out = append(out, ir.PortRange{First: uint16(next), Last: 65535})
	}
	return out
}

// matchesAll reports whether all packets match whose state is one of states.
func (l *literals) matchesAll() bool {
	return len(l.src)+len(l.dst)+len(l.protocols)+len(l.icmp)+len(l.other) == 0 && l.dports == nil && l.sports == nil && l.origins == nil &&
		l.original == nil && !l.dnat && !l.limited && l.above == nil && !l.syn && l.dir == ir.CTAny
}
