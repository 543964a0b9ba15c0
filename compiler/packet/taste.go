package packet

import "net/netip"

// interval returns an address interval's ends as numbers.
func (s *Space) interval(family int, lo, hi uint32) (first, last u128) {
	if family == 0 {
		return u128{0, uint64(lo)}, u128{0, uint64(hi)}
	}
	last = u128{^uint64(0), ^uint64(0)}
	if int(hi)+1 < len(s.bounds6) {
		last = s.bounds6[hi+1].prev()
	}
	return s.bounds6[lo], last
}

// numberRank ranks numbers that are no addresses.
func numberRank(f fieldID, lo, hi uint32, named bool) (rank int, value uint32) {
	switch f {
	case fProtocol:
		for i, n := range []uint32{ProtoTCP, ProtoUDP, ProtoICMP, ProtoICMPv6, ProtoSCTP} {
			if lo <= n && n <= hi {
				return i, n
			}
		}
		return 100 + int(lo), max(lo, min(hi, 1)) // 0 is -p's word for any
	case fSourcePort:
		if !named && lo <= UsualSourcePort && UsualSourcePort <= hi {
			return 0, UsualSourcePort
		}
		return 1 + int(lo), max(lo, min(hi, 1))
	case fDestPort, fOrigPort:
		if named {
			return int(lo), max(lo, min(hi, 1))
		}
		return 1<<16 + int(lo), max(lo, min(hi, 1))
	case fDNAT:
		return 1 - int(lo), lo // shown only where it matters, and then the published way is the usual one
	}
	if f >= fOpaque {
		return 1 - int(lo), lo
	}
	return int(lo), lo
}

// numbers reads addresses.
func numbers(texts ...string) []u128 {
	var out []u128
	for _, t := range texts {
		out = append(out, number(netip.MustParseAddr(t)))
	}
	return out
}

// preferredNumbers are addresses by end and family: those for documentation, and
// for destinations one as Docker gives its containers.
var preferredNumbers = [3][2][]u128{
	{numbers("198.51.100.1", "203.0.113.1", "192.0.2.1"), numbers("2001:db8::1", "2001:db8:1::1", "2001:db8:ffff::1")},
	{numbers("172.17.0.2", "192.0.2.2", "203.0.113.2"), numbers("fd00::2", "2001:db8::2", "2001:db8:ffff::2")},
	{numbers("192.0.2.1", "203.0.113.1", "198.51.100.1"), numbers("2001:db8:ffff::1", "2001:db8:1::1", "2001:db8::1")},
}

// beyondUnusual are addresses that come after unusual ones.
var beyondUnusual = [2][]u128{numbers("1.0.0.1", "128.0.0.1", "170.0.0.1"), numbers("2001:db9::1", "fec0::1")}

func number(a netip.Addr) u128 {
	if a.Is4() {
		return u128{0, uint64(number4(a))}
	}
	return number6(a)
}

func address(family int, n u128) netip.Addr {
	if family == 0 {
		return addr4(uint32(n.lo))
	}
	return n.addr()
}

var (
	documentation = [2][]span6{
		{{u128{0, 0xc0000200}, u128{0, 0xc00002ff}}, {u128{0, 0xc6336400}, u128{0, 0xc63364ff}}, {u128{0, 0xcb007100}, u128{0, 0xcb0071ff}}},
		{{u128{0x20010db8 << 32, 0}, u128{0x20010db8<<32 | 0xffffffff, ^uint64(0)}}},
	}
	// Addresses that no forwarded packet has are the last resort of an example.
	unusual = [2]*AddrSet{
		NewAddrSet("", []netip.Prefix{
			netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
			netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/3"),
		}),
		NewAddrSet("", []netip.Prefix{
			netip.MustParsePrefix("::/8"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
		}),
	}
)

// addressRank returns the nicest address between two, both inclusive.
func addressRank(f fieldID, family int, first, last u128) (int, netip.Addr) {
	for i, n := range preferredNumbers[f-fSource][family] {
		if first.compare(n) <= 0 && n.compare(last) <= 0 {
			return i, address(family, n)
		}
	}
	for _, doc := range documentation[family] {
		n := doc.lo
		if n.compare(first) < 0 {
			n = first
		}
		if n.compare(last) <= 0 && n.compare(doc.hi) <= 0 {
			return 10, host(family, n, last)
		}
	}
	if a := host(family, first, last); !unusual[family].Contains(a) {
		return 20, a
	}
	// Past the unusual addresses that the interval begins with, if it goes that far.
	for _, n := range beyondUnusual[family] {
		if first.compare(n) <= 0 && n.compare(last) <= 0 {
			return 20, address(family, n)
		}
	}
	return 30, address(family, first)
}

// host avoids what looks like a network's own address, if there is another.
func host(family int, n, last u128) netip.Addr {
	if n.lo&0xff == 0 && n.compare(last) < 0 {
		n = n.next()
	}
	return address(family, n)
}
