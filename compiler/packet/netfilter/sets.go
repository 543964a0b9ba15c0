package netfilter

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Sets are ipsets as conditions on packets. The zero value and nil have no sets.
type Sets struct {
	file *iptables.Sets
	// hidden reports that the members of a set are not known.
	hidden func(name string) bool
	addrs  map[string]*packet.AddrSet
	conds  map[string]packet.Cond
}

// NewSets returns the sets of an ipset save. The members of those for which hidden reports
// true are not known; it may be nil. Entries with a timeout count as they were when they
// were saved.
func NewSets(file *iptables.Sets, hidden func(name string) bool) *Sets {
	s := &Sets{file: file, hidden: hidden, addrs: map[string]*packet.AddrSet{}, conds: map[string]packet.Cond{}}
	if hidden == nil {
		s.hidden = func(string) bool { return false }
	}
	for _, name := range file.Names() {
		if set := s.addressSet(name); set != nil {
			s.addrs[name] = set
		}
	}
	return s
}

// Hiding returns the sets, of which the members of those for which hidden reports true are not
// known. It shares with s what does not depend on that.
func (s *Sets) Hiding(hidden func(name string) bool) *Sets {
	if s == nil {
		return nil
	}
	out := &Sets{file: s.file, hidden: hidden, addrs: map[string]*packet.AddrSet{}, conds: map[string]packet.Cond{}}
	for _, name := range s.file.Names() {
		switch {
		case hidden(name):
		case s.file.Set(name).Type == "list:set":
			if set := out.addressSet(name); set != nil {
				out.addrs[name] = set
			}
		case s.addrs[name] != nil:
			out.addrs[name] = s.addrs[name]
		}
	}
	return out
}

// KnownSets returns sets of addresses that come from no file.
func KnownSets(addrs map[string]*packet.AddrSet) *Sets { return &Sets{addrs: addrs} }

// Addresses returns, by name, the sets that have nothing but addresses: hash:ip, hash:net,
// bitmap:ip, and lists of such sets.
func (s *Sets) Addresses() map[string]*packet.AddrSet {
	if s == nil {
		return nil
	}
	return s.addrs
}

// addressSet returns nil for other sets, and for those with a host name as an entry.
func (s *Sets) addressSet(name string) *packet.AddrSet {
	set := s.file.Set(name)
	if set == nil || s.hidden(name) {
		return nil
	}
	switch set.Type {
	case "hash:ip", "hash:net", "bitmap:ip":
		if prefixes, ok := set.Prefixes(); ok {
			var b packet.AddrSetBuilder
			switch known := set.Known(); {
			case known.Len() > 0:
				b.Like(known)
				b.Grow(len(known.V4), 0)
			case set.Family == "inet6":
				b.Grow(0, set.Len())
			default:
				b.Grow(set.Len(), 0)
			}
			for p := range prefixes {
				b.AddPrefix(p)
			}
			return b.Set(name)
		}
		e := s.read(set)
		if len(e.unread) > 0 {
			return nil
		}
		return e.addresses(name, false)
	case "list:set":
		var members []*packet.AddrSet
		for e := range set.Entries() {
			m := s.addrs[e.Text]
			if m == nil {
				m = s.addressSet(e.Text)
			}
			if m == nil {
				return nil
			}
			members = append(members, m)
		}
		return packet.Union(name, members...)
	}
	return nil
}

// dims returns the dimensions of a set's type, by the words in its name.
func dims(set *iptables.Set) []string {
	_, kinds, _ := strings.Cut(set.Type, ":")
	return strings.Split(kinds, ",")
}

// Match returns the condition of -m set --match-set NAME with these flags. The kernel
// ignores more flags than the set has dimensions; with fewer the match never holds
// (docs/contributing/netfilter.md, "Matches against sets"). noMatch is --return-nomatch: the
// condition holds if the entry that counts has nomatch.
func (s *Sets) Match(name string, ends []packet.End, noMatch bool) packet.Cond {
	if s == nil || len(ends) == 0 {
		return unknownSet(name, ends)
	}
	if a := s.addrs[name]; a != nil && !noMatch {
		return packet.Addr{End: ends[0], In: a}
	}
	set := s.file.Set(name)
	if set == nil || s.hidden(name) {
		return unknownSet(name, ends)
	}
	key := fmt.Sprint(name, " ", ends, noMatch)
	if c, ok := s.conds[key]; ok {
		return c
	}
	c := s.match(set, ends, noMatch)
	s.conds[key] = c
	return c
}

func (s *Sets) match(set *iptables.Set, ends []packet.End, noMatch bool) packet.Cond {
	if set.Type == "list:set" {
		return s.anyMember(set, ends, noMatch)
	}
	n := set.Dimensions()
	switch {
	case n == 0:
		return packet.Opaque{Text: fmt.Sprintf("%s in set %s (of type %s, which is not supported)", packet.LookupKey(ends, nil), set.Name, set.Type)}
	case len(ends) < n:
		return packet.InSet{Name: set.Name, Ends: ends, Dims: dims(set), C: packet.Any{}}
	}
	return packet.InSet{Name: set.Name, Ends: ends[:n], Dims: dims(set), C: s.read(set).cond(ends[:n], noMatch)}
}

// anyMember returns the condition of being in any member of a list. The kernel tries each
// member with the flags and options of the rule until one matches.
func (s *Sets) anyMember(list *iptables.Set, ends []packet.End, noMatch bool) packet.Cond {
	var any packet.Any
	addresses := true
	for e := range list.Entries() {
		c := s.Match(e.Text, ends, noMatch)
		if in, ok := c.(packet.InSet); ok {
			if len(in.Ends) < len(in.Dims) {
				continue
			}
			addresses = false
		}
		any = append(any, c)
	}
	if addresses && len(any) > 0 {
		return any
	}
	return packet.InSet{Name: list.Name, Ends: ends, Dims: nil, C: any}
}

// unknownSet returns the condition of being in a set that the file does not have.
func unknownSet(name string, ends []packet.End) packet.Opaque {
	return packet.Opaque{Text: packet.LookupKey(ends, nil) + " in set " + name + " (members unknown)"}
}

// markIs returns the condition of a mark in hash:ip,mark, which compares the bits of its
// mask.
func markIs(mark, mask uint32) packet.Cond { return packet.Mark{Value: mark & mask, Mask: mask} }

// macIs returns the condition of a MAC address, which is no field of a packet. An entry of
// bitmap:ip,mac without one takes that of the first packet it sees.
func macIs(set string, end packet.End, mac string) packet.Cond {
	if mac == "" {
		return packet.Opaque{Text: fmt.Sprintf("%s MAC address is the first that set %s saw with the address", end, set)}
	}
	return packet.Opaque{Text: fmt.Sprintf("%s MAC address is %s", end, mac)}
}

// entries are the elements of a set other than a list.
type entries struct {
	set  *iptables.Set
	all  []iptables.Element
	mask netip.Addr // of netmask or bitmask; invalid without one
	// noMatch: some element has nomatch.
	noMatch bool
	// unread are entries with a host name.
	unread []*iptables.Entry
}

func (s *Sets) read(set *iptables.Set) *entries {
	out := &entries{set: set}
	out.mask, _ = set.Mask()
	for e := range set.Entries() {
		el, ok := set.Element(e)
		if !ok {
			out.unread = append(out.unread, e)
			out.noMatch = out.noMatch || e.NoMatch
			continue
		}
		out.all = append(out.all, el)
		out.noMatch = out.noMatch || el.NoMatch
	}
	return out
}

// setLimit is the number of conditions that a set may become; a larger one is followed by
// its addresses alone. A set of 100,000 entries for a few ports becomes a few.
const setLimit = 2048

// unreadLimit is the number of host names in a set that get a condition each.
const unreadLimit = 16

// cond returns the condition of being in the set, without its name.
func (e *entries) cond(ends []packet.End, noMatch bool) packet.Cond {
	if noMatch && !strings.Contains(e.set.Type, "net") {
		// Types without nomatch ignore the option: docs/contributing/netfilter.md, "Matches
		// against sets".
		noMatch = false
	}
	name := func(why string) packet.Opaque {
		return packet.Opaque{Text: fmt.Sprintf("%s in set %s (%s, entries %s)", packet.LookupKey(ends, dims(e.set)), e.set.Name, why, e.digest())}
	}
	if len(e.unread) > 0 && (e.noMatch || len(e.unread) > unreadLimit) {
		return name(fmt.Sprintf("one of its entries is a host name: %s", e.unread[0]))
	}
	var out packet.Any
	boxes, ok := e.boxes(noMatch)
	switch {
	case !ok:
		return name("a netmask or bitmask with nomatch or with too many holes is not supported")
	case conditions(boxes) > setLimit:
		// A packet outside the networks of all entries is not in the set, whatever its
		// ports are.
		var any []netip.Prefix
		for _, el := range e.all {
			ps, _ := maskedPrefixes(el.First, e.mask)
			any = append(any, ps...)
		}
		within := packet.All{name(fmt.Sprintf("too many to follow: more than %d different conditions", setLimit))}
		if len(any) > 0 {
			within = append(within, packet.Addr{End: ends[0], In: packet.NewAddrSet("", any)})
		}
		out, boxes = append(out, within), nil
	}
	for _, b := range boxes {
		out = append(out, b.cond(e.set, ends))
	}
	for _, u := range e.unread {
		out = append(out, packet.Opaque{Text: fmt.Sprintf("%s in set %s because of its entry %s, a host name", packet.LookupKey(ends, dims(e.set)), e.set.Name, u)})
	}
	return out
}

// conditions returns the number of pairs of addresses in boxes.
func conditions(boxes []setBox) int {
	n := 0
	for _, b := range boxes {
		n += max(1, len(b.pairs))
	}
	return n
}

// digest distinguishes sets with different entries that are not followed.
func (e *entries) digest() string {
	var texts []string
	for entry := range e.set.Entries() {
		texts = append(texts, e.set.EntryText(entry))
	}
	slices.Sort(texts)
	h := fnv.New32a()
	for _, t := range texts {
		h.Write([]byte(t + "\n"))
	}
	return fmt.Sprintf("%08x", h.Sum32())
}

// InUnknownSet returns the condition of being in a set whose members are not known.
func InUnknownSet(name string, end packet.End) packet.Opaque {
	return unknownSet(name, []packet.End{end})
}
