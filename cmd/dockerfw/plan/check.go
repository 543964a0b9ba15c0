package plan

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Problem is a reason not to load a version.
type Problem struct {
	// Text is what is wrong, and what can be done.
	Text string
	// Rules are the foreign rules that it is about.
	Rules []string
}

// Error is a problem as an error.
func (p Problem) Error() string {
	return strings.Join(append([]string{p.Text}, p.Rules...), "\n  ")
}

// problems finds all reasons not to load a version onto a host. With force, foreign rules in
// chains that are replaced and foreign sets with names of the version are no reason.
func (h *Host) problems(want *Version, o *ownership, force bool) []Problem {
	var out []Problem
	add := func(format string, args ...any) { out = append(out, Problem{Text: fmt.Sprintf(format, args...)}) }
	if !force {
		for _, f := range families {
			if rules := h.foreignRules(want.Rules[f], f); len(rules) > 0 {
				out = append(out, Problem{
					Text:  fmt.Sprintf("chains that loading replaces contain rules that dockerfw did not create (IPv%d). To keep these rules, set install = \"jump\" in the host block; to delete them, use --force:", f),
					Rules: rules,
				})
			}
		}
	}
	for _, name := range want.Sets.Names() {
		set := h.Sets.Set(name)
		mine := o.before[name] && !o.unmanaged[name]
		switch {
		case set == nil:
		case !mine && !force:
			add("set %s exists and was not created by dockerfw: rename the set in the policy, set managed = false to use this one, or use --force to replace it", name)
		case !sameType(set, want.Sets.Set(name)):
			if by := h.holder(name, o); by != "" {
				add("set %s is used by %s, so that its type cannot change from %s to %s", name, by, kindOf(set.Type, set.Family), kindOf(want.Sets.Set(name).Type, want.Sets.Set(name).Family))
			}
		}
	}
	for _, name := range want.Unmanaged.Names() {
		have, wanted := h.Sets.Set(name), want.Unmanaged.Set(name)
		if have != nil && !sameType(have, wanted) {
			add("unmanaged set %s is a %s on this host, but the policy declares a %s", name, kindOf(have.Type, have.Family), kindOf(wanted.Type, wanted.Family))
		}
	}
	for _, name := range o.temporary(h) {
		if !o.isTemporary(name) {
			add("set %s exists and was not created by dockerfw, which needs this name: rename or destroy the set", name)
		}
	}
	return out
}

// isTemporary reports whether a set with the name of a load under way is dockerfw's: a load that
// was cut off has made it, or dockerfw's rules use it.
func (o *ownership) isTemporary(name string) bool {
	return o.made[name[:len(name)-len(altSuffix)]] || o.used[name]
}

// holder is what uses a set besides dockerfw: a foreign rule, or a foreign list; "" for nothing.
func (h *Host) holder(name string, o *ownership) string {
	if rule := o.foreign[name]; rule != "" {
		return "a rule that dockerfw did not create (" + rule + ")"
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

func kindOf(typ, family string) string {
	if family == "" {
		return typ
	}
	return typ + " family " + family
}

// foreignRules are the rules that dockerfw did not create in the chains of the filter table that a
// version replaces, without the RETURN that Docker appends.
func (h *Host) foreignRules(want *Rules, f ir.Family) []string {
	var out []string
	own := declared(want.block(filter))
	for _, c := range chains(h.table(f, filter)) {
		if !own[c.Name] {
			continue
		}
		for _, r := range identity.ForeignRules(c) {
			out = append(out, "-A "+c.Name+" "+r.Text)
		}
	}
	return out
}
