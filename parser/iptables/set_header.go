package iptables

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// checkHeader returns what ipset refuses in those options of create that determine which
// packets the set matches.
func (s *Set) checkHeader() *refusal {
	if s.Dimensions() == 0 {
		return nil // an unknown type
	}
	masks := 0
	for name, types := range map[string][]string{
		"netmask": {"hash:ip", "hash:ip,port", "hash:net,net", "bitmap:ip"},
		"bitmask": {"hash:ip", "hash:ip,port", "hash:net,net"},
	} {
		v, ok := s.Option(name)
		if !ok {
			continue
		}
		masks++
		if !slices.Contains(types, s.Type) {
			return refuse("Bad option", "A set of type %s does not support %s.", s.Type, name)
		}
		if _, ok := s.mask(name, v); !ok {
			return refuse("Bad "+name, "%q is not a %s of the set's family.", v, name)
		}
	}
	if masks > 1 {
		return refuse("Bad option", "A set can have a netmask or a bitmask, not both.")
	}
	if v, ok := s.Option("markmask"); ok {
		if _, err := parseC(v, 32); err != nil || s.Type != "hash:ip,mark" {
			return refuse("Bad option", "markmask %s cannot be used in a set of type %s.", v, s.Type)
		}
	}
	switch s.Type {
	case "bitmap:ip", "bitmap:ip,mac":
		first, last, ok := s.bounds()
		if !ok {
			return refuse("Bad range", "A set of type %s needs the option range with two IPv4 addresses or a network.", s.Type)
		}
		if n := s.networks(first, last); n > maxBitmap {
			return refuse("Bad range", "The range has %d elements; a bitmap can hold %d.", n, maxBitmap)
		}
	case "bitmap:port":
		if _, _, ok := s.portBounds(); !ok {
			return refuse("Bad range", "A set of type %s needs the option range with two ports.", s.Type)
		}
	}
	return nil
}

// maxBitmap is the largest number of elements in a bitmap (ipset(8)).
const maxBitmap = 1 << 16

// networks returns the number of elements between the bounds of a bitmap.
func (s *Set) networks(first, last netip.Addr) int {
	a, b := first.As4(), last.As4()
	n := int(binary.BigEndian.Uint32(b[:])) - int(binary.BigEndian.Uint32(a[:])) + 1
	if v, ok := s.Option("netmask"); ok {
		bits, _ := strconv.Atoi(v)
		n >>= 32 - bits
	}
	return n
}

// Mask returns the mask that the set applies to an address before looking it up, from
// its netmask or bitmask (docs/contributing/netfilter.md, "Masked sets"). ok is false if
// it has neither.
func (s *Set) Mask() (_ netip.Addr, ok bool) {
	for _, name := range []string{"netmask", "bitmask"} {
		if v, given := s.Option(name); given {
			return s.mask(name, v)
		}
	}
	return netip.Addr{}, false
}

func (s *Set) mask(name, value string) (netip.Addr, bool) {
	bits := 32
	if s.Family == "inet6" {
		bits = 128
	}
	if name == "netmask" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > bits {
			return netip.Addr{}, false
		}
		b := make([]byte, bits/8)
		for i := range n {
			b[i/8] |= 0x80 >> (i % 8)
		}
		mask, _ := netip.AddrFromSlice(b)
		return mask, true
	}
	mask, err := netip.ParseAddr(value)
	return mask, err == nil && mask.BitLen() == bits && mask.Zone() == "" && !mask.IsUnspecified()
}

func maskedBy(a, mask netip.Addr) netip.Addr {
	b, m := a.AsSlice(), mask.AsSlice()
	for i := range b {
		b[i] &= m[i]
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

// MarkMask returns the mask that a set of type hash:ip,mark applies to marks.
func (s *Set) MarkMask() uint32 {
	if v, ok := s.Option("markmask"); ok {
		if n, err := parseC(v, 32); err == nil {
			return uint32(n)
		}
	}
	return ^uint32(0)
}

// rangeOption returns the range of a bitmap. Old files have from and to instead.
func (s *Set) rangeOption() string {
	if v, ok := s.Option("range"); ok {
		return v
	}
	from, _ := s.Option("from")
	to, _ := s.Option("to")
	return from + "-" + to
}

// bounds returns the first and last address of a bitmap. With a netmask the range is
// widened to whole networks: docs/contributing/netfilter.md, "Set headers".
func (s *Set) bounds() (first, last netip.Addr, ok bool) {
	prefixes, ok := parsePrefixes(s.rangeOption())
	if !ok || !prefixes[0].Addr().Is4() {
		return first, last, false
	}
	first, last = prefixes[0].Addr(), lastAddress(prefixes[len(prefixes)-1])
	if mask, masked := s.Mask(); masked {
		m, b := mask.As4(), last.As4()
		for i := range b {
			b[i] |= ^m[i]
		}
		first, last = maskedBy(first, mask), netip.AddrFrom4(b)
	}
	return first, last, true
}

func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (s *Set) portBounds() (low, high uint16, ok bool) {
	text := s.rangeOption()
	if strings.Trim(text, "-") == "" {
		return 0, 0, false
	}
	low, high, ok, r := portNumbers(text)
	return low, high, ok && r == nil
}
