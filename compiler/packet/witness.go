package packet

import (
	"maps"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Witness returns a possible packet of the set that is a good example: TCP if possible, the
// smallest port that a rule lists, a new connection, addresses for documentation or else in
// the smallest prefixes. ok is false if the set is empty.
func (s Set) Witness() (p Packet, ok bool) {
	if s.ref == none {
		return Packet{}, false
	}
	return s.Choose(0).Packet(), true
}

// Choice is the values that an example packet has in the fields on which a set depends.
type Choice struct {
	space  *Space
	family int
	chosen map[fieldID]uint32
}

// Choose chooses the values of a good example of a set, which is not empty. The family, if it is
// not 0, is that of sets that do not depend on it.
func (s Set) Choose(f ir.Family) Choice {
	sp, d := s.space, s.space.d
	depends := s.depends()
	rest, family := s.ref, 0
	if f != 0 {
		family = index(f)
	}
	chosen := map[fieldID]uint32{}
	for _, c := range sp.byTurn {
		if !depends[c.id] || c.bits == 0 {
			continue
		}
		f := c.of(family)
		runs := sp.codes(d.project(rest, c.level, c.level+uint32(c.bits)), c, f)
		class := sp.prefer(c, f, runs)
		chosen[c.id] = class
		rest = d.and(rest, sp.classRef(c, f, []span{{class, class}}))
		if c.id == fFamily {
			family = int(class)
		}
	}
	return Choice{sp, family, chosen}
}

// And returns the values of two sets that depend on different fields: those of an example of what
// is in both. The family is that of c.
func (c Choice) And(o Choice) Choice {
	both := maps.Clone(c.chosen)
	maps.Copy(both, o.chosen)
	return Choice{c.space, c.family, both}
}

// Packet returns the example.
func (c Choice) Packet() Packet { return c.space.packet(c.chosen, c.family) }

// classRef returns the packets in some classes of a column.
func (s *Space) classRef(c *column, family int, runs []span) ref {
	return s.d.number(c.level, c.bits, c.cut[family].complete(runs, c.bits))
}

// codes returns the classes in a set that depends on one column alone.
func (s *Space) codes(a ref, c *column, family int) []span {
	for _, b := range s.branches(a, c) {
		if b.to == all {
			return clip(b.codes, c.cut[family].n)
		}
	}
	return nil
}

// clip removes the numbers after the last class.
func clip(runs []span, n int) []span {
	out := slices.Clone(runs)
	for len(out) > 0 && out[len(out)-1].lo >= uint32(n) {
		out = out[:len(out)-1]
	}
	if k := len(out); k > 0 {
		out[k-1].hi = min(out[k-1].hi, uint32(n-1))
	}
	return out
}

// branch is the set that follows for some numbers of a column.
type branch struct {
	to    ref
	codes []span
}

// branches follows a diagram through the bits of a column.
func (s *Space) branches(a ref, c *column) []branch {
	var out []branch
	seen := map[ref]int{}
	var walk func(a ref, level, lo, size uint32)
	walk = func(a ref, level, lo, size uint32) {
		if l := s.d.level(a); a != none && l < c.level+uint32(c.bits) {
			if l > level {
				// The node does not depend on this bit: both halves are the same.
				walk(a, level+1, lo, size/2)
				walk(a, level+1, lo+size/2, size/2)
				return
			}
			x, y := s.d.split(a, level)
			walk(x, level+1, lo, size/2)
			walk(y, level+1, lo+size/2, size/2)
			return
		}
		i, ok := seen[a]
		if !ok {
			i = len(out)
			seen[a] = i
			out = append(out, branch{to: a})
		}
		b := &out[i]
		if n := len(b.codes); n > 0 && b.codes[n-1].hi+1 == lo {
			b.codes[n-1].hi = lo + size - 1
		} else {
			b.codes = append(b.codes, span{lo, lo + size - 1})
		}
	}
	walk(a, c.level, 0, 1<<c.bits)
	return out
}

// prefer returns the class in runs with the best example.
func (s *Space) prefer(c *column, family int, runs []span) uint32 {
	best := s.candidates(c, family)
	choice := runs[0].lo
	for _, r := range runs {
		for k := r.lo; k <= r.hi; k++ {
			a, b := best[k], best[choice]
			if a.rank < b.rank || a.rank == b.rank && a.size < b.size {
				choice = k
			}
		}
	}
	return choice
}

// candidates returns the best example of each class.
func (s *Space) candidates(c *column, family int) []candidate {
	cut := c.cut[family]
	if cut.best != nil {
		return cut.best
	}
	cut.best = make([]candidate, cut.n)
	for i := range cut.best {
		cut.best[i].rank = 1 << 30
	}
	for i, class := range cut.of {
		x := c.field.best(s, family, cut.starts[i], cut.last(i), cut.named[class])
		b := &cut.best[class]
		size := b.size + x.size
		if x.rank < b.rank {
			*b = x
		}
		b.size = size
	}
	return cut.best
}

// packet returns an example of chosen classes. Fields that were not chosen do not matter
// and get their usual value.
func (s *Space) packet(chosen map[fieldID]uint32, family int) Packet {
	p := Packet{Family: families[family]}
	for _, c := range s.columns {
		if class, ok := chosen[c.id]; ok {
			c.field.set(s, &p, s.candidates(c, c.of(family))[class].value)
		} else {
			c.field.usual(s, &p)
		}
	}
	s.differentInterfaces(&p, chosen)
	s.toContainer(&p)
	s.translated(&p, chosen)
	p.Complete()
	return p
}

// differentInterfaces makes sure that a packet does not leave by the interface it arrives
// on if only one of them matters: it comes from a container or goes to one.
func (s *Space) differentInterfaces(p *Packet, chosen map[fieldID]uint32) {
	_, in := chosen[fIn]
	_, out := chosen[fOut]
	switch {
	case p.In != p.Out:
	case out && !in:
		p.In = UsualBridge
	case in && !out:
		p.Out = UsualExternal
	}
}

// toContainer lets a packet from outside leave on the usual bridge rather than on another interface
// that no rule lists.
func (s *Space) toContainer(p *Packet) {
	fromContainer := strings.HasPrefix(p.In, "docker") || strings.HasPrefix(p.In, "br-")
	if !s.toHost && !fromContainer && !slices.Contains(s.names, p.Out) && s.ifaces.find(p.Out, s.names) == s.ifaces.find(UsualBridge, s.names) {
		p.Out = UsualBridge
	}
}

// translated makes sure that DNAT changed something: if nothing differs, another member of
// a class is taken.
func (s *Space) translated(p *Packet, chosen map[fieldID]uint32) {
	ports := hasPorts(p.Protocol)
	if !p.DNAT || p.OriginalDestination != p.Destination || ports && p.OriginalPort != p.DestinationPort {
		return
	}
	other := func(f fieldID, family int, is uint32) (uint32, bool) {
		class, ok := chosen[f]
		if !ok {
			return is ^ 1, true
		}
		for _, m := range s.columns[f].cut[family].members([]span{{class, class}}) {
			if m.lo != is {
				return m.lo, true
			}
			if m.hi > m.lo {
				return m.lo + 1, true
			}
		}
		return 0, false
	}
	if ports {
		if v, ok := other(fOrigPort, 0, uint32(p.OriginalPort)); ok {
			p.OriginalPort = uint16(v)
			return
		}
		if v, ok := other(fDestPort, 0, uint32(p.DestinationPort)); ok {
			p.DestinationPort = uint16(v)
			return
		}
	}
	for _, f := range []fieldID{fOrigDst, fDestination} {
		if p.Family == ir.IPv6 {
			continue // examples of the two ends differ unless a rule lists them
		}
		a := &p.OriginalDestination
		if f == fDestination {
			a = &p.Destination
		}
		if v, ok := other(f, 0, number4(*a)); ok {
			*a = addr4(v)
			return
		}
	}
}
