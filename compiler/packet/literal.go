package packet

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// compile returns the set of packets for which c holds. All packets of a program are of its
// family; family 0 is for packets of both.
func (s *Space) compile(c Cond, family ir.Family) ref {
	d := s.d
	switch c := c.(type) {
	case FamilyIs:
		switch {
		case family == c.Family:
			return all
		case family != 0:
			return none
		}
		return s.family(c.Family)
	case Addr:
		if c.End == OriginalDestination {
			return s.once(condition{kind: kindOriginal, family: family, atom: s.columns[fOrigDst].bySet[c.In]}, func() ref {
				return s.original(fOrigDst, fDestination, fSource, family, func(f fieldID) ref {
					return s.address(f, c.In, family)
				})
			})
		}
		return s.address(addressOf[c.End], c.In, family)
	case Port:
		spans := portSpans(c.Ranges)
		return s.once(condition{kind: kindPort, end: c.End, family: family, atom: s.columns[portOf[c.End]].index(0, spans)}, func() ref {
			return s.port(c.End, spans, family)
		})
	case Proto:
		return s.literal(fProtocol, 0, protoSpans(c.Numbers...))
	case ICMPType:
		return s.byFamily(family, func(f ir.Family) ref {
			return d.and(s.under(fICMP, f), s.literal(fICMP, index(f), c.spans()))
		})
	case Interface:
		return s.literal(interfaceOf[c.End], 0, s.ifaces.spans(c.Name))
	case State:
		return s.once(condition{kind: kindState, atom: int(c.States)}, func() ref { return s.states(c.States) })
	case Dir:
		return s.once(condition{kind: kindDir, atom: int(c.Dir)}, func() ref {
			return s.trackings(func(t tracking) bool { return t <= trackRelatedReply && (c.Dir == ir.CTAny || t.direction() == c.Dir) })
		})
	case Opaque:
		return s.literal(s.opaque[c.Text], 0, []span{{1, 1}})
	case Until:
		return s.literal(s.time, 0, s.beforeEnd(c))
	case InSet:
		return s.compile(c.C, family)
	case Not:
		return not(s.compile(c.C, family))
	case All:
		// From the lowest field to the highest: each set is then extended upwards by a few
		// nodes. In the other order each step would rebuild all of those before it.
		var buffer [8]ref
		sets := buffer[:0]
		for _, x := range c {
			sets = append(sets, s.compile(x, family))
		}
		slices.SortFunc(sets, func(a, b ref) int { return cmp.Or(cmp.Compare(d.level(b), d.level(a)), cmp.Compare(a, b)) })
		r := all
		for _, x := range sets {
			r = d.and(r, x)
		}
		return r
	case Any:
		r := none
		for _, x := range c {
			r = d.or(r, s.compile(x, family))
		}
		return r
	}
	panic(fmt.Sprintf("unknown condition %T", c))
}

// condition identifies a condition whose set is made of several literals. atom is what it is
// about: the index of the atom in its column, or the states or the direction themselves.
type condition struct {
	kind   conditionKind
	end    End
	family ir.Family
	atom   int
}

type conditionKind int

const (
	kindPort conditionKind = iota
	kindOriginal
	kindState
	kindDir
	kindTracked
	kindReply
	kindPorts
	kindNAT
)

// once returns the set of a condition, which is made when it is first asked for: the programs of
// a space mostly have the same conditions.
func (s *Space) once(c condition, set func() ref) ref {
	r, ok := s.made[c]
	if !ok {
		r = set()
		s.made[c] = r
	}
	return r
}

func (s *Space) port(end End, spans []span, family ir.Family) ref {
	d := s.d
	some := s.havePorts()
	at := func(f fieldID) ref { return s.literal(f, 0, spans) }
	switch {
	case end == Destination && s.published:
		return d.and(some, d.choose(s.nat(fDNAT), at(fDestPort), at(fOrigPort)))
	case end != OriginalDestination:
		return d.and(s.under(portOf[end], family), at(portOf[end]))
	case s.published:
		reply := s.once(condition{kind: kindReply}, func() ref {
			return s.trackings(func(t tracking) bool { return t.direction() == ir.CTReply })
		})
		return d.and(s.tracked(), d.choose(d.and(some, d.diff(reply, s.nat(fDNAT))), at(fSourcePort), at(fOrigPort)))
	}
	// For protocols without ports connection tracking has something else in its place,
	// which does not follow from other fields.
	free := d.diff(d.and(s.tracked(), at(fOrigPort)), some)
	return d.or(free, d.and(some, s.original(fOrigPort, fDestPort, fSourcePort, family, at)))
}

func index(f ir.Family) int {
	if f == ir.IPv6 {
		return 1
	}
	return 0
}

func (s *Space) family(f ir.Family) ref {
	v6 := s.literal(fFamily, 0, []span{{1, 1}})
	if f == ir.IPv6 {
		return v6
	}
	return not(v6)
}

// byFamily returns the packets of one family that are in the set for it, or those of both.
func (s *Space) byFamily(family ir.Family, of func(ir.Family) ref) ref {
	if family != 0 {
		return of(family)
	}
	return s.d.choose(s.family(ir.IPv6), of(ir.IPv6), of(ir.IPv4))
}

// literal returns the set of packets with one of the numbers in a field.
func (s *Space) literal(f fieldID, family int, spans []span) ref {
	c := s.columns[f]
	return s.atom(c, family, c.index(family, spans))
}

func (s *Space) atom(c *column, family, atom int) ref {
	r := &c.literals[family][atom]
	if *r == 0 {
		cut := c.cut[family]
		*r = s.d.number(c.level, c.bits, cut.complete(cut.atoms[atom], c.bits))
	}
	return *r
}

func (s *Space) address(f fieldID, set *AddrSet, family ir.Family) ref {
	c := s.columns[f]
	atom := c.bySet[set]
	return s.byFamily(family, func(f ir.Family) ref { return s.atom(c, index(f), atom) })
}

func (s *Space) trackings(has func(tracking) bool) ref {
	r := none
	for t := range lastTracking + 1 {
		if has(t) {
			r = s.d.or(r, s.literal(fTracking, 0, []span{{uint32(t), uint32(t)}}))
		}
	}
	return r
}

func (s *Space) tracked() ref {
	return s.once(condition{kind: kindTracked}, func() ref {
		return s.trackings(func(t tracking) bool { return t <= trackRelatedReply })
	})
}

func (s *Space) icmp(f ir.Family) ref {
	if f == ir.IPv6 {
		return s.literal(fProtocol, 0, protoSpans(ProtoICMPv6))
	}
	return s.literal(fProtocol, 0, protoSpans(ProtoICMP))
}

// under returns the set of packets that have a field.
func (s *Space) under(f fieldID, family ir.Family) ref {
	if has := s.columns[f].field.under; has != nil {
		return has(s, family)
	}
	return all
}

func (s *Space) havePorts() ref {
	return s.once(condition{kind: kindPorts}, func() ref { return s.literal(fProtocol, 0, portProtocols) })
}

// nat returns the set of tracked packets whose connections are subject to a kind of NAT.
func (s *Space) nat(f fieldID) ref {
	return s.once(condition{kind: kindNAT, atom: int(f)}, func() ref {
		return s.d.and(s.under(f, 0), s.literal(f, 0, []span{{1, 1}}))
	})
}

func (s *Space) states(states ir.CTState) ref {
	r := s.trackings(func(t tracking) bool { return t.state()&states != 0 })
	if states&ir.CTDNAT != 0 {
		r = s.d.or(r, s.nat(fDNAT))
	}
	if states&ir.CTSNAT != 0 {
		r = s.d.or(r, s.nat(fSNAT))
	}
	return r
}

// original returns the set of packets whose original destination or port is in a set. of
// returns that set for any field; own is the field itself, where its value does not follow
// from the others (ownOriginal). Elsewhere the original destination is the destination, or
// for replies the source.
func (s *Space) original(own, dst, src fieldID, family ir.Family, of func(fieldID) ref) ref {
	d := s.d
	straight := d.choose(s.is(trackNew, trackEstablished, trackRelated), of(dst), of(src))
	return d.and(s.tracked(), d.choose(s.under(fOrigDst, family), of(own), straight))
}

// ownOriginal returns the set of packets whose original destination does not follow from
// their other fields: those subject to DNAT, and ICMP errors, which are about connections
// with other addresses than their own.
func (s *Space) ownOriginal(family ir.Family) ref {
	errors := s.d.and(s.is(trackRelated, trackRelatedReply), s.byFamily(family, s.icmp))
	return s.d.or(s.nat(fDNAT), errors)
}

func (s *Space) is(ts ...tracking) ref {
	return s.trackings(func(t tracking) bool { return slices.Contains(ts, t) })
}
