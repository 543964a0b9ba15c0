package netfilter

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// setBox is a part of a set: packets whose addresses are in one of the pairs and for which
// the rest holds too. Entries that differ in one dimension alone are joined, so that a
// large set is a few boxes.
type setBox struct {
	pairs []pair // none: any addresses
	ports *portBox
	rest  extra // nil: nothing else
}

// extra is what a box requires besides addresses and ports. The end is that of the set's
// last dimension.
type extra interface {
	cond(end packet.End) packet.Cond
}

// pair is addresses by dimension; nil if the set has no such dimension.
type pair struct{ first, second *packet.AddrSet }

// portBox is ports of a protocol as a set stores them; for ICMP, types and codes.
type portBox struct {
	protocol uint8
	ranges   []ir.PortRange // sorted
}

// addresses returns the addresses of a set without other dimensions.
func (e *entries) addresses(name string, noMatch bool) *packet.AddrSet {
	out := &packet.AddrSet{Name: name}
	pairs, ok := e.region(e.all, noMatch)
	if !ok {
		return nil
	}
	for _, p := range pairs {
		out = packet.Union(name, out, p.first)
	}
	return out
}

// boxes returns the parts of the set, or with noMatch those where an entry with nomatch
// counts. ok is false for masks that are not supported.
func (e *entries) boxes(noMatch bool) (_ []setBox, ok bool) {
	switch e.set.Type {
	case "bitmap:port":
		var ports []ir.PortRange
		for _, el := range e.all {
			ports = append(ports, ir.PortRange{First: el.Port, Last: el.Port})
		}
		if len(ports) == 0 {
			return nil, true
		}
		return []setBox{{ports: &portBox{ranges: joinPorts(ports)}}}, true
	case "hash:net,iface":
		return e.interfaceBoxes(noMatch), true
	case "hash:ip,mark", "hash:mac", "hash:ip,mac", "bitmap:ip,mac":
		return e.labelBoxes(), true
	}
	byPort := map[uint32][]iptables.Element{}
	for _, el := range e.all {
		key := uint32(el.Protocol)<<16 | uint32(el.Port)
		byPort[key] = append(byPort[key], el)
	}
	withPorts := strings.Contains(e.set.Type, "port")
	var out []setBox
	same := map[uint64][]int{} // boxes by protocol and addresses
	for _, key := range slices.Sorted(maps.Keys(byPort)) {
		pairs, ok := e.region(byPort[key], noMatch)
		if !ok {
			return nil, false
		}
		if len(pairs) == 0 {
			continue
		}
		if !withPorts {
			out = append(out, setBox{pairs: pairs})
			continue
		}
		protocol, port := uint8(key>>16), ir.PortRange{First: uint16(key), Last: uint16(key)}
		h := uint64(protocol)
		for _, p := range pairs {
			h = h*31 + p.first.Hash()
			if p.second != nil {
				h = h*31 + p.second.Hash()
			}
		}
		i := slices.IndexFunc(same[h], func(i int) bool { return out[i].ports.protocol == protocol && samePairs(out[i].pairs, pairs) })
		if i >= 0 {
			b := out[same[h][i]].ports
			b.ranges = joinPorts(append(b.ranges, port))
			continue
		}
		same[h] = append(same[h], len(out))
		out = append(out, setBox{pairs: pairs, ports: &portBox{protocol, []ir.PortRange{port}}})
	}
	return out, true
}

// joinPorts sorts ranges and joins those that overlap or touch.
func joinPorts(ranges []ir.PortRange) []ir.PortRange {
	slices.SortFunc(ranges, func(a, b ir.PortRange) int { return cmp.Compare(a.First, b.First) })
	out := ranges[:0]
	for _, r := range ranges {
		if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return slices.Clip(out)
}

func samePairs(a, b []pair) bool {
	return slices.EqualFunc(a, b, func(a, b pair) bool {
		return a.first.Equal(b.first) && (a.second == nil) == (b.second == nil) && (a.second == nil || a.second.Equal(b.second))
	})
}

// region returns the addresses of elements that are the same in all else. The most specific
// first network counts, if it has a second network for the packet; otherwise the next one.
func (e *entries) region(els []iptables.Element, noMatch bool) (_ []pair, ok bool) {
	if e.mask.IsValid() && e.noMatch {
		return nil, false
	}
	type sides struct{ yes, no []netip.Prefix }
	add := func(s *sides, p []netip.Prefix, no bool) {
		if no != noMatch {
			s.no = append(s.no, p...)
		} else {
			s.yes = append(s.yes, p...)
		}
	}
	two := len(els) > 0 && els[0].Second.IsValid()
	var alone sides
	bySecond := map[netip.Prefix]*sides{}
	for _, el := range els {
		firsts, ok := maskedPrefixes(el.First, e.mask)
		if !ok {
			return nil, false
		}
		if !two {
			add(&alone, firsts, el.NoMatch)
			continue
		}
		seconds, ok := maskedPrefixes(el.Second, e.mask)
		if !ok {
			return nil, false
		}
		for _, p := range firsts {
			if bySecond[p] == nil {
				bySecond[p] = &sides{}
			}
			add(bySecond[p], seconds, el.NoMatch)
		}
	}
	if !two {
		set := packet.NewNetSet("", alone.yes, alone.no)
		if set.IsEmpty() {
			return nil, true
		}
		return []pair{{first: set}}, true
	}
	nets := slices.SortedFunc(maps.Keys(bySecond), comparePrefixes)
	parts, parents := partition(nets)
	holds := make([]*packet.AddrSet, len(nets))
	var out []pair
	var firsts [][]*packet.AddrSet // of out
	same := map[uint64][]int{}
	for i, net := range nets {
		s := bySecond[net]
		holds[i] = packet.NewNetSet("", s.yes, s.no)
		if up := parents[i]; up >= 0 {
			holds[i] = packet.Union("", holds[i], holds[up].Minus(packet.NewNetSet("", s.no, s.yes)))
		}
		if holds[i].IsEmpty() || parts[i].IsEmpty() {
			continue
		}
		h := holds[i].Hash()
		k := slices.IndexFunc(same[h], func(k int) bool { return out[k].second.Equal(holds[i]) })
		if k >= 0 {
			firsts[same[h][k]] = append(firsts[same[h][k]], parts[i])
			continue
		}
		same[h] = append(same[h], len(out))
		out = append(out, pair{second: holds[i]})
		firsts = append(firsts, []*packet.AddrSet{parts[i]})
	}
	for i := range out {
		out[i].first = packet.Union("", firsts[i]...)
	}
	return out, true
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(a.Bits(), b.Bits())
}

// partition returns, for each of the sorted prefixes, the addresses of which it is the
// longest prefix, and the index of the next shorter one, or -1.
func partition(sorted []netip.Prefix) (parts []*packet.AddrSet, parents []int) {
	parts, parents = make([]*packet.AddrSet, len(sorted)), make([]int, len(sorted))
	children := make([][]netip.Prefix, len(sorted))
	var open []int
	for i, p := range sorted {
		for len(open) > 0 && !sorted[open[len(open)-1]].Contains(p.Addr()) {
			open = open[:len(open)-1]
		}
		parents[i] = -1
		if n := len(open); n > 0 {
			parents[i] = open[n-1]
			children[parents[i]] = append(children[parents[i]], p)
		}
		open = append(open, i)
	}
	for i, p := range sorted {
		parts[i] = packet.NewAddrSet("", []netip.Prefix{p})
		if len(children[i]) > 0 {
			parts[i] = parts[i].Minus(packet.NewAddrSet("", children[i]))
		}
	}
	return parts, parents
}

// maxHoles limits the prefixes that one entry with a bitmask is equivalent to: 2^maxHoles.
const maxHoles = 10

// maskedPrefixes returns the addresses that are in p after the mask is applied. The kernel
// may hold entries that no address is in: docs/contributing/netfilter.md, "Masked sets".
func maskedPrefixes(p netip.Prefix, mask netip.Addr) (_ []netip.Prefix, ok bool) {
	switch {
	case !p.IsValid():
		return nil, true
	case !mask.IsValid():
		return []netip.Prefix{p}, true
	}
	a, m := p.Addr().AsSlice(), mask.AsSlice()
	bits := 0 // of the prefixes: up to the last bit of the mask
	var holes []int
	for i := range p.Bits() {
		bit := byte(0x80) >> (i % 8)
		if m[i/8]&bit != 0 {
			bits = i + 1
		} else if a[i/8]&bit != 0 {
			return nil, true
		}
	}
	for i := range bits {
		if m[i/8]&(0x80>>(i%8)) == 0 {
			holes = append(holes, i)
		}
	}
	if len(holes) > maxHoles {
		return nil, false
	}
	var out []netip.Prefix
	for n := range 1 << len(holes) {
		b := slices.Clone(a)
		for k, i := range holes {
			if n>>k&1 != 0 {
				b[i/8] |= 0x80 >> (i % 8)
			}
		}
		addr, _ := netip.AddrFromSlice(b)
		out = append(out, netip.PrefixFrom(addr, bits))
	}
	return out, true
}

// label is a mark or a MAC address of an entry.
type label struct {
	set  *iptables.Set
	mark uint32
	mac  string
}

func (l label) cond(end packet.End) packet.Cond {
	if l.set.Type == "hash:ip,mark" {
		return markIs(l.mark, l.set.MarkMask())
	}
	return macIs(l.set.Name, end, l.mac)
}

// labelBoxes returns the parts of sets with marks or MAC addresses: for each of those, the
// addresses that have it.
func (e *entries) labelBoxes() []setBox {
	by := map[label][]netip.Prefix{}
	for _, el := range e.all {
		l := label{e.set, el.Mark, el.MAC}
		by[l] = append(by[l], el.First)
	}
	labels := slices.SortedFunc(maps.Keys(by), func(a, b label) int {
		return cmp.Or(cmp.Compare(a.mark, b.mark), cmp.Compare(a.mac, b.mac))
	})
	var out []setBox
	for _, l := range labels {
		b := setBox{rest: l}
		if by[l][0].IsValid() {
			b.pairs = []pair{{first: packet.NewAddrSet("", by[l])}}
		}
		out = append(out, b)
	}
	return out
}

// cond returns the condition of being in the box. ends are the flags of the rule, one for
// each dimension of the set's type.
func (b *setBox) cond(set *iptables.Set, ends []packet.End) packet.Cond {
	var out packet.All
	if b.ports != nil {
		out = append(out, b.ports.conds(ends[slices.Index(dims(set), "port")])...)
	}
	if len(b.pairs) > 0 {
		var any packet.Any
		for _, p := range b.pairs {
			both := packet.All{packet.Addr{End: ends[0], In: p.first}}
			if p.second != nil {
				both = append(both, packet.Addr{End: ends[len(ends)-1], In: p.second})
			}
			any = append(any, unlist(both))
		}
		out = append(out, unlist(any))
	}
	if b.rest != nil {
		out = append(out, b.rest.cond(ends[len(ends)-1]))
	}
	return unlist(out)
}

// unlist returns the only condition of a list, or else the list.
func unlist[L packet.All | packet.Any](list L) packet.Cond {
	if len(list) == 1 {
		return list[0]
	}
	return any(list).(packet.Cond)
}

// conds returns the conditions on what the kernel takes for the port of a packet: type and
// code of ICMP, 0 for protocols without ports. bitmap:port, which has no protocol, matches
// TCP and UDP only.
func (b *portBox) conds(end packet.End) []packet.Cond {
	protocol := packet.Proto{Numbers: []uint8{b.protocol}}
	switch b.protocol {
	case 0:
		return []packet.Cond{packet.Proto{Numbers: []uint8{packet.ProtoTCP, packet.ProtoUDP}}, packet.Port{End: end, Ranges: b.ranges}}
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP:
		return []packet.Cond{protocol, packet.Port{End: end, Ranges: b.ranges}}
	case packet.ProtoICMP, packet.ProtoICMPv6:
		var types packet.Any
		for _, r := range b.ranges {
			for _, t := range packet.ICMPTypes(r.First, r.Last) {
				types = append(types, t)
			}
		}
		return []packet.Cond{unlist(types)}
	case packet.ProtoUDPLite:
		// Its ports are no fields of a packet.
		return []packet.Cond{protocol, packet.Opaque{Text: "UDP-Lite " + packet.Port{End: end, Ranges: b.ranges}.String()}}
	}
	return []packet.Cond{protocol}
}
