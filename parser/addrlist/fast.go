package addrlist

import (
	"bytes"

	"go4.org/netipx"
)

// plainEntry parses an entry in the usual spelling without allocating. ok is false for any
// other spelling and for whatever is wrong: ParseEntry then parses or explains it.
func plainEntry(text []byte) (_ netipx.IPRange, ok bool) {
	if bytes.IndexByte(text[:min(len(text), 5)], ':') >= 0 {
		return plain6(text)
	}
	first, rest, ok := number4(text)
	if !ok {
		return netipx.IPRange{}, false
	}
	last := first
	switch {
	case len(rest) == 0:
	case rest[0] == '/':
		bits, ok := parseBits(rest[1:], 32)
		if !ok {
			return netipx.IPRange{}, false
		}
		host := uint32(1<<(32-bits) - 1)
		if first&host != 0 {
			return netipx.IPRange{}, false
		}
		last = first | host
	case rest[0] == '-':
		last, rest, ok = number4(rest[1:])
		if !ok || len(rest) > 0 || last < first {
			return netipx.IPRange{}, false
		}
	default:
		return netipx.IPRange{}, false
	}
	return netipx.IPRangeFrom(addr4(first), addr4(last)), true
}

// number4 parses the IPv4 address at the beginning of text.
func number4(text []byte) (n uint32, rest []byte, ok bool) {
	i := 0
	for part := range 4 {
		if part > 0 {
			if i == len(text) || text[i] != '.' {
				return 0, nil, false
			}
			i++
		}
		value, begin := uint32(0), i
		for i < len(text) && '0' <= text[i] && text[i] <= '9' && i-begin < 3 {
			value = value*10 + uint32(text[i]-'0')
			i++
		}
		if i == begin || value > 255 || text[begin] == '0' && i-begin > 1 {
			return 0, nil, false
		}
		n = n<<8 | value
	}
	return n, text[i:], true
}

// plain6 is plainEntry for IPv6.
func plain6(text []byte) (_ netipx.IPRange, ok bool) {
	first, rest, ok := number6(text)
	if !ok {
		return netipx.IPRange{}, false
	}
	last := first
	switch {
	case len(rest) == 0:
	case rest[0] == '/':
		bits, ok := parseBits(rest[1:], 128)
		if !ok {
			return netipx.IPRange{}, false
		}
		host := Number6{^uint64(0), ^uint64(0)}
		if bits <= 64 {
			host.High >>= bits
		} else {
			host = Number6{0, host.Low >> (bits - 64)}
		}
		if first.High&host.High|first.Low&host.Low != 0 {
			return netipx.IPRange{}, false
		}
		last = Number6{first.High | host.High, first.Low | host.Low}
	case rest[0] == '-':
		last, rest, ok = number6(rest[1:])
		if !ok || len(rest) > 0 || last.Compare(first) < 0 {
			return netipx.IPRange{}, false
		}
	default:
		return netipx.IPRange{}, false
	}
	return netipx.IPRangeFrom(first.Addr(), last.Addr()), true
}

// number6 parses the IPv6 address at the beginning of text, in hexadecimal groups. It leaves
// embedded IPv4 addresses, and what could be one, to netip.
func number6(text []byte) (n Number6, rest []byte, ok bool) {
	var groups [8]uint16
	count, gap, i := 0, -1, 0
	if len(text) > 1 && text[0] == ':' && text[1] == ':' {
		gap, i = 0, 2
	}
	for i < len(text) && count < 8 {
		value, begin := uint32(0), i
		for i < len(text) && i-begin < 4 {
			digit, hex := hexDigit(text[i])
			if !hex {
				break
			}
			value = value<<4 | digit
			i++
		}
		if i == begin {
			if count != gap {
				return Number6{}, nil, false
			}
			break // the address ends in ::
		}
		groups[count] = uint16(value)
		count++
		if i == len(text) || text[i] != ':' {
			break
		}
		if count == 8 {
			return Number6{}, nil, false
		}
		i++
		if i < len(text) && text[i] == ':' {
			if gap >= 0 {
				return Number6{}, nil, false
			}
			gap = count
			i++
		} else if i == len(text) {
			return Number6{}, nil, false
		}
	}
	if gap < 0 && count < 8 || gap >= 0 && count == 8 {
		return Number6{}, nil, false
	}
	if gap >= 0 {
		tail := count - gap
		copy(groups[8-tail:], groups[gap:count])
		clear(groups[gap : 8-tail])
	}
	for g := range 4 {
		n.High = n.High<<16 | uint64(groups[g])
		n.Low = n.Low<<16 | uint64(groups[4+g])
	}
	if n.High == 0 && n.Low>>32 == 0xffff {
		return Number6{}, nil, false // a mapped IPv4 address
	}
	return n, text[i:], true
}

func hexDigit(c byte) (uint32, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint32(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return uint32(c|0x20-'a') + 10, true
	}
	return 0, false
}
