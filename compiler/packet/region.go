package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Region describes part of a Set for people: a product of sets, one for each field. A packet
// is in it if each of its fields is in the field's set. A field that is nil or zero has any
// value.
type Region struct {
	Family                                   ir.Family
	In, Out                                  *Interfaces
	Source, Destination, OriginalDestination *Addresses
	Protocols                                []ProtoRange
	SourcePorts, DestinationPorts            []ir.PortRange
	OriginalPorts                            []ir.PortRange
	// ICMP are types and codes.
	ICMP       []ICMPType
	States     []ConnState
	DNAT, SNAT *bool
	Conditions []Condition
}

// Interfaces is a set of interfaces, by names and by patterns that end in +. The longest
// entry that matches a name counts: the name is in the set if that entry is in Names.
type Interfaces struct{ Names, Except []string }

// Addresses is a set of addresses, or with Not all other addresses of the family.
type Addresses struct {
	Not bool
	In  *AddrSet
	// Sets are the names of the sets whose union In is, if there are such sets.
	Sets []string
}

// Prefixes returns the first prefixes of the set and how many there are.
func (a *Addresses) Prefixes(limit int) (shown []netip.Prefix, total int) {
	if limit > 0 {
		shown = a.In.Prefixes(limit)
	}
	return shown, a.In.prefixCount()
}

// ProtoRange is a range of protocol numbers, both ends inclusive.
type ProtoRange struct{ First, Last uint8 }

// ConnState is a state with a direction: CTAny for packets that are not tracked.
type ConnState struct {
	State ir.CTState
	Dir   ir.CTDir
}

// Condition is an opaque condition and whether it holds.
type Condition struct {
	Name  string
	Holds bool
}

// Regions returns the set as regions whose union it is. It returns no more than limit of
// them; complete reports whether these are all.
func (s Set) Regions(limit int) (regions []Region, complete bool) {
	complete = true
	var boxes []box
	for _, family := range []ir.Family{ir.IPv4, ir.IPv6} {
		// Class numbers of the two families are different things.
		within := s.space.d.and(s.ref, s.space.family(family))
		found, all := s.space.boxes(within, index(family), 16*limit)
		complete = complete && all
		boxes = append(boxes, found...)
	}
	var apart []box
	for _, b := range s.space.settlePorts(s.space.merge(boxes)) {
		apart = append(apart, s.space.apartInTime(b)...)
	}
	boxes = apart
	if len(boxes) > limit {
		boxes, complete = boxes[:limit], false
	}
	for _, b := range boxes {
		regions = append(regions, s.space.describe(b))
	}
	return regions, complete
}

func (s *Space) describe(b box) Region {
	var r Region
	family := 0
	if f, ok := b[fFamily]; ok {
		family = int(f[0].lo)
	}
	for _, c := range s.columns {
		if runs, ok := b[c.id]; ok {
			c.field.describe(s, c, family, runs, &r)
		}
	}
	if runs, ok := b[plainPort]; ok {
		r.DestinationPorts = portRanges(s.columns[fOrigPort].numbers(family, runs)) // all of them are without DNAT
	}
	return r
}

// ICMPTypes returns the types and codes from first to last, each type<<8 | code, as
// conditions of one or several whole types, or of some codes of one type.
func ICMPTypes(first, last uint16) []ICMPType {
	var out []ICMPType
	for t := uint32(first) >> 8; t <= uint32(last)>>8; t++ {
		lo, hi := max(uint32(first), t<<8), min(uint32(last), t<<8|255)
		r := ICMPType{uint8(t), uint8(t), uint8(lo), uint8(hi)}
		if n := len(out); n > 0 && r.FirstCode == 0 && r.LastCode == 255 && out[n-1].FirstCode == 0 && out[n-1].LastCode == 255 {
			out[n-1].LastType = r.LastType
			continue
		}
		out = append(out, r)
	}
	return out
}

// interfacesOf returns the names and patterns that some indexes represent.
func (s *Space) interfacesOf(spans []span) *Interfaces {
	out := &Interfaces{}
	var rest []string
	for i, name := range s.ifaces.names {
		shown := name
		if !slices.Contains(s.names, name) {
			// It represents what its longest pattern matches; any name, if it has none.
			shown = "+"
			for _, m := range s.names {
				if strings.HasSuffix(m, "+") && matchesInterface(m, name) && len(m) > len(shown) {
					shown = m
				}
			}
		}
		if within(spans, uint32(i)) {
			out.Names = append(out.Names, shown)
		} else {
			rest = append(rest, shown)
		}
	}
	// Entries are left out that have the same value as the next wider one.
	entries := map[string]bool{}
	for _, n := range out.Names {
		entries[n] = true
	}
	for _, n := range rest {
		entries[n] = false
	}
	wider := func(name string) (best string) {
		for m := range entries {
			if m != name && strings.HasSuffix(m, "+") && strings.HasPrefix(name, m[:len(m)-1]) && len(m) > len(best) {
				best = m
			}
		}
		return best
	}
	redundant := func(holds bool) func(string) bool {
		return func(name string) bool {
			if w := wider(name); w != "" {
				return entries[w] == holds
			}
			return !holds
		}
	}
	out.Names = slices.DeleteFunc(out.Names, redundant(true))
	out.Except = slices.DeleteFunc(rest, redundant(false))
	return out
}

// addresses returns the addresses of some classes. They are described by the others if they
// include what no rule lists.
func (s *Space) addresses(c *column, family int, runs []span) *Addresses {
	cut := c.cut[family]
	out := &Addresses{}
	if unnamed := slices.Index(cut.named, false); unnamed >= 0 && within(runs, uint32(unnamed)) {
		out.Not = true
		runs = invert(runs, cut.n)
	}
	out.In = s.addressSet(c, family, runs)
	var union []span
	for i, set := range c.sets {
		atom := cut.atoms[i]
		if set.Name != "" && len(atom) > 0 && subset(atom, runs) && !subset(atom, union) {
			union = join(slices.Concat(union, atom))
			out.Sets = append(out.Sets, set.Name)
		}
	}
	if !slices.Equal(union, runs) {
		out.Sets = nil
	}
	return out
}

// addressKey is a set of classes of addresses.
type addressKey struct {
	column fieldID
	family int
	runs   string
}

// maxKeptSpans bounds the spans of the address sets that a space keeps: 8 MB of IPv4, 32 of IPv6.
const maxKeptSpans = 1 << 20

// addressSet returns the addresses of some classes. Many sets of packets are from the same clients, and a set can be large.
func (s *Space) addressSet(c *column, family int, runs []span) *AddrSet {
	var text []byte
	for _, r := range runs {
		text = binary.NativeEndian.AppendUint64(text, uint64(r.lo)<<32|uint64(r.hi))
	}
	key := addressKey{c.id, family, string(text)}
	if set := s.addressSets[key]; set != nil {
		return set
	}
	set := &AddrSet{}
	members := c.cut[family].members(runs)
	if family == 0 {
		set.v4 = members
	} else {
		set.v6 = make([]span6, 0, len(members))
		for _, x := range members {
			first, last := s.interval(family, x.lo, x.hi)
			set.v6 = append(set.v6, span6{First: first, Last: last})
		}
	}
	set.finish()
	if s.keptSpans += len(members); s.keptSpans > maxKeptSpans || s.addressSets == nil {
		s.addressSets, s.keptSpans = map[addressKey]*AddrSet{}, len(members)
	}
	s.addressSets[key] = set
	return set
}

func subset(a, b []span) bool {
	for _, x := range a {
		i := slices.IndexFunc(b, func(y span) bool { return y.hi >= x.hi })
		if i < 0 || b[i].lo > x.lo {
			return false
		}
	}
	return true
}

// invert returns the numbers below n that are not in runs.
func invert(runs []span, n int) []span {
	var out []span
	next := uint32(0)
	for _, r := range runs {
		if r.lo > next {
			out = append(out, span{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next < uint32(n) {
		out = append(out, span{next, uint32(n - 1)})
	}
	return out
}
