package plan

import (
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Kind is what loading does to a chain.
type Kind string

// The kinds of changes.
const (
	Add     Kind = "add"
	Replace Kind = "replace"
	Remove  Kind = "remove"
)

// ChainChange is a chain whose rules of dockerfw a version changes.
type ChainChange struct {
	Family ir.Family `json:"family"`
	Table  string    `json:"table"`
	Chain  string    `json:"chain"`
	Kind   Kind      `json:"kind"`
	// Before and After are dockerfw's rules in the chain, without jumps to its chains, as
	// iptables-save prints them.
	Before []string `json:"before"`
	After  []string `json:"after"`
}

// JumpChange is a jump that a version needs and the host does not have, or has too late.
type JumpChange struct {
	Jump
	// Late: the jump exists, and goes ahead of what comes before it.
	Late bool
	// Removed: the jump exists, and an earlier state of the host, to which it is rolled back, does
	// not have it.
	Removed bool
}

// Differences are what loading a version changes on a host.
type Differences struct {
	Chains []ChainChange
	Jumps  []JumpChange
	Sets   []SetChange
	// Table is the change of the table of nft; nil if it stays as it is.
	Table *TableChange
	// Other are the families whose tables of the other kind of iptables, which Docker does not
	// use, have rules of dockerfw; loading removes them.
	Other []ir.Family
}

// Empty reports whether the host is as the version has it.
func (d *Differences) Empty() bool {
	return d.Table == nil && !d.iptables()
}

// iptables reports whether rules, jumps or sets of iptables and ipset differ.
func (d *Differences) iptables() bool {
	return len(d.Chains)+len(d.Jumps)+len(d.Sets)+len(d.Other) > 0
}

// rulesOf reports whether a family differs in its rules or jumps.
func (d *Differences) rulesOf(f ir.Family) bool {
	return slices.ContainsFunc(d.Chains, func(c ChainChange) bool { return c.Family == f }) ||
		slices.ContainsFunc(d.Jumps, func(j JumpChange) bool { return j.Family == f })
}

// Printed are the tables as iptables-save prints them after a version is loaded into an empty
// host, by family: a host has the version in force if its tables contain the same text.
type Printed map[ir.Family]*iptables.Ruleset

// differences compares a host with a version.
func (h *Host) differences(want *Version, printed Printed, o *ownership, move Mover) *Differences {
	d := &Differences{}
	for _, f := range families {
		for _, table := range tables {
			if table == security && h.NoSecurity[f] {
				continue
			}
			d.Chains = append(d.Chains, h.chainChanges(want.Rules[f], printed[f], f, table)...)
			for _, j := range want.Rules[f].jumps(f, table) {
				switch t := h.table(f, table); {
				case Copies(t, j) == 0:
					d.Jumps = append(d.Jumps, JumpChange{Jump: j})
				case Misplaced(t, j) || move(j):
					d.Jumps = append(d.Jumps, JumpChange{Jump: j, Late: true})
				}
			}
		}
		if r := want.Rules[f]; r != nil && r.NoJump && r.Target != "DOCKER" {
			if j := (Jump{f, filter, "FORWARD", r.Target}); Copies(h.table(f, filter), j) > 0 {
				d.Jumps = append(d.Jumps, JumpChange{Jump: j, Removed: true})
			}
		}
		d.Sets = append(d.Sets, o.setChanges(h, want, f)...)
		if HasOwn(h.Other[f]) {
			d.Other = append(d.Other, f)
		}
	}
	return d
}

// chainChanges compares dockerfw's rules in the chains of a table.
func (h *Host) chainChanges(want *Rules, printed *iptables.Ruleset, f ir.Family, table string) []ChainChange {
	own := declared(want.block(table))
	var result *iptables.Table
	if printed != nil {
		result = printed.Table(table)
	}
	before, after := ownRules(h.Rules[f], h.table(f, table), own), ownRules(printed, result, own)
	var names []string
	for _, t := range []*iptables.Table{h.table(f, table), result} {
		for _, c := range chains(t) {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	slices.Sort(names)
	var out []ChainChange
	for _, name := range names {
		old, isOld := before[name]
		now, isNow := after[name]
		c := ChainChange{Family: f, Table: table, Chain: name, Before: old, After: now}
		switch {
		case isOld == isNow && slices.Equal(old, now):
			continue
		case !isOld:
			c.Kind = Add
		case !isNow:
			c.Kind = Remove
		default:
			c.Kind = Replace
		}
		out = append(out, c)
	}
	return out
}

// ownRules are dockerfw's rules of a table by chain: all rules of the chains that the version
// replaces and of dockerfw's own, and dockerfw's rules in others. A chain without any, that is
// not dockerfw's own, is left out.
func ownRules(rs *iptables.Ruleset, t *iptables.Table, own map[string]bool) map[string][]string {
	out := map[string][]string{}
	for _, c := range chains(t) {
		whole := own[c.Name] || identity.IsOwnChain(c.Name)
		var rules []string
		for i, r := range c.Rules {
			switch {
			case !whole && (!identity.Ours(r) || identity.JumpsTo(r, r.Jump) && identity.IsOwnChain(r.Jump)):
			case whole && !identity.IsOwnChain(c.Name) && identity.IsDockerReturn(c, i):
			default:
				rules = append(rules, rs.Canonical(r))
			}
		}
		if len(rules) > 0 || identity.IsOwnChain(c.Name) {
			out[c.Name] = rules
		}
	}
	return out
}
