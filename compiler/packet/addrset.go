package packet

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// span is a range of numbers, both ends inclusive.
type span struct{ lo, hi uint32 }

// u128 is an IPv6 address as a number.
type u128 struct{ hi, lo uint64 }

func (a u128) compare(b u128) int {
	if c := cmp.Compare(a.hi, b.hi); c != 0 {
		return c
	}
	return cmp.Compare(a.lo, b.lo)
}

func (a u128) next() u128 {
	a.lo++
	if a.lo == 0 {
		a.hi++
	}
	return a
}

func (a u128) prev() u128 {
	if a.lo == 0 {
		a.hi--
	}
	a.lo--
	return a
}

func (a u128) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}

func number6(a netip.Addr) u128 {
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func number4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

type span6 struct{ lo, hi u128 }

// AddrSet is a set of addresses of either family. Any number of conditions and spaces may
// share it; the work for it is then done once.
type AddrSet struct {
	// Name of the ipset; "" for addresses written in a rule.
	Name string

	v4   []span // sorted, disjoint, not touching
	v6   []span6
	hash uint64
}

// NewAddrSet returns the set of all addresses in prefixes.
func NewAddrSet(name string, prefixes []netip.Prefix) *AddrSet {
	b := AddrSetBuilder{}
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	return b.Set(name)
}

// AddrSetBuilder collects the addresses of a set. The zero value is ready to use.
type AddrSetBuilder struct{ set AddrSet }

// Grow makes room for so many spans of each family.
func (b *AddrSetBuilder) Grow(v4, v6 int) {
	b.set.v4, b.set.v6 = slices.Grow(b.set.v4, v4), slices.Grow(b.set.v6, v6)
}

// AddRange adds the addresses from first to last, which are of one family.
func (b *AddrSetBuilder) AddRange(first, last netip.Addr) {
	if first.Is4() {
		b.add4(span{number4(first), number4(last)})
	} else {
		b.add6(span6{number6(first), number6(last)})
	}
}

// AddPrefix adds the addresses of a prefix; none if it is invalid.
func (b *AddrSetBuilder) AddPrefix(p netip.Prefix) {
	if !p.IsValid() {
		return
	}
	n := p.Bits()
	if p.Addr().Is4() {
		host := uint32(1<<(32-n) - 1)
		lo := number4(p.Addr()) &^ host
		b.add4(span{lo, lo | host})
		return
	}
	host := u128{^uint64(0), ^uint64(0)}
	if n <= 64 {
		host.hi >>= n
	} else {
		host = u128{0, host.lo >> (n - 64)}
	}
	lo := number6(p.Addr())
	lo = u128{lo.hi &^ host.hi, lo.lo &^ host.lo}
	b.add6(span6{lo, u128{lo.hi | host.hi, lo.lo | host.lo}})
}

// add4 joins a span at once with the one before it if they are in order, so that a sorted
// list takes only the memory of what it is joined to.
func (b *AddrSetBuilder) add4(x span) {
	if n := len(b.set.v4); n > 0 {
		if before := &b.set.v4[n-1]; before.lo <= x.lo && uint64(x.lo) <= uint64(before.hi)+1 {
			before.hi = max(before.hi, x.hi)
			return
		}
	}
	b.set.v4 = append(b.set.v4, x)
}

func (b *AddrSetBuilder) add6(x span6) {
	if n := len(b.set.v6); n > 0 {
		if before := &b.set.v6[n-1]; before.lo.compare(x.lo) <= 0 && (before.hi == top6 || x.lo.compare(before.hi.next()) <= 0) {
			if x.hi.compare(before.hi) > 0 {
				before.hi = x.hi
			}
			return
		}
	}
	b.set.v6 = append(b.set.v6, x)
}

// Set returns the set of the addresses that were added. The builder must not be used
// afterwards.
func (b *AddrSetBuilder) Set(name string) *AddrSet {
	b.set.Name = name
	b.set.finish()
	return &b.set
}

// top6 is the last IPv6 address.
var top6 = u128{^uint64(0), ^uint64(0)}

// NewNetSet returns what an ipset of type hash:net matches: the longest prefix that
// contains an address counts, and those in nomatch do not match.
func NewNetSet(name string, prefixes, nomatch []netip.Prefix) *AddrSet {
	if len(nomatch) == 0 {
		return NewAddrSet(name, prefixes)
	}
	type entry struct {
		p  netip.Prefix
		no bool
	}
	var entries []entry
	for _, p := range prefixes {
		entries = append(entries, entry{p, false})
	}
	for _, p := range nomatch {
		entries = append(entries, entry{p, true})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.p.Bits(), b.p.Bits()) })
	var b netipx.IPSetBuilder
	for _, e := range entries {
		if e.no {
			b.RemovePrefix(e.p.Masked())
		} else {
			b.AddPrefix(e.p.Masked())
		}
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err) // only of invalid prefixes
	}
	return NewAddrSet(name, set.Prefixes())
}

// AddrRange returns the set of the addresses from a to b, of one family.
func AddrRange(a, b netip.Addr) *AddrSet {
	set := &AddrSet{}
	if a.Is4() {
		set.v4 = []span{{number4(a), number4(b)}}
	} else {
		set.v6 = []span6{{number6(a), number6(b)}}
	}
	set.finish()
	return set
}

// Union returns the addresses that are in any of the sets, as a list:set matches them.
func Union(name string, sets ...*AddrSet) *AddrSet {
	s := &AddrSet{Name: name}
	for _, o := range sets {
		s.v4 = append(s.v4, o.v4...)
		s.v6 = append(s.v6, o.v6...)
	}
	s.finish()
	return s
}

// OfFamily returns the addresses of one family. The set shares them with s.
func (s *AddrSet) OfFamily(f ir.Family) *AddrSet {
	out := &AddrSet{Name: s.Name}
	switch {
	case f == ir.IPv4 && len(s.v6) == 0, f == ir.IPv6 && len(s.v4) == 0:
		return s
	case f == ir.IPv4:
		out.v4 = s.v4
	default:
		out.v6 = s.v6
	}
	out.setHash()
	return out
}

// finish sorts and joins the spans and takes their hash.
func (s *AddrSet) finish() {
	s.v4 = join(s.v4)
	less := func(a, b span6) int { return a.lo.compare(b.lo) }
	if !slices.IsSortedFunc(s.v6, less) {
		slices.SortFunc(s.v6, less)
	}
	out := s.v6[:0]
	for _, x := range s.v6 {
		if n := len(out); n > 0 && (out[n-1].hi == top6 || x.lo.compare(out[n-1].hi.next()) <= 0) {
			if x.hi.compare(out[n-1].hi) > 0 {
				out[n-1].hi = x.hi
			}
			continue
		}
		out = append(out, x)
	}
	s.v6 = slices.Clip(out)
	s.setHash()
}

func (s *AddrSet) setHash() {
	h := hash(0)
	for _, x := range s.v4 {
		h = h.with(uint64(x.lo)<<32 | uint64(x.hi))
	}
	h = h.with(uint64(len(s.v4)))
	for _, x := range s.v6 {
		h = h.with(x.lo.hi).with(x.lo.lo).with(x.hi.hi).with(x.hi.lo)
	}
	s.hash = uint64(h)
}

// hash is a hash of numbers, a word at a time: equal hashes are only a hint that sets are equal.
type hash uint64

func (h hash) with(n uint64) hash {
	hi, lo := bits.Mul64(uint64(h)^0x9e3779b97f4a7c15^n, 0xd6e8feb86659fd93)
	return hash(hi ^ bits.RotateLeft64(lo, 29) ^ n)
}

// join sorts spans and joins those that overlap or touch.
func join(spans []span) []span {
	less := func(a, b span) int { return cmp.Compare(a.lo, b.lo) }
	if !slices.IsSortedFunc(spans, less) {
		slices.SortFunc(spans, less)
	}
	out := spans[:0]
	for _, x := range spans {
		if n := len(out); n > 0 && uint64(x.lo) <= uint64(out[n-1].hi)+1 {
			out[n-1].hi = max(out[n-1].hi, x.hi)
			continue
		}
		out = append(out, x)
	}
	return slices.Clip(out)
}

// Equal reports whether both sets hold the same addresses.
func (s *AddrSet) Equal(o *AddrSet) bool {
	return s == o || s.hash == o.hash && slices.Equal(s.v4, o.v4) && slices.Equal(s.v6, o.v6)
}

// Hash is the same for sets that hold the same addresses.
func (s *AddrSet) Hash() uint64 { return s.hash }

// IsEmpty reports whether no address is in the set.
func (s *AddrSet) IsEmpty() bool { return len(s.v4) == 0 && len(s.v6) == 0 }

// Contains reports whether the address is in the set.
func (s *AddrSet) Contains(a netip.Addr) bool {
	if a.Is4() {
		n := number4(a)
		i, found := slices.BinarySearchFunc(s.v4, n, func(x span, n uint32) int { return cmp.Compare(x.lo, n) })
		return found || i > 0 && s.v4[i-1].hi >= n
	}
	if !a.IsValid() {
		return false
	}
	n := number6(a)
	i, found := slices.BinarySearchFunc(s.v6, n, func(x span6, n u128) int { return x.lo.compare(n) })
	return found || i > 0 && s.v6[i-1].hi.compare(n) >= 0
}

// Prefixes returns the fewest prefixes that make up the set, IPv4 first, but no
// more than limit of them; limit 0 means all.
func (s *AddrSet) Prefixes(limit int) []netip.Prefix {
	var out []netip.Prefix
	add := func(lo, hi netip.Addr) bool {
		out = netipx.IPRangeFrom(lo, hi).AppendPrefixes(out)
		if limit > 0 && len(out) >= limit {
			out = out[:limit]
			return false
		}
		return true
	}
	for _, x := range s.v4 {
		if !add(addr4(x.lo), addr4(x.hi)) {
			return out
		}
	}
	for _, x := range s.v6 {
		if !add(x.lo.addr(), x.hi.addr()) {
			return out
		}
	}
	return out
}

// prefixCount returns the number of prefixes that Prefixes returns without a limit.
func (s *AddrSet) prefixCount() int {
	n := 0
	for _, x := range s.v4 {
		for lo, end := uint64(x.lo), uint64(x.hi)+1; lo < end; n++ {
			// The largest block that begins at lo, is aligned, and does not go past the end.
			size := uint64(1) << 32
			if lo > 0 {
				size = lo & -lo
			}
			for size > end-lo {
				size /= 2
			}
			lo += size
		}
	}
	var buffer []netip.Prefix
	for _, x := range s.v6 {
		buffer = netipx.IPRangeFrom(x.lo.addr(), x.hi.addr()).AppendPrefixes(buffer[:0])
		n += len(buffer)
	}
	return n
}

// Minus returns the addresses of s that are not in o.
func (s *AddrSet) Minus(o *AddrSet) *AddrSet {
	out := &AddrSet{}
	cutters := o.v4
	for _, x := range s.v4 {
		for len(cutters) > 0 && cutters[0].hi < x.lo {
			cutters = cutters[1:]
		}
		rest, left := x, true
		for _, cut := range cutters {
			if cut.lo > rest.hi {
				break
			}
			if cut.lo > rest.lo {
				out.v4 = append(out.v4, span{rest.lo, cut.lo - 1})
			}
			if left = cut.hi < rest.hi; !left {
				break
			}
			rest.lo = cut.hi + 1
		}
		if left {
			out.v4 = append(out.v4, rest)
		}
	}
	cutters6 := o.v6
	for _, x := range s.v6 {
		for len(cutters6) > 0 && cutters6[0].hi.compare(x.lo) < 0 {
			cutters6 = cutters6[1:]
		}
		rest, left := x, true
		for _, cut := range cutters6 {
			if cut.lo.compare(rest.hi) > 0 {
				break
			}
			if cut.lo.compare(rest.lo) > 0 {
				out.v6 = append(out.v6, span6{rest.lo, cut.lo.prev()})
			}
			if left = cut.hi.compare(rest.hi) < 0; !left {
				break
			}
			rest.lo = cut.hi.next()
		}
		if left {
			out.v6 = append(out.v6, rest)
		}
	}
	out.finish()
	return out
}
