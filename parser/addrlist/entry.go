package addrlist

import (
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// ParseEntry parses one address, CIDR or range "a-b", strictly: text that other programs
// read differently is refused. Blanks are allowed only around the - of a range.
func ParseEntry(text string) (netipx.IPRange, *Problem) {
	// A - right after a slash is a negative length, not a range.
	if i := strings.IndexByte(text, '-'); i == 0 || i > 0 && text[i-1] != '/' {
		return parseRange(text, i)
	}
	if i := strings.IndexByte(text, '/'); i >= 0 {
		return parsePrefix(text, i)
	}
	addr, p := parseAddr(text, 0)
	if p != nil {
		return netipx.IPRange{}, p
	}
	return netipx.IPRangeFrom(addr, addr), nil
}

func parseAddr(text string, off int) (netip.Addr, *Problem) {
	addr, err := netip.ParseAddr(text)
	if err == nil && (addr.Is4() || addr.Zone() == "" && !addr.Is4In6()) {
		return addr, nil
	}
	if text == "" {
		return netip.Addr{}, &Problem{
			diag.CodeAddressSyntax, "missing address",
			"Write an address, a network such as 192.0.2.0/24, or a range such as 192.0.2.1-192.0.2.9.", off, 0,
		}
	}
	return netip.Addr{}, explainAddr(text, off)
}

func parsePrefix(text string, slash int) (netipx.IPRange, *Problem) {
	addr, p := parseAddr(text[:slash], 0)
	if p != nil {
		if p.Length == 0 {
			p.Length = 1 // the slash: there is nothing before it
		}
		// The length of a mapped network counts the 96 bits of the mapping.
		if pfx, err := netip.ParsePrefix(text); err == nil && pfx.Addr().Is4In6() && pfx.Bits() >= 96 {
			v4 := netip.PrefixFrom(pfx.Addr().Unmap(), pfx.Bits()-96).Masked()
			p = mapped(text, 0, v4.String())
		}
		return netipx.IPRange{}, p
	}
	bits, ok := parseBits(text[slash+1:], addr.BitLen())
	if !ok {
		return netipx.IPRange{}, explainBits(addr, text[slash+1:], slash+1)
	}
	pfx := netip.PrefixFrom(addr, bits)
	if masked := pfx.Masked(); masked.Addr() != addr {
		return netipx.IPRange{}, &Problem{
			diag.CodeHostBits, "host bits set below the mask",
			fmt.Sprintf("Write %s for the network, or %s for the single address.", masked, addr), 0, len(text),
		}
	}
	return netipx.RangeOfPrefix(pfx), nil
}

// parseBits is strconv.Atoi without signs and leading zeros.
func parseBits[T string | []byte](s T, limit int) (int, bool) {
	if len(s) == 0 || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, n <= limit
}

func parseRange(text string, dash int) (netipx.IPRange, *Problem) {
	fail := func(p *Problem) (netipx.IPRange, *Problem) { return netipx.IPRange{}, p }

	left := strings.TrimRight(text[:dash], " \t")
	right := strings.TrimLeft(text[dash+1:], " \t")
	rightOff := len(text) - len(right)
	from, p := parseAddr(left, 0)
	if p != nil {
		// Host names have dashes too.
		if name, _, _ := strings.Cut(text, "/"); isName(name) {
			return fail(notResolved(name, 0))
		}
	}
	for _, end := range []struct {
		text string
		off  int
	}{{left, 0}, {right, rightOff}} {
		if end.text == "" {
			return fail(&Problem{
				diag.CodeAddressSyntax, "range with one end",
				"Write an address on both sides of the -, as in 192.0.2.1-192.0.2.9.", dash, 1,
			})
		}
		if strings.Contains(end.text, "/") {
			return fail(&Problem{
				diag.CodeAddressSyntax, "prefix as the end of a range",
				"Write single addresses on both sides of the -, or the networks as separate entries.", end.off, len(end.text),
			})
		}
	}
	if p != nil {
		return fail(p)
	}
	to, p := parseAddr(right, rightOff)
	switch {
	case p != nil:
		return fail(p)
	case from.BitLen() != to.BitLen():
		return fail(&Problem{
			diag.CodeMixedRange, "range from one address family to another",
			fmt.Sprintf("Write two addresses of one family; %s is %s and %s is %s.", from, family(from), to, family(to)), 0, len(text),
		})
	case to.Less(from):
		return fail(&Problem{
			diag.CodeReversedRange, "reversed range",
			fmt.Sprintf("Write the lower address first: %s-%s.", to, from), 0, len(text),
		})
	}
	return netipx.IPRangeFrom(from, to), nil
}
