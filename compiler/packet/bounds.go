package packet

import (
	"slices"
	"sort"
)

// bounds are the addresses where IPv6 sets of some columns begin and end, in ascending order; the
// first is ::. Their indexes represent the intervals between them, so that numbers of 32 bits are
// enough for both families.
//
// Mostly one set has nearly all of the bounds. They follow from its spans, and are not stored.
type bounds struct {
	large []span6
	// first is 1 if large begins with ::, and count the number of its bounds, with ::.
	first, count int
	// others are the bounds of other sets that are not bounds of large, and places their indexes.
	others []u128
	places []int
}

// maxOthers is the number of other bounds up to which those of one set are not stored: each access
// searches in them.
const maxOthers = 256

// noBounds are the bounds without any set.
var noBounds = &bounds{count: 1}

func boundsOf(columns []*column) *bounds {
	var sets []*AddrSet
	for _, c := range columns {
		sets = append(sets, c.sets...)
	}
	large := &AddrSet{}
	for _, set := range sets {
		if len(set.v6) > len(large.v6) {
			large = set
		}
	}
	rest := 0
	for _, set := range sets {
		if set != large && !set.Equal(large) {
			rest += 2 * len(set.v6)
		}
	}
	b := &bounds{count: 1}
	if rest <= maxOthers {
		b.setLarge(large.v6)
	} else {
		rest += 2 * len(large.v6)
	}
	b.others = make([]u128, 0, rest)
	for _, set := range sets {
		if b.large != nil && (set == large || set.Equal(large)) {
			continue
		}
		for _, x := range set.v6 {
			b.add(x.First)
			if x.Last != top6 {
				b.add(x.Last.Next())
			}
		}
	}
	if !slices.IsSortedFunc(b.others, u128.Compare) {
		slices.SortFunc(b.others, u128.Compare)
	}
	b.others = slices.Clip(slices.Compact(b.others))
	if b.large != nil {
		for i, a := range b.others {
			b.places = append(b.places, b.atMost(a)+i)
		}
	}
	return b
}

func (b *bounds) setLarge(spans []span6) {
	if len(spans) == 0 {
		return
	}
	b.large, b.count = spans, 1+2*len(spans)
	if spans[0].First == (u128{}) {
		b.first, b.count = 1, b.count-1
	}
	if spans[len(spans)-1].Last == top6 {
		b.count--
	}
}

// add adds a bound unless it is one of large.
func (b *bounds) add(a u128) {
	if n := b.atMost(a); b.ofLarge(n-1) != a {
		b.others = append(b.others, a)
	}
}

// ofLarge returns bound i of the largest set.
func (b *bounds) ofLarge(i int) u128 {
	if i == 0 {
		return u128{}
	}
	i += b.first - 1
	x := &b.large[i/2]
	if i%2 == 0 {
		return x.First
	}
	return x.Last.Next()
}

// atMost returns how many bounds of the largest set are not above a.
func (b *bounds) atMost(a u128) int {
	return sort.Search(b.count, func(i int) bool { return b.ofLarge(i).Compare(a) > 0 })
}

// len returns the number of bounds.
func (b *bounds) len() int { return b.count + len(b.others) }

// at returns bound i.
func (b *bounds) at(i int) u128 {
	if b.large == nil {
		// :: and the others.
		if i == 0 {
			return u128{}
		}
		return b.others[i-1]
	}
	if len(b.others) > 0 {
		k := sort.SearchInts(b.places, i)
		if k < len(b.places) && b.places[k] == i {
			return b.others[k]
		}
		i -= k
	}
	return b.ofLarge(i)
}

// find returns the index of the interval an address lies in.
func (b *bounds) find(a u128) int {
	others, found := slices.BinarySearchFunc(b.others, a, u128.Compare)
	if found {
		others++
	}
	return b.atMost(a) + others - 1
}
