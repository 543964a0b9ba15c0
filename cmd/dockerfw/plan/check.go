package plan

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
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
	for _, f := range families {
		if want.Rules[f] != nil && h.Rules[f] == nil {
			out = append(out, Problem{Text: fmt.Sprintf("the version has rules of IPv%d, but this host has no tables of IPv%d: install its tools, or set families in the host block", f, f)})
		}
		if rules := h.foreignRules(want.Rules[f], f); len(rules) > 0 && !force {
			out = append(out, Problem{
				Text:  fmt.Sprintf("chains that loading replaces contain rules that dockerfw did not create (IPv%d). To keep these rules, set install = \"jump\" in the host block; to delete them, use --force:", f),
				Rules: rules,
			})
		}
		if rules := h.foreignJumps(want.Rules[f], f); len(rules) > 0 {
			out = append(out, Problem{
				Text:  fmt.Sprintf("rules that dockerfw did not create jump to its chains, which loading deletes (IPv%d). Delete these rules first:", f),
				Rules: rules,
			})
		}
	}
	out = append(out, h.tableProblems(want, force)...)
	return append(out, h.setProblems(want, o, force)...)
}

// setProblems are the problems with sets.
func (h *Host) setProblems(want *Version, o *ownership, force bool) []Problem {
	var out []Problem
	add := func(format string, args ...any) { out = append(out, Problem{Text: fmt.Sprintf(format, args...)}) }
	for _, name := range want.Sets.Names() {
		set := h.Sets.Set(name)
		mine := o.before[name] && (!o.unmanaged[name] || o.made[name])
		switch {
		case set == nil:
		case !mine && !force:
			add("set %s exists and was not created by dockerfw: rename the set in the policy, set managed = false to use this one, or use --force to replace it", name)
		case !sameType(set, want.Sets.Set(name)):
			if by := h.holder(name, o); by != "" {
				add("set %s is used by %s, so that its type cannot change from %s to %s", name, by, set.Kind(), want.Sets.Set(name).Kind())
			}
		}
		if alt := name + altSuffix; o.other[alt] && h.Sets.Set(alt) != nil {
			add("set %s is used by dockerfw's rules in the tables that Docker does not use, because a load was cut off: remove dockerfw's rules first, with dockerfw remove", alt)
		}
	}
	for _, name := range want.Unmanaged.Names() {
		have, wanted := h.Sets.Set(name), want.Unmanaged.Set(name)
		if have != nil && !sameType(have, wanted) {
			add("unmanaged set %s is a %s on this host, but the policy declares a %s", name, have.Kind(), wanted.Kind())
		}
	}
	for _, name := range o.temporary(h) {
		if !o.isTemporary(name) {
			add("set %s exists and was not created by dockerfw, which needs this name: rename or destroy the set", name)
		}
	}
	return out
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

// foreignJumps are the rules that dockerfw did not create and that jump to chains of dockerfw
// which a version does not have: such a chain cannot be deleted.
func (h *Host) foreignJumps(want *Rules, f ir.Family) []string {
	var out []string
	find := func(t *iptables.Table, b *iptables.Block) {
		own := declared(b)
		for _, c := range chains(t) {
			if own[c.Name] || identity.IsOwnChain(c.Name) {
				continue
			}
			for _, r := range c.Rules {
				if identity.IsOwnChain(r.Jump) && !own[r.Jump] && !identity.Ours(r) {
					out = append(out, "-A "+c.Name+" "+r.Text)
				}
			}
		}
	}
	for _, name := range tables {
		find(h.table(f, name), want.block(name))
		if h.Other[f] != nil {
			find(h.Other[f].Table(name), nil)
		}
	}
	return out
}
