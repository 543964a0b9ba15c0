package plan

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Before is the version that a host has now, to which a load of want is rolled back: dockerfw's
// rules, those of the chains that want replaces, and dockerfw's sets. Sets that a load which was
// cut off left in use as NAME-alt have their own names in it. r is that of [Input].
// The plan back to it may have Problems, which are no reason not to roll back.
func (h *Host) Before(want *Version, r Records) *Version {
	return h.inForce(want, h.ownership(want, r))
}

func (h *Host) inForce(want *Version, o *ownership) *Version {
	out := &Version{Table: h.Table.Clone(), Rules: map[ir.Family]*Rules{}, Sets: &iptables.Sets{}, Unmanaged: &iptables.Sets{}}
	for _, f := range families {
		if want.Rules[f] == nil && !HasOwn(h.Rules[f]) {
			continue
		}
		r := &Rules{Filter: h.ownBlock(f, filter, want), Security: h.ownBlock(f, security, want), Target: h.target(f, want)}
		if h.mixed(f) {
			// The load was cut off between the two tables: the fallback rules use the content that
			// a set had before.
			r.Security = nil
		}
		if r.Target != "" && Copies(h.table(f, filter), Jump{f, filter, "FORWARD", r.Target}) == 0 {
			r.NoJump = true
		}
		out.Rules[f] = r
	}
	names, unmanaged := map[string]string{}, map[string]string{}
	for _, name := range o.sorted() {
		switch {
		case slices.Contains(o.busy, name):
			names[name] = name + altSuffix
		case o.known[name] || !o.recorded[name]:
			// Also a set that want no longer fills: the version before fills it.
			names[name] = name
		}
	}
	for name := range o.unmanaged {
		if names[name] == "" {
			unmanaged[name] = name
		}
	}
	out.Sets, out.Unmanaged = h.Sets.Select(names), h.Sets.Select(unmanaged)
	return out
}

// target is the chain with the jump to dockerfw's own chain, or else the one of the version to
// load.
func (h *Host) target(f ir.Family, want *Version) string {
	for _, c := range chains(h.table(f, filter)) {
		if Copies(h.table(f, filter), Jump{f, filter, c.Name, ir.OwnChain}) > 0 {
			return c.Name
		}
	}
	if r := want.Rules[f]; r != nil {
		return r.Target
	}
	if t := h.table(f, filter); t != nil && t.Chain("DOCKER-USER") != nil {
		return "DOCKER-USER"
	}
	return ""
}

// ownBlock is the block that puts dockerfw's rules into a table as they are now.
func (h *Host) ownBlock(f ir.Family, table string, want *Version) *iptables.Block {
	t := h.table(f, table)
	replaced := declared(want.Rules[f].block(table))
	var b iptables.Block
	b.Table = table
	whole := func(c *iptables.Chain) bool {
		return identity.IsOwnChain(c.Name) || replaced[c.Name] && c.Policy == ""
	}
	for _, c := range chains(t) {
		if whole(c) {
			b.Commands = append(b.Commands, &iptables.Command{Op: iptables.Declare, Chain: c.Name, Policy: "-"})
		}
	}
	for _, c := range chains(t) {
		for _, r := range c.Rules {
			if whole(c) {
				b.Commands = append(b.Commands, &iptables.Command{Op: iptables.Append, Chain: c.Name, Rule: plain(c.Name, r)})
			}
		}
		for _, r := range slices.Backward(c.Rules) {
			// transaction makes the jumps.
			isJump := identity.JumpsTo(r, r.Jump) && identity.IsOwnChain(r.Jump)
			if !whole(c) && identity.Ours(r) && !isJump {
				b.Commands = append(b.Commands, &iptables.Command{Op: iptables.Insert, Chain: c.Name, Rule: plain(c.Name, r)})
			}
		}
	}
	if len(b.Commands) == 0 {
		return nil
	}
	return &b
}

// plain is a rule of a chain; if it is dockerfw's, with the sets under their own names.
func plain(chain string, r *iptables.Rule) *iptables.Rule {
	if !ours(chain, r) {
		return r
	}
	out := *r
	out.Text = renamed(r.Text, func(set string) string { return strings.TrimSuffix(set, altSuffix) })
	return &out
}

// mixed reports whether the two tables of a family use different contents of a set: a load was
// cut off between them.
func (h *Host) mixed(f ir.Family) bool {
	used := func(table string) map[string]bool {
		out := map[string]bool{}
		for _, c := range chains(h.table(f, table)) {
			for _, rule := range c.Rules {
				if !ours(c.Name, rule) {
					continue
				}
				for _, set := range rule.Sets() {
					out[set] = true
					for member := range members(h.Sets.Set(set)) {
						out[member] = true
					}
				}
			}
		}
		return out
	}
	a, b := used(filter), used(security)
	for set := range b {
		other := set + altSuffix
		if base, isAlt := strings.CutSuffix(set, altSuffix); isAlt {
			other = base
		}
		if a[other] && !sameContent(h.Sets.Set(set), h.Sets.Set(other)) {
			return true
		}
	}
	return false
}

// sameContent reports whether two sets match the same packets, if the members of lists do.
func sameContent(a, b *iptables.Set) bool {
	return a != nil && b != nil && sameType(a, b) && len(missing(a, b))+len(missing(b, a)) == 0
}
