package imported

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// exclusions are the packets of one block that another one does not match, as alternatives. A
// condition of the other block that cannot be negated makes an alternative with an unknown condition.
func exclusions(of, other *block) []literals {
	a, b := &of.literals, &other.literals
	if apart(of, other) {
		return []literals{*a}
	}
	var out []literals
	with := func(change func(l *literals)) {
		l := *a
		l.src, l.dst, l.other = slices.Clone(a.src), slices.Clone(a.dst), slices.Clone(a.other)
		change(&l)
		out = append(out, l)
	}
	negate := func(end []addresses, to func(l *literals) *[]addresses) {
		for _, x := range end {
			if !implied(*to(a), x) {
				with(func(l *literals) { x.not = !x.not; *to(l) = append(*to(l), x) })
			}
		}
	}
	negate(b.src, func(l *literals) *[]addresses { return &l.src })
	negate(b.dst, func(l *literals) *[]addresses { return &l.dst })
	ports := func(have, want []ir.PortRange, to func(l *literals) *[]ir.PortRange) {
		if want == nil || have != nil && within(have, want) {
			return
		}
		rest := complement(want)
		if have != nil {
			rest = intersection(have, rest)
		}
		if len(rest) > 0 {
			with(func(l *literals) { *to(l) = rest })
		}
	}
	// The ports of the other protocols are not excluded.
	sameProtocol := len(a.protocols) == 1 && slices.Equal(a.protocols, b.protocols)
	if sameProtocol || b.protocols == nil {
		ports(a.dports, b.dports, func(l *literals) *[]ir.PortRange { return &l.dports })
		ports(a.sports, b.sports, func(l *literals) *[]ir.PortRange { return &l.sports })
	}
	cannot := func(what string) { with(func(l *literals) { l.other = append(l.other, what) }) }
	if b.protocols != nil && !sameProtocol && !subset(a.protocols, b.protocols) {
		cannot("not (" + packet.Proto{Numbers: b.protocols}.String() + ")")
	}
	if b.origins != nil && !slices.Equal(a.origins, b.origins) {
		cannot("not (published port)")
	}
	if b.original != nil && (a.original == nil || !a.original.Equal(b.original)) {
		cannot("not (published address)")
	}
	if len(b.icmp) > 0 && !slices.Equal(a.icmp, b.icmp) {
		cannot("not (ICMP type)")
	}
	switch {
	case b.limited && other.match != nil && a.above == nil:
		with(func(l *literals) { l.above = other.match })
	case b.limited || b.above != nil:
		cannot("not (limit)")
	}
	if b.syn && !a.syn {
		cannot("not (--syn)")
	}
	if len(b.other) > 0 {
		cannot("not (" + b.other[0] + ")")
	}
	if other.interfaces != nil && !slices.Equal(of.interfaces, other.interfaces) || other.outInterfaces != nil && !slices.Equal(of.outInterfaces, other.outInterfaces) {
		cannot("not (interface)")
	}
	return out
}

// apart reports whether no packet matches both blocks, as far as single conditions show.
func apart(x, y *block) bool {
	a, b := &x.literals, &y.literals
	differ := func(p, q []ir.PortRange) bool { return p != nil && q != nil && len(intersection(p, q)) == 0 }
	disjoint := func(p, q []addresses) bool {
		for _, one := range p {
			for _, other := range q {
				if s, t := union(one), union(other); !one.not && !other.not && s != nil && t != nil && !s.Overlaps(t) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case a.protocols != nil && b.protocols != nil && !slices.ContainsFunc(a.protocols, func(n uint8) bool { return slices.Contains(b.protocols, n) }),
		differ(a.dports, b.dports), differ(a.sports, b.sports), differ(a.origins, b.origins),
		disjoint(a.src, b.src), disjoint(a.dst, b.dst), a.states&b.states == 0,
		x.interfaces != nil && y.interfaces != nil && !slices.ContainsFunc(x.interfaces, func(n string) bool { return slices.Contains(y.interfaces, n) }):
		return true
	}
	return false
}

// union is the addresses of a condition; nil if some are not known.
func union(a addresses) *packet.AddrSet {
	if len(a.unknown) > 0 {
		return nil
	}
	return packet.Union("", a.sets...)
}

// implied reports whether conditions include another one.
func implied(have []addresses, want addresses) bool {
	return slices.ContainsFunc(have, func(h addresses) bool {
		if h.not != want.not {
			return false
		}
		if len(h.unknown) > 0 || len(want.unknown) > 0 {
			return slices.Equal(h.unknown, want.unknown) && len(h.sets)+len(want.sets) == 0
		}
		if h.not {
			return union(want).In(union(h))
		}
		return union(h).In(union(want))
	})
}

func subset(a, b []uint8) bool {
	return a != nil && !slices.ContainsFunc(a, func(n uint8) bool { return !slices.Contains(b, n) })
}

// within reports whether all ports of one list are in another.
func within(a, b []ir.PortRange) bool { return len(intersection(a, complement(b))) == 0 }

func intersection(a, b []ir.PortRange) []ir.PortRange {
	var out []ir.PortRange
	for _, x := range a {
		for _, y := range b {
			if first, last := max(x.First, y.First), min(x.Last, y.Last); first <= last {
				out = append(out, ir.PortRange{First: first, Last: last})
			}
		}
	}
	return out
}
