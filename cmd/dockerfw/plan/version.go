package plan

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Version is rules and sets of dockerfw that a host can have in force. Those of a policy are for one
// target, iptables or nftables; an earlier state of a host may have both.
type Version struct {
	// Table is the table of target nftables; nil if the host is to have none. Its sets are in it.
	Table *Table

	// Rules by family. Of a family that is missing, the host is to have none.
	Rules map[ir.Family]*Rules
	// Sets are the sets that dockerfw fills, with their entries. Unmanaged are those that
	// something else fills: where they do not exist, they are created without entries.
	Sets, Unmanaged *iptables.Sets
}

// Rules are those of one family.
type Rules struct {
	// Filter and Security are the blocks of the tables: chains with their rules, and rules that
	// are inserted into foreign chains. The jumps that lead to them are not part of it. Security,
	// the fallback rules, may be nil.
	Filter, Security *iptables.Block
	// Target is the chain of the filter table that forwarded packets reach first, DOCKER-USER or
	// DOCKER.
	Target string
	// NoJump: FORWARD is to have no jump to Target. Only an earlier state of a host has it.
	NoJump bool
}

// block is the block of a table; nil if it has none.
func (r *Rules) block(table string) *iptables.Block {
	switch {
	case r == nil:
		return nil
	case table == filter:
		return r.Filter
	}
	return r.Security
}

// HasRule reports whether the filter table of a family has a rule, written "-A CHAIN RULE".
func (v *Version) HasRule(text string) bool {
	for _, f := range families {
		for _, c := range commands(v.Rules[f].block(filter)) {
			if c.Rule != nil && "-A "+c.Chain+" "+c.Rule.Text == text {
				return true
			}
		}
	}
	return false
}

// The tables that dockerfw has rules in.
const (
	filter   = "filter"
	security = "security"
)

var (
	families = []ir.Family{ir.IPv4, ir.IPv6}
	tables   = []string{filter, security}
)

// declared are the chains that a block creates or empties.
func declared(b *iptables.Block) map[string]bool {
	out := map[string]bool{}
	if b == nil {
		return out
	}
	for _, c := range b.Commands {
		if c.Op == iptables.Declare {
			out[c.Chain] = true
		}
	}
	return out
}

// Jump is a jump to dockerfw's rules.
type Jump struct {
	Family           ir.Family
	Table, Chain, To string
}

// jumps are those that lead to the rules of a table, in the order in which packets take them.
func (r *Rules) jumps(f ir.Family, table string) []Jump {
	own := declared(r.block(table))
	var out []Jump
	add := func(chain, to string) { out = append(out, Jump{f, table, chain, to}) }
	switch {
	case r == nil:
	case table == security:
		if own[ir.OwnChain] {
			add("FORWARD", ir.OwnChain)
		}
		if own[ir.InputChain] {
			add("INPUT", ir.InputChain)
		}
	default:
		// An engine before 17.06 makes the jumps to DOCKER itself.
		if r.Target != "" && r.Target != "DOCKER" && !r.NoJump {
			add("FORWARD", r.Target)
		}
		if own[ir.OwnChain] && r.Target != "" && !r.contains(r.Target, ir.OwnChain) {
			add(r.Target, ir.OwnChain)
		}
		if own[ir.InputChain] {
			add("INPUT", ir.InputChain)
		}
	}
	return out
}

// contains reports whether the rules themselves have a jump: those of an earlier state of a chain
// do, where foreign rules are ahead of it.
func (r *Rules) contains(chain, to string) bool {
	return slices.ContainsFunc(r.Filter.Commands, func(c *iptables.Command) bool {
		return c.Op == iptables.Append && c.Chain == chain && identity.JumpsTo(c.Rule, to)
	})
}

// The endings of sets while a load is under way: NAME-alt has the content that the rules use
// until the set has it under its own name, NAME-new is swapped into NAME.
const (
	altSuffix = "-alt"
	newSuffix = "-new"
)

// sortedSets are the names of the sets of a version that dockerfw fills, lists last: a list can
// only be created when its members exist.
func sortedSets(s *iptables.Sets) []string {
	names := s.Names()
	slices.SortStableFunc(names, func(a, b string) int { return isList(s.Set(a)) - isList(s.Set(b)) })
	return names
}

func isList(s *iptables.Set) int {
	if s != nil && s.Type == "list:set" {
		return 1
	}
	return 0
}

// familyOf is the family of a set of a version. A list:set has none of its own, but the ending of its
// name: dockerfw fills a set for each family, and the name of the one for IPv6 ends in -v6.
func (v *Version) familyOf(set string) ir.Family {
	for _, sets := range []*iptables.Sets{v.Sets, v.Unmanaged} {
		switch s := sets.Set(set); {
		case s == nil || s.Family == "":
		case s.Family == "inet6":
			return ir.IPv6
		default:
			return ir.IPv4
		}
	}
	if strings.HasSuffix(set, "-v6") {
		return ir.IPv6
	}
	return ir.IPv4
}

// ours reports whether a rule in a chain is part of dockerfw's rules. In chains that the name
// does not show as dockerfw's, these are the rules with a comment of dockerfw, and the jumps to
// its chains.
func ours(chain string, r *iptables.Rule) bool {
	return identity.IsOwnChain(chain) || identity.Ours(r)
}
