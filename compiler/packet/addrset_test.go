package packet

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/addrlist"
)

func TestAddressSetsEqualThoseOfNetipx(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		base := rapid.SampledFrom([]string{"0.0.0.0", "10.0.255.0", "10.1.0.0", "255.255.255.0", "::", "2001:db8::ffff:ffff:ffff:ff00", "2001:db8:0:1::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"}).Draw(t, "base")
		b := netip.MustParseAddr(base).AsSlice()
		b[len(b)-1] += rapid.Byte().Draw(t, "low")
		a, _ := netip.AddrFromSlice(b)
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		var b AddrSetBuilder
		var oracle netipx.IPSetBuilder
		var added, like addrlist.Ranges
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			first, last := address.Draw(t, "first"), address.Draw(t, "last")
			switch {
			case first.BitLen() != last.BitLen():
				p := netip.PrefixFrom(first, rapid.IntRange(0, first.BitLen()).Draw(t, "bits"))
				b.AddPrefix(p)
				oracle.AddPrefix(p.Masked())
				added.Add(netipx.RangeOfPrefix(p.Masked()))
				continue
			case last.Less(first):
				first, last = last, first
			}
			b.AddRange(first, last)
			oracle.AddRange(netipx.IPRangeFrom(first, last))
			added.Add(netipx.IPRangeFrom(first, last))
		}
		got := b.Set("")
		want, err := oracle.IPSet()
		if err != nil {
			t.Fatal(err)
		}
		equal := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if diff := cmp.Diff(want.Prefixes(), got.Prefixes(0), equal); diff != "" && len(want.Prefixes())+len(got.Prefixes(0)) > 0 {
			t.Errorf("(-netipx +got):\n%s", diff)
		}
		// The same from ranges, sorted or not, and with others that are expected.
		for _, r := range want.Ranges() {
			like.Add(r)
		}
		almost := addrlist.Ranges{V6: slices.Clone(like.V6)}
		if n := len(almost.V6); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(t, "i")
			switch rapid.IntRange(0, 3).Draw(t, "fault") {
			case 0:
				almost.V6[i].Last = almost.V6[i].First
			case 1:
				almost.V6 = slices.Delete(almost.V6, i, i+1)
			case 2:
				almost.V6 = slices.Insert(almost.V6, i, addrlist.Range6{})
			default:
				almost.V6[i].First = addrlist.Number6{}
			}
		}
		before := slices.Clone(almost.V6)
		sorted := addrlist.Ranges{V4: slices.Clone(added.V4), V6: slices.Clone(added.V6)}
		sorted.Sort()
		for _, expected := range []addrlist.Ranges{{}, like, almost} {
			for _, ranges := range []addrlist.Ranges{added, sorted, like} {
				if set := NewRangeSet("", ranges, expected); !set.Equal(got) {
					t.Errorf("ranges %v, expected %v: %v", ranges, expected, set.Prefixes(0))
				}
			}
		}
		if !slices.Equal(before, almost.V6) {
			t.Errorf("ranges that were expected are changed to %v", almost.V6)
		}
		if shared := NewRangeSet("", sorted, like); len(like.V6) > 0 && &shared.v6[0] != &like.V6[0] && !areJoined6(sorted.V6) {
			t.Error("a set with the addresses that were expected has memory of its own")
		}
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			of := slices.DeleteFunc(want.Prefixes(), func(p netip.Prefix) bool { return p.Addr().Is4() != (f == ir.IPv4) })
			if !got.OfFamily(f).Equal(NewAddrSet("", of)) {
				t.Errorf("the addresses of %s are %v, not %v", f, got.OfFamily(f).Prefixes(0), of)
			}
		}
	})
}

func TestPrefixesAreCountedAsTheyAreListed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := AddrSetBuilder{}
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			lo, hi := genAddr(t, false), genAddr(t, false)
			if rapid.Bool().Draw(t, "v6") {
				lo, hi = genAddr(t, true), genAddr(t, true)
			}
			if hi.Less(lo) {
				lo, hi = hi, lo
			}
			b.AddRange(lo, hi)
		}
		set := b.Set("")
		if got, want := set.prefixCount(), len(set.Prefixes(0)); got != want {
			t.Fatalf("%d prefixes, want %d: %v", got, want, set.Prefixes(0))
		}
	})
}

func TestSetsAreInOthersAndOverlapThemAsTheirDifferencesSay(t *testing.T) {
	ranges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netipx.IPRange {
		base := rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("255.255.255.192"), netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::"), netip.MustParseAddr("2001:db8::ffff:ffff:ffff:ffe0")}).Draw(t, "base")
		at := func(n int) netip.Addr {
			b := base.AsSlice()
			b[len(b)-1] += byte(n)
			a, _ := netip.AddrFromSlice(b)
			return a
		}
		first := rapid.IntRange(0, 31).Draw(t, "first")
		return netipx.IPRangeFrom(at(first), at(rapid.IntRange(first, 31).Draw(t, "last")))
	}), 0, 6)
	in, overlap := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var sets [2]*AddrSet
		for i := range sets {
			var b AddrSetBuilder
			for _, r := range ranges.Draw(t, "ranges") {
				b.AddRange(r.From(), r.To())
			}
			sets[i] = b.Set("")
		}
		a, b := sets[0], sets[1]
		if got, want := a.In(b), a.Minus(b).IsEmpty(); got != want {
			t.Errorf("%v in %v: %t", a.Prefixes(0), b.Prefixes(0), got)
		} else if got {
			in++
		}
		if got, want := a.Overlaps(b), !a.Minus(b).Equal(a); got != want {
			t.Errorf("%v overlaps %v: %t", a.Prefixes(0), b.Prefixes(0), got)
		} else if got {
			overlap++
		}
	})
	if in == 0 || overlap == 0 {
		t.Errorf("%d sets are in others, %d overlap", in, overlap)
	}
}
