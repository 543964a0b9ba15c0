package addrlist

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// Ranges are ranges of addresses of both families as integers: a list of a million entries
// takes 8 MB for IPv4 and 32 MB for IPv6, a sixth and two thirds of what netipx takes, and is
// compared and sorted without calls.
type Ranges struct {
	V4 []Range4
	V6 []Range6
}

// Range4 is a range of IPv4 addresses, both ends inclusive.
type Range4 struct{ First, Last uint32 }

// Range6 is a range of IPv6 addresses, both ends inclusive.
type Range6 struct{ First, Last Number6 }

// String returns the range as in a list: FIRST-LAST.
func (r Range4) String() string { return netipx.IPRangeFrom(addr4(r.First), addr4(r.Last)).String() }

// String returns the range as in a list: FIRST-LAST.
func (r Range6) String() string { return netipx.IPRangeFrom(r.First.Addr(), r.Last.Addr()).String() }

// Number6 is an IPv6 address as an integer.
type Number6 struct{ High, Low uint64 }

// Compare returns -1, 0 or 1 if a is less than, equal to or greater than b.
func (a Number6) Compare(b Number6) int {
	if a.High != b.High {
		return cmp.Compare(a.High, b.High)
	}
	return cmp.Compare(a.Low, b.Low)
}

// Next returns the address after a; that after the last one is the first one.
func (a Number6) Next() Number6 {
	a.Low++
	if a.Low == 0 {
		a.High++
	}
	return a
}

// Prev returns the address before a; that before the first one is the last one.
func (a Number6) Prev() Number6 {
	if a.Low == 0 {
		a.High--
	}
	a.Low--
	return a
}

// Addr returns the address as one of package netip.
func (a Number6) Addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.High)
	binary.BigEndian.PutUint64(b[8:], a.Low)
	return netip.AddrFrom16(b)
}

// Number6Of returns an IPv6 address as an integer.
func Number6Of(a netip.Addr) Number6 {
	b := a.As16()
	return Number6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Number4Of returns an IPv4 address as an integer.
func Number4Of(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// Add appends a valid range.
func (r *Ranges) Add(one netipx.IPRange) {
	if one.From().Is4() {
		r.V4 = append(r.V4, Range4{Number4Of(one.From()), Number4Of(one.To())})
		return
	}
	r.V6 = append(r.V6, Range6{Number6Of(one.From()), Number6Of(one.To())})
}

// Grow makes room for n ranges of which as large a part is of each family as now.
func (r *Ranges) Grow(n int) {
	if have := r.Len(); n > have {
		r.V4 = slices.Grow(r.V4, len(r.V4)*(n-have)/have)
		r.V6 = slices.Grow(r.V6, len(r.V6)*(n-have)/have)
	}
}

// Append appends all ranges of o.
func (r *Ranges) Append(o Ranges) {
	r.V4 = append(r.V4, o.V4...)
	r.V6 = append(r.V6, o.V6...)
}

// All yields the first and last addresses of all ranges, IPv4 first.
func (r Ranges) All() iter.Seq2[netip.Addr, netip.Addr] {
	return func(yield func(first, last netip.Addr) bool) {
		for _, x := range r.V4 {
			if !yield(addr4(x.First), addr4(x.Last)) {
				return
			}
		}
		for _, x := range r.V6 {
			if !yield(x.First.Addr(), x.Last.Addr()) {
				return
			}
		}
	}
}

// Len returns the number of ranges.
func (r Ranges) Len() int { return len(r.V4) + len(r.V6) }

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
