package packet

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"sort"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// span is a range of numbers, both ends inclusive.
type span struct{ lo, hi uint32 }

// u128 is an IPv6 address as a number.
type u128 = addrlist.Number6

func number6(a netip.Addr) u128 { return addrlist.Number6Of(a) }

func number4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// span6 is a range of IPv6 addresses, both ends inclusive. It is that of package addrlist, so that
// a set can share the memory of a list.
type span6 = addrlist.Range6

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

// NewRangeSet returns the set of all addresses in ranges. It shares the memory of those that are in
// order and neither overlap nor touch, or of like if that has the same addresses: they must not be
// changed afterwards.
func NewRangeSet(name string, ranges, like addrlist.Ranges) *AddrSet {
	b := AddrSetBuilder{}
	b.Grow(len(ranges.V4), 0)
	for _, r := range ranges.V4 {
		b.add4(span{r.First, r.Last})
	}
	if b.set.v6 = ranges.V6; !areJoined6(ranges.V6) {
		b.set.v6 = nil
		if b.Like(like); len(like.V6) == 0 {
			b.Grow(0, len(ranges.V6))
		}
		for _, r := range ranges.V6 {
			b.add6(r)
		}
	}
	return b.Set(name)
}

// AddrSetBuilder collects the addresses of a set. The zero value is ready to use.
type AddrSetBuilder struct {
	set AddrSet
	// like are spans of IPv6 that the set is expected to have. As long as it does, it shares them: the
	// first of them are the set's, the last one of which is in open and may still grow.
	like   []span6
	shared int
	open   span6
}

// Like makes the set share the memory of ranges that it turns out to have. It is called before the first
// address is added; the ranges must not be changed afterwards.
func (b *AddrSetBuilder) Like(ranges addrlist.Ranges) { b.like = ranges.V6 }

// Grow makes room for so many spans of each family.
func (b *AddrSetBuilder) Grow(v4, v6 int) {
	b.set.v4, b.set.v6 = slices.Grow(b.set.v4, v4), slices.Grow(b.set.v6, v6)
}

// AddRange adds the addresses from first to last, which are of one family.
func (b *AddrSetBuilder) AddRange(first, last netip.Addr) {
	if first.Is4() {
		b.add4(span{number4(first), number4(last)})
	} else {
		b.add6(span6{First: number6(first), Last: number6(last)})
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
	host := u128{High: ^uint64(0), Low: ^uint64(0)}
	if n <= 64 {
		host.High >>= n
	} else {
		host = u128{Low: host.Low >> (n - 64)}
	}
	lo := number6(p.Addr())
	lo = u128{High: lo.High &^ host.High, Low: lo.Low &^ host.Low}
	b.add6(span6{First: lo, Last: u128{High: lo.High | host.High, Low: lo.Low | host.Low}})
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
	if b.like != nil {
		switch {
		case b.shared == 0:
			b.shared, b.open = 1, x
			return
		case extend6(&b.open, x):
			return
		case b.shared < len(b.like) && b.like[b.shared-1] == b.open:
			b.shared, b.open = b.shared+1, x
			return
		}
		b.unshare()
	}
	if n := len(b.set.v6); n > 0 && extend6(&b.set.v6[n-1], x) {
		return
	}
	b.set.v6 = append(b.set.v6, x)
}

// extend6 adds x to a span that begins at or before x and overlaps or touches it. It returns false for others.
func extend6(before *span6, x span6) bool {
	if before.First.Compare(x.First) > 0 || before.Last != top6 && x.First.Compare(before.Last.Next()) > 0 {
		return false
	}
	if x.Last.Compare(before.Last) > 0 {
		before.Last = x.Last
	}
	return true
}

// unshare gives the set memory of its own.
func (b *AddrSetBuilder) unshare() {
	if b.shared > 0 {
		b.set.v6 = append(slices.Clone(b.like[:b.shared-1]), b.open)
	}
	b.like, b.shared = nil, 0
}

// Set returns the set of the addresses that were added. The builder must not be used
// afterwards.
func (b *AddrSetBuilder) Set(name string) *AddrSet {
	if b.shared > 0 && b.shared == len(b.like) && b.like[b.shared-1] == b.open {
		b.set.v6 = b.like
	} else {
		b.unshare()
	}
	b.set.Name = name
	b.set.finish()
	return &b.set
}

// top6 is the last IPv6 address.
var top6 = u128{High: ^uint64(0), Low: ^uint64(0)}

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
		set.v6 = []span6{{First: number6(a), Last: number6(b)}}
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
	if !areJoined6(s.v6) {
		s.v6 = join6(s.v6)
	}
	s.setHash()
}

// areJoined6 reports whether spans are in order and neither overlap nor touch. Others may share them, so
// that they are not written then.
func areJoined6(spans []span6) bool {
	for i := 1; i < len(spans); i++ {
		if before := spans[i-1].Last; before == top6 || spans[i].First.Compare(before.Next()) <= 0 {
			return false
		}
	}
	return true
}

// join6 is join for IPv6.
func join6(spans []span6) []span6 {
	less := func(a, b span6) int { return a.First.Compare(b.First) }
	if !slices.IsSortedFunc(spans, less) {
		slices.SortFunc(spans, less)
	}
	out := spans[:0]
	for _, x := range spans {
		if n := len(out); n > 0 && extend6(&out[n-1], x) {
			continue
		}
		out = append(out, x)
	}
	return slices.Clip(out)
}

func (s *AddrSet) setHash() {
	h := hash(0)
	for _, x := range s.v4 {
		h = h.with(uint64(x.lo)<<32 | uint64(x.hi))
	}
	h = h.with(uint64(len(s.v4)))
	for _, x := range s.v6 {
		h = h.with(x.First.High).with(x.First.Low).with(x.Last.High).with(x.Last.Low)
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
	i, found := slices.BinarySearchFunc(s.v6, n, func(x span6, n u128) int { return x.First.Compare(n) })
	return found || i > 0 && s.v6[i-1].Last.Compare(n) >= 0
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
		if !add(x.First.Addr(), x.Last.Addr()) {
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
		buffer = netipx.IPRangeFrom(x.First.Addr(), x.Last.Addr()).AppendPrefixes(buffer[:0])
		n += len(buffer)
	}
	return n
}

// In reports whether all addresses of s are in o. It takes less than Minus, which makes a set.
func (s *AddrSet) In(o *AddrSet) bool {
	rest := o.v4
	for _, x := range s.v4 {
		rest = rest[sort.Search(len(rest), func(i int) bool { return rest[i].hi >= x.lo }):]
		if len(rest) == 0 || rest[0].lo > x.lo || rest[0].hi < x.hi {
			return false
		}
	}
	rest6 := o.v6
	for _, x := range s.v6 {
		rest6 = rest6[sort.Search(len(rest6), func(i int) bool { return rest6[i].Last.Compare(x.First) >= 0 }):]
		if len(rest6) == 0 || rest6[0].First.Compare(x.First) > 0 || rest6[0].Last.Compare(x.Last) < 0 {
			return false
		}
	}
	return true
}

// Overlaps reports whether any address is in both sets.
func (s *AddrSet) Overlaps(o *AddrSet) bool {
	few, rest := s.v4, o.v4
	if len(few) > len(rest) {
		few, rest = rest, few
	}
	for _, x := range few {
		rest = rest[sort.Search(len(rest), func(i int) bool { return rest[i].hi >= x.lo }):]
		if len(rest) > 0 && rest[0].lo <= x.hi {
			return true
		}
	}
	few6, rest6 := s.v6, o.v6
	if len(few6) > len(rest6) {
		few6, rest6 = rest6, few6
	}
	for _, x := range few6 {
		rest6 = rest6[sort.Search(len(rest6), func(i int) bool { return rest6[i].Last.Compare(x.First) >= 0 }):]
		if len(rest6) > 0 && rest6[0].First.Compare(x.Last) <= 0 {
			return true
		}
	}
	return false
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
		for len(cutters6) > 0 && cutters6[0].Last.Compare(x.First) < 0 {
			cutters6 = cutters6[1:]
		}
		rest, left := x, true
		for _, cut := range cutters6 {
			if cut.First.Compare(rest.Last) > 0 {
				break
			}
			if cut.First.Compare(rest.First) > 0 {
				out.v6 = append(out.v6, span6{First: rest.First, Last: cut.First.Prev()})
			}
			if left = cut.Last.Compare(rest.Last) < 0; !left {
				break
			}
			rest.First = cut.Last.Next()
		}
		if left {
			out.v6 = append(out.v6, rest)
		}
	}
	out.finish()
	return out
}
