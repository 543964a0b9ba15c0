package compiler

import (
	"cmp"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// order sorts each chain by phase; within a phase rules stay as written.
func (c *compilation) order() {
	for _, p := range c.out.Programs {
		for _, chain := range p.Chains {
			slices.SortStableFunc(chain.Rules, func(a, b *ir.Rule) int { return cmp.Compare(a.Phase, b.Phase) })
		}
	}
}

// checkOrder checks the insertion-order invariant on the finished IR.
func (c *compilation) checkOrder() {
	for _, p := range c.out.Programs {
		if err := p.CheckOrder(); err != nil {
			c.internal(err.Second.Origin.Range, "%s (%s:%d)", err, err.First.Origin.Range.Filename, err.First.Origin.Range.Start.Line)
		}
	}
}
