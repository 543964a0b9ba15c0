package compiler

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// foldLiterals puts literal addresses into sets of their own wherever one rule
// could not hold them: two or more of them, or one beside another condition on
// the same end. One set costs a packet as much as one rule (measured), a rule an
// address does not.
func (c *compilation) foldLiterals() {
	for _, cl := range c.clauses {
		c.foldEnd(cl, &cl.source, ".src")
		c.foldEnd(cl, &cl.destination, ".dst")
	}
}

func (c *compilation) foldEnd(cl *clause, e *end, suffix string) {
	if e.in.whole() {
		// Every address of the family: no condition.
		e.in = operands{}
	}
	notSuffix := suffix + "-not"
	if cl.phase == ir.Default {
		notSuffix = ".allow"
	}
	// A limit counts a packet each time a rule asks it: where several rules would
	// ask about one packet, one list of all sets does.
	oneRule := cl.limited() && len(e.in.literals)+len(e.in.sets) > 1
	if len(e.in.literals) > 1 || oneRule && len(e.in.literals) > 0 {
		c.fold(cl, &e.in, suffix)
	}
	if oneRule && len(e.in.sets) > 1 {
		c.foldSets(cl, &e.in, suffix+"s")
	}
	// iptables takes one -s a rule.
	if len(e.notIn.literals) > 1 || len(e.notIn.literals) == 1 && len(e.in.literals) > 0 {
		c.fold(cl, &e.notIn, notSuffix)
	}
}

func (c *compilation) fold(cl *clause, o *operands, suffix string) {
	name := literalSetName(cl.name, suffix)
	key := foldedKey{setName(name, cl.family), cl.origin.Block, cl.origin.Name}
	set := c.folded[key]
	if set == nil {
		set = c.literalSet(name, cl.family, o.literals, cl.origin.Block, cl.origin.Name, o.rng)
		c.folded[key] = set
	}
	o.literals = nil
	o.sets = append([]*ir.Set{set}, o.sets...)
}

// foldedKey names a set made for a rule. The same rule may stand in two chains.
type foldedKey struct{ set, block, rule string }

// foldSets joins sets into one list:set.
func (c *compilation) foldSets(cl *clause, o *operands, suffix string) {
	key := foldedKey{setName(literalSetName(cl.name, suffix), cl.family), cl.origin.Block, cl.origin.Name}
	if list := c.folded[key]; list != nil {
		o.sets = []*ir.Set{list}
		return
	}
	list := &ir.Set{
		Name:    key.set,
		Family:  cl.family,
		Type:    ir.ListSet,
		Managed: true,
		Origin:  ir.Origin{Block: cl.origin.Block, Name: cl.origin.Name, Range: o.rng},
	}
	for _, s := range o.sets {
		if s.Type == ir.ListSet {
			// The kernel does not nest lists.
			list.Members = append(list.Members, s.Members...)
		} else {
			list.Members = append(list.Members, s.Name)
		}
	}
	slices.Sort(list.Members)
	list.Members = slices.Compact(list.Members)
	list.MaxElem = listSize(len(list.Members))
	o.sets = []*ir.Set{list}
	c.folded[key] = list
	c.out.Sets = append(c.out.Sets, list)
}

// maxLiteralSetName leaves room for -v6 and -new within the 31 bytes of a set name.
const maxLiteralSetName = 31 - len("-v6") - len("-new")

// literalSetName joins a rule's name and a suffix that starts with a dot, which no
// name of an ipset block has. A name too long is cut and told apart by a digest.
func literalSetName(rule, suffix string) string {
	if len(rule)+len(suffix) <= maxLiteralSetName {
		return rule + suffix
	}
	sum := sha256.Sum256([]byte(rule))
	tail := "-" + hex.EncodeToString(sum[:3]) + suffix
	return rule[:maxLiteralSetName-len(tail)] + tail
}

// alternatives are the matches of which any one makes the positive condition
// hold; none when there is no condition.
func alternatives(o operands, d ir.Direction) []ir.Match {
	var out []ir.Match
	for _, p := range o.literals {
		out = append(out, ir.Address{Dir: d, Prefix: p})
	}
	for _, s := range o.sets {
		out = append(out, ir.SetMatch{Set: s.Name, Dir: d})
	}
	return out
}

// exclusions are the matches that together make the negated condition hold.
func exclusions(o operands, d ir.Direction) []ir.Match {
	var out []ir.Match
	for _, p := range o.literals {
		out = append(out, ir.Address{Dir: d, Not: true, Prefix: p})
	}
	for _, s := range o.sets {
		out = append(out, ir.SetMatch{Set: s.Name, Dir: d, Not: true})
	}
	return out
}
