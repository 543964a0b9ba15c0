package packet

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/parser/addrlist"
)

func TestBoundsAreTheEndsOfAllSets(t *testing.T) {
	// Addresses at both ends of all, and in the middle.
	address := rapid.Custom(func(t *rapid.T) u128 {
		high := rapid.SampledFrom([]u128{{}, {High: 1}, {High: ^uint64(0), Low: ^uint64(0) - 999}}).Draw(t, "base")
		high.Low += rapid.Uint64Range(0, 999).Draw(t, "offset")
		return high
	})
	stored := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		set := func(limit int) *AddrSet {
			var r addrlist.Ranges
			for range rapid.IntRange(0, limit).Draw(t, "ranges") {
				first := address.Draw(t, "first")
				last := first
				last.Low += rapid.Uint64Range(0, min(3, ^uint64(0)-first.Low)).Draw(t, "size")
				r.V6 = append(r.V6, addrlist.Range6{First: first, Last: last})
			}
			return NewRangeSet("", r, addrlist.Ranges{})
		}
		columns := []*column{{}, {}}
		want := []u128{{}}
		for range rapid.IntRange(0, 4).Draw(t, "sets") {
			s := set(rapid.SampledFrom([]int{2, 30, 400}).Draw(t, "limit"))
			in := columns[rapid.IntRange(0, 1).Draw(t, "column")]
			in.sets = append(in.sets, s)
			if rapid.Bool().Draw(t, "twice") {
				columns[1].sets = append(columns[1].sets, s.OfFamily(0))
			}
			for _, x := range s.v6 {
				if want = append(want, x.First); x.Last != top6 {
					want = append(want, x.Last.Next())
				}
			}
		}
		slices.SortFunc(want, u128.Compare)
		want = slices.Compact(want)
		b := boundsOf(columns)
		stored[b.large != nil]++
		if b.len() != len(want) {
			t.Fatalf("%d bounds instead of %d", b.len(), len(want))
		}
		for i, a := range want {
			if b.at(i) != a || b.find(a) != i {
				t.Fatalf("bound %d is %s, not %s; that has index %d", i, b.at(i).Addr(), a.Addr(), b.find(a))
			}
			next := top6
			if i+1 < len(want) {
				next = want[i+1].Prev()
			}
			if b.find(next) != i {
				t.Fatalf("%s has index %d, not %d", next.Addr(), b.find(next), i)
			}
		}
	})
	if stored[false] == 0 || stored[true] == 0 {
		t.Errorf("bounds without and with a largest set: %v", stored)
	}
}
