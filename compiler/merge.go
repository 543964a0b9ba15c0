package compiler

import (
	"math/bits"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// Sets are computed on ranges of integers. The proof computes them again with other code, in
// package packet.

// merged returns the ranges of one family that cover exactly the addresses in include and not
// in exclude: sorted, disjoint and not touching. It does not change its arguments.
func merged(include, exclude addrlist.Ranges, f ir.Family) addrlist.Ranges {
	if f == ir.IPv4 {
		return addrlist.Ranges{V4: minus4(joined4(include.V4), joined4(exclude.V4))}
	}
	return addrlist.Ranges{V6: minus6(joined6(include.V6), joined6(exclude.V6))}
}

// joined4 returns the ranges sorted, those that overlap or touch as one; in itself if it is so.
func joined4(in []addrlist.Range4) []addrlist.Range4 {
	sorted := addrlist.Ranges{V4: in}
	if !slices.IsSortedFunc(in, less4) {
		sorted.V4 = slices.Clone(in)
		sorted.Sort()
	}
	if isJoined4(sorted.V4) {
		return sorted.V4
	}
	out := make([]addrlist.Range4, 0, len(in))
	for _, r := range sorted.V4 {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// isJoined4 reports whether no two of the sorted ranges overlap or touch: then they need no
// copy.
func isJoined4(sorted []addrlist.Range4) bool {
	for i := 1; i < len(sorted); i++ {
		if uint64(sorted[i].First) <= uint64(sorted[i-1].Last)+1 {
			return false
		}
	}
	return true
}

// isJoined6 is isJoined4 for IPv6.
func isJoined6(sorted []addrlist.Range6) bool {
	for i := 1; i < len(sorted); i++ {
		if after, ok := next6(sorted[i-1].Last); !ok || sorted[i].First.Compare(after) <= 0 {
			return false
		}
	}
	return true
}

func less4(a, b addrlist.Range4) int {
	switch {
	case a.First < b.First:
		return -1
	case a.First > b.First:
		return 1
	}
	return 0
}

// minus4 returns in without the addresses of holes; both are joined.
func minus4(in, holes []addrlist.Range4) []addrlist.Range4 {
	if len(holes) == 0 {
		return in
	}
	var out []addrlist.Range4
	for _, r := range in {
		for len(holes) > 0 && holes[0].Last < r.First {
			holes = holes[1:]
		}
		first, rest := uint64(r.First), uint64(r.Last)
		for _, h := range holes {
			if h.First > r.Last {
				break
			}
			if first < uint64(h.First) {
				out = append(out, addrlist.Range4{First: uint32(first), Last: h.First - 1})
			}
			first = uint64(h.Last) + 1
		}
		if first <= rest {
			out = append(out, addrlist.Range4{First: uint32(first), Last: r.Last})
		}
	}
	return out
}

// joined6 is joined4 for IPv6.
func joined6(in []addrlist.Range6) []addrlist.Range6 {
	sorted := addrlist.Ranges{V6: in}
	if !slices.IsSortedFunc(in, func(a, b addrlist.Range6) int { return a.First.Compare(b.First) }) {
		sorted.V6 = slices.Clone(in)
		sorted.Sort()
	}
	if isJoined6(sorted.V6) {
		return sorted.V6
	}
	out := make([]addrlist.Range6, 0, len(in))
	for _, r := range sorted.V6 {
		if n := len(out); n > 0 {
			if after, ok := next6(out[n-1].Last); !ok || r.First.Compare(after) <= 0 {
				if r.Last.Compare(out[n-1].Last) > 0 {
					out[n-1].Last = r.Last
				}
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// next6 returns the address after a; ok is false after the last one.
func next6(a addrlist.Number6) (_ addrlist.Number6, ok bool) {
	low, carry := bits.Add64(a.Low, 1, 0)
	high, carry := bits.Add64(a.High, 0, carry)
	return addrlist.Number6{High: high, Low: low}, carry == 0
}

// minus6 is minus4 for IPv6.
func minus6(in, holes []addrlist.Range6) []addrlist.Range6 {
	if len(holes) == 0 {
		return in
	}
	var out []addrlist.Range6
	for _, r := range in {
		for len(holes) > 0 && holes[0].Last.Compare(r.First) < 0 {
			holes = holes[1:]
		}
		first, left := r.First, true
		for _, h := range holes {
			if h.First.Compare(r.Last) > 0 {
				break
			}
			if first.Compare(h.First) < 0 {
				out = append(out, addrlist.Range6{First: first, Last: h.First.Prev()})
			}
			if first, left = next6(h.Last); !left {
				break
			}
		}
		if left && first.Compare(r.Last) <= 0 {
			out = append(out, addrlist.Range6{First: first, Last: r.Last})
		}
	}
	return out
}

// prefixesOf returns the fewest prefixes that cover exactly joined ranges, or ok false if there
// are more than limit. They share the memory of the ranges.
func prefixesOf(r addrlist.Ranges, limit int) (out ir.Prefixes, ok bool) {
	out = ir.PrefixesIn(r)
	if out.Len() > limit {
		return ir.Prefixes{}, false
	}
	return out, true
}

// prefixes4 appends the fewest prefixes that cover exactly a range.
func prefixes4(out []ir.Prefix4, r addrlist.Range4) []ir.Prefix4 {
	for first, length := range (addrlist.Ranges{V4: []addrlist.Range4{r}}).Networks().All4() {
		out = append(out, ir.Prefix4{Address: first, Bits: length})
	}
	return out
}

// prefixes6 is prefixes4 for IPv6.
func prefixes6(out []ir.Prefix6, r addrlist.Range6) []ir.Prefix6 {
	for first, length := range (addrlist.Ranges{V6: []addrlist.Range6{r}}).Networks().All6() {
		out = append(out, ir.Prefix6{High: first.High, Low: first.Low, Bits: length})
	}
	return out
}

// range6 returns the addresses of a prefix.
func range6(p ir.Prefix6) addrlist.Range6 {
	first := addrlist.Number6{High: p.High, Low: p.Low}
	return addrlist.Range6{First: first, Last: addrlist.Last6(first, p.Bits)}
}
