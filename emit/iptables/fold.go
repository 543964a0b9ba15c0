package iptables

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

const (
	// defaultMaxElem is large, so that it rarely changes when a list grows: ipset fails to
	// create a set that already exists with another maxelem.
	// It costs no memory: docs/contributing/netfilter.md, "Set headers" and "-exist".
	defaultMaxElem = 1 << 20
	// defaultHashSize is the default of ipset; the kernel increases it as needed.
	defaultHashSize = 1024
	// minHashSize is the kernel's minimum; it rounds other sizes up to powers of two.
	minHashSize = 64
	// minListSize is the default size of a list:set in ipset.
	minListSize = 8
)

// declareSets converts the sets of the ruleset.
func (l *legalization) declareSets() {
	type key struct {
		label  string
		family ir.Family
	}
	names := map[key]string{}
	for _, s := range l.in.Sets {
		names[key{s.Name, s.Family}] = s.HostName()
	}
	for _, s := range l.in.Sets {
		set := &Set{
			Name:       s.HostName(),
			Family:     s.Family,
			Type:       s.Type,
			Managed:    s.Managed,
			Timeout:    s.Timeout,
			HasTimeout: s.HasTimeout,
			Counters:   s.Counters,
			Comment:    s.Comment,
			Origin:     s.Origin,
		}
		if s.Type == ir.ListSet {
			for _, m := range s.Members {
				set.Members = append(set.Members, names[key{m, s.Family}])
			}
			set.MaxElem = listSize(len(set.Members))
		} else {
			set.Prefixes = splitWhole(s.Prefixes)
			set.HashSize = hashSize(s.HashSize)
			set.MaxElem = s.MaxElem
			if set.MaxElem == 0 {
				set.MaxElem = maxElem(set.Prefixes.Len())
			}
		}
		l.out.Sets = append(l.out.Sets, set)
	}
}

// orderSets moves each list:set after its members, which must be created first.
func (l *legalization) orderSets() {
	rank := func(s *Set) int {
		if s.Type == ir.ListSet {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(l.out.Sets, func(a, b *Set) int { return cmp.Compare(rank(a), rank(b)) })
}

// hashSize returns the number of buckets that the kernel uses for the hashsize of the policy;
// 0 means that it is not set.
func hashSize(written int) int {
	if written == 0 {
		return defaultHashSize
	}
	return powerOfTwo(max(written, minHashSize))
}

// maxElem returns the maxelem of a set with so many elements.
func maxElem(elements int) int { return max(defaultMaxElem, powerOfTwo(elements)) }

// listSize returns the size of a list:set with so many members.
func listSize(members int) int { return max(minListSize, powerOfTwo(members)) }

// powerOfTwo returns the smallest power of two that is at least n.
func powerOfTwo(n int) int {
	if n <= 1 {
		return 1
	}
	return 1 << bits.Len(uint(n-1))
}

// splitWhole replaces the prefix of length 0 by the two of length 1, because a hash:net set
// accepts no prefix of length 0: docs/contributing/netfilter.md, "Set entries".
func splitWhole(prefixes ir.Prefixes) ir.Prefixes {
	if !prefixes.HasWhole() {
		return prefixes
	}
	var v4 []ir.Prefix4
	var v6 []ir.Prefix6
	for p := range prefixes.All4() {
		if p.Bits == 0 {
			v4 = append(v4, ir.Prefix4{Bits: 1}, ir.Prefix4{Address: 1 << 31, Bits: 1})
		} else {
			v4 = append(v4, p)
		}
	}
	for p := range prefixes.All6() {
		if p.Bits == 0 {
			v6 = append(v6, ir.Prefix6{Bits: 1}, ir.Prefix6{High: 1 << 63, Bits: 1})
		} else {
			v6 = append(v6, p)
		}
	}
	slices.SortFunc(v4, ir.Prefix4.Compare)
	slices.SortFunc(v6, ir.Prefix6.Compare)
	return ir.PrefixList(slices.Compact(v4), slices.Compact(v6))
}

// operands are the addresses of one end in terms of iptables: each prefix and each set is a
// match.
type operands struct {
	prefixes []netip.Prefix
	sets     []string
}

// len returns the number of matches.
func (o operands) len() int { return len(o.prefixes) + len(o.sets) }

// foldedEnd is one end of a rule after folding.
type foldedEnd struct{ in, notIn operands }

// foldEnd replaces literal addresses by a set wherever one rule cannot list them: if there
// are two or more, or one in addition to another -s or -d of the same rule. A lookup in a
// set costs as much as one rule, whatever its size: docs/contributing/netfilter.md, "Cost of
// rules and sets".
func (l *legalization) foldEnd(r *ir.Rule, f ir.Family, e ir.End, suffix string) foldedEnd {
	out := foldedEnd{operandsOf(e.In), operandsOf(e.NotIn)}
	notSuffix := suffix + "-not"
	if r.Phase == ir.PhaseDefault {
		notSuffix = ".allow"
	}
	// A limit counts a packet once for each rule that evaluates it, so that a limited rule
	// with several sources or destinations matches one list:set of them all.
	oneRule := r.Limited() && len(e.In.Prefixes)+len(e.In.Sets) > 1
	if len(e.In.Prefixes) > 1 || oneRule && len(e.In.Prefixes) > 0 {
		l.foldLiterals(r, f, &out.in, suffix, e.In.Range)
	}
	if oneRule && len(out.in.sets) > 1 {
		l.foldSets(r, f, &out.in, suffix+"s", e.In.Range)
	}
	// iptables accepts one -s and one -d per rule.
	if len(e.NotIn.Prefixes) > 1 || len(e.NotIn.Prefixes) == 1 && len(out.in.prefixes) > 0 {
		l.foldLiterals(r, f, &out.notIn, notSuffix, e.NotIn.Range)
	}
	return out
}

// operandsOf returns the addresses as operands of iptables.
func operandsOf(a ir.Addresses) operands {
	o := operands{prefixes: a.Prefixes}
	for _, s := range a.Sets {
		o.sets = append(o.sets, s.HostName())
	}
	return o
}

// foldLiterals replaces the literal addresses by a set, placed before the other sets.
func (l *legalization) foldLiterals(r *ir.Rule, f ir.Family, o *operands, suffix string, written hcl.Range) {
	prefixes := splitWhole(ir.PrefixesOf(o.prefixes...))
	set := l.setFor(r, f, suffix, &Set{
		Type:     ir.HashNet,
		HashSize: defaultHashSize,
		MaxElem:  maxElem(prefixes.Len()),
		Prefixes: prefixes,
	}, written)
	o.prefixes, o.sets = nil, append([]string{set.Name}, o.sets...)
}

// foldSets replaces the sets by one list:set.
func (l *legalization) foldSets(r *ir.Rule, f ir.Family, o *operands, suffix string, written hcl.Range) {
	var members []string
	for _, name := range o.sets {
		if s := l.set(name); s.Type == ir.ListSet {
			members = append(members, s.Members...) // a list:set cannot be a member of a list:set
		} else {
			members = append(members, name)
		}
	}
	slices.Sort(members)
	members = slices.Compact(members)
	list := l.setFor(r, f, suffix, &Set{Type: ir.ListSet, MaxElem: listSize(len(members)), Members: members}, written)
	o.sets = []string{list.Name}
}

// setFor returns the set made for a rule, and adds it unless the same block already has it
// from another scope.
func (l *legalization) setFor(r *ir.Rule, f ir.Family, suffix string, set *Set, written hcl.Range) *Set {
	set.Name = ir.SetName(literalSetName(r.Name, suffix), f)
	key := madeFor{set.Name, r.Origin.Block, r.Origin.Name}
	if have := l.made[key]; have != nil {
		return have
	}
	set.Family, set.Managed = f, true
	set.Origin = ir.Origin{Block: r.Origin.Block, Name: r.Origin.Name, Range: written}
	l.made[key] = set
	l.out.Sets = append(l.out.Sets, set)
	return set
}

// madeFor identifies a set made for a rule.
type madeFor struct{ set, block, rule string }

// set returns the set with a name.
func (l *legalization) set(name string) *Set {
	return l.out.Sets[slices.IndexFunc(l.out.Sets, func(s *Set) bool { return s.Name == name })]
}

// maxLiteralSetName leaves room for -v6 and -new within the 31 bytes of a set name.
const maxLiteralSetName = 31 - len("-v6") - len("-new")

// literalSetName joins a rule's name and a suffix. The suffix starts with a dot, which the
// name of an ipset block cannot contain. A longer name is truncated and made unique by a
// digest.
func literalSetName(rule, suffix string) string {
	if len(rule)+len(suffix) <= maxLiteralSetName {
		return rule + suffix
	}
	sum := sha256.Sum256([]byte(rule))
	tail := "-" + hex.EncodeToString(sum[:3]) + suffix
	return rule[:maxLiteralSetName-len(tail)] + tail
}
