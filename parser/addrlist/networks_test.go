package addrlist

import (
	"net/netip"
	"slices"
	"testing"

	"go4.org/netipx"
	"pgregory.net/rapid"
)

func TestNetworksEqualThoseOfNetipx(t *testing.T) {
	ends := []Number6{{}, {0, 1}, {0, 1 << 63}, {0, ^uint64(0)}, {1, 0}, {1 << 63, 0}, {^uint64(0), 0}, {^uint64(0), ^uint64(0)}}
	address := rapid.Custom(func(t *rapid.T) Number6 {
		a := rapid.SampledFrom(ends).Draw(t, "end")
		if rapid.Bool().Draw(t, "any") {
			a = Number6{rapid.Uint64().Draw(t, "high"), rapid.Uint64().Draw(t, "low")}
		}
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			a = a.Next()
		}
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		var ranges Ranges
		var want []netip.Prefix
		for range rapid.IntRange(0, 4).Draw(t, "ranges") {
			r := Range6{address.Draw(t, "first"), address.Draw(t, "last")}
			if r.Last.Compare(r.First) < 0 {
				r.First, r.Last = r.Last, r.First
			}
			ranges.V6 = append(ranges.V6, r)
			want = append(want, netipx.IPRangeFrom(r.First.Addr(), r.Last.Addr()).Prefixes()...)
		}
		v6 := len(want)
		for range rapid.IntRange(0, 4).Draw(t, "ranges4") {
			a, b := uint32(address.Draw(t, "first").Low), uint32(address.Draw(t, "last").Low)
			r := Range4{min(a, b), max(a, b)}
			ranges.V4 = append(ranges.V4, r)
			want = append(want, netipx.IPRangeFrom(addr4(r.First), addr4(r.Last)).Prefixes()...)
		}
		var got []netip.Prefix
		for first, length := range ranges.Networks().All6() {
			got = append(got, netip.PrefixFrom(first.Addr(), int(length)))
			if last := Last6(first, length).Addr(); last != netipx.PrefixLastIP(got[len(got)-1]) {
				t.Errorf("%s ends with %s", got[len(got)-1], last)
			}
		}
		if len(got) != v6 {
			t.Errorf("%d IPv6 networks instead of %d", len(got), v6)
		}
		for first, length := range ranges.Networks().All4() {
			got = append(got, netip.PrefixFrom(addr4(first), int(length)))
			if last := addr4(Last4(first, length)); last != netipx.PrefixLastIP(got[len(got)-1]) {
				t.Errorf("%s ends with %s", got[len(got)-1], last)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v instead of %v", got, want)
		}
	})
}
