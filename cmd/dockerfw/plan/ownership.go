package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// ownership is which sets belong to dockerfw, and what uses them.
type ownership struct {
	// made is what was recorded, and recorded are the unmanaged sets of the version before.
	made, recorded map[string]bool
	// named are the sets that dockerfw made or its rules use, and that exist: under this name, or
	// as one of a load under way.
	named map[string]bool
	// known are the sets that dockerfw may fill and destroy: those that it made, those that its
	// rules use, and those of the version to load. before are the existing ones among the first
	// two.
	known, before map[string]bool
	// unmanaged are the sets that policies use and something else fills, of the version to load
	// and of the one before.
	unmanaged map[string]bool
	// busy are sets that dockerfw's rules use as NAME-alt, because a load was cut off.
	busy []string

	uses
}

// uses are the sets that rules refer to.
type uses struct {
	// used are the sets in dockerfw's rules, and other those in its rules in the tables that
	// Docker does not use; both with the members of lists.
	used, other map[string]bool
	// foreign are the sets in other rules, each with one of them.
	foreign map[string]string
}

func (h *Host) uses() uses {
	u := uses{map[string]bool{}, map[string]bool{}, map[string]string{}}
	for _, side := range []struct {
		rules map[ir.Family]*iptables.Ruleset
		own   map[string]bool
	}{{h.Rules, u.used}, {h.Other, u.other}} {
		for chain, r := range rulesOf(side.rules) {
			for _, set := range setsOf(r) {
				switch {
				case ours(chain, r):
					side.own[set] = true
					for member := range members(h.Sets.Set(set)) {
						side.own[member] = true
					}
				case u.foreign[set] == "":
					u.foreign[set] = "-A " + chain + " " + r.Text
				}
			}
		}
	}
	return u
}

// rulesOf yields all rules of tables with their chains.
func rulesOf(tables map[ir.Family]*iptables.Ruleset) func(yield func(chain string, r *iptables.Rule) bool) {
	return func(yield func(chain string, r *iptables.Rule) bool) {
		for _, f := range families {
			if tables[f] == nil {
				continue
			}
			for _, t := range tables[f].Tables {
				for _, c := range t.Chains {
					for _, r := range c.Rules {
						if !yield(c.Name, r) {
							return
						}
					}
				}
			}
		}
	}
}

// setsOf are the sets that keep a rule from being loaded if they do not exist, and that cannot be
// destroyed while the rule exists: those that it matches, and those that its target SET changes.
func setsOf(r *iptables.Rule) []string {
	out := r.Sets()
	if r.Jump == "SET" {
		for _, o := range r.Target {
			if len(o.Values) > 0 && slices.Contains([]string{"--add-set", "--del-set", "--map-set"}, o.Name) {
				out = append(out, o.Values[0])
			}
		}
	}
	return out
}

func (h *Host) ownership(want *Version, r Records) *ownership {
	o := &ownership{
		made: setOf(r.Made), recorded: setOf(r.Unmanaged), unmanaged: setOf(append(want.Unmanaged.Names(), r.Unmanaged...)),
		known: setOf(want.Sets.Names()), named: map[string]bool{}, before: map[string]bool{}, uses: h.uses(),
	}
	name := func(name string) {
		// A set that dockerfw made, and that does not exist any more, may be made by others.
		if h.Sets.Set(name) != nil || h.Sets.Set(name+altSuffix) != nil || h.Sets.Set(name+newSuffix) != nil {
			o.named[name] = true
		}
	}
	for _, set := range slices.Concat(r.Made, r.Earlier) {
		name(set)
	}
	for _, used := range []map[string]bool{o.used, o.other} {
		for set := range used {
			name(strings.TrimSuffix(set, altSuffix))
		}
	}
	for name := range o.named {
		o.known[name] = true
		for _, at := range []string{name, name + altSuffix} {
			if set := h.Sets.Set(at); set != nil {
				o.before[name] = true
				for member := range members(set) {
					o.before[strings.TrimSuffix(member, altSuffix)] = true
				}
			}
		}
	}
	maps.Copy(o.known, o.before)
	for name := range o.unmanaged {
		if want.Sets.Set(name) == nil {
			delete(o.known, name)
		}
	}
	for _, name := range o.sorted() {
		if o.used[name+altSuffix] && h.Sets.Set(name+altSuffix) != nil {
			o.busy = append(o.busy, name)
		}
	}
	return o
}

// sorted are the names of the sets that are dockerfw's now, or were.
func (o *ownership) sorted() []string {
	all := maps.Clone(o.known)
	maps.Copy(all, o.named)
	return slices.Sorted(maps.Keys(all))
}

func setOf(names []string) map[string]bool {
	out := map[string]bool{}
	for _, name := range names {
		out[name] = true
	}
	return out
}

// members yields the names in a list of sets; nothing for other sets.
func members(s *iptables.Set) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if isList(s) == 0 {
			return
		}
		for e := range s.Entries() {
			if !yield(e.String()) {
				return
			}
		}
	}
}

// unneeded are the existing sets of dockerfw that a version does not have and that can be
// destroyed once the version is loaded, lists first: a member of a list cannot be destroyed.
func (o *ownership) unneeded(h *Host, want *Version) []string {
	var candidates, out []string
	for _, name := range slices.Sorted(maps.Keys(o.known)) {
		if want.Sets.Set(name) == nil && h.Sets.Set(name) != nil {
			candidates = append(candidates, name)
		}
	}
	held := map[string]bool{}
	for _, list := range h.Sets.Names() {
		base := strings.TrimSuffix(strings.TrimSuffix(list, altSuffix), newSuffix)
		if o.known[base] && o.foreign[list] == "" {
			continue // it is destroyed, or has the members of the version
		}
		for member := range members(h.Sets.Set(list)) {
			held[member] = true
		}
	}
	for _, name := range listsFirst(h.Sets, candidates) {
		if o.foreign[name] == "" && !held[name] {
			out = append(out, name)
		}
	}
	return out
}

// mine are the sets that dockerfw made, or will make: of those that a version no longer fills,
// those that were not recorded as unmanaged.
func (o *ownership) mine() []string {
	return slices.DeleteFunc(o.sorted(), func(name string) bool { return !o.known[name] && o.recorded[name] && !o.made[name] })
}

// left are the sets of dockerfw that a version does not have, and that stay.
func (o *ownership) left(h *Host, want *Version) []string {
	destroyed := o.unneeded(h, want)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(o.known)), func(name string) bool {
		return want.Sets.Set(name) != nil || h.Sets.Set(name) == nil || slices.Contains(destroyed, name)
	})
}

// temporary are the existing sets with the endings of a load under way, lists first.
func (o *ownership) temporary(h *Host) []string {
	var out []string
	for _, name := range o.sorted() {
		for _, suffix := range []string{altSuffix, newSuffix} {
			if h.Sets.Set(name+suffix) != nil && (o.known[name] || o.isTemporary(name+suffix)) {
				out = append(out, name+suffix)
			}
		}
	}
	return listsFirst(h.Sets, out)
}

// isTemporary reports whether a set with the name of a load under way is dockerfw's: a load that
// was cut off has made it, or dockerfw's rules use it.
func (o *ownership) isTemporary(name string) bool {
	return o.made[name[:len(name)-len(altSuffix)]] || o.used[name] || o.other[name]
}

// stale are the temporary sets of dockerfw that nothing uses.
func (o *ownership) stale(h *Host) []string {
	return slices.DeleteFunc(o.temporary(h), func(name string) bool {
		return !o.isTemporary(name) || o.used[name] || o.other[name] || o.foreign[name] != ""
	})
}

// holder is what uses a set besides the rules that are to be replaced; "" for nothing.
func (h *Host) holder(name string, o *ownership) string {
	if rule := o.foreign[name]; rule != "" {
		return "a rule that dockerfw did not create (" + rule + ")"
	}
	if o.other[name] {
		return "dockerfw's rules in the tables that Docker does not use"
	}
	for _, list := range h.Sets.Names() {
		if o.known[strings.TrimSuffix(strings.TrimSuffix(list, altSuffix), newSuffix)] && o.foreign[list] == "" {
			continue
		}
		for member := range members(h.Sets.Set(list)) {
			if member == name {
				return "the list " + list
			}
		}
	}
	return ""
}

func listsFirst(sets *iptables.Sets, names []string) []string {
	slices.SortStableFunc(names, func(a, b string) int { return isList(sets.Set(b)) - isList(sets.Set(a)) })
	return names
}
