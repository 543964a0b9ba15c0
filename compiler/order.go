package compiler

import (
	"cmp"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// order sorts the rules by scope, and in each scope by phase. Within a phase they keep the
// order of the policy.
func (c *compilation) order() {
	for _, p := range c.out.Programs {
		slices.SortStableFunc(p.Rules, func(a, b *ir.Rule) int {
			return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Phase, b.Phase))
		})
	}
}

// checkOrder checks the insertion-order invariant on the finished IR.
func (c *compilation) checkOrder() {
	for _, p := range c.out.Programs {
		for s := ir.ScopeForward; s <= ir.LastScope; s++ {
			rules := p.Scope(s)
			var ids []ir.RuleID
			for _, r := range rules {
				ids = append(ids, r.ID())
			}
			if err := ir.CheckOrder(ids); err != nil {
				first, second := rules[err.First].Origin.Range, rules[err.Second].Origin.Range
				c.internal(second, "scope %s: %s (%s:%d)", s, err, first.Filename, first.Start.Line)
			}
		}
	}
}
