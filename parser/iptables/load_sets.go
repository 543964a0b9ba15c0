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
	// exist is set by the first -exist of a file and holds for the rest of it, as in
	// ipset: docs/contributing/netfilter.md, "-exist".
	exist bool
	// lists are the sets of type list:set while a file is loaded: each set that is destroyed or
	// renamed is looked for in all of them.
	lists []*Set
	// expanded counts the entries that ranges have expanded to.
	expanded int
}

// maxRangeEntries is the largest number of entries that the ranges of all sets together
// may expand to: a few lines could otherwise exhaust memory.
const maxRangeEntries = 1 << 20

// Set is one set.
type Set struct {
	Name    string
	Type    string
	Family  string // "inet" or "inet6"; "" for types without families
	Options []SetOption
	MaxElem int
	Range   hcl.Range // of the create line

	store store
}

// Kind returns the type with the family, as in "hash:net family inet".
func (s *Set) Kind() string {
	if s.Family == "" {
		return s.Type
	}
	return s.Type + " family " + s.Family
}

// Option returns the value of an option of create, and whether it is there.
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

// Clone copies the sets. Loading a file into the copy does not change the original.
func (s *Sets) Clone() *Sets {
	out := &Sets{sets: map[string]*Set{}}
	if s == nil {
		return out
	}
	for name, set := range s.sets {
		copied := *set
		copied.store = set.store.clone()
		out.sets[name] = &copied
	}
	return out
}

// Select returns sets of s under other names: the keys are the new names, the values those in s.
// Names that s does not have are left out. Loading a file into s later does not change the result.
func (s *Sets) Select(names map[string]string) *Sets {
	out := &Sets{sets: map[string]*Set{}}
	for name, from := range names {
		if set := s.Set(from); set != nil {
			copied := *set
			copied.Name, copied.store = name, set.store.clone()
			out.sets[name] = &copied
		}
	}
	return out
}

// Overlay returns the sets of s, with those sets of over added or replaced for which
// take returns true. The result shares sets with both.
func (s *Sets) Overlay(over *Sets, take func(name string) bool) *Sets {
	out := &Sets{sets: map[string]*Set{}}
	if s != nil {
		maps.Copy(out.sets, s.sets)
	}
	if over == nil {
		return out
	}
	for name, set := range over.sets {
		if take(name) {
			out.sets[name] = set
		}
	}
	return out
}

// Load applies the file as ipset restore does: it stops at the first line that fails,
// and earlier lines stay applied (docs/contributing/netfilter.md, "ipset restore is not a
// transaction"). The diagnostics have the code [diag.CodeDumpLoad].
func (s *Sets) Load(file *SetsFile) hcl.Diagnostics {
	if s.sets == nil {
		s.sets = map[string]*Set{}
	}
	s.exist, s.lists = false, nil
	for _, set := range s.sets {
		s.noteList(set)
	}
	for _, c := range file.Commands {
		// Consecutive adds go to the kernel under the flags of the first one.
		exist := s.exist || c.Exist
		r, e := s.apply(c, exist)
		if r != nil {
			rng := c.Range
			if e != nil {
				rng = c.EntryRange(e)
			}
			var p problems
			p.add(diag.CodeDumpLoad, hcl.DiagError, rng, c.line(e), r.summary, r.detail+
				" ipset stops here: earlier lines are applied, later ones are not.")
			return p.done()
		}
		s.exist = exist
		for i := range c.Entries {
			s.exist = s.exist || c.Entries[i].Exist
		} // a plain run has no -exist
	}
	return nil
}

// apply returns why the command fails, and the entry that fails, if it is one.
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
		for e := range c.AllEntries() {
			return r, e
		}
		return r, nil
	}
	switch c.Op {
	case SetDestroy:
		if list := s.listWith(c.Set); list != "" {
			return refuse("Set in use", "The set %q is a member of %q. Destroy that set first.", c.Set, list), nil
		}
		delete(s.sets, c.Set)
		s.lists = slices.DeleteFunc(s.lists, func(list *Set) bool { return list == set })
	case SetFlush:
		set.flush()
	case SetRename:
		if s.sets[c.Other] != nil {
			return refuse("Set exists", "The set %q already exists.", c.Other), nil
		}
		if list := s.listWith(c.Set); list != "" {
			return refuse("Set in use", "The set %q is a member of %q and cannot be renamed.", c.Set, list), nil
		}
		delete(s.sets, c.Set)
		set.Name = c.Other
		s.sets[c.Other] = set
	case SetSwap:
		return s.swap(set, c.Other), nil
	case SetAdd, SetDel, SetTest:
		if c.Op == SetAdd && set.fill(c.plain) {
			return nil, nil
		}
		for e := range c.AllEntries() {
			if r := s.entry(set, c.Op, e, exist); r != nil {
				return r, e
			}
		}
	default:
		panic("iptables: unknown command " + string(c.Op))
	}
	return nil, nil
}

func (s *Sets) create(c *SetCommand, exist bool) *refusal {
	set := &Set{Name: c.Set, Type: c.Type, Options: c.Options, Range: c.Range}
	// ipset(8): the default of maxelem is 65536, that of family inet.
	limit := "65536"
	if withoutFamily(c.Type) {
		limit = "0"
	} else {
		set.Family = "inet"
	}
	if family, ok := set.Option("family"); ok {
		switch family {
		case "inet", "ipv4", "4", "AF_INET":
		case "inet6", "ipv6", "6", "AF_INET6":
			set.Family = "inet6"
		default:
			return refuse("Bad family", "%q is not a family. Write inet or inet6.", family)
		}
	}
	if v, ok := set.Option("maxelem"); ok {
		limit = v
	}
	n, err := strconv.ParseUint(limit, 10, 32)
	if err != nil {
		return refuse("Bad maxelem", "%q is not a number of entries.", limit)
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
		s.noteList(set)
	case !exist:
		return refuse("Set exists", "The set %q already exists. With -exist the line would be accepted.", c.Set)
	default:
		if what := old.differs(set); what != "" {
			return refuse("Set exists", "The set %q already exists with another %s, which -exist does not allow.", c.Set, what)
		}
	}
	return nil
}

// withoutFamily reports whether sets of a type have no family.
func withoutFamily(typ string) bool {
	switch typ {
	case "bitmap:ip", "bitmap:ip,mac", "bitmap:port", "list:set", "hash:mac":
		return true
	}
	return false
}

// differs returns the property for which create -exist fails, or "". With another family
// or hash size it succeeds and keeps the old set: docs/contributing/netfilter.md,
// "-exist".
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

// size returns the size of a list:set, whose default is 8 (ipset(8)).
func (s *Set) size() string {
	if v, ok := s.Option("size"); ok {
		return v
	}
	return "8"
}

// listWith returns the name of a list:set that has the set as a member, or "".
func (s *Sets) listWith(name string) string {
	first := ""
	for _, list := range s.lists {
		if (first == "" || list.Name < first) && list.store.has(&Entry{Text: name}) {
			first = list.Name
		}
	}
	return first
}

// noteList adds a set to lists if it is a list:set.
func (s *Sets) noteList(set *Set) {
	if set.Type == "list:set" {
		s.lists = append(s.lists, set)
	}
}

// destroyAll destroys all sets or none.
func (s *Sets) destroyAll() *refusal {
	for _, name := range s.Names() {
		if list := s.listWith(name); list != "" {
			return refuse("Set in use", "The set %q is a member of %q. Destroy that set first.", name, list)
		}
	}
	clear(s.sets)
	s.lists = nil
	return nil
}

// swap exchanges the names of two sets. Rules and lists refer to a set by name, and so
// match against the new content: docs/contributing/netfilter.md, "Swap".
func (s *Sets) swap(a *Set, name string) *refusal {
	b := s.sets[name]
	switch {
	case b == nil:
		return refuse("No such set", "The second set, %q, does not exist.", name)
	case a.Type != b.Type:
		return refuse("Sets of different types", "%q is %s and %q is %s. Only sets of the same type can be swapped.", a.Name, a.Type, b.Name, b.Type)
	case a.Family != b.Family:
		return refuse("Sets of different families", "%q is %s and %q is %s. Only sets of the same family can be swapped.", a.Name, a.Family, b.Name, b.Family)
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
			return refuse("Bad entry", "%q is itself a list:set, and such sets cannot be nested.", e)
		}
	}
	if r := set.checkOptions(e); r != nil {
		return r
	}
	elements, r := set.elements(e)
	if r != nil {
		return r
	}
	if n := len(elements); n > 1 {
		if s.expanded += n; s.expanded > maxRangeEntries {
			return refuse("Set is full", "The ranges of all sets together expand to more than %d entries, the limit of dockerfw.", maxRangeEntries)
		}
	}
	for _, el := range elements {
		switch op {
		case SetAdd:
			if !set.store.has(el) && set.Type != "list:set" && !withoutFamily(set.Type) && set.Len() >= set.MaxElem {
				return refuse("Set is full", "The set %q can hold %d entries (maxelem).", set.Name, set.MaxElem)
			}
			if !set.store.add(el, exist) {
				return refuse("Duplicate entry", "%s is already in the set %q.", el, set.Name)
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

// checkOptions checks that the set was created with support for the options of the
// entry.
func (s *Set) checkOptions(e *Entry) *refusal {
	if e.NoMatch && s.Dimensions() > 0 && !s.supportsNoMatch() {
		return refuse("Bad option", "A set of type %s does not support nomatch.", s.Type)
	}
	if len(e.Options) == 0 {
		return nil
	}
	needs := map[string]string{"timeout": "timeout", "comment": "comment", "packets": "counters", "bytes": "counters"}
	for _, o := range e.Options {
		if o.Name == "wildcard" && s.Type != "hash:net,iface" {
			return refuse("Bad option", "A set of type %s does not support wildcard.", s.Type)
		}
		if n := needs[o.Name]; n != "" {
			if _, ok := s.Option(n); !ok {
				return refuse("Bad option", "%s cannot be used, because the set %q was created without %s.", o.Name, s.Name, n)
			}
		}
	}
	return nil
}
