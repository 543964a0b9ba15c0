package packet

import (
	"maps"
	"slices"
	"strings"
)

// box is a region in class numbers; a field that is not in it may have any value.
type box map[fieldID][]span

// boxes returns the paths through a diagram, field by field.
func (s *Space) boxes(a ref, family, limit int) (out []box, complete bool) {
	complete = true
	now := box{}
	var walk func(a ref)
	walk = func(a ref) {
		switch {
		case a == none:
			return
		case len(out) >= limit:
			complete = false
			return
		case a == all:
			b := box{}
			for f, runs := range now {
				b[f] = runs
			}
			out = append(out, b)
			return
		}
		c := s.owners[s.d.level(a)]
		f := c.of(family)
		for _, br := range s.branches(a, c) {
			if codes := clip(br.codes, c.cut[f].n); len(codes) > 0 {
				now[c.id] = codes
				walk(br.to)
				delete(now, c.id)
			}
		}
	}
	walk(a)
	return out, complete
}

// plainPort is the field of a box for destination ports that are written in the classes of
// the column of original ports: see Space.published.
const plainPort fieldID = -1

// settlePorts splits boxes until the column of original ports is either that of original or
// that of destination ports in each, and moves it to plainPort in the latter.
func (s *Space) settlePorts(boxes []box) (out []box) {
	if !s.published {
		return boxes
	}
	protocol := s.columns[fProtocol]
	anyProtocol := []span{{0, uint32(protocol.cut[0].n - 1)}}
	withPorts := protocol.cut[0].atoms[protocol.index(0, portProtocols)]
	withoutPorts := invert(withPorts, protocol.cut[0].n)
	with := func(b box, f fieldID, runs []span) box {
		c := maps.Clone(b)
		c[f] = runs
		return c
	}
	for len(boxes) > 0 {
		b := boxes[0]
		boxes = boxes[1:]
		runs, constrained := b[fOrigPort]
		dnat, known := b[fDNAT]
		states := b[fTracking]
		protocols, limited := b[fProtocol]
		if !limited {
			protocols = anyProtocol
		}
		ports, others := intersect(protocols, withPorts), intersect(protocols, withoutPorts)
		original := len(states) > 0 && states[len(states)-1].hi <= uint32(trackRelated)
		switch {
		case !constrained, known && dnat[0].lo == 1, len(ports) == 0, !known && original:
			out = append(out, b) // with !known and original: with DNAT or without, it is the original port
		case !known:
			boxes = append(boxes, with(b, fDNAT, []span{{0, 0}}), with(b, fDNAT, []span{{1, 1}}))
		case len(others) > 0:
			boxes = append(boxes, with(b, fProtocol, ports), with(b, fProtocol, others))
		default:
			c := with(b, plainPort, runs)
			delete(c, fOrigPort)
			out = append(out, c)
		}
	}
	return out
}

// intersect returns the numbers that are in both.
func intersect(a, b []span) []span {
	var out []span
	for _, x := range a {
		for _, y := range b {
			if lo, hi := max(x.lo, y.lo), min(x.hi, y.hi); lo <= hi {
				out = append(out, span{lo, hi})
			}
		}
	}
	return join(out)
}

// merge joins boxes that differ in one field only, until there are no two of them.
func (s *Space) merge(boxes []box) []box {
	for {
		before := len(boxes)
		fields := map[fieldID]bool{}
		for _, b := range boxes {
			for f := range b {
				fields[f] = true
			}
		}
		order := make([]fieldID, 0, len(fields))
		for f := range fields {
			order = append(order, f)
		}
		slices.Sort(order)
		for _, f := range order {
			at := map[string]int{}
			var out []box
			for _, b := range boxes {
				if _, ok := b[f]; !ok {
					out = append(out, b)
					continue
				}
				key := s.key(b, f, order)
				i, ok := at[key]
				if !ok {
					at[key] = len(out)
					out = append(out, b)
					continue
				}
				out[i][f] = join(slices.Concat(out[i][f], b[f]))
			}
			boxes = out
		}
		for _, b := range boxes {
			family := b[fFamily]
			for f, runs := range b {
				which := 0
				if s.columns[f].field.byFamily {
					which = int(family[0].lo) // always in a box: see key
				}
				if count(runs) == s.columns[f].cut[which].n {
					delete(b, f)
				}
			}
		}
		if len(boxes) == before {
			return boxes
		}
	}
}

// key returns the box without a field as text.
func (s *Space) key(b box, without fieldID, order []fieldID) string {
	var k strings.Builder
	for _, f := range order {
		if f == without {
			continue
		}
		if runs, ok := b[f]; ok {
			if s.columns[f].field.byFamily && without == fFamily {
				// The same numbers of two families are different addresses.
				k.Write(spansKey(nil, b[fFamily]))
			}
			k.WriteString(string(rune(f)))
			k.Write(spansKey(nil, runs))
		}
		k.WriteByte('|')
	}
	return k.String()
}
