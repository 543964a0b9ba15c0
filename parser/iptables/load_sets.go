package iptables

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Sets are the sets of a host by name.
type Sets struct {
	sets map[string]*Set
	// exist is set by the first -exist and stays on for the rest of a file, as
	// it does in ipset (facts 3.2).
	exist bool
	// expanded is how many entries ranges were written out as.
	expanded int
}

// maxFollowed bounds what all ranges of all sets are written out as: a few lines could
// stand for more entries than memory has room for.
const maxFollowed = 1 << 20

// Set is one set.
type Set struct {
	Name    string
	Type    string
	Family  string // "inet" or "inet6"; "" for types that have none
	Options []SetOption
	MaxElem int
	Range   hcl.Range // of the create line

	store store
}

// Option returns the value of a create option and whether it was given.
func (s *Set) Option(name string) (string, bool) {
	for _, o := range s.Options {
		if o.Name == name {
			return o.Value, true
		}
	}
	return "", false
}

// Set returns the set of that name, or nil.
func (s *Sets) Set(name string) *Set {
	if s == nil {
		return nil
	}
	return s.sets[name]
}

// Names returns the names of all sets, sorted.
func (s *Sets) Names() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.sets))
}

// Overlay returns the sets of s with those of over that take says in their place.
// Sets are shared.
func (s *Sets) Overlay(over *Sets, take func(name string) bool) *Sets {
	out := &Sets{sets: map[string]*Set{}}
	if s != nil {
		maps.Copy(out.sets, s.sets)
	}
	for name, set := range over.sets {
		if take(name) {
			out.sets[name] = set
		}
	}
	return out
}

// Load applies the file as ipset restore does: it stops at the first line that is
// refused, and what stands before that stays applied.
func (s *Sets) Load(file *SetsFile) hcl.Diagnostics {
	if s.sets == nil {
		s.sets = map[string]*Set{}
	}
	s.exist = false
	for _, c := range file.Commands {
		// A run of adds goes to the kernel under the flags of its first line.
		exist := s.exist || c.Exist
		r, e := s.apply(c, exist)
		if r != nil {
			rng := c.Range
			if e != nil {
				rng = c.EntryRange(e)
			}
			var p problems
			p.add(diag.CodeDumpLoad, hcl.DiagError, rng, c.line(e), r.summary, r.detail+
				" ipset stops here: what stands before this line is applied, what follows is not.")
			return p.done()
		}
		s.exist = exist
		for i := range c.Entries {
			s.exist = s.exist || c.Entries[i].Exist
		}
	}
	return nil
}

// apply returns why the command is refused, and the entry when it is for one.
func (s *Sets) apply(c *SetCommand, exist bool) (*refusal, *Entry) {
	switch {
	case c.Op == SetCreate:
		return s.create(c, exist), nil
	case c.Op == SetDestroy && c.Set == "":
		return s.destroyAll(), nil
	case c.Op == SetFlush && c.Set == "":
		for _, set := range s.sets {
			set.flush()
		}
		return nil, nil
	}
	set := s.sets[c.Set]
	if set == nil {
		if c.Op == SetDestroy && exist {
			return nil, nil
		}
		r := refuse("No such set", "The set %q does not exist.", c.Set)
		if len(c.Entries) > 0 {
			return r, &c.Entries[0]
		}
		return r, nil
	}
	switch c.Op {
	case SetDestroy:
		if by := s.holder(c.Set); by != "" {
			return refuse("Set in use", "The set %q is a member of %q; destroy that first.", c.Set, by), nil
		}
		delete(s.sets, c.Set)
	case SetFlush:
		set.flush()
	case SetRename:
		if s.sets[c.Other] != nil {
			return refuse("Set exists", "A set %q exists already.", c.Other), nil
		}
		if by := s.holder(c.Set); by != "" {
			return refuse("Set in use", "The set %q is a member of %q and cannot be renamed.", c.Set, by), nil
		}
		delete(s.sets, c.Set)
		set.Name = c.Other
		s.sets[c.Other] = set
	case SetSwap:
		return s.swap(set, c.Other), nil
	case SetAdd, SetDel, SetTest:
		for i := range c.Entries {
			if r := s.entry(set, c.Op, &c.Entries[i], exist); r != nil {
				return r, &c.Entries[i]
			}
		}
	}
	return nil, nil
}

func (s *Sets) create(c *SetCommand, exist bool) *refusal {
	set := &Set{Name: c.Set, Type: c.Type, Options: c.Options, Range: c.Range}
	def := "65536"
	if familyless(c.Type) {
		def = "0"
	} else {
		set.Family = "inet"
	}
	if family, ok := set.Option("family"); ok {
		switch family {
		case "inet", "ipv4", "4", "AF_INET":
		case "inet6", "ipv6", "6", "AF_INET6":
			set.Family = "inet6"
		default:
			return refuse("Bad family", "The family is inet or inet6, not %q.", family)
		}
	}
	if v, ok := set.Option("maxelem"); ok {
		def = v
	}
	n, err := strconv.ParseUint(def, 10, 32)
	if err != nil {
		return refuse("Bad maxelem", "%q is not a number of entries.", def)
	}
	set.MaxElem = int(n)
	if r := set.checkHeader(); r != nil {
		return r
	}
	set.flush()

	old := s.sets[c.Set]
	switch {
	case old == nil:
		s.sets[c.Set] = set
	case !exist:
		return refuse("Set exists", "A set %q exists already; -exist lets the line pass.", c.Set)
	default:
		if what := old.differs(set); what != "" {
			return refuse("Set exists", "A set %q exists already with another %s; -exist does not help then.", c.Set, what)
		}
	}
	return nil
}

// familyless tells the types that take no family option.
func familyless(typ string) bool {
	switch typ {
	case "bitmap:ip", "bitmap:ip,mac", "bitmap:port", "list:set", "hash:mac":
		return true
	}
	return false
}

// differs names what keeps create -exist from passing. The family and the sizes
// of the hash do not: the old set stays as it is without a word (facts 3.2).
func (s *Set) differs(other *Set) string {
	switch {
	case s.Type != other.Type:
		return "type"
	case s.MaxElem != other.MaxElem:
		return "maxelem"
	}
	for _, name := range []string{"timeout", "counters", "comment", "skbinfo", "netmask", "bitmask", "markmask", "range"} {
		a, hasA := s.Option(name)
		b, hasB := other.Option(name)
		if a != b || hasA != hasB {
			return name
		}
	}
	if s.Type == "list:set" && s.size() != other.size() {
		return "size"
	}
	return ""
}

func (s *Set) size() string {
	if v, ok := s.Option("size"); ok {
		return v
	}
	return "8"
}

// holder names a list:set that has the set as a member.
func (s *Sets) holder(name string) string {
	first := ""
	for by, set := range s.sets {
		if set.Type == "list:set" && (first == "" || by < first) && set.store.has(&Entry{Text: name}) {
			first = by
		}
	}
	return first
}

// destroyAll destroys all sets or none.
func (s *Sets) destroyAll() *refusal {
	for _, name := range s.Names() {
		if by := s.holder(name); by != "" {
			return refuse("Set in use", "The set %q is a member of %q; destroy that first.", name, by)
		}
	}
	clear(s.sets)
	return nil
}

// swap exchanges names: rules and lists that name a set see the other content.
func (s *Sets) swap(a *Set, name string) *refusal {
	b := s.sets[name]
	switch {
	case b == nil:
		return refuse("No such set", "The second set, %q, does not exist.", name)
	case a.Type != b.Type:
		return refuse("Sets of different types", "%q is %s and %q is %s; only sets of one type can be swapped.", a.Name, a.Type, b.Name, b.Type)
	case a.Family != b.Family:
		return refuse("Sets of different families", "%q is %s and %q is %s; only sets of one family can be swapped.", a.Name, a.Family, b.Name, b.Family)
	}
	s.sets[a.Name], s.sets[b.Name] = b, a
	a.Name, b.Name = b.Name, a.Name
	return nil
}

func (s *Sets) entry(set *Set, op SetOp, e *Entry, exist bool) *refusal {
	if set.Type == "list:set" {
		switch member := s.sets[e.String()]; {
		case member == nil:
			return refuse("No such set", "The member %q does not exist.", e)
		case member.Type == "list:set":
			return refuse("Bad entry", "%q is a list itself: sets of type list:set cannot be nested.", e)
		}
	}
	if r := set.optionsAllowed(e); r != nil {
		return r
	}
	elements, r := set.elements(e)
	if r != nil {
		return r
	}
	if n := len(elements); n > 1 {
		if s.expanded += n; s.expanded > maxFollowed {
			return refuse("Set is full", "The ranges of all sets together stand for more than %d entries, more than can be followed.", maxFollowed)
		}
	}
	for _, el := range elements {
		switch op {
		case SetAdd:
			if !set.store.has(el) && set.Type != "list:set" && !familyless(set.Type) && set.Len() >= set.MaxElem {
				return refuse("Set is full", "The set %q takes %d entries (maxelem).", set.Name, set.MaxElem)
			}
			if !set.store.add(el, exist) {
				return refuse("Duplicate entry", "%s is in the set %q already.", el, set.Name)
			}
		case SetDel:
			if !set.store.del(el) && !exist {
				return refuse("No such entry", "%s is not in the set %q.", el, set.Name)
			}
		case SetTest:
			if !set.store.has(el) {
				return refuse("No such entry", "%s is not in the set %q.", el, set.Name)
			}
		}
	}
	return nil
}

// optionsAllowed checks that the set was created with what the entry carries.
func (s *Set) optionsAllowed(e *Entry) *refusal {
	if e.NoMatch && s.Dimensions() > 0 && !s.takesNoMatch() {
		return refuse("Bad option", "A set of type %s knows no nomatch.", s.Type)
	}
	if len(e.Options) == 0 {
		return nil
	}
	needs := map[string]string{"timeout": "timeout", "comment": "comment", "packets": "counters", "bytes": "counters"}
	for _, o := range e.Options {
		if o.Name == "wildcard" && s.Type != "hash:net,iface" {
			return refuse("Bad option", "A set of type %s knows no wildcard.", s.Type)
		}
		if n := needs[o.Name]; n != "" {
			if _, ok := s.Option(n); !ok {
				return refuse("Bad option", "%s cannot be used: the set %q was created without %s.", o.Name, s.Name, n)
			}
		}
	}
	return nil
}
