package addrlist

import "slices"

// Sort sorts the ranges of each family by their first addresses, in place.
//
// It distributes by 11 bits at a time, the highest first: for a million ranges that takes a
// tenth of the time of a sort by comparisons.
func (r *Ranges) Sort() {
	less4 := func(a, b Range4) int { return compare(uint64(a.First), uint64(b.First)) }
	if !slices.IsSortedFunc(r.V4, less4) {
		distribute(r.V4, 32-digit, less4, func(x *Range4, shift int) uint64 {
			if shift < 0 {
				return uint64(x.First) << -shift
			}
			return uint64(x.First) >> shift
		})
	}
	less6 := func(a, b Range6) int { return a.First.Compare(b.First) }
	if !slices.IsSortedFunc(r.V6, less6) {
		distribute(r.V6, 128-digit, less6, func(x *Range6, shift int) uint64 {
			switch {
			case shift >= 64:
				return x.First.High >> (shift - 64)
			case shift > 64-digit:
				return x.First.High<<(64-shift) | x.First.Low>>shift
			case shift < 0:
				return x.First.Low << -shift
			}
			return x.First.Low >> shift
		})
	}
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// digit is the number of bits of a digit.
const digit = 11

// distribute sorts by a number whose highest bits are the same in all elements. bits returns the
// bits of the number from shift on upwards, of which the lowest are the next digit; below the
// lowest bit of the number are zeros.
func distribute[T any](in []T, shift int, compare func(a, b T) int, bits func(x *T, shift int) uint64) {
	if len(in) < 64 {
		slices.SortFunc(in, compare)
		return
	}
	const mask = 1<<digit - 1
	var ends [1 << digit]int
	for ; ; shift -= digit {
		if shift <= -digit {
			return // all are equal
		}
		clear(ends[:])
		for i := range in {
			ends[bits(&in[i], shift)&mask]++
		}
		if ends[bits(&in[0], shift)&mask] < len(in) {
			break
		}
	}
	var next [1 << digit]int
	at := 0
	for d, n := range &ends {
		next[d] = at
		at += n
		ends[d] = at
	}
	for d := range len(ends) {
		for next[d] < ends[d] {
			// What is here goes to its place, and what was there comes here, until one belongs here.
			here := next[d]
			for to := bits(&in[here], shift) & mask; to != uint64(d); to = bits(&in[here], shift) & mask {
				in[here], in[next[to]] = in[next[to]], in[here]
				next[to]++
			}
			next[d]++
		}
	}
	begin := 0
	for _, end := range &ends {
		if end-begin > 1 {
			distribute(in[begin:end], shift-digit, compare, bits)
		}
		begin = end
	}
}
