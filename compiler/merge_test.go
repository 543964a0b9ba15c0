package compiler

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
)

// drawRanges draws ranges of both families, many of which overlap, touch, or are at the ends
// of the address space.
func drawRanges(t *rapid.T, label string, limit int) []netipx.IPRange {
	v4 := rapid.Custom(func(t *rapid.T) netip.Addr {
		base := rapid.SampledFrom([][4]byte{{}, {10, 0, 255, 0}, {10, 1, 0, 0}, {255, 255, 255, 0}, {127, 255, 255, 0}, {128, 0, 0, 0}}).Draw(t, "base")
		base[3] += rapid.Byte().Draw(t, "low")
		return netip.AddrFrom4(base)
	})
	v6 := rapid.Custom(func(t *rapid.T) netip.Addr {
		var b [16]byte
		for i := range b {
			b[i] = rapid.SampledFrom([]byte{0, 0, 0, 255, 255, 1, 128}).Draw(t, "byte")
		}
		return netip.AddrFrom16(b)
	})
	near6 := rapid.Custom(func(t *rapid.T) netip.Addr {
		b := rapid.SampledFrom([]netip.Addr{netip.IPv6Unspecified(), netip.MustParseAddr("2001:db8::ffff:ffff:ffff:ff00"), netip.MustParseAddr("2001:db8:0:1::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00")}).Draw(t, "base").As16()
		b[15] += rapid.Byte().Draw(t, "low")
		return netip.AddrFrom16(b)
	})
	one := rapid.Custom(func(t *rapid.T) netipx.IPRange {
		of := rapid.SampledFrom([]*rapid.Generator[netip.Addr]{v4, v4, v6, near6}).Draw(t, "family")
		a, b := of.Draw(t, "first"), of.Draw(t, "last")
		if b.Less(a) {
			a, b = b, a
		}
		if rapid.Bool().Draw(t, "single") {
			b = a
		}
		return netipx.IPRangeFrom(a, b)
	})
	return rapid.SliceOfN(one, 0, limit).Draw(t, label)
}

// oracle returns the prefixes of one family that package netipx makes of the same ranges.
func oracle(t *rapid.T, include, exclude []netipx.IPRange, f ir.Family) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, r := range include {
		b.AddRange(r)
	}
	for _, r := range exclude {
		b.RemoveRange(r)
	}
	set, err := b.IPSet()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(set.Prefixes(), func(p netip.Prefix) bool { return p.Addr().Is4() != (f == ir.IPv4) })
}

func requirePrefixes(t *rapid.T, got ir.Prefixes, want []netip.Prefix) {
	if diff := cmp.Diff(want, slices.Collect(got.All()), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" && len(want)+got.Len() > 0 {
		t.Errorf("(-netipx +got):\n%s", diff)
	}
}

func TestMergedSetsEqualThoseOfNetipx(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// The second size is sorted by distribution.
		limit := rapid.SampledFrom([]int{8, 600}).Draw(t, "limit")
		include, exclude := drawRanges(t, "include", limit), drawRanges(t, "exclude", 8)
		before := rangesOf(include)
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			c := &compilation{}
			requirePrefixes(t, c.merge(before, rangesOf(exclude), f, at(1)), oracle(t, include, exclude, f))
		}
		if diff := cmp.Diff(rangesOf(include), before); diff != "" {
			t.Errorf("the ranges were changed:\n%s", diff)
		}
		sorted := rangesOf(include)
		sorted.Sort()
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			requirePrefixes(t, (&compilation{}).merge(sorted, rangesOf(nil), f, at(1)), oracle(t, include, nil, f))
		}
	})
}

// Without aggregation each prefix of an entry stays, unless a part of it is excluded.
func TestSetsThatAreNotMergedEqualThoseOfNetipx(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		include, exclude := drawRanges(t, "include", 8), drawRanges(t, "exclude", 4)
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			var want []netip.Prefix
			for _, r := range include {
				for _, p := range r.Prefixes() {
					want = append(want, oracle(t, []netipx.IPRange{netipx.RangeOfPrefix(p)}, exclude, f)...)
				}
			}
			slices.SortFunc(want, netip.Prefix.Compare)
			got := (&compilation{}).elements(&parser.Set{Type: parser.SetHashNet}, rangesOf(include), rangesOf(exclude), f)
			requirePrefixes(t, got, slices.Compact(want))
		}
	})
}
