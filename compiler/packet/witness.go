package packet

import (
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// candidate is the member of a class that people like best in an example; among
// classes the lowest rank wins, then the smallest class.
type candidate struct {
	rank  int
	value uint32
	size  float64
}

// witnessOrder is the order in which the fields of a witness are chosen.
var witnessOrder = []fieldID{
	fFamily, fProtocol, fTracking, fDNAT, fSNAT, fOrigPort, fDestPort,
	fIn, fOut, fSource, fDestination, fOrigDst, fSourcePort, fICMP,
}

// Witness returns a possible packet of the set that a person would choose as an
// example: TCP first, the smallest port that a rule names, a new connection,
// addresses for documentation or else in the smallest prefixes. ok is false if the
// set is empty.
func (s Set) Witness() (p Packet, ok bool) {
	if s.ref == none {
		return Packet{}, false
	}
	sp, d := s.space, s.space.d
	depends := s.depends()
	rest, family := s.ref, 0
	chosen := map[fieldID]uint32{}
	choose := func(c *column) {
		if !depends[c.id] || c.bits == 0 {
			return
		}
		f := 0
		if c.split {
			f = family
		}
		runs := sp.codes(d.project(rest, c.level, c.level+uint32(c.bits)), c, f)
		class := sp.prefer(c, f, runs)
		chosen[c.id] = class
		rest = d.and(rest, sp.classRef(c, f, []span{{class, class}}))
		if c.id == fFamily {
			family = int(class)
		}
	}
	for _, f := range witnessOrder {
		choose(sp.columns[f])
	}
	for _, c := range sp.columns[fOpaque:] {
		choose(c)
	}
	return sp.packet(chosen, family), true
}

// classRef returns the packets in classes of a column.
func (s *Space) classRef(c *column, family int, runs []span) ref {
	return s.d.number(c.level, c.bits, c.cut[family].complete(runs, c.bits))
}

// codes lists the classes in a set that depends on the column alone.
func (s *Space) codes(a ref, c *column, family int) []span {
	for _, b := range s.branches(a, c) {
		if b.to == all {
			return clip(b.codes, c.cut[family].n)
		}
	}
	return nil
}

// clip leaves out the numbers past the last class.
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

// branch is where a set goes on for some of a column's numbers.
type branch struct {
	to    ref
	codes []span
}

// branches follows a through the bits of a column.
func (s *Space) branches(a ref, c *column) []branch {
	var out []branch
	seen := map[ref]int{}
	var walk func(a ref, level, lo, size uint32)
	walk = func(a ref, level, lo, size uint32) {
		if l := s.d.level(a); a != none && l < c.level+uint32(c.bits) {
			if l > level {
				// Both halves are alike: split until the node's own level.
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

// prefer returns the best class of those in runs.
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

// candidates returns the best member of each class.
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
		b := &cut.best[class]
		lo, hi := cut.starts[i], cut.last(i)
		var rank int
		value := lo
		switch c.id {
		case fSource, fDestination, fOrigDst:
			first, last := s.interval(family, lo, hi)
			rank, _ = addressRank(s.like(c.id), family, first, last)
			b.size += float64(last.hi-first.hi)*(1<<32)*(1<<32) + float64(last.lo) - float64(first.lo) + 1
			value = uint32(i)
		default:
			rank, value = numberRank(c.id, lo, hi, cut.named[class])
			b.size += float64(hi-lo) + 1
		}
		if rank < b.rank {
			b.rank, b.value = rank, value
		}
	}
	return cut.best
}

// like is the field whose addresses people like for f: what goes to the host itself
// goes to an address as clients connect to.
func (s *Space) like(f fieldID) fieldID {
	if s.toHost && f == fDestination {
		return fOrigDst
	}
	return f
}

// packet makes a packet of chosen classes; fields that were not chosen do not
// matter and get what is usual.
func (s *Space) packet(chosen map[fieldID]uint32, family int) Packet {
	p := Packet{Family: []ir.Family{ir.IPv4, ir.IPv6}[family], Protocol: ProtoTCP, State: ir.CTNew}
	value := func(f fieldID, usual uint32) uint32 {
		class, ok := chosen[f]
		if !ok {
			return usual
		}
		c := s.columns[f]
		which := 0
		if c.split {
			which = family
		}
		return s.candidates(c, which)[class].value
	}
	p.Protocol = uint8(value(fProtocol, ProtoTCP))
	t := tracking(value(fTracking, 0))
	p.State, p.Direction = t.state(), t.direction()
	p.DNAT, p.SNAT = value(fDNAT, 0) == 1, value(fSNAT, 0) == 1
	p.In, p.Out = UsualExternal, UsualBridge
	if s.toHost {
		p.Out = ""
	}
	if k, ok := chosen[fIn]; ok {
		p.In = s.ifaces.names[s.candidates(s.columns[fIn], 0)[k].value]
	}
	if k, ok := chosen[fOut]; ok {
		p.Out = s.ifaces.names[s.candidates(s.columns[fOut], 0)[k].value]
	}
	// Where one interface alone matters, the packet comes from a container or goes to one,
	// and does not leave by the interface it arrives on.
	_, in := chosen[fIn]
	_, out := chosen[fOut]
	switch {
	case out && !in && p.Out == p.In:
		p.In = UsualBridge
	case in && !out && p.In == p.Out:
		p.Out = UsualExternal
	}
	addr := func(f fieldID) netip.Addr {
		class, ok := chosen[f]
		if !ok {
			return address(family, preferredNumbers[s.like(f)-fSource][family][0])
		}
		c := s.columns[f]
		i := int(s.candidates(c, family)[class].value)
		first, last := s.interval(family, c.cut[family].starts[i], c.cut[family].last(i))
		_, a := addressRank(s.like(f), family, first, last)
		return a
	}
	p.Source, p.Destination, p.OriginalDestination = addr(fSource), addr(fDestination), addr(fOrigDst)
	p.SourcePort, p.DestinationPort = uint16(value(fSourcePort, UsualSourcePort)), uint16(value(fDestPort, 80))
	if s.published && !p.DNAT {
		p.DestinationPort = uint16(value(fOrigPort, 80))
	}
	p.OriginalPort = uint16(value(fOrigPort, uint32(p.DestinationPort)))
	if !hasPorts(p.Protocol) {
		p.OriginalPort = uint16(value(fOrigPort, 0))
	}
	icmp := value(fICMP, uint32(EchoRequest(p.Family))<<8)
	p.ICMPType, p.ICMPCode = uint8(icmp>>8), uint8(icmp)
	for _, c := range s.columns[fOpaque:] {
		if class, ok := chosen[c.id]; ok {
			if p.Conditions == nil {
				p.Conditions = map[string]bool{}
			}
			p.Conditions[c.name] = class == 1
		}
	}
	s.translated(&p, chosen)
	p.Complete()
	return p
}

// translated sees to it that DNAT changed something: where all is equal, another
// member of a class that has one is taken.
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
			continue // documentation addresses of the two ends differ unless a rule names them
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
