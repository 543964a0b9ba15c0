package diff

import (
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// SetChange is a set whose members differ.
type SetChange struct {
	Name string
	// New and Gone sets are on one side only.
	New, Gone bool
	// Unused is set if no rule of either side uses the set.
	Unused bool
	// Added and Removed are the fewest prefixes that make up the difference.
	Added, Removed []netip.Prefix
	// AddedMembers and RemovedMembers are sets in a list:set, or entries with ports.
	AddedMembers, RemovedMembers []string

	// matters is set if rules outside the compared chains use the set, or if its type has
	// no meaning here. Otherwise the changes show what follows from the entries.
	matters bool
}

// sets compares the members of the sets that either side has, as addresses: other prefixes
// for the same addresses are no difference.
func (c *comparison) sets() {
	before, after := c.before.OwnSets(), c.after.OwnSets()
	names := slices.Concat(before.Names(), after.Names())
	slices.Sort(names)
	old, now := c.usage(c.before), c.usage(c.after)
	for _, name := range slices.Compact(names) {
		if c.before.Unmanaged[name] || c.after.Unmanaged[name] {
			continue // another program fills it, so that it is no part of the change
		}
		a, b := before.Set(name), after.Set(name)
		if c.otherTargets() && (a == nil || b == nil) {
			continue // each target has sets for what the other has in rules
		}
		change := SetChange{Name: name, New: a == nil, Gone: b == nil}
		switch {
		case a != nil && b != nil && a == b:
			continue
		case c.otherTargets() && c.before.Members()[name] != nil && c.after.Members()[name] != nil:
			// A list of sets for one target is their addresses for the other.
			old, now := c.before.Members()[name], c.after.Members()[name]
			change.Added, change.Removed = now.Minus(old).Prefixes(0), old.Minus(now).Prefixes(0)
		case byName(a, c.before.Members()) || byName(b, c.after.Members()):
			old, now := memberNames(a), memberNames(b)
			change.AddedMembers, change.RemovedMembers = without(now, old), without(old, now)
		default:
			old, now := addresses(c.before.Members(), name), addresses(c.after.Members(), name)
			if old.Equal(now) && !change.New && !change.Gone {
				continue
			}
			change.Added, change.Removed = now.Minus(old).Prefixes(0), old.Minus(now).Prefixes(0)
		}
		if change.New || change.Gone || len(change.Added)+len(change.Removed)+len(change.AddedMembers)+len(change.RemovedMembers) > 0 {
			x, y := old[name], now[name]
			change.Unused = x == nil && y == nil
			known := (a == nil || c.before.Members()[name] != nil) && (b == nil || c.after.Members()[name] != nil)
			change.matters = x != nil && x.elsewhere || y != nil && y.elsewhere || !known && x != nil && y != nil
			c.report.Sets = append(c.report.Sets, change)
		}
	}
}

// use is how a host's rules use a set: elsewhere, if some of them are in chains that are not
// compared.
type use struct{ elsewhere bool }

// usage returns the sets that a host's rules use, directly or in a list:set.
func (c *comparison) usage(s *snapshot.Host) map[string]*use {
	out := map[string]*use{}
	var note func(name string, elsewhere bool, depth int)
	note = func(name string, elsewhere bool, depth int) {
		u := out[name]
		if u == nil {
			u = &use{}
			out[name] = u
		}
		u.elsewhere = u.elsewhere || elsewhere
		if set := s.OwnSets().Set(name); set != nil && set.Type == string(ir.ListSet) && depth < 8 {
			for e := range set.Entries() {
				note(e.Text, elsewhere, depth+1)
			}
		}
	}
	for _, f := range s.Families() {
		if t := s.Table(); t != nil {
			for _, chain := range t.Chains {
				for _, r := range s.ChainRules(f, chain.Name) {
					for _, name := range r.Sets() {
						note(name, !c.listed[chainOf{f, chain.Name}], 0)
					}
				}
			}
			continue // rules of iptables use other sets
		}
		for _, t := range s.Rules[f].Tables {
			for _, chain := range t.Chains {
				// The fallback rules follow from those in the filter table.
				compared := t.Name == "filter" && c.listed[chainOf{f, chain.Name}] || t.Name == "security" && identity.IsOwnChain(chain.Name)
				for _, r := range chain.Rules {
					for _, name := range r.Sets() {
						note(name, !compared, 0)
					}
				}
			}
		}
	}
	return out
}

func addresses(known map[string]*packet.AddrSet, name string) *packet.AddrSet {
	if s := known[name]; s != nil {
		return s
	}
	return packet.NewAddrSet("", nil)
}

// byName reports whether a set's members are compared as text: sets in a list:set, and entries
// that are more than addresses or are written as a name.
func byName(s *iptables.Set, known map[string]*packet.AddrSet) bool {
	return s != nil && (s.Type == string(ir.ListSet) || known[s.Name] == nil)
}

func memberNames(s *iptables.Set) []string {
	var out []string
	if s != nil {
		for e := range s.Entries() {
			out = append(out, s.EntryText(e))
		}
	}
	return out
}

func without(a, b []string) []string {
	in := map[string]bool{}
	for _, x := range b {
		in[x] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return in[x] })
}
