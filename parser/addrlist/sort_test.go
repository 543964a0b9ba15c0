package addrlist

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Lists differ in their highest bits, their lowest ones, or both; many entries begin with the same address.
func TestSortedRangesAreInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 63, 64, 1000, 20_000} {
		for _, mask := range []Number6{{^uint64(0), ^uint64(0)}, {}, {0, 1}, {0, 1 << 63}, {1, 0}, {1 << 63, 1}, {0, 0xffff}, {0xff, 0xff << 56}, {0, 0x7f << 53}, {0xffffffff, 0}} {
			var r, want Ranges
			for i := range n {
				first := Number6{random.Uint64() & mask.High, random.Uint64() & mask.Low}
				r.V6 = append(r.V6, Range6{First: first, Last: Number6{Low: uint64(i)}})
				r.V4 = append(r.V4, Range4{First: uint32(first.High ^ first.Low ^ first.Low>>32), Last: uint32(i)})
			}
			want = Ranges{V4: slices.Clone(r.V4), V6: slices.Clone(r.V6)}
			r.Sort()
			if !slices.IsSortedFunc(r.V4, func(a, b Range4) int { return compare(uint64(a.First), uint64(b.First)) }) {
				t.Errorf("%d ranges of IPv4, mask %x: not in order", n, mask)
			}
			if !slices.IsSortedFunc(r.V6, func(a, b Range6) int { return a.First.Compare(b.First) }) {
				t.Errorf("%d ranges of IPv6, mask %x: not in order", n, mask)
			}
			// The last addresses are different: they show that all ranges are still there.
			slices.SortFunc(r.V4, func(a, b Range4) int { return compare(uint64(a.Last), uint64(b.Last)) })
			slices.SortFunc(r.V6, func(a, b Range6) int { return a.Last.Compare(b.Last) })
			if !slices.Equal(r.V4, want.V4) || !slices.Equal(r.V6, want.V6) {
				t.Errorf("%d ranges, mask %x: ranges are lost", n, mask)
			}
		}
	}
}
