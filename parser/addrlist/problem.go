package addrlist

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Problem is what is wrong with an entry, and what to write. Offset and
// Length locate it, in bytes, inside its text; Length is 0 only if that is empty.
type Problem struct {
	Code            diag.Code
	Summary, Detail string
	Offset, Length  int
}

// explainAddr returns why text, at offset off, is not a valid address. It is called after
// parsing failed.
func explainAddr(text string, off int) *Problem {
	at := func(start, length int, summary, detail string, args ...any) *Problem {
		return &Problem{diag.CodeAddressSyntax, summary, fmt.Sprintf(detail, args...), off + start, length}
	}
	whole := func(summary, detail string, args ...any) *Problem {
		return at(0, len(text), summary, detail, args...)
	}

	if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
		n := len(text[i:]) - len(strings.TrimLeft(text[i:], " \t\r\n"))
		return at(i, n, "blank in an address",
			"Remove the blank; blanks are allowed only around the - of a range, and an entry is one address, network or range.")
	}
	if host, zone, ok := strings.Cut(text, "%"); ok {
		if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
			return at(len(host), len(zone)+1, "address with a zone",
				"Write %s without the zone; packet filters match addresses, and an interface is a separate condition.", host)
		}
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Is4In6() {
		return mapped(text, off, a.Unmap().String())
	}
	if parts, ok := decimalParts(text); ok {
		return explainDecimal(text, parts, at)
	}
	if strings.HasPrefix(text, "[") {
		return whole("address in brackets", "Write the address without brackets and without a port.")
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		if a, err := netip.ParseAddr(text[:i]); err == nil && a.Is4() {
			return at(i, len(text)-i, "port after an address", "Write %s; an entry is an address without a port.", a)
		}
		return whole("invalid IPv6 address",
			"%s is not an IPv6 address; write one such as 2001:db8::1, with at most one ::.", quote(text))
	}
	if isName(text) {
		return notResolved(text, off)
	}
	return whole("invalid address",
		"%s is not an IP address; write an address such as 192.0.2.1 or 2001:db8::1, a network such as 192.0.2.0/24, or a range such as 192.0.2.1-192.0.2.9.", quote(text))
}

// explainDecimal is explainAddr for decimal numbers and dots, which were meant as an IPv4
// address.
func explainDecimal(text string, parts []string, at func(start, length int, summary, detail string, args ...any) *Problem) *Problem {
	if len(parts) > 4 {
		return at(0, len(text), "too many numbers in an IPv4 address", "Write four numbers, as in 192.0.2.1.")
	}
	if len(parts) < 4 {
		detail := "Write all four numbers of the IPv4 address, as in 192.0.2.1; programs differ in how they complete it."
		pad := strings.Repeat(".0", 4-len(parts))
		last := len(parts) - 1
		padded, err1 := netip.ParseAddr(text + pad)
		stretched, err2 := netip.ParseAddr(strings.Join(parts[:last], ".") + pad + "." + parts[last])
		if last > 0 && err1 == nil && err2 == nil && padded != stretched {
			detail = fmt.Sprintf("Write all four numbers of the IPv4 address: iptables reads %s as %s, ipset as %s.", text, padded, stretched)
		}
		return at(0, len(text), "short form of an IPv4 address", "%s", detail)
	}
	plain := make([]string, len(parts))
	for i, part := range parts {
		if plain[i] = strings.TrimLeft(part, "0"); plain[i] == "" {
			plain[i] = "0"
		}
	}
	start := 0
	for _, part := range parts {
		if len(part) > 1 && part[0] == '0' {
			detail := "iptables reads numbers with a leading zero as octal"
			if v, err := strconv.ParseUint(part, 8, 8); err == nil {
				detail += fmt.Sprintf(": %s is %d", part, v)
			}
			if a, err := netip.ParseAddr(strings.Join(plain, ".")); err == nil {
				detail += fmt.Sprintf(". Write %s if the numbers are decimal", a)
			}
			return at(start, len(part), "leading zero in an IPv4 address", "%s.", detail)
		}
		start += len(part) + 1
	}
	start = 0
	for _, part := range parts {
		if v, err := strconv.ParseUint(part, 10, 8); err != nil || v > 255 {
			return at(start, len(part), "number out of range in an IPv4 address", "Write a number from 0 to 255.")
		}
		start += len(part) + 1
	}
	return at(0, len(text), "invalid IPv4 address", "%s is not an IPv4 address; write one such as 192.0.2.1.", quote(text))
}

func mapped(text string, off int, write string) *Problem {
	return &Problem{
		diag.CodeAddressSyntax, "IPv4-mapped IPv6 address",
		fmt.Sprintf("Write %s: IPv4 packets never contain the mapped form.", write),
		off, len(text),
	}
}

func notResolved(text string, off int) *Problem {
	return &Problem{
		diag.CodeAddressSyntax, "not an address",
		fmt.Sprintf("%s is not an IP address. If it is a host name: dockerfw never resolves names; write its addresses.", quote(text)),
		off, len(text),
	}
}

// explainBits returns why bits, at offset off, after an address, is not a prefix length.
func explainBits(addr netip.Addr, bits string, off int) *Problem {
	p := &Problem{diag.CodePrefixLength, "invalid prefix length", "", off, len(bits)}
	digits := bits != "" && strings.Trim(bits, "0123456789") == ""
	switch {
	case bits == "":
		// There is nothing to underline after the slash.
		p.Summary, p.Offset, p.Length = "missing prefix length", off-1, 1
		p.Detail = fmt.Sprintf("Write a length from 0 to %d after the /, or leave out the / for the single address.", addr.BitLen())
	case digits && len(bits) > 1 && bits[0] == '0':
		p.Summary = "leading zero in a prefix length"
		plain := strings.TrimLeft(bits[:len(bits)-1], "0") + bits[len(bits)-1:]
		p.Detail = "Write the length without leading zeros."
		if v, err := strconv.Atoi(plain); err == nil && v <= addr.BitLen() {
			p.Detail = fmt.Sprintf("Write /%s.", plain)
		}
	case digits:
		p.Summary = "prefix length out of range"
		p.Detail = fmt.Sprintf("Write a length from 0 to %d for an %s address.", addr.BitLen(), family(addr))
	default:
		p.Detail = fmt.Sprintf("Write a length from 0 to %d after the /, such as /%d.", addr.BitLen(), addr.BitLen()-8)
		if mask, err := netip.ParseAddr(bits); err == nil && mask.Is4() && addr.Is4() {
			p.Summary = "netmask instead of a prefix length"
			p.Detail = explainMask(mask)
		}
	}
	return p
}

func explainMask(mask netip.Addr) string {
	b := mask.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if n, ok := maskLen(v); ok {
		return fmt.Sprintf("Write /%d instead of /%s.", n, mask)
	}
	if n, ok := maskLen(^v); ok {
		return fmt.Sprintf("%s is a wildcard mask; write /%d.", mask, n)
	}
	return fmt.Sprintf("The bits of %s are not contiguous, so it is not a prefix; write each network as an entry.", mask)
}

func maskLen(v uint32) (int, bool) {
	n := 0
	for v&(1<<31) != 0 {
		v <<= 1
		n++
	}
	return n, v == 0
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// decimalParts splits text at dots if there are only decimal numbers between them.
func decimalParts(text string) ([]string, bool) {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return nil, false
		}
	}
	return parts, true
}

// isName reports whether text could be a host name. Hexadecimal numbers are not: they are
// addresses to inet_aton(3).
func isName(text string) bool {
	if text == "" || strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X") {
		return false
	}
	letter := false
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letter = true
		case '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return letter
}

// quote quotes text for a message, truncated if it is long.
func quote(text string) string {
	const limit = 60
	if len(text) <= limit {
		return strconv.Quote(text)
	}
	n := limit
	for n > limit-utf8.UTFMax && !utf8.RuneStart(text[n]) {
		n--
	}
	return strconv.Quote(text[:n] + "…")
}
