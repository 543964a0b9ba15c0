package iptables

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// searchTree makes the chains of a group. Each rule is in one of them, so that its counters are
// those of the rule. A packet meets one rule on each level of the tree, and the rules of its port.
type searchTree struct {
	*ruleFolder
	// prefix begins the names of the chains, next is the chain for packets that no rule matches; ""
	// if they return.
	prefix, next string
	protocol     uint8
	// inlined is the number of rules in a range of ports up to which they get no chain.
	inlined int
}

// maxRanges bounds the levels of a search: nine, of the 16 levels of chains that the kernel loads.
const maxRanges = 512

func (t *searchTree) add(name string) *plannedChain {
	c := t.ruleFolder.add(name)
	c.protocol = t.protocol
	return c
}

// portRules are the rules of a range of ports.
type portRules struct {
	ports ir.PortRange
	rules []*ir.Rule
	lines int
}

// fill adds the rules to the chain, and the chains that they need.
func (t *searchTree) fill(c *plannedChain, rules []*ir.Rule) {
	var items []*portRules
	index := map[ir.PortRange]*portRules{}
	for _, r := range rules {
		p := port(r)
		if p == nil {
			t.inline(c, r)
			continue
		}
		if index[*p] == nil {
			index[*p] = &portRules{ports: *p}
			items = append(items, index[*p])
		}
		index[*p].rules = append(index[*p].rules, r)
	}
	all := 0
	for _, i := range items {
		i.lines = lines(i.rules...)
		all += i.lines
	}
	t.inlined = max(maxInline, all/maxRanges)
	slices.SortFunc(items, func(a, b *portRules) int {
		return cmp.Or(cmp.Compare(a.ports.First, b.ports.First), cmp.Compare(a.ports.Last, b.ports.Last))
	})
	t.search(c, items)
}

func (t *searchTree) inline(c *plannedChain, rules ...*ir.Rule) {
	for _, r := range rules {
		c.rules = append(c.rules, plannedRule{Rule: r})
	}
}

// search adds the rules of sorted items to a chain: the lower half of the ports in a chain of its
// own, then the upper half likewise.
func (t *searchTree) search(c *plannedChain, items []*portRules) {
	for len(items) > 1 {
		middle := items[len(items)/2].ports.First
		var lower, upper []*portRules
		for _, i := range items {
			switch {
			case i.ports.Last < middle:
				lower = append(lower, i)
			case i.ports.First >= middle && i.ports.First > items[0].ports.First:
				upper = append(upper, i)
			default: // on both sides of the middle
				t.inline(c, i.rules...)
			}
		}
		if len(lower) > 0 {
			t.branch(c, lower)
		}
		items = upper
	}
	if len(items) == 1 {
		t.branch(c, items)
	}
	t.end(c)
}

// end adds the rule for packets that no rule of the chain matches.
func (t *searchTree) end(c *plannedChain) {
	if t.next != "" {
		c.lead(t.next, unconditional(c.rules[0].Rule))
	}
}

// branch adds the rules of items to a chain, or a rule that leads to a chain with them.
func (t *searchTree) branch(c *plannedChain, items []*portRules) {
	lines := 0
	whole := items[0].ports
	for _, i := range items {
		lines += i.lines
		whole.Last = max(whole.Last, i.ports.Last)
	}
	if lines <= t.inlined {
		for _, i := range items {
			t.inline(c, i.rules...)
		}
		return
	}
	first := items[0].rules[0]
	condition := unconditional(first)
	condition.PublishedPorts, condition.DestinationPorts, condition.Protocols = first.PublishedPorts, first.DestinationPorts, first.Protocols
	if tracked(first) {
		condition.Protocols, condition.DestinationPorts = nil, nil
	}
	name := fmt.Sprintf("%s-%d", t.prefix, whole.First)
	if whole.Last != whole.First {
		name += fmt.Sprintf("-%d", whole.Last)
	}
	chain := t.add(name)
	c.lead(chain.name, withPort(condition, &whole))
	if len(items) > 1 {
		t.search(chain, items)
		return
	}
	for _, r := range items[0].rules {
		t.inline(chain, withoutProtocol(withPort(r, nil)))
	}
	t.end(chain)
}
