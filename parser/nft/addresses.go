package nft

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"iter"
	"net/netip"
	"slices"
)

// Addresses are the plain elements of a set of addresses: single addresses, networks and
// ranges, as numbers. A million of them take 8 MB in IPv4.
type Addresses struct {
	V4 []Range4
	V6 []Range6
}

// Range4 is a range of IPv4 addresses, both ends inclusive.
type Range4 struct{ First, Last uint32 }

// Range6 is a range of IPv6 addresses, both ends inclusive.
type Range6 struct{ First, Last Address6 }

// Address6 is an IPv6 address.
type Address6 struct{ High, Low uint64 }

// Len returns the number of elements.
func (a *Addresses) Len() int { return len(a.V4) + len(a.V6) }

// All returns the ends of each element, in the order of the list.
func (a *Addresses) All() iter.Seq2[netip.Addr, netip.Addr] {
	return func(yield func(first, last netip.Addr) bool) {
		for _, r := range a.V4 {
			if !yield(addr4(r.First), addr4(r.Last)) {
				return
			}
		}
		for _, r := range a.V6 {
			if !yield(r.First.addr(), r.Last.addr()) {
				return
			}
		}
	}
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func number4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func (a Address6) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.High)
	binary.BigEndian.PutUint64(b[8:], a.Low)
	return netip.AddrFrom16(b)
}

func number6(a netip.Addr) Address6 {
	b := a.As16()
	return Address6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// add adds the addresses from first to last, which are of one family.
func (a *Addresses) add(first, last netip.Addr) {
	if first.Is4() {
		a.V4 = append(a.V4, Range4{number4(first), number4(last)})
	} else {
		a.V6 = append(a.V6, Range6{number6(first), number6(last)})
	}
}

// addressBits returns the length of the addresses of a set's type, 0 for other types.
func addressBits(setType string) int {
	switch setType {
	case "ipv4_addr":
		return 32
	case "ipv6_addr":
		return 128
	}
	return 0
}

// readRange reads ADDRESS, ADDRESS/LENGTH or ADDRESS-ADDRESS of a family.
func readRange(text string, bits int) (first, last netip.Addr, ok bool) {
	for i := range len(text) {
		switch text[i] {
		case '/':
			length, ok := decimal(text[i+1:], uint64(bits))
			if first, ok2 := readAddress(text[:i], bits); ok && ok2 {
				first, last = networkEnds(first, int(length))
				return first, last, true
			}
			return first, last, false
		case '-':
			first, ok1 := readAddress(text[:i], bits)
			last, ok2 := readAddress(text[i+1:], bits)
			return first, last, ok1 && ok2 && first.Compare(last) <= 0
		}
	}
	first, ok = readAddress(text, bits)
	return first, first, ok
}

func readAddress(text string, bits int) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a, err == nil && a.BitLen() == bits && a.Zone() == ""
}

// networkEnds returns the first and last address of a network. The kernel ignores bits below
// the mask.
func networkEnds(a netip.Addr, length int) (first, last netip.Addr) {
	if a.Is4() {
		host := uint32(1<<(32-length) - 1)
		n := number4(a) &^ host
		return addr4(n), addr4(n | host)
	}
	var host Address6
	switch {
	case length <= 64:
		host = Address6{^uint64(0) >> length, ^uint64(0)}
	default:
		host = Address6{0, ^uint64(0) >> (length - 64)}
	}
	n := number6(a)
	n.High, n.Low = n.High&^host.High, n.Low&^host.Low
	return n.addr(), Address6{n.High | host.High, n.Low | host.Low}.addr()
}

// decimal reads a number without leading zeros, up to a maximum.
func decimal(text string, highest uint64) (n uint64, ok bool) {
	if text == "" || len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	for i := range len(text) {
		d := uint64(text[i] - '0')
		if d > 9 || n > (highest-min(d, highest))/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, n <= highest
}

// compact moves the plain elements of a set of addresses from Elem to Addresses.
func (s *Set) compact() {
	bits := addressBits(s.Type)
	if bits == 0 || s.Map {
		return
	}
	var others []any
	for _, e := range s.Elem {
		text := ""
		switch e := e.(type) {
		case string:
			text = e
		case map[string]any:
			text = rangeText(e)
		}
		if first, last, ok := readRange(text, bits); ok {
			s.Addresses.add(first, last)
			continue
		}
		others = append(others, e)
	}
	s.Elem = others
	s.Addresses.sort()
}

// sort orders the elements: nft lists those of a set without intervals in the order of a hash.
func (a *Addresses) sort() {
	slices.SortFunc(a.V4, Range4.before)
	slices.SortFunc(a.V6, Range6.before)
}

// rangeText returns a prefix or range as nft writes it; "" for another value.
func rangeText(v map[string]any) string {
	if p, ok := v["prefix"].(map[string]any); ok && len(v) == 1 {
		addr, _ := p["addr"].(string)
		length, _ := p["len"].(json.Number)
		return addr + "/" + length.String()
	}
	if r, ok := v["range"].([]any); ok && len(v) == 1 && len(r) == 2 {
		first, _ := r[0].(string)
		last, _ := r[1].(string)
		return first + "-" + last
	}
	return ""
}

// elementRange is Range4 or Range6.
type elementRange[R any] interface {
	comparable
	// before orders by the first address, then by the last.
	before(other R) int
	overlaps(other R) bool
	String() string
}

func (r Range4) before(other Range4) int {
	return cmp.Or(cmp.Compare(r.First, other.First), cmp.Compare(r.Last, other.Last))
}

func (r Range4) overlaps(other Range4) bool { return r.First <= other.Last && other.First <= r.Last }

// String returns FIRST-LAST, or the address if there is only one.
func (r Range4) String() string { return rangeString(addr4(r.First), addr4(r.Last)) }

func (a Address6) compare(b Address6) int {
	return cmp.Or(cmp.Compare(a.High, b.High), cmp.Compare(a.Low, b.Low))
}

func (r Range6) before(other Range6) int {
	return cmp.Or(r.First.compare(other.First), r.Last.compare(other.Last))
}

func (r Range6) overlaps(other Range6) bool {
	return r.First.compare(other.Last) <= 0 && other.First.compare(r.Last) <= 0
}

// String returns FIRST-LAST, or the address if there is only one.
func (r Range6) String() string { return rangeString(r.First.addr(), r.Last.addr()) }

func rangeString(first, last netip.Addr) string {
	if first == last {
		return first.String()
	}
	return first.String() + "-" + last.String()
}
