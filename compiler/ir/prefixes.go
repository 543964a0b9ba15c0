package ir

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"

	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// Prefixes are the elements of a set: prefixes of one family. A set can have millions: as ranges
// each range takes 8 bytes in IPv4 and 32 in IPv6, however many prefixes it has, and none is a
// pointer.
type Prefixes struct {
	v4 []Prefix4
	v6 []Prefix6
	// in are ranges that are split into count prefixes; v4 and v6 are then empty.
	in    addrlist.Ranges
	count int
}

// Prefix4 is an IPv4 prefix. The bits of Address after the first Bits are 0.
type Prefix4 struct {
	Address uint32
	Bits    uint8
}

// Prefix6 is an IPv6 prefix. The bits of the address after the first Bits are 0.
type Prefix6 struct {
	High, Low uint64
	Bits      uint8
}

// PrefixesOf returns the prefixes of a list.
func PrefixesOf(list ...netip.Prefix) Prefixes {
	var out Prefixes
	for _, p := range list {
		out.append(p)
	}
	return out
}

// PrefixList returns the prefixes of two lists, of which one is empty.
func PrefixList(v4 []Prefix4, v6 []Prefix6) Prefixes { return Prefixes{v4: v4, v6: v6} }

// PrefixesIn returns the fewest prefixes with exactly the addresses of ranges, which are of one
// family, in order and disjoint. It shares their memory: they must not be changed afterwards.
func PrefixesIn(r addrlist.Ranges) Prefixes {
	out := Prefixes{in: r}
	for range r.Networks().All4() {
		out.count++
	}
	for range r.Networks().All6() {
		out.count++
	}
	return out
}

func (p *Prefixes) append(one netip.Prefix) {
	if one.Addr().Is4() {
		b := one.Addr().As4()
		p.v4 = append(p.v4, Prefix4{binary.BigEndian.Uint32(b[:]), uint8(one.Bits())})
		return
	}
	b := one.Addr().As16()
	p.v6 = append(p.v6, Prefix6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), uint8(one.Bits())})
}

// Len returns the number of prefixes.
func (p Prefixes) Len() int { return p.count + len(p.v4) + len(p.v6) }

// Ranges returns the ranges that the prefixes were split from, none if they come from a list.
func (p Prefixes) Ranges() addrlist.Ranges { return p.in }

// Same identifies prefixes by where they are in memory: equal values mean equal prefixes, as long as they exist.
type Same struct {
	list4   *Prefix4
	list6   *Prefix6
	ranges4 *addrlist.Range4
	ranges6 *addrlist.Range6
	length  int
}

// Same returns what identifies the prefixes.
func (p Prefixes) Same() Same {
	return Same{firstOf(p.v4), firstOf(p.v6), firstOf(p.in.V4), firstOf(p.in.V6), p.Len()}
}

func firstOf[T any](list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// All yields the prefixes in their order, IPv4 first.
func (p Prefixes) All() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for x := range p.All4() {
			if !yield(x.Prefix()) {
				return
			}
		}
		for x := range p.All6() {
			if !yield(x.Prefix()) {
				return
			}
		}
	}
}

// All4 yields the prefixes of IPv4 in their order.
func (p Prefixes) All4() iter.Seq[Prefix4] {
	return func(yield func(Prefix4) bool) {
		for _, x := range p.v4 {
			if !yield(x) {
				return
			}
		}
		for first, length := range p.in.Networks().All4() {
			if !yield(Prefix4{first, length}) {
				return
			}
		}
	}
}

// All6 yields the prefixes of IPv6 in their order.
func (p Prefixes) All6() iter.Seq[Prefix6] {
	return func(yield func(Prefix6) bool) {
		for _, x := range p.v6 {
			if !yield(x) {
				return
			}
		}
		for first, length := range p.in.Networks().All6() {
			if !yield(Prefix6{first.High, first.Low, length}) {
				return
			}
		}
	}
}

// HasWhole reports whether one of the prefixes has length 0.
func (p Prefixes) HasWhole() bool {
	for _, x := range p.v4 {
		if x.Bits == 0 {
			return true
		}
	}
	for _, x := range p.v6 {
		if x.Bits == 0 {
			return true
		}
	}
	// Ranges are disjoint.
	return p.count == 1 && (len(p.in.V4) == 1 && addrlist.Length4(p.in.V4[0].First, p.in.V4[0].Last) == 0 ||
		len(p.in.V6) == 1 && addrlist.Length6(p.in.V6[0].First, p.in.V6[0].Last) == 0)
}

// Prefix returns the prefix as one of package netip.
func (p Prefix4) Prefix() netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], p.Address)
	return netip.PrefixFrom(netip.AddrFrom4(b), int(p.Bits))
}

// Prefix returns the prefix as one of package netip.
func (p Prefix6) Prefix() netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], p.High)
	binary.BigEndian.PutUint64(b[8:], p.Low)
	return netip.PrefixFrom(netip.AddrFrom16(b), int(p.Bits))
}

// Compare returns -1, 0 or 1 if p sorts before q, is q, or sorts after q: by address, then by
// length.
func (p Prefix4) Compare(q Prefix4) int {
	return cmp.Or(cmp.Compare(p.Address, q.Address), cmp.Compare(p.Bits, q.Bits))
}

// Compare returns -1, 0 or 1 if p sorts before q, is q, or sorts after q: by address, then by
// length.
func (p Prefix6) Compare(q Prefix6) int {
	return cmp.Or(cmp.Compare(p.High, q.High), cmp.Compare(p.Low, q.Low), cmp.Compare(p.Bits, q.Bits))
}
