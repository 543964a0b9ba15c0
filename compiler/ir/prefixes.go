package ir

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"
)

// Prefixes are the elements of a set: prefixes of one family. A set can have millions, so
// that each takes 8 bytes in IPv4 and 24 in IPv6, and none is a pointer.
type Prefixes struct {
	V4 []Prefix4
	V6 []Prefix6
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
		out.Append(p)
	}
	return out
}

// Append appends a prefix.
func (p *Prefixes) Append(one netip.Prefix) {
	if one.Addr().Is4() {
		b := one.Addr().As4()
		p.V4 = append(p.V4, Prefix4{binary.BigEndian.Uint32(b[:]), uint8(one.Bits())})
		return
	}
	b := one.Addr().As16()
	p.V6 = append(p.V6, Prefix6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), uint8(one.Bits())})
}

// Len returns the number of prefixes.
func (p Prefixes) Len() int { return len(p.V4) + len(p.V6) }

// All yields the prefixes in their order, IPv4 first.
func (p Prefixes) All() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for _, x := range p.V4 {
			if !yield(x.Prefix()) {
				return
			}
		}
		for _, x := range p.V6 {
			if !yield(x.Prefix()) {
				return
			}
		}
	}
}

// HasWhole reports whether one of the prefixes has length 0.
func (p Prefixes) HasWhole() bool {
	for _, x := range p.V4 {
		if x.Bits == 0 {
			return true
		}
	}
	for _, x := range p.V6 {
		if x.Bits == 0 {
			return true
		}
	}
	return false
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
