package iptables

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// ParseAddress reads one address of -s or -d as iptables does: with a prefix
// length or a netmask, host bits ignored, and for IPv4 also octal and short forms
// (010.0.0.1 is 8.0.0.1, 10.1 is 10.1.0.0: docs/contributing/netfilter.md,
// "Addresses"). ok is false for names, and for masks that are not a prefix.
func ParseAddress(family Family, s string) (_ netip.Prefix, ok bool) {
	addr, mask, hasMask := strings.Cut(s, "/")
	ip, ok := parseHost(family, addr)
	if !ok {
		return netip.Prefix{}, false
	}
	length := ip.BitLen()
	if hasMask {
		if length, ok = maskLength(family, mask); !ok || length > ip.BitLen() {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(ip, length).Masked(), true
}

func parseHost(family Family, s string) (netip.Addr, bool) {
	if family == IPv6 {
		ip, err := netip.ParseAddr(s)
		return ip, err == nil && ip.Is6() && ip.Zone() == ""
	}
	var b [4]byte
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	for i, part := range parts {
		n, err := parseC(part, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

// maskLength reads the text after the slash: a length or a netmask without holes.
func maskLength(family Family, s string) (int, bool) {
	if !strings.ContainsAny(s, ".:") {
		n, err := parseC(s, 8)
		return int(n), err == nil
	}
	ip, ok := parseHost(family, s)
	if !ok {
		return 0, false
	}
	ones := 0
	for _, b := range ip.AsSlice() {
		ones += bits.OnesCount8(b)
	}
	p, err := ip.Prefix(ones)
	if err != nil || p.Addr() != ip {
		return 0, false
	}
	return ones, true
}

// addresses normalizes the value of -s and -d, which may be a list.
func addresses(family Family, s string) string {
	parts := strings.Split(s, ",")
	for i, part := range parts {
		parts[i] = address(family, part)
	}
	return strings.Join(parts, ",")
}

func address(family Family, s string) string {
	if p, ok := ParseAddress(family, s); ok {
		return p.String()
	}
	addr, mask, _ := strings.Cut(s, "/")
	a, ok1 := parseHost(family, addr)
	m, ok2 := parseHost(family, mask)
	if family == IPv6 || !ok1 || !ok2 || !strings.Contains(mask, ".") {
		return s
	}
	// A mask with holes stays a mask.
	a4, m4 := a.As4(), m.As4()
	var masked [4]byte
	binary.BigEndian.PutUint32(masked[:], binary.BigEndian.Uint32(a4[:])&binary.BigEndian.Uint32(m4[:]))
	return netip.AddrFrom4(masked).String() + "/" + m.String()
}

// hostAddress normalizes an address that is printed without /32 or /128, such as
// those of conntrack. Host bits are kept: the kernel compares them too, so that a
// rule with host bits never matches.
func hostAddress(family Family, s string) string {
	addr, _, _ := strings.Cut(s, "/")
	ip, _ := parseHost(family, addr)
	p, ok := ParseAddress(family, s)
	switch {
	case !ok:
		return s
	case p.IsSingleIP():
		return ip.String()
	}
	return netip.PrefixFrom(ip, p.Bits()).String()
}

// addressRange normalizes a range of iprange, A-B; A alone is A-A.
func addressRange(family Family, s string) string {
	from, to, found := strings.Cut(s, "-")
	if !found {
		to = from
	}
	return hostAddress(family, from) + "-" + hostAddress(family, to)
}

// addressTypes normalizes a list of address types: the order is that of the kernel's
// constants.
func addressTypes(f Family, s string) string {
	return oneOf("UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
		"BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE")(f, s)
}

// oneOf normalizes a list of words that the kernel stores as bits: in capital
// letters, in a fixed order, each once.
func oneOf(order ...string) func(Family, string) string {
	return func(_ Family, s string) string {
		return inOrder(order, strings.Split(strings.ToUpper(s), ","), s)
	}
}

// inOrder returns the words in the given order, or s if one of them is unknown.
func inOrder(order, words []string, s string) string {
	var out []string
	for _, w := range words {
		if !slices.Contains(order, w) {
			return s
		}
	}
	for _, o := range order {
		if slices.Contains(words, o) {
			out = append(out, o)
		}
	}
	return strings.Join(out, ",")
}
