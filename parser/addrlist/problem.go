package addrlist

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Problem says what is wrong with an entry and what would be right. Offset and
// Length locate it, in bytes, inside the text given; Length is 0 only where
// that text is empty.
type Problem struct {
	Code            diag.Code
	Summary, Detail string
	Offset, Length  int
}

// explainAddr says why text, which stands at offset off, is no address we
// take. It is called only once parsing has failed.
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
			"Remove the blank; blanks may stand only around the - of a range, and each entry stands by itself.")
	}
	if host, zone, ok := strings.Cut(text, "%"); ok {
		if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
			return at(len(host), len(zone)+1, "address with a zone",
				"Write %s without the zone; packet filters match addresses, and an interface is a condition of its own.", host)
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
			"%s is not an IPv6 address; write it as 2001:db8::1, with at most one :: in it.", quote(text))
	}
	if isName(text) {
		return notResolved(text, off)
	}
	return whole("invalid address",
		"%s is not an IP address; write one as 192.0.2.1 or 2001:db8::1, a network as 192.0.2.0/24, a range as 192.0.2.1-192.0.2.9.", quote(text))
}

// explainDecimal explains text that is made of decimal numbers and dots, and so
// was meant as an IPv4 address.
func explainDecimal(text string, parts []string, at func(start, length int, summary, detail string, args ...any) *Problem) *Problem {
	if len(parts) > 4 {
		return at(0, len(text), "too many numbers in an IPv4 address", "Write four numbers, as in 192.0.2.1.")
	}
	if len(parts) < 4 {
		detail := "Write all four numbers of the IPv4 address, as in 192.0.2.1; what is left out is guessed differently by different programs."
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
				detail += fmt.Sprintf(": to it %s is %d", part, v)
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
	return at(0, len(text), "invalid IPv4 address", "%s is not an IPv4 address; write one as 192.0.2.1.", quote(text))
}

func mapped(text string, off int, write string) *Problem {
	return &Problem{
		diag.CodeAddressSyntax, "IPv4-mapped IPv6 address",
		fmt.Sprintf("Write %s: packets of IPv4 never carry the mapped form.", write),
		off, len(text),
	}
}

func notResolved(text string, off int) *Problem {
	return &Problem{
		diag.CodeAddressSyntax, "not an address",
		fmt.Sprintf("%s is not an IP address. If it is a host name: dockerfw never resolves names; write the addresses it stands for.", quote(text)),
		off, len(text),
	}
}

// explainBits says why bits, at offset off, is no prefix length; an address of
// max bits stands before it.
func explainBits(addr netip.Addr, bits string, off int) *Problem {
	p := &Problem{diag.CodePrefixLength, "invalid prefix length", "", off, len(bits)}
	digits := bits != "" && strings.Trim(bits, "0123456789") == ""
	switch {
	case bits == "":
		// There is nothing to underline behind the slash.
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
		p.Detail = fmt.Sprintf("Write a length from 0 to %d, as the address is of %s.", addr.BitLen(), family(addr))
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
	return fmt.Sprintf("The ones of %s do not stand together, so no prefix says the same; write the networks one by one.", mask)
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

// decimalParts splits text at dots if nothing but decimal numbers stands
// between them.
func decimalParts(text string) ([]string, bool) {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return nil, false
		}
	}
	return parts, true
}

// isName tells whether text could be a host name. Hexadecimal numbers, which
// inet_aton(3) takes for addresses, are none.
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

// quote quotes somebody else's text for a message, cut where it is too long to
// be read there.
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
