package addrlist

import (
	"iter"
	"math/bits"
)

// Networks yields the networks of a list of ranges one after the other: the fewest that have exactly
// the addresses of each range. Millions of them are never in memory together.
type Networks struct {
	ranges Ranges
	i4, i6 int // the ranges that are next
	// at4 and at6 are where the next network of that range begins, if it is inside the range.
	at4              uint32
	at6              Number6
	inside4, inside6 bool
}

// Networks returns the networks of the ranges.
func (r Ranges) Networks() Networks { return Networks{ranges: r} }

// Next4 returns the address and the length of the next network of IPv4; ok is false after the last.
// Those of IPv6 are taken independently.
func (n *Networks) Next4() (first uint32, length uint8, ok bool) {
	if n.i4 == len(n.ranges.V4) {
		return 0, 0, false
	}
	r := n.ranges.V4[n.i4]
	if r.First == r.Last {
		n.i4++
		return r.First, 32, true
	}
	if first = r.First; n.inside4 {
		first = n.at4
	}
	length = Length4(first, r.Last)
	last := Last4(first, length)
	if n.inside4 = last < r.Last; n.inside4 {
		n.at4 = last + 1
	} else {
		n.i4++
	}
	return first, length, true
}

// Next6 is Next4 for IPv6.
func (n *Networks) Next6() (first Number6, length uint8, ok bool) {
	if n.i6 == len(n.ranges.V6) {
		return Number6{}, 0, false
	}
	r := &n.ranges.V6[n.i6]
	if r.First == r.Last {
		n.i6++
		return r.First, 128, true
	}
	if first = r.First; n.inside6 {
		first = n.at6
	}
	length = Length6(first, r.Last)
	last := Last6(first, length)
	if n.inside6 = last != r.Last; n.inside6 {
		n.at6 = last.Next()
	} else {
		n.i6++
	}
	return first, length, true
}

// All4 yields the address and the length of each network of IPv4.
func (n Networks) All4() iter.Seq2[uint32, uint8] {
	return func(yield func(uint32, uint8) bool) {
		for rest := n; ; {
			first, length, ok := rest.Next4()
			if !ok || !yield(first, length) {
				return
			}
		}
	}
}

// All6 is All4 for IPv6.
func (n Networks) All6() iter.Seq2[Number6, uint8] {
	return func(yield func(Number6, uint8) bool) {
		for rest := n; ; {
			first, length, ok := rest.Next6()
			if !ok || !yield(first, length) {
				return
			}
		}
	}
}

// Length4 returns the length of the largest network that begins at first and does not exceed last.
func Length4(first, last uint32) uint8 {
	if first == last {
		return 32
	}
	size := min(bits.TrailingZeros64(uint64(first)|1<<32), bits.Len64(uint64(last)-uint64(first)+1)-1)
	return uint8(32 - size)
}

// Length6 is Length4 for IPv6.
func Length6(first, last Number6) uint8 {
	if first == last {
		return 128
	}
	return uint8(128 - min(trailingZeros6(first), log6(first, last)))
}

// Last4 returns the last address of a network.
func Last4(first uint32, length uint8) uint32 { return first | uint32(1<<(32-length)-1) }

// Last6 is Last4 for IPv6.
func Last6(first Number6, length uint8) Number6 {
	if length <= 64 {
		return Number6{first.High | ones(64-length), ^uint64(0)}
	}
	return Number6{first.High, first.Low | ones(128-length)}
}

// ones returns a number whose lowest n bits are 1.
func ones(n uint8) uint64 { return 1<<n - 1 }

// trailingZeros6 returns how many of the lowest bits are 0.
func trailingZeros6(a Number6) int {
	if a.Low != 0 {
		return bits.TrailingZeros64(a.Low)
	}
	return 64 + bits.TrailingZeros64(a.High)
}

// log6 returns the binary logarithm, rounded down, of the number of addresses from first to
// last.
func log6(first, last Number6) int {
	low, borrow := bits.Sub64(last.Low, first.Low, 0)
	high, _ := bits.Sub64(last.High, first.High, borrow)
	size := Number6{high, low}.Next()
	switch {
	case size == Number6{}:
		return 128
	case size.High != 0:
		return 64 + bits.Len64(size.High) - 1
	}
	return bits.Len64(size.Low) - 1
}
