package plan

import (
	"slices"

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
	// Table is table inet dockerfw of nft; nil if it does not exist.
	Table *Table
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
