package iptables

import (
	"slices"
	"strings"
)

// ruleCommand applies a command that has a rule or the number of one.
func (l *loader) ruleCommand(ch *Chain, c *Command) *refusal {
	var rules []*Rule
	if c.Rule != nil {
		var r *refusal
		if rules, r = expand(c.Rule); r != nil {
			return r
		}
		if r := l.target(c.Rule); r != nil {
			return r
		}
	}
	switch c.Op {
	case Append:
		ch.Rules = append(ch.Rules, rules...)
	case Insert:
		at := max(c.Number, 1)
		if at > len(ch.Rules)+1 {
			return refuse("Rule number too big", "The chain %q has %d rules, so that %d is the largest number for -I.", ch.Name, len(ch.Rules), len(ch.Rules)+1)
		}
		// The rules for a list of addresses are inserted one after the other at the
		// same position, so that the last one ends up first.
		slices.Reverse(rules)
		ch.Rules = slices.Insert(ch.Rules, at-1, rules...)
	case Replace:
		if c.Number > len(ch.Rules) {
			return refuse("Rule number too big", "The chain %q has %d rules.", ch.Name, len(ch.Rules))
		}
		if len(rules) > 1 {
			return refuse("List of addresses", "-R replaces a rule by one rule. Write a single address.")
		}
		ch.Rules[c.Number-1] = rules[0]
	case Delete:
		if c.Number > len(ch.Rules) {
			return refuse("Rule number too big", "The chain %q has %d rules.", ch.Name, len(ch.Rules))
		}
		if c.Number > 0 {
			ch.Rules = slices.Delete(ch.Rules, c.Number-1, c.Number)
			return nil
		}
		for _, r := range rules {
			i := l.index(ch, r)
			if i < 0 {
				return refuse("No such rule", "The chain %q has no rule `%s`.", ch.Name, l.rs.Canonical(r))
			}
			ch.Rules = slices.Delete(ch.Rules, i, i+1)
		}
	case Check:
		for _, r := range rules {
			if l.index(ch, r) < 0 {
				return refuse("No such rule", "The chain %q has no rule `%s`.", ch.Name, l.rs.Canonical(r))
			}
		}
	}
	return nil
}

// index returns the position of the first rule of the chain that iptables treats as
// equal, or -1: docs/contributing/netfilter.md, "Insert and delete".
func (l *loader) index(ch *Chain, r *Rule) int {
	want := l.rs.Canonical(r)
	return slices.IndexFunc(ch.Rules, func(have *Rule) bool { return l.rs.Canonical(have) == want })
}

// target checks that a rule jumps to a chain or a target that exists.
func (l *loader) target(r *Rule) *refusal {
	if r.Jump == "" || l.table.Chain(r.Jump) != nil {
		return nil
	}
	_, known := targetModules[r.Jump]
	if !r.Goto && (known || len(r.Target) > 0) {
		return nil
	}
	return refuse("No such target", "%q is neither a chain in this table nor a target. Declare the chain with a line `:%s - [0:0]`.", r.Jump, r.Jump)
}

// expand returns a rule for each pair of addresses listed in -s and -d, sources in the
// outer loop: docs/contributing/netfilter.md, "Addresses".
func expand(r *Rule) ([]*Rule, *refusal) {
	rules := []*Rule{r}
	for _, name := range []string{"-s", "-d"} {
		o := r.Option(name)
		if o == nil || !strings.Contains(o.Value(), ",") {
			continue
		}
		if o.Not {
			rf := refuse("Inverted list of addresses", "A list of addresses cannot be negated. Use a set.")
			rf.rng = &o.Range
			return nil, rf
		}
		var out []*Rule
		for _, have := range rules {
			for addr := range strings.SplitSeq(o.Value(), ",") {
				one := *have
				one.Base = slices.Clone(have.Base)
				one.Option(name).Values = []string{addr}
				one.Text = one.format()
				out = append(out, &one)
			}
		}
		rules = out
	}
	if len(rules) == 1 && rules[0] == r {
		// The table needs its own copy, because a file may be loaded twice.
		copied := *r
		rules[0] = &copied
	}
	return rules, nil
}
