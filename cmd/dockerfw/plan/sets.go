package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// SetChange is a set that a version changes.
type SetChange struct {
	Name string `json:"name"`
	// Created: the set does not exist.
	Created bool `json:"created,omitempty"`
	// Counts: packets add the elements, which are the counts of a limit.
	Counts bool `json:"counts,omitempty"`
	// Deleted: the version does not have the set. Only sets of target nftables are listed then.
	Deleted bool `json:"deleted,omitempty"`
	// Before and After are the properties of the set where they differ: type, family, options.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Added and Removed are entries.
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// inForce is the set that has the content of a name: a load that was cut off may have left it in
// use as NAME-alt.
func (o *ownership) inForce(h *Host, name string) *iptables.Set {
	if slices.Contains(o.busy, name) {
		return h.Sets.Set(name + altSuffix)
	}
	return h.Sets.Set(name)
}

// setChanges compares the sets of a family with those of a version.
func (o *ownership) setChanges(h *Host, want *Version, f ir.Family) []SetChange {
	var out []SetChange
	for _, name := range want.Sets.Names() {
		if want.familyOf(name) != f {
			continue
		}
		wanted, have := want.Sets.Set(name), o.inForce(h, name)
		c := SetChange{Name: name, Created: have == nil}
		if have == nil {
			c.After = properties(wanted)
			c.Added = missing(wanted, nil)
			out = append(out, c)
			continue
		}
		if before, after := properties(have), properties(wanted); before != after {
			c.Before, c.After = before, after
		} else if smaller(have, wanted) {
			c.Before, c.After = before+hashsize(have), after+hashsize(wanted)
		}
		c.Added, c.Removed = missing(wanted, have), missing(have, wanted)
		if len(c.Added)+len(c.Removed) == 0 {
			c.Added, c.Removed = renamedRules(wanted, have)
		}
		if c.Before != "" || len(c.Added)+len(c.Removed) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// kernelOptions are the options of create that the kernel chooses itself, or changes.
var kernelOptions = []string{"family", "hashsize", "maxelem", "bucketsize", "initval"}

// properties are what loading determines of a set besides its entries, in the words of create.
func properties(s *iptables.Set) string {
	text := s.Type
	if s.Family != "" {
		text += " family " + s.Family
	}
	if isList(s) == 0 {
		text += fmt.Sprintf(" maxelem %d", s.MaxElem)
	}
	var options []string
	for _, o := range s.Options {
		if !slices.Contains(kernelOptions, o.Name) {
			options = append(options, strings.TrimSpace(o.Name+" "+o.Value))
		}
	}
	slices.Sort(options)
	return strings.Join(append([]string{text}, options...), " ")
}

func hashsize(s *iptables.Set) string {
	size, _ := s.Option("hashsize")
	return " hashsize " + size
}

// smaller reports whether a set has a smaller hash table than it is to have. The kernel increases
// the size itself.
func smaller(have, want *iptables.Set) bool {
	a, _ := have.Option("hashsize")
	b, _ := want.Option("hashsize")
	x, err := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	return err == nil && err2 == nil && x < y
}

// entryName is an entry as it counts for packets; a member of a list without the ending of a
// load that was cut off.
func entryName(s *iptables.Set, e *iptables.Entry) string {
	if isList(s) == 1 {
		return strings.TrimSuffix(e.String(), altSuffix)
	}
	return s.EntryText(e)
}

// missing are the entries of a set that another does not have, in order; nil has none.
func missing(s, other *iptables.Set) []string {
	var out []string
	if other != nil && isList(s) == 0 && isList(other) == 0 {
		// The usual case, without text for the entries that both have.
		for e := range s.Entries() {
			if !other.HasSame(e) {
				out = append(out, entryName(s, e))
			}
		}
		return out
	}
	in := map[string]bool{}
	if other != nil {
		for e := range other.Entries() {
			in[entryName(other, e)] = true
		}
	}
	for e := range s.Entries() {
		if name := entryName(s, e); !in[name] {
			out = append(out, name)
		}
	}
	return out
}

// renamedRules are the entries that have another rule in the set of merged rules, whose names are
// their comments. Comments that somebody gave other entries are left alone.
func renamedRules(want, have *iptables.Set) (added, removed []string) {
	for e := range want.Entries() {
		name := e.Comment()
		if name == "" {
			continue
		}
		if other := have.CommentOf(e); other != name {
			added = append(added, fmt.Sprintf("%s comment %q", entryName(want, e), name))
			removed = append(removed, fmt.Sprintf("%s comment %q", entryName(want, e), other))
		}
	}
	return added, removed
}

// setWriter writes the input of ipset restore.
type setWriter struct{ buf bytes.Buffer }

func (w *setWriter) line(format string, args ...any) { fmt.Fprintf(&w.buf, format+"\n", args...) }

// create creates a set under a name, without the options that the kernel chooses.
func (w *setWriter) create(s *iptables.Set, name string) {
	c := &iptables.SetCommand{Op: iptables.SetCreate, Set: name, Type: s.Type}
	for _, o := range s.Options {
		if o.Name != "bucketsize" && o.Name != "initval" {
			c.Options = append(c.Options, o)
		}
	}
	w.command(c)
}

func (w *setWriter) command(c *iptables.SetCommand) {
	_ = (&iptables.SetsFile{Commands: []*iptables.SetCommand{c}}).Print(&w.buf) // a buffer has no errors
}

// fill creates a set under a name with the entries of s. Members of a list get other names.
func (w *setWriter) fill(s *iptables.Set, name string, to renames) {
	w.create(s, name)
	one := &iptables.SetCommand{Op: iptables.SetAdd, Set: name, Entries: make([]iptables.Entry, 1)}
	for e := range s.Entries() {
		entry := *e
		if isList(s) == 1 {
			entry = iptables.Entry{Text: strings.TrimSuffix(e.String(), altSuffix), NoMatch: e.NoMatch}
			entry.Text = to.of(entry.Text)
		}
		if entry.Prefix.IsValid() && len(entry.Options) == 0 && !entry.NoMatch {
			// The usual case: there may be a million of them.
			w.buf.WriteString("add " + name + " ")
			w.buf.WriteString(entry.String())
			w.buf.WriteByte('\n')
			continue
		}
		entry.Exist = false
		one.Entries[0] = entry
		w.command(one)
	}
}

// ownNames gives sets their content under their own names, which none of dockerfw's rules uses
// now. Content is swapped into a set that exists, so that foreign rules which use it see it all
// the time; a set of another type is replaced. It returns the sets that the lines destroy for
// good.
func (w *setWriter) ownNames(h *Host, o *ownership, want *Version, names []string) (gone []string) {
	retyped := map[string]bool{}
	for _, name := range names {
		if have := h.Sets.Set(name); have != nil && !sameType(have, want.Sets.Set(name)) {
			retyped[name] = true
		}
	}
	destroyed := map[string]bool{}
	for _, list := range h.Sets.Names() {
		if isList(h.Sets.Set(list)) == 0 || !o.known[list] || o.foreign[list] != "" {
			continue
		}
		// A list that holds a changed set changes with it, so that no rule of ours uses it now.
		for member := range members(h.Sets.Set(list)) {
			if retyped[member] {
				w.line("destroy %s", list)
				destroyed[list] = true
				if want.Sets.Set(list) == nil {
					gone = append(gone, list)
				}
				break
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(retyped)) {
		if !destroyed[name] {
			w.line("destroy %s", name)
			destroyed[name] = true
		}
	}
	for _, name := range sortedSets(want.Sets) {
		if !slices.Contains(names, name) && !(destroyed[name] && want.Sets.Set(name) != nil) {
			continue
		}
		if h.Sets.Set(name) == nil || destroyed[name] {
			w.fill(want.Sets.Set(name), name, nil)
			continue
		}
		w.exchange(want.Sets.Set(name))
	}
	return gone
}

// exchange gives existing sets of the same type another content, each in one step. All are filled, which
// can fail, before the first is swapped in.
func (w *setWriter) exchange(sets ...*iptables.Set) {
	for _, s := range sets {
		w.fill(s, s.Name+newSuffix, nil)
	}
	for _, s := range sets {
		w.line("swap %s%s %s", s.Name, newSuffix, s.Name)
	}
	for _, s := range sets {
		w.line("destroy %s%s", s.Name, newSuffix)
	}
}

func sameType(a, b *iptables.Set) bool { return a.Type == b.Type && a.Family == b.Family }
