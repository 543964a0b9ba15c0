package iptables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// Element is an entry of a set with one field for each dimension of the set's type.
// Dimensions that the type does not have are zero.
type Element struct {
	// First and Second are the addresses or networks, in the order of the type.
	First, Second netip.Prefix
	// Protocol and Port. For ICMP the port is the type times 256 plus the code, for
	// other protocols without ports 0. bitmap:port has no protocol.
	Protocol uint8
	Port     uint16
	// Interface of hash:net,iface. With Wildcard it is a prefix of names, with PhysDev
	// it is a port of a bridge.
	Interface         string
	Wildcard, PhysDev bool
	// Mark of hash:ip,mark, after the set's markmask.
	Mark uint32
	// MAC in capital letters. In bitmap:ip,mac it is "" until the first packet from
	// the address arrives.
	MAC     string
	NoMatch bool
}

// dimension is the kind of one part of an entry.
type dimension string

const (
	dimAddress   dimension = "ip"
	dimNetwork   dimension = "net"
	dimPort      dimension = "port"
	dimInterface dimension = "iface"
	dimMark      dimension = "mark"
	dimMAC       dimension = "mac"
)

// setTypes are the types whose entries this package reads. The entries of list:set
// are names of sets.
var setTypes = []string{
	"hash:ip", "hash:net", "hash:ip,port", "hash:net,port", "hash:ip,port,ip", "hash:ip,port,net", "hash:net,port,net",
	"hash:net,net", "hash:net,iface", "hash:ip,mark", "hash:mac", "hash:ip,mac", "bitmap:ip", "bitmap:ip,mac", "bitmap:port",
}

// dimensions returns those of the set's type; nil for list:set and for types that this
// package does not know.
func (s *Set) dimensions() []dimension {
	if !slices.Contains(setTypes, s.Type) {
		return nil
	}
	var out []dimension
	_, after, _ := strings.Cut(s.Type, ":")
	for d := range strings.SplitSeq(after, ",") {
		out = append(out, dimension(d))
	}
	return out
}

// Dimensions returns the number of flags (src, dst) that a match against the set needs;
// 0 for types that this package does not know. A match with fewer flags never holds:
// docs/contributing/netfilter.md, "Matches against sets".
func (s *Set) Dimensions() int {
	if s.Type == "list:set" {
		return 1
	}
	return len(s.dimensions())
}

// supportsNoMatch reports whether entries of the type may have nomatch. Only types with
// networks do.
func (s *Set) supportsNoMatch() bool { return slices.Contains(s.dimensions(), dimNetwork) }

// part is one dimension of an entry.
type part struct {
	text    string
	element Element // with this dimension only
}

// Element splits an entry of the set. ok is false for host names, service names and
// short forms of addresses, which only ipset resolves, and for types that this package
// does not know.
func (s *Set) Element(e *Entry) (_ Element, ok bool) {
	dims := s.dimensions()
	if dims == nil {
		return Element{}, false
	}
	out := Element{NoMatch: e.NoMatch}
	if len(dims) == 1 && e.Prefix.IsValid() {
		out.First = e.Prefix
		return out, true
	}
	texts := strings.Split(e.String(), ",")
	for i, text := range texts {
		parts, r := s.parts(dims, i, text)
		if r != nil || len(parts) != 1 {
			return Element{}, false
		}
		switch of := parts[0].element; dims[i] {
		case dimAddress, dimNetwork:
			if i == 0 {
				out.First = of.First
			} else {
				out.Second = of.First
			}
		case dimPort:
			out.Protocol, out.Port = of.Protocol, of.Port
		case dimInterface:
			out.Interface, out.PhysDev = of.Interface, of.PhysDev
			out.Wildcard = slices.ContainsFunc(e.Options, func(o SetOption) bool { return o.Name == "wildcard" })
		case dimMark:
			out.Mark = of.Mark
		case dimMAC:
			out.MAC = of.MAC
		}
	}
	return out, true
}

// compound returns the elements that an entry expands to, each as ipset saves it: one
// for each address and port of a range. An entry with a name is returned unchanged.
func (s *Set) compound(e *Entry) ([]*Entry, *refusal) {
	dims := s.dimensions()
	texts := strings.Split(e.String(), ",")
	if len(texts) > len(dims) || len(texts) < len(dims) && s.Type != "bitmap:ip,mac" {
		return nil, refuse("Bad entry", "An entry of type %s has %s, but %s has %d.", s.Type, countOf(len(dims), "part"), e, len(texts))
	}
	all := []string{""}
	for i, text := range texts {
		parts, r := s.parts(dims, i, text)
		if r != nil {
			return nil, r
		}
		if len(parts) == 0 {
			return []*Entry{e}, nil
		}
		if len(all)*len(parts) > maxExpanded {
			return nil, refuse("Set is full", "%s expands to more than %d elements, the limit of dockerfw.", e, maxExpanded)
		}
		var next []string
		for _, before := range all {
			for _, p := range parts {
				if i > 0 {
					next = append(next, before+","+p.text)
				} else {
					next = append(next, p.text)
				}
			}
		}
		all = next
	}
	if len(all) == 1 && all[0] == e.Text {
		return []*Entry{e}, nil
	}
	out := make([]*Entry, len(all))
	for i, text := range all {
		copied := *e
		copied.Prefix, copied.Text = netip.Prefix{}, text
		if len(dims) == 1 && dims[0] == dimAddress {
			addr, err := netip.ParseAddr(text)
			if err == nil {
				copied.Prefix, copied.Text = netip.PrefixFrom(addr, addr.BitLen()), ""
			}
		}
		out[i] = &copied
	}
	return out, nil
}

func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// parts returns what one dimension of an entry expands to; nothing if it is a name.
func (s *Set) parts(dims []dimension, i int, text string) ([]part, *refusal) {
	switch dims[i] {
	case dimAddress, dimNetwork:
		return s.addressParts(dims, i, text)
	case dimPort:
		if s.Type == "bitmap:port" {
			return s.bitmapPorts(text)
		}
		return s.portParts(text)
	case dimInterface:
		name, phys := strings.CutPrefix(text, "physdev:")
		if name == "" || len(name) > 15 {
			return nil, refuse("Bad entry", "%q is not the name of an interface: it must have 1 to 15 characters.", name)
		}
		return []part{{text, Element{Interface: name, PhysDev: phys}}}, nil
	case dimMark:
		return s.markPart(text)
	case dimMAC:
		mac, ok := macAddress(text)
		if !ok {
			return nil, refuse("Bad entry", "%q is not a MAC address, such as 02:00:00:00:00:01.", text)
		}
		return []part{{mac, Element{MAC: mac}}}, nil
	}
	panic("iptables: unknown dimension " + string(dims[i]))
}

// addressParts reads an address, a network or a range. A set of addresses stores each
// address of it, a set of networks its networks.
func (s *Set) addressParts(dims []dimension, i int, text string) ([]part, *refusal) {
	prefixes, ok := parsePrefixes(text)
	if !ok {
		return nil, nil
	}
	if v4 := prefixes[0].Addr().Is4(); v4 != (s.Family != "inet6") {
		family := s.Family
		if family == "" {
			family = "inet"
		}
		return nil, refuse("Wrong family", "%s is not an address of the set's family, %s.", text, family)
	}
	first := prefixes[0]
	single := len(prefixes) == 1 && first.IsSingleIP()
	network := dims[i] == dimNetwork
	switch {
	case !single && strings.Contains(text, "-") && first.Addr().Is6():
		return nil, refuse("Bad entry", "Sets of family inet6 do not support ranges: %s.", text)
	case !single && !network && (first.Addr().Is6() || i > 0 || slices.Contains(dims, dimMAC)):
		return nil, refuse("Bad entry", "A set of type %s needs a single address here, not %s.", s.Type, text)
	case network && s.Type != "hash:net,iface" && first.Bits() == 0:
		return nil, refuse("Bad entry", "A set of type %s does not support /0. Write two prefixes of length 1.", s.Type)
	}
	mask, masked := s.Mask()
	if network {
		var out []part
		for _, p := range prefixes {
			if masked {
				p = netip.PrefixFrom(maskedBy(p.Addr(), mask), p.Bits()).Masked()
			}
			out = append(out, part{prefixWord(p), Element{First: p}})
		}
		return out, nil
	}
	return s.singleParts(text, prefixes, mask, masked)
}

// singleParts expands prefixes to the single addresses that the set stores.
func (s *Set) singleParts(text string, prefixes []netip.Prefix, mask netip.Addr, masked bool) ([]part, *refusal) {
	bitmap := strings.HasPrefix(s.Type, "bitmap:")
	single := len(prefixes) == 1 && prefixes[0].IsSingleIP()
	if masked && !bitmap && !single {
		// The kernel stores other addresses than those that would match:
		// docs/contributing/netfilter.md, "Masked sets".
		return nil, refuse("Bad entry", "A range in a set with a netmask or bitmask does not match the addresses it contains: %s. List single addresses.", text)
	}
	var first, last netip.Addr
	if bitmap {
		first, last, _ = s.bounds()
	}
	var out []part
	for _, p := range prefixes {
		if p.Addr().BitLen()-p.Bits() > 20 {
			return nil, refuse("Set is full", "%s has more than %d addresses, the limit of dockerfw. Use a set of type hash:net.", text, maxExpanded)
		}
		for a := p.Addr(); a.IsValid() && p.Contains(a); a = a.Next() {
			stored := a
			if masked {
				stored = maskedBy(a, mask)
			}
			if bitmap && (stored.Less(first) || last.Less(stored)) {
				return nil, refuse("Bad entry", "%s is outside the range of the set.", a)
			}
			if !bitmap && stored.IsUnspecified() {
				return nil, refuse("Bad entry", "%s cannot be stored in a set of type %s.", stored, s.Type)
			}
			if n := len(out); n > 0 && out[n-1].element.First.Addr() == stored {
				continue
			}
			if len(out) == maxExpanded {
				return nil, refuse("Set is full", "%s has more than %d addresses, the limit of dockerfw. Use a set of type hash:net.", text, maxExpanded)
			}
			out = append(out, part{stored.String(), Element{First: netip.PrefixFrom(stored, stored.BitLen())}})
		}
	}
	return out, nil
}

// parsePrefixes reads an address, a network or a range as prefixes. ok is false for
// names and for ipset's short forms.
func parsePrefixes(text string) (_ []netip.Prefix, ok bool) {
	var e Entry
	if text == "" {
		return nil, false
	}
	e.parse(text)
	if e.Prefix.IsValid() {
		return []netip.Prefix{e.Prefix}, true
	}
	from, to, isRange := strings.Cut(text, "-")
	a, err1 := netip.ParseAddr(from)
	b, err2 := netip.ParseAddr(to)
	if !isRange || err1 != nil || err2 != nil || a.BitLen() != b.BitLen() || a.Zone()+b.Zone() != "" {
		return nil, false
	}
	if b.Less(a) {
		a, b = b, a // as ipset does: docs/contributing/netfilter.md, "Set entries"
	}
	return netipx.IPRangeFrom(a, b).Prefixes(), true
}

// prefixWord returns a network as ipset saves it: a single address without its length.
func prefixWord(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// EntryText returns an entry with everything that determines which packets it matches:
// nomatch, wildcard, and the masks of the set.
func (s *Set) EntryText(e *Entry) string {
	text := e.String()
	if e.wildcard() {
		text += " wildcard"
	}
	if e.NoMatch {
		text += " nomatch"
	}
	for _, name := range []string{"netmask", "bitmask", "markmask"} {
		if v, ok := s.Option(name); ok {
			text += " (" + name + " " + v + ")"
		}
	}
	return text
}
