package iptables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// Element is an entry taken apart: what each dimension of its set's type holds.
// What the type does not have is zero.
type Element struct {
	// First and Second are the addresses or networks, in their order.
	First, Second netip.Prefix
	// Protocol and Port; of ICMP the port is the type times 256 plus the code, of
	// other protocols without ports 0. bitmap:port has a port alone.
	Protocol uint8
	Port     uint16
	// Interface of hash:net,iface. Wildcard says that it is the beginning of a name,
	// PhysDev that it is a port of a bridge.
	Interface         string
	Wildcard, PhysDev bool
	// Mark of hash:ip,mark, cut to the set's markmask.
	Mark uint32
	// MAC in capital letters; "" in bitmap:ip,mac until a packet has completed it.
	MAC     string
	NoMatch bool
}

// dimension is what a type holds at one place of its entries.
type dimension string

const (
	dimAddress   dimension = "ip"
	dimNetwork   dimension = "net"
	dimPort      dimension = "port"
	dimInterface dimension = "iface"
	dimMark      dimension = "mark"
	dimMAC       dimension = "mac"
)

// setTypes are the types whose entries are read; list:set has sets.
var setTypes = []string{
	"hash:ip", "hash:net", "hash:ip,port", "hash:net,port", "hash:ip,port,ip", "hash:ip,port,net", "hash:net,port,net",
	"hash:net,net", "hash:net,iface", "hash:ip,mark", "hash:mac", "hash:ip,mac", "bitmap:ip", "bitmap:ip,mac", "bitmap:port",
}

// dimensions of the set's type; nil for list:set and types that are not known here.
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

// Dimensions is how many src and dst a match against the set needs: with fewer of
// them it never holds (facts 4). 0 for types that are not known here.
func (s *Set) Dimensions() int {
	if s.Type == "list:set" {
		return 1
	}
	return len(s.dimensions())
}

// takesNoMatch tells whether entries of the type may say nomatch: those with networks.
func (s *Set) takesNoMatch() bool { return slices.Contains(s.dimensions(), dimNetwork) }

// part is one dimension of an entry.
type part struct {
	text string
	of   Element // with this dimension alone
}

// Element takes an entry of the set apart. ok is false for host names, services and
// the short forms of addresses, which only the tool resolves, and for types that
// are not known here.
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
		switch of := parts[0].of; dims[i] {
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

// compound are the elements that an entry stands for, each as ipset saves it: ranges
// of addresses and ports are written out. An entry with a name stays as it is.
func (s *Set) compound(e *Entry) ([]*Entry, *refusal) {
	dims := s.dimensions()
	texts := strings.Split(e.String(), ",")
	if len(texts) > len(dims) || len(texts) < len(dims) && s.Type != "bitmap:ip,mac" {
		return nil, refuse("Bad entry", "An entry of a set of type %s has %s, not %d: %s.", s.Type, countOf(len(dims), "part"), len(texts), e)
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
			return nil, refuse("Set is full", "%s has more elements than can be followed.", e)
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

// parts are what a dimension of an entry stands for. There are none where it is a
// name.
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
			return nil, refuse("Bad entry", "The name of an interface has 1 to 15 characters, not %q.", name)
		}
		return []part{{text, Element{Interface: name, PhysDev: phys}}}, nil
	case dimMark:
		return s.markPart(text)
	}
	mac, ok := macAddress(text)
	if !ok {
		return nil, refuse("Bad entry", "%q is not a MAC address, such as 02:00:00:00:00:01.", text)
	}
	return []part{{mac, Element{MAC: mac}}}, nil
}

// addressParts reads an address, a network or a range. Sets of addresses hold each
// address of it, sets of networks the networks.
func (s *Set) addressParts(dims []dimension, i int, text string) ([]part, *refusal) {
	prefixes, ok := addressTexts(text)
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
		return nil, refuse("Bad entry", "Sets of family inet6 take no ranges: %s.", text)
	case !single && !network && (first.Addr().Is6() || i > 0 || slices.Contains(dims, dimMAC)):
		return nil, refuse("Bad entry", "A set of type %s takes a single address here, not %s.", s.Type, text)
	case network && s.Type != "hash:net,iface" && first.Bits() == 0:
		return nil, refuse("Bad entry", "A set of type %s takes no /0; write the two halves.", s.Type)
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

// singleParts writes prefixes out as the single addresses that the set stores.
func (s *Set) singleParts(text string, prefixes []netip.Prefix, mask netip.Addr, masked bool) ([]part, *refusal) {
	bitmap := strings.HasPrefix(s.Type, "bitmap:")
	single := len(prefixes) == 1 && prefixes[0].IsSingleIP()
	if masked && !bitmap && !single {
		// The kernel stores the addresses of a range unmasked, so that they never match
		// (measured): nobody means that.
		return nil, refuse("Bad entry", "List single addresses: a range in a set with a netmask or bitmask holds others than it says: %s.", text)
	}
	var first, last netip.Addr
	if bitmap {
		first, last, _ = s.bounds()
	}
	var out []part
	for _, p := range prefixes {
		if p.Addr().BitLen()-p.Bits() > 20 {
			return nil, refuse("Set is full", "%s has more addresses than can be followed; use a set of type hash:net.", text)
		}
		for a := p.Addr(); a.IsValid() && p.Contains(a); a = a.Next() {
			stored := a
			if masked {
				stored = maskedBy(a, mask)
			}
			if bitmap && (stored.Less(first) || last.Less(stored)) {
				return nil, refuse("Bad entry", "%s is out of the range of the set.", a)
			}
			if !bitmap && stored.IsUnspecified() {
				return nil, refuse("Bad entry", "%s cannot be stored in a set of type %s.", stored, s.Type)
			}
			if n := len(out); n > 0 && out[n-1].of.First.Addr() == stored {
				continue
			}
			if len(out) == maxExpanded {
				return nil, refuse("Set is full", "%s has more addresses than can be followed; use a set of type hash:net.", text)
			}
			out = append(out, part{stored.String(), Element{First: netip.PrefixFrom(stored, stored.BitLen())}})
		}
	}
	return out, nil
}

// addressTexts reads an address, a network or a range as prefixes; ok is false for
// names and the tool's short forms.
func addressTexts(text string) (_ []netip.Prefix, ok bool) {
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
		a, b = b, a // as ipset does without a word (facts 3.4)
	}
	return netipx.IPRangeFrom(a, b).Prefixes(), true
}

// prefixWord is a network as ipset saves it: an address without its length.
func prefixWord(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// EntryText is an entry with all that decides which packets it holds: nomatch,
// wildcard, and what the set lays over addresses and marks.
func (s *Set) EntryText(e *Entry) string {
	text := e.String()
	for _, o := range e.Options {
		if o.Name == "wildcard" {
			text += " wildcard"
		}
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
