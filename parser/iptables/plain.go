package iptables

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// plainLength is the number of entries from which on a run of adds is kept as numbers.
const plainLength = 256

// plainRun is a long run of adds with nothing but addresses or networks of one family, one
// on each line, as numbers: a million of them take 8 MB in IPv4, a tenth of their entries.
type plainRun struct {
	line     int32 // of the first entry
	v4       []plain4
	v6       []plain6
	unsorted bool // not in ascending order, or with an entry twice
	bits     [129]bool
	// known are ranges whose networks the entries are, instead of the fields v4 and v6, as long as each
	// entry was the next network. There are count of them so far.
	known addrlist.Ranges
	rest  addrlist.Networks
	count int
	// last4 and last6 are the entry before the next one.
	last4 plain4
	last6 plain6
}

// plain4 is an IPv4 address shifted by 8, plus the length of the prefix.
type plain4 uint64

// plain6 is an IPv6 prefix.
type plain6 struct {
	high, low uint64
	bits      uint8
}

func (a plain6) compare(b plain6) int {
	return cmp.Or(cmp.Compare(a.high, b.high), cmp.Compare(a.low, b.low), cmp.Compare(a.bits, b.bits))
}

func plain6Of(p netip.Prefix) plain6 {
	b := p.Addr().As16()
	return plain6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), uint8(p.Bits())}
}

func plain4Of(address uint32, length uint8) plain4 {
	return plain4(uint64(address)<<8 | uint64(length))
}

func (x plain4) prefix() netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(x>>8))
	return netip.PrefixFrom(netip.AddrFrom4(b), int(x&255))
}

func (x plain6) prefix() netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], x.high)
	binary.BigEndian.PutUint64(b[8:], x.low)
	return netip.PrefixFrom(netip.AddrFrom16(b), int(x.bits))
}

func (r *plainRun) len() int { return r.count + len(r.v4) + len(r.v6) }

// is4 reports whether the entries are of IPv4. There is at least one.
func (r *plainRun) is4() bool { return r.v4 != nil || r.count > 0 && len(r.known.V4) > 0 }

// cursor goes through the entries of a run.
type cursor struct {
	run      *plainRun
	networks addrlist.Networks // of run.known
	at       int
}

func (r *plainRun) cursor() cursor { return cursor{run: r, networks: r.known.Networks()} }

// next returns the next entry; ok is false after the last one.
func (c *cursor) next() (_ netip.Prefix, ok bool) {
	r, i := c.run, c.at
	c.at++
	switch {
	case i < r.count && len(r.known.V4) > 0:
		first, length, _ := c.networks.Next4()
		return plain4Of(first, length).prefix(), true
	case i < r.count:
		first, length, _ := c.networks.Next6()
		return plain6{first.High, first.Low, length}.prefix(), true
	case i < len(r.v4):
		return r.v4[i].prefix(), true
	case i < len(r.v6):
		return r.v6[i].prefix(), true
	}
	return netip.Prefix{}, false
}

// prefixes yields the entries in their order.
func (r *plainRun) prefixes() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for c := r.cursor(); ; {
			p, ok := c.next()
			if !ok || !yield(p) {
				return
			}
		}
	}
}

// entries yields the entries in their order.
func (r *plainRun) entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		line := r.line
		for p := range r.prefixes() {
			if !yield(&Entry{Prefix: p, Line: line}) {
				return
			}
			line++
		}
	}
}

// expect makes the run share the memory of ranges that its entries turn out to be the networks of.
// The run is empty.
func (r *plainRun) expect(known addrlist.Ranges) { r.known, r.rest = known, known.Networks() }

// forget gives the run memory of its own.
func (r *plainRun) forget() {
	networks, v4, count := r.known.Networks(), len(r.known.V4) > 0, r.count
	r.known, r.rest, r.count = addrlist.Ranges{}, addrlist.Networks{}, 0
	for range count {
		if v4 {
			first, length, _ := networks.Next4()
			r.v4 = append(r.v4, plain4Of(first, length))
		} else {
			first, length, _ := networks.Next6()
			r.v6 = append(r.v6, plain6{first.High, first.Low, length})
		}
	}
}

func (r *plainRun) add4(x plain4) {
	r.unsorted = r.unsorted || r.len() > 0 && r.last4 >= x
	r.bits[x&255] = true
	r.last4 = x
	if len(r.known.V4) > 0 {
		if first, length, ok := r.rest.Next4(); ok && x == plain4Of(first, length) {
			r.count++
			return
		}
		r.forget()
	}
	r.v4 = append(r.v4, x)
}

func (r *plainRun) add6(x plain6) {
	r.unsorted = r.unsorted || r.len() > 0 && r.last6.compare(x) >= 0
	r.bits[x.bits] = true
	r.last6 = x
	if len(r.known.V6) > 0 {
		if first, length, ok := r.rest.Next6(); ok && x == (plain6{first.High, first.Low, length}) {
			r.count++
			return
		}
		r.forget()
	}
	r.v6 = append(r.v6, x)
}

// grow makes room for more entries, which a copy each time would cost more than.
func (r *plainRun) grow(n int) {
	if r.count > 0 {
		return
	}
	if r.v4 != nil {
		r.v4 = slices.Grow(r.v4, n)
	} else {
		r.v6 = slices.Grow(r.v6, n)
	}
}

// compact turns the entries of a run into numbers if all of them can be.
func (c *SetCommand) compact(known addrlist.Ranges) {
	if quoteSet(c.Set) != c.Set {
		return // plainLine reads no quotes
	}
	run := &plainRun{line: c.Entries[0].Line}
	v4 := c.Entries[0].Prefix.Addr().Is4()
	if v4 && len(known.V6) == 0 || !v4 && len(known.V4) == 0 {
		run.expect(known)
	}
	for i, e := range c.Entries {
		if !e.Prefix.IsValid() || e.Prefix.Addr().Is4() != v4 || e.Prefix.Addr().Is4In6() || e.Options != nil || e.NoMatch || e.Exist || e.Line != run.line+int32(i) {
			return
		}
		if v4 {
			run.add4(plain4(v4Key(e.Prefix)))
		} else {
			run.add6(plain6Of(e.Prefix))
		}
	}
	c.plain, c.Entries = run, nil
}

// expand turns a plain run back into entries, for one that is not plain to follow.
func (c *SetCommand) expand() {
	if c.plain == nil {
		return
	}
	for e := range c.AllEntries() {
		c.Entries = append(c.Entries, *e)
	}
	c.plain = nil
}

// plainLine reads a line that continues a plain run in exactly the form of ipset save: "add",
// the set and an address, with single spaces. It returns false for any other line.
func (p *setParser) plainLine(text []byte, number int) bool {
	if p.run == nil || p.run.plain == nil {
		return false
	}
	run, name := p.run.plain, p.run.Set
	if number != int(run.line)+run.len() || len(text) < len("add  ")+len(name) || string(text[:4]) != "add " || string(text[4:4+len(name)]) != name || text[4+len(name)] != ' ' {
		return false
	}
	text = text[5+len(name):]
	if run.is4() {
		x, ok := readPlain4(text)
		if ok {
			run.add4(x)
		}
		return ok
	}
	x, ok := readPlain6(text)
	if ok {
		run.add6(x)
	}
	return ok
}

// readPlain4 reads an IPv4 address or network without host bits.
func readPlain4(text []byte) (_ plain4, ok bool) {
	var addr uint64
	i := 0
	for part := range 4 {
		if part > 0 {
			if i == len(text) || text[i] != '.' {
				return 0, false
			}
			i++
		}
		n, length := readNumber(text[i:])
		if length == 0 || n > 255 {
			return 0, false
		}
		addr = addr<<8 | uint64(n)
		i += length
	}
	if i == len(text) {
		return plain4(addr<<8 | 32), true
	}
	n, length := readNumber(text[i+1:])
	if text[i] != '/' || length == 0 || i+1+length != len(text) || n > 32 || addr&(1<<(32-n)-1) != 0 {
		return 0, false
	}
	return plain4(addr<<8 | uint64(n)), true
}

// readNumber reads up to three decimal digits without leading zeros; length 0 means that
// there is no such number.
func readNumber(text []byte) (n, length int) {
	for length < len(text) && length < 3 && '0' <= text[length] && text[length] <= '9' {
		n = n*10 + int(text[length]-'0')
		length++
	}
	if length > 1 && text[0] == '0' {
		return 0, 0
	}
	return n, length
}

// readPlain6 reads an IPv6 address or network without host bits. It leaves embedded IPv4
// addresses and mapped ones to the caller.
func readPlain6(text []byte) (_ plain6, ok bool) {
	var groups [8]uint64
	n, gap, i := 0, -1, 0
	for i < len(text) && text[i] != '/' {
		if text[i] == ':' {
			if i+1 < len(text) && text[i+1] == ':' {
				if gap >= 0 {
					return plain6{}, false
				}
				gap = n
				i += 2
				continue
			}
			// A single colon is between two groups.
			if n == 0 || gap == n || i+1 == len(text) || text[i+1] == '/' {
				return plain6{}, false
			}
			i++
		} else if n > 0 && gap != n {
			return plain6{}, false // more than four digits, or another character
		}
		begin := i
		if n == len(groups) {
			return plain6{}, false
		}
		for i < len(text) && i-begin < 4 {
			digit := strings.IndexByte("0123456789abcdef", text[i])
			if digit < 0 {
				break
			}
			groups[n] = groups[n]<<4 | uint64(digit)
			i++
		}
		if i == begin {
			return plain6{}, false
		}
		n++
	}
	if gap < 0 && n < 8 || gap >= 0 && n == 8 {
		return plain6{}, false
	}
	var out plain6
	for g, value := range groups[:n] {
		if gap >= 0 && g >= gap {
			g += 8 - n
		}
		if g < 4 {
			out.high |= value << (48 - 16*g)
		} else {
			out.low |= value << (112 - 16*g)
		}
	}
	out.bits = 128
	if i < len(text) {
		bits, digits := readNumber(text[i+1:])
		if digits == 0 || i+1+digits != len(text) || bits > 128 {
			return plain6{}, false
		}
		out.bits = uint8(bits)
	}
	high, low := ^uint64(0)>>min(out.bits, 64), ^uint64(0)
	if out.bits > 64 {
		low >>= out.bits - 64
	}
	if out.bits >= 64 {
		high = 0
	}
	if out.high&high != 0 || out.low&low != 0 || out.high == 0 && out.low>>32 == 0xffff {
		return plain6{}, false
	}
	return out, true
}

// fill makes a run the content of an empty set if that is what adding its entries one by one
// would do. It returns false otherwise, and then changes nothing.
func (s *Set) fill(run *plainRun) bool {
	if run == nil || run.unsorted || s.store.live > 0 || len(s.store.entries) > 0 || run.len() > s.MaxElem {
		return false
	}
	if (s.Family != "inet" || !run.is4()) && (s.Family != "inet6" || run.is4()) {
		return false
	}
	if _, ok := s.Option("netmask"); ok {
		return false
	}
	if _, ok := s.Option("bitmask"); ok {
		return false
	}
	switch s.Type {
	case "hash:net":
		if run.bits[0] {
			return false
		}
	case "hash:ip":
		width := 128
		if run.is4() {
			width = 32
		}
		for n, used := range run.bits {
			if used && n != width {
				return false
			}
		}
		for first := range run.prefixes() {
			if first.Addr().IsUnspecified() {
				return false
			}
			break
		}
	default:
		return false
	}
	s.store.sorted, s.store.live = run, run.len()
	return true
}

// general turns a sorted store into one that can be changed.
func (s *store) general() {
	run := s.sorted
	if run == nil {
		return
	}
	s.sorted, s.live = nil, 0
	for e := range run.entries() {
		s.add(e, false)
	}
}

// find returns the position of an entry in a run in ascending order.
func (r *plainRun) find(e *Entry) (int, bool) {
	switch {
	case !e.Prefix.IsValid():
		return 0, false
	case r.count > 0:
		// The caller compares in order first, so that this is rare.
		i := 0
		for p := range r.prefixes() {
			if p == e.Prefix {
				return i, true
			}
			i++
		}
		return 0, false
	case e.Prefix.Addr().Is4():
		return slices.BinarySearch(r.v4, plain4(v4Key(e.Prefix)))
	}
	i, ok := slices.BinarySearchFunc(r.v6, plain6Of(e.Prefix), plain6.compare)
	return len(r.v4) + i, ok
}

// Prefixes returns the entries of a set that has nothing but addresses or networks without
// options, in ascending order; ok is false if it may have others. A set of more than a few
// hundred entries that was filled in order at once is of that kind.
func (s *Set) Prefixes() (_ iter.Seq[netip.Prefix], ok bool) {
	run := s.store.sorted
	if run == nil {
		return nil, false
	}
	return run.prefixes(), true
}

// Known returns ranges whose first networks, or all, the entries of the set are, as [ParseKnownSets]
// expected; otherwise none.
func (s *Set) Known() addrlist.Ranges {
	if run := s.store.sorted; run != nil && run.count > 0 {
		return run.known
	}
	return addrlist.Ranges{}
}

// HasAll reports whether the set has all entries, and returns the first that it does not
// have.
func (s *Set) HasAll(prefixes iter.Seq[netip.Prefix]) (missing netip.Prefix, ok bool) {
	var have cursor
	var at netip.Prefix
	more := false
	if run := s.store.sorted; run != nil {
		have = run.cursor()
		at, more = have.next()
	}
	for p := range prefixes {
		// The usual case: both in the same order.
		if more && at == p {
			at, more = have.next()
			continue
		}
		if !s.Has(Entry{Prefix: p}) {
			return p, false
		}
	}
	return netip.Prefix{}, true
}
