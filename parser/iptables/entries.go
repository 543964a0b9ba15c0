package iptables

import (
	"encoding/binary"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
)

// store keeps the entries of a set in the order they were added. Entries point into
// the file they came from. The index uses one number for an IPv4 network: for a million
// networks that takes a quarter of the memory that their text would take.
type store struct {
	entries []*Entry // nil where one was deleted
	v4      map[uint64]uint32
	v6      map[netip.Prefix]uint32
	other   map[string]uint32
	live    int
	// sorted are the entries instead of the fields above, in a set that was filled at once.
	// The run is shared with the file and never changed.
	sorted *plainRun
	// byAddress makes the text before the comma the key of an entry: bitmap:ip,mac has
	// one MAC address for each address.
	byAddress bool
}

// textKey returns the key in the index of an entry that is not an address.
func (s *store) textKey(e *Entry) string {
	if s.byAddress {
		address, _, _ := strings.Cut(e.Text, ",")
		return address
	}
	return e.Text
}

// flush empties the set.
func (s *Set) flush() { s.store = store{byAddress: s.Type == "bitmap:ip,mac"} }

// clone copies the store. The entries are never modified.
func (s *store) clone() store {
	out := *s
	out.entries = slices.Clone(s.entries)
	out.v4, out.v6, out.other = maps.Clone(s.v4), maps.Clone(s.v6), maps.Clone(s.other)
	return out
}

func v4Key(p netip.Prefix) uint64 {
	b := p.Addr().As4()
	return uint64(binary.BigEndian.Uint32(b[:]))<<8 | uint64(p.Bits())
}

func (s *store) index(e *Entry) (uint32, bool) {
	var i uint32
	var ok bool
	switch {
	case !e.Prefix.IsValid():
		i, ok = s.other[s.textKey(e)]
	case e.Prefix.Addr().Is4():
		i, ok = s.v4[v4Key(e.Prefix)]
	default:
		i, ok = s.v6[e.Prefix]
	}
	return i, ok
}

func (s *store) has(e *Entry) bool {
	if s.sorted != nil {
		_, ok := s.sorted.find(e)
		return ok
	}
	_, ok := s.index(e)
	return ok
}

// add returns false for an entry that already exists. With exist it replaces the entry
// instead, which also turns nomatch into match: docs/contributing/netfilter.md, "-exist".
func (s *store) add(e *Entry, exist bool) bool {
	s.general()
	if i, ok := s.index(e); ok {
		if exist {
			s.entries[i] = e
		}
		return exist
	}
	i := uint32(len(s.entries))
	s.entries = append(s.entries, e)
	s.live++
	switch {
	case !e.Prefix.IsValid():
		if s.other == nil {
			s.other = map[string]uint32{}
		}
		s.other[s.textKey(e)] = i
	case e.Prefix.Addr().Is4():
		if s.v4 == nil {
			s.v4 = map[uint64]uint32{}
		}
		s.v4[v4Key(e.Prefix)] = i
	default:
		if s.v6 == nil {
			s.v6 = map[netip.Prefix]uint32{}
		}
		s.v6[e.Prefix] = i
	}
	return true
}

func (s *store) del(e *Entry) bool {
	s.general()
	i, ok := s.index(e)
	if !ok {
		return false
	}
	s.entries[i] = nil
	s.live--
	switch {
	case !e.Prefix.IsValid():
		delete(s.other, s.textKey(e))
	case e.Prefix.Addr().Is4():
		delete(s.v4, v4Key(e.Prefix))
	default:
		delete(s.v6, e.Prefix)
	}
	return true
}

// Len returns the number of entries.
func (s *Set) Len() int { return s.store.live }

// Has reports whether the set has exactly that entry, with or without nomatch.
func (s *Set) Has(e Entry) bool { return s.store.has(&e) }

// HasSame reports whether the set has the entry with the same effect on packets: nomatch and
// wildcard too.
func (s *Set) HasSame(e *Entry) bool {
	if s.store.sorted != nil {
		return s.store.has(e) && !e.NoMatch && !e.wildcard()
	}
	i, ok := s.store.index(e)
	if !ok {
		return false
	}
	same := s.store.entries[i]
	return (e.Prefix.IsValid() || same.Text == e.Text) && same.NoMatch == e.NoMatch && same.wildcard() == e.wildcard()
}

// Comment returns the comment of the entry; "" if it has none.
func (e *Entry) Comment() string {
	for _, o := range e.Options {
		if o.Name == "comment" {
			return o.Value
		}
	}
	return ""
}

// CommentOf returns the comment that the set has for an entry; "" without one, or without the
// entry.
func (s *Set) CommentOf(e *Entry) string {
	if s.store.sorted != nil {
		return "" // entries with nothing but addresses
	}
	if i, ok := s.store.index(e); ok {
		return s.store.entries[i].Comment()
	}
	return ""
}

func (e *Entry) wildcard() bool {
	return slices.ContainsFunc(e.Options, func(o SetOption) bool { return o.Name == "wildcard" })
}

// Entries yields the entries in the order they were added.
func (s *Set) Entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		if run := s.store.sorted; run != nil {
			run.entries()(yield)
			return
		}
		for _, e := range s.store.entries {
			if e != nil && !yield(e) {
				return
			}
		}
	}
}

// maxExpanded is the largest number of elements that one entry may expand to.
const maxExpanded = 1 << 20

// elements returns what the kernel stores for an entry of the set: single addresses
// for hash:ip, networks for hash:net, and for other types according to their
// dimensions. Entries of types that this package does not know stay as written.
func (s *Set) elements(e *Entry) ([]*Entry, *refusal) {
	_, bitmask := s.Option("bitmask")
	switch {
	case s.Type == "list:set" && e.Prefix.IsValid():
		copied := *e // a set may be named like an address
		copied.Prefix, copied.Text = netip.Prefix{}, e.String()
		return []*Entry{&copied}, nil
	case s.dimensions() == nil:
		return []*Entry{e}, nil
	case s.Type != "hash:ip" && s.Type != "hash:net" || bitmask || strings.Contains(e.Text, ","):
		return s.compound(e)
	}
	if s.Type == "hash:net" && e.Prefix.IsValid() && e.Prefix.Bits() > 0 || !e.Prefix.IsValid() && !strings.Contains(e.Text, "-") {
		// The usual case, and names, which this package does not resolve.
		return []*Entry{e}, s.checkFamily(e)
	}
	prefixes := []netip.Prefix{e.Prefix}
	if !e.Prefix.IsValid() {
		rng, err := netipx.ParseIPRange(e.Text)
		if err != nil || !rng.From().Is4() || s.Family == "inet6" {
			return nil, refuse("Bad entry", "%q is not a range of IPv4 addresses.", e.Text)
		}
		prefixes = rng.Prefixes()
	}
	if r := s.checkFamily(e); r != nil {
		return nil, r
	}
	if s.Type == "hash:ip" {
		return s.addresses(e, prefixes)
	}
	var out []*Entry
	for _, p := range prefixes {
		if p.Bits() == 0 {
			return nil, refuse("Bad entry", "A set of type hash:net does not support /0. Write two prefixes of length 1.")
		}
		out = append(out, e.with(p))
	}
	return out, nil
}

func (s *Set) checkFamily(e *Entry) *refusal {
	if e.Prefix.IsValid() && e.Prefix.Addr().Is4() != (s.Family == "inet") {
		return refuse("Wrong family", "%s is not an address of the set's family, %s.", e, s.Family)
	}
	return nil
}

// addresses expands networks to the single addresses that a hash:ip stores, under its
// netmask.
func (s *Set) addresses(e *Entry, prefixes []netip.Prefix) ([]*Entry, *refusal) {
	mask := prefixes[0].Addr().BitLen()
	if v, ok := s.Option("netmask"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > mask {
			return nil, refuse("Bad netmask", "The set's netmask %q is not a prefix length.", v)
		}
		mask = n
	}
	var out []*Entry
	for _, p := range prefixes {
		if p.Addr().Is6() && !p.IsSingleIP() {
			return nil, refuse("Bad entry", "A set of type hash:ip and family inet6 supports single addresses only.")
		}
		left := mask - p.Bits()
		if left > 20 || left > 0 && len(out)+1<<left > maxExpanded {
			return nil, refuse("Set is full", "%s has more than %d addresses, the limit of dockerfw. Use a set of type hash:net.", e, maxExpanded)
		}
		for a := p.Addr(); p.Contains(a); {
			net := netip.PrefixFrom(a, mask).Masked()
			single := netip.PrefixFrom(net.Addr(), a.BitLen())
			if single.Addr().IsUnspecified() {
				return nil, refuse("Bad entry", "%s cannot be stored in a set of type hash:ip.", single.Addr())
			}
			if n := len(out); n == 0 || out[n-1].Prefix != single {
				out = append(out, e.with(single))
			}
			if a = netipx.PrefixLastIP(net).Next(); !a.IsValid() {
				break
			}
		}
	}
	return out, nil
}

// with returns the entry with another prefix, or the entry itself if it already has it.
func (e *Entry) with(p netip.Prefix) *Entry {
	if e.Prefix == p {
		return e
	}
	copied := *e
	copied.Prefix, copied.Text = p, ""
	return &copied
}
