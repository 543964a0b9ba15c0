package compiler

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// operands are the addresses of one family in an attribute of a rule.
type operands struct {
	// written means that the policy has the attribute, with or without addresses of the
	// family.
	written bool
	ir.Addresses
}

// never reports whether no packet can match the conditions on one end.
func never(in, notIn operands) bool {
	return in.written && in.IsEmpty() || notIn.whole()
}

// whole reports whether the literals contain all addresses of the family.
func (o operands) whole() bool { return len(o.Prefixes) == 1 && o.Prefixes[0].Bits() == 0 }

// positive returns the addresses of which a packet must have one; none if it may have any
// address of the family.
func (o operands) positive() ir.Addresses {
	if o.whole() {
		return ir.Addresses{}
	}
	return o.Addresses
}

// operands returns the addresses of one family in an attribute.
func (c *compilation) operands(a *parser.Addresses, f ir.Family) operands {
	if a == nil {
		return operands{}
	}
	o := operands{written: true, Addresses: ir.Addresses{Range: a.Range}}
	var literals addrlist.Ranges
	seen := map[string]bool{}
	for _, item := range a.Items {
		if item.Set == "" {
			literals.Add(item.Literal)
			continue
		}
		c.used[item.Set] = true
		// A set with errors is missing; they have been reported.
		if set := c.declared[item.Set][f]; set != nil && !seen[item.Set] {
			seen[item.Set] = true
			o.Sets = append(o.Sets, set)
		}
	}
	o.Prefixes = slices.Collect(c.merge(literals, addrlist.Ranges{}, f, o.Range).All())
	if o.whole() {
		o.Sets = nil
	}
	return o
}
