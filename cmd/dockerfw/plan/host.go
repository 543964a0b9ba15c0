package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Host is the tables and sets of a host.
type Host struct {
	// Rules are the tables of the kind of iptables that Docker uses, by family, and Other those
	// of the other kind. A family that a host has no tool for is missing.
	Rules, Other map[ir.Family]*iptables.Ruleset
	Sets         *iptables.Sets
	// NoSecurity are the families whose kernel has no security table: their fallback rules
	// cannot be loaded.
	NoSecurity map[ir.Family]bool
}

// table is a table of the kind that Docker uses; nil if it does not exist.
func (h *Host) table(f ir.Family, name string) *iptables.Table {
	if h.Rules[f] == nil {
		return nil
	}
	return h.Rules[f].Table(name)
}

// rules yields all rules of the host with their chains.
func (h *Host) rules(yield func(chain string, r *iptables.Rule) bool) {
	for _, side := range []map[ir.Family]*iptables.Ruleset{h.Rules, h.Other} {
		for _, f := range families {
			if side[f] == nil {
				continue
			}
			for _, t := range side[f].Tables {
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

// usedSets are the sets that rules refer to: dockerfw's rules and foreign ones. A foreign rule
// is kept as an example.
func (h *Host) usedSets() (own map[string]bool, foreign map[string]string) {
	own, foreign = map[string]bool{}, map[string]string{}
	for chain, r := range h.rules {
		for _, set := range r.Sets() {
			if ours(chain, r) {
				own[set] = true
			} else if foreign[set] == "" {
				foreign[set] = "-A " + chain + " " + r.Text
			}
		}
	}
	return own, foreign
}

// HasOwn reports whether tables of a family contain chains or rules of dockerfw.
func HasOwn(rules *iptables.Ruleset) bool {
	if rules == nil {
		return false
	}
	for _, name := range tables {
		t := rules.Table(name)
		if t == nil {
			continue
		}
		for _, c := range t.Chains {
			if identity.IsOwnChain(c.Name) || slices.ContainsFunc(c.Rules, identity.Ours) {
				return true
			}
		}
	}
	return false
}

// ownership is which sets belong to dockerfw.
type ownership struct {
	// known are the sets that dockerfw may fill and destroy: those that it made, those that its
	// rules use, and those of the version to load. before are the existing ones among the first
	// two.
	known, before map[string]bool
	// unmanaged are the sets that policies use and something else fills, of the version to load
	// and of the one before.
	unmanaged map[string]bool
	// busy are sets that dockerfw's rules use as NAME-alt, because a load was cut off.
	busy []string
	// made is what was recorded.
	made map[string]bool
	// used are the sets in dockerfw's rules, foreign those in other rules, each with one of them.
	used    map[string]bool
	foreign map[string]string
}

func (h *Host) ownership(want *Version, made, unmanaged []string) *ownership {
	o := &ownership{known: map[string]bool{}, before: map[string]bool{}, unmanaged: map[string]bool{}, made: map[string]bool{}}
	o.used, o.foreign = h.usedSets()
	named := map[string]bool{}
	for _, name := range made {
		named[name], o.made[name] = true, true
	}
	for name := range o.used {
		named[strings.TrimSuffix(name, altSuffix)] = true
	}
	for _, name := range append(slices.Clone(unmanaged), want.Unmanaged.Names()...) {
		o.unmanaged[name] = true
	}
	theirs := maps.Clone(o.unmanaged)
	for _, name := range want.Sets.Names() {
		delete(theirs, name)
		o.known[name] = true
	}
	for name := range named {
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
	for name := range theirs {
		delete(o.known, name)
	}
	for name := range o.known {
		if o.used[name+altSuffix] && h.Sets.Set(name+altSuffix) != nil {
			o.busy = append(o.busy, name)
		}
	}
	slices.Sort(o.busy)
	return o
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

// unneeded are the existing sets of dockerfw that a version does not have, lists first: a member
// of a list cannot be destroyed.
func (o *ownership) unneeded(h *Host, want *Version) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(o.known)) {
		if want.Sets.Set(name) == nil && h.Sets.Set(name) != nil {
			out = append(out, name)
		}
	}
	return listsFirst(h.Sets, out)
}

// temporary are the existing sets with the endings of a load under way, lists first.
func (o *ownership) temporary(h *Host) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(o.known)) {
		for _, suffix := range []string{altSuffix, newSuffix} {
			if h.Sets.Set(name+suffix) != nil {
				out = append(out, name+suffix)
			}
		}
	}
	return listsFirst(h.Sets, out)
}

func listsFirst(sets *iptables.Sets, names []string) []string {
	slices.SortStableFunc(names, func(a, b string) int { return isList(sets.Set(b)) - isList(sets.Set(a)) })
	return names
}
