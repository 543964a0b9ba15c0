package packet

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// The values of an example packet that nothing else determines. Witnesses and package
// question share them, so that all commands show the same packet.
const (
	// UsualExternal and UsualBridge are the interface to the outside and that of
	// containers.
	UsualExternal = "eth0"
	UsualBridge   = "docker0"
	// UsualSourcePort is a port that clients send from: an ephemeral one.
	UsualSourcePort = 40000
	usualPort       = 80
)

// UsualContainer returns the address of a container.
func UsualContainer(f ir.Family) netip.Addr {
	return containers.usual(index(f))
}

// EchoRequest returns the ICMP type of a ping (RFC 792, RFC 4443).
func EchoRequest(f ir.Family) uint8 { return [...]uint8{8, 128}[index(f)] }

// UnspecifiedHost returns an address in place of any address of the host that no rule
// lists.
func UnspecifiedHost(f ir.Family) netip.Addr {
	return [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[index(f)]
}

// interval returns the first and the last address of a range of numbers: see addressField.
func (s *Space) interval(family int, lo, hi uint32) (first, last u128) {
	if family == 0 {
		return u128{Low: uint64(lo)}, u128{Low: uint64(hi)}
	}
	last = top6
	if int(hi)+1 < s.bounds6.len() {
		last = s.bounds6.at(int(hi) + 1).Prev()
	}
	return s.bounds6.at(int(lo)), last
}

// candidate is the best example of a class. Among classes the lowest rank wins, then the
// smallest class.
type candidate struct {
	rank  int
	value value
	size  float64
}

// bestOf returns the best example among some numbers: see field.
type bestOf func(s *Space, family int, lo, hi uint32, named bool) candidate

func among(lo, hi uint32, rank int, n uint32) candidate {
	return candidate{rank, value{number: n}, float64(hi-lo) + 1}
}

func lowest(_ *Space, _ int, lo, hi uint32, _ bool) candidate {
	return among(lo, hi, int(lo), lo)
}

// highestNumber prefers the class with the higher number.
func highestNumber(_ *Space, _ int, lo, hi uint32, _ bool) candidate {
	return among(lo, hi, 1-int(lo), lo)
}

// bestProtocol prefers TCP, then the others whose packets have fields of their own.
func bestProtocol(_ *Space, _ int, lo, hi uint32, _ bool) candidate {
	for i, n := range []uint32{ProtoTCP, ProtoUDP, ProtoICMP, ProtoICMPv6, ProtoSCTP} {
		if lo <= n && n <= hi {
			return among(lo, hi, i, n)
		}
	}
	return among(lo, hi, 100+int(lo), notZero(lo, hi)) // iptables takes -p 0 for any protocol
}

// bestPort prefers the smallest port that a rule lists.
func bestPort(_ *Space, _ int, lo, hi uint32, named bool) candidate {
	if named {
		return among(lo, hi, int(lo), notZero(lo, hi))
	}
	return among(lo, hi, 1<<16+int(lo), notZero(lo, hi))
}

// bestSourcePort prefers a port that clients send from, if no rule lists it.
func bestSourcePort(_ *Space, _ int, lo, hi uint32, named bool) candidate {
	if !named && lo <= UsualSourcePort && UsualSourcePort <= hi {
		return among(lo, hi, 0, UsualSourcePort)
	}
	return among(lo, hi, 1+int(lo), notZero(lo, hi))
}

func notZero(lo, hi uint32) uint32 { return max(lo, min(hi, 1)) }

// numbers parses addresses.
func numbers(texts ...string) []u128 {
	var out []u128
	for _, t := range texts {
		out = append(out, number128(netip.MustParseAddr(t)))
	}
	return out
}

// examples are addresses by family, the best first.
type examples [2][]u128

// Examples of each end: addresses for documentation (RFC 5737, RFC 3849), and containers at
// addresses as Docker assigns them.
var (
	sources    = examples{numbers("198.51.100.1", "203.0.113.1", "192.0.2.1"), numbers("2001:db8::1", "2001:db8:1::1", "2001:db8:ffff::1")}
	containers = examples{numbers("172.17.0.2", "192.0.2.2", "203.0.113.2"), numbers("fd00::2", "2001:db8::2", "2001:db8:ffff::2")}
	hosts      = examples{numbers("192.0.2.1", "203.0.113.1", "198.51.100.1"), numbers("2001:db8:ffff::1", "2001:db8:1::1", "2001:db8::1")}
)

func (e *examples) usual(family int) netip.Addr { return address(family, e[family][0]) }

// beyondUnusual are addresses after ranges of unusual ones.
var beyondUnusual = [2][]u128{numbers("1.0.0.1", "128.0.0.1", "170.0.0.1"), numbers("2001:db9::1", "fec0::1")}

func number128(a netip.Addr) u128 {
	if a.Is4() {
		return u128{Low: uint64(number4(a))}
	}
	return number6(a)
}

func address(family int, n u128) netip.Addr {
	if family == 0 {
		return addr4(uint32(n.Low))
	}
	return n.Addr()
}

var (
	documentation = [2][]span6{
		{{First: u128{Low: 0xc0000200}, Last: u128{Low: 0xc00002ff}}, {First: u128{Low: 0xc6336400}, Last: u128{Low: 0xc63364ff}}, {First: u128{Low: 0xcb007100}, Last: u128{Low: 0xcb0071ff}}},
		{{First: u128{High: 0x20010db8 << 32}, Last: u128{High: 0x20010db8<<32 | 0xffffffff, Low: ^uint64(0)}}},
	}
	// Addresses that no forwarded packet has are used only if there are no others.
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

// best returns the best example between two addresses, both inclusive; a lower rank is
// better.
func (e *examples) best(family int, first, last u128) (rank int, _ netip.Addr) {
	for i, n := range e[family] {
		if first.Compare(n) <= 0 && n.Compare(last) <= 0 {
			return i, address(family, n)
		}
	}
	for _, doc := range documentation[family] {
		n := doc.First
		if n.Compare(first) < 0 {
			n = first
		}
		if n.Compare(last) <= 0 && n.Compare(doc.Last) <= 0 {
			return 10, host(family, n, last)
		}
	}
	if a := host(family, first, last); !unusual[family].Contains(a) {
		return 20, a
	}
	// After the unusual addresses that the interval begins with, if it is that long.
	for _, n := range beyondUnusual[family] {
		if first.Compare(n) <= 0 && n.Compare(last) <= 0 {
			return 20, address(family, n)
		}
	}
	return 30, address(family, first)
}

// host avoids what looks like the address of a network, if there is another.
func host(family int, n, last u128) netip.Addr {
	if n.Low&0xff == 0 && n.Compare(last) < 0 {
		n = n.Next()
	}
	return address(family, n)
}
