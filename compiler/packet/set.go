package packet

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Set is a set of packets of a space. Its methods panic with a *BudgetError if the space
// runs out of nodes: see Catch.
type Set struct {
	space *Space
	ref   ref
}

// All returns the set of all packets of both families.
func (s *Space) All() Set { return Set{s, all} }

// None returns the empty set.
func (s *Space) None() Set { return Set{s, none} }

func (s Set) with(o Set) *diagram {
	if s.space != o.space {
		panic("sets of different spaces")
	}
	return s.space.d
}

// And returns the packets in both sets.
func (s Set) And(o Set) Set { return Set{s.space, s.with(o).and(s.ref, o.ref)} }

// Or returns the packets in either set.
func (s Set) Or(o Set) Set { return Set{s.space, s.with(o).or(s.ref, o.ref)} }

// Diff returns the packets in s that are not in o.
func (s Set) Diff(o Set) Set { return Set{s.space, s.with(o).diff(s.ref, o.ref)} }

// Not returns the packets not in s.
func (s Set) Not() Set { return Set{s.space, not(s.ref)} }

// IsEmpty reports whether no packet is in s, whichever opaque conditions hold.
func (s Set) IsEmpty() bool { return s.ref == none }

// Equal reports whether both sets hold the same packets.
func (s Set) Equal(o Set) bool {
	s.with(o)
	return s.ref == o.ref
}

// Contains reports whether the packet is in s. Fields that the packet cannot have, or that
// follow from others, are as Complete makes them.
func (s Set) Contains(p Packet) bool {
	return s.space.d.holds(s.ref, s.space.assignment(p))
}

// Routes returns all packets with a family, a source and a pair of interfaces that some
// packet of s has, each of the three independently of the others.
func (s Set) Routes() Set {
	d := s.space.d
	only := func(fields ...fieldID) ref {
		return d.keep(s.ref, func(level uint32) bool { return slices.Contains(fields, s.space.owners[level].id) })
	}
	return Set{s.space, d.and(only(fFamily), d.and(only(fIn, fOut), only(fSource)))}
}

// ForAnyClient returns all packets that differ from some packet of s in nothing but where they
// come from: their source address and port, the interface they arrive on, and whether some
// opaque conditions about the client hold. ForAnyTarget does the same for where they go:
// protocol, destinations before and after DNAT, ports, ICMP type, and the interface they leave
// on. What either returns is for comparing: two parts of a set that a report shows as one column
// have the same packets for any client.
func (s Set) ForAnyClient(conditions []string) Set {
	return Set{s.space, s.space.without(s.ref, s.space.clientFields(conditions))}
}

// ForAnyTarget is described at ForAnyClient.
func (s Set) ForAnyTarget() Set { return Set{s.space, s.space.without(s.ref, targetFields)} }

// LeavingAnywhere returns all packets that differ from some packet of s at most in the interface they leave on.
func (s Set) LeavingAnywhere() Set { return Set{s.space, s.space.without(s.ref, []fieldID{fOut})} }

// OfClients returns all packets that come from where some packet of s does: see ForAnyClient.
func (s Set) OfClients(conditions []string) Set {
	fields := s.space.clientFields(conditions)
	return Set{s.space, s.space.d.keep(s.ref, func(level uint32) bool { return slices.Contains(fields, s.space.owners[level].id) })}
}

// clientFields are the fields about where packets come from, with opaque conditions.
func (s *Space) clientFields(conditions []string) []fieldID {
	fields := []fieldID{fSource, fSourcePort, fIn}
	for _, text := range conditions {
		if id, known := s.opaque[text]; known {
			fields = append(fields, id)
		}
	}
	return fields
}

var targetFields = []fieldID{fProtocol, fOut, fDestination, fOrigDst, fDestPort, fOrigPort, fICMP}

// without returns what a has for any values of some fields.
func (s *Space) without(a ref, fields []fieldID) ref {
	return s.d.keep(a, func(level uint32) bool { return level >= effectLevel || !slices.Contains(fields, s.owners[level].id) })
}

// Sources returns the source addresses of a family that some packet of s has.
func (s Set) Sources(f ir.Family) *AddrSet { return s.addresses(fSource, f) }

// Destinations returns the destination addresses of a family that some packet of s has.
func (s Set) Destinations(f ir.Family) *AddrSet { return s.addresses(fDestination, f) }

func (s Set) addresses(field fieldID, f ir.Family) *AddrSet {
	d, c := s.space.d, s.space.columns[field]
	of := d.and(s.ref, s.space.family(f))
	return s.space.addressSet(c, index(f), s.space.codes(d.project(of, c.level, c.level+uint32(c.bits)), c, index(f)))
}

// Hull returns all packets each of whose fields some packet of s has, independently of the
// other fields, except that the two interfaces go together: a superset that is short to
// describe. Opaque conditions are no fields.
func (s Set) Hull() Set {
	d := s.space.d
	out := all
	if s.ref == none {
		out = none
	}
	for _, c := range s.space.columns[:fOpaque] {
		out = d.and(out, d.project(s.ref, c.level, c.level+uint32(c.bits)))
	}
	return Set{s.space, d.and(out, s.Routes().ref)}
}

// Conditions returns, sorted, the opaque conditions that decide whether packets are in s.
func (s Set) Conditions() []string {
	var out []string
	for _, level := range s.space.d.levels(s.ref) {
		switch c := s.space.owners[level]; {
		case c.id < fOpaque:
		case c.id == s.space.time:
			out = append(out, s.space.endsIn(s.ref)...)
		default:
			out = append(out, c.field.name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// depends returns the fields that s depends on.
func (s Set) depends() map[fieldID]bool {
	out := map[fieldID]bool{}
	for _, level := range s.space.d.levels(s.ref) {
		out[s.space.owners[level].id] = true
	}
	return out
}

// assignment returns the bits of a packet.
func (s *Space) assignment(p Packet) func(level uint32) bool {
	p.Complete()
	codes := make([]uint32, len(s.columns))
	done := make([]bool, len(s.columns))
	return func(level uint32) bool {
		c := s.owners[level]
		if !done[c.id] {
			done[c.id] = true
			codes[c.id] = s.code(c, &p)
		}
		return codes[c.id]>>(c.level+uint32(c.bits)-1-level)&1 != 0
	}
}

// code returns the class of a packet in a column.
func (s *Space) code(c *column, p *Packet) uint32 {
	return c.cut[c.of(index(p.Family))].find(c.field.read(s, p))
}
