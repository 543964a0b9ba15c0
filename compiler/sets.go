package compiler

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

const (
	// maxAddresses is the maximum number of addresses in a hash:ip set without maxelem.
	maxAddresses = 1 << 20
	// maxExpansion is the maximum number of addresses in one entry of a hash:ip set.
	maxExpansion = 1 << 16
	// largeNFTSet is the number of elements from which on nft becomes slow.
	largeNFTSet = 100_000
)

// readSets adds the sets of ipset blocks, one for each family, and reads their lists.
func (c *compilation) readSets() {
	for _, s := range c.policy.Sets {
		before := len(c.diags)
		include := c.entries(s.Entries, s.Files)
		exclude := c.entries(s.Exclude, s.ExcludeFiles)
		c.declared[s.Name.Value] = map[ir.Family]*ir.Set{}
		elements, entries := 0, 0
		for _, f := range c.families {
			set := &ir.Set{
				Name:     s.Name.Value,
				Family:   f,
				Type:     ir.SetType(s.Type),
				Managed:  s.Managed,
				IPv6Name: s.IPv6Name.Value,
				Counters: s.Counters,
				Comment:  s.Comment,
				Origin:   ir.Origin{Block: "ipset", Name: s.Name.Value, Range: s.DeclRange},
			}
			if s.Timeout != nil {
				set.HasTimeout, set.Timeout = true, s.Timeout.Value
			}
			if s.Type == parser.SetList {
				for _, m := range s.Members {
					set.Members = append(set.Members, m.Value)
				}
			} else {
				if s.HashSize != nil {
					set.HashSize = s.HashSize.Value
				}
				of := c.lists.elementsOf(s, f, func() (setElements, bool) {
					errors := len(c.diags)
					out := setElements{prefixes: c.elements(s, include, exclude, f)}
					out.entries = out.prefixes.Len()
					if s.MinEntries != nil {
						out.entries = countEntries(include, exclude, f)
					}
					return out, len(c.diags) == errors
				})
				set.Prefixes = of.prefixes
				entries += of.entries
				set.MaxElem = c.maxElem(s, set)
			}
			if n := set.Prefixes.Len(); c.out.Target == ir.TargetNFTables && n > largeNFTSet {
				c.warn(diag.CodeLargeSet, s.Name.Range, fmt.Sprintf("ipset %q is large for nftables", s.Name.Value), "It has %d %s entries. nft needs more than a minute and over a gigabyte of memory to list a set of a million. With target = \"iptables\", ipset loads and lists it in seconds.", n, familyName(f))
			}
			elements += set.Prefixes.Len() + len(set.Members)
			c.declared[s.Name.Value][f] = set
			c.out.Sets = append(c.out.Sets, set)
		}
		// A list that could not be read is not a short one.
		if !c.diags[before:].HasErrors() && c.tooFew(s, entries) {
			continue
		}
		if elements == 0 && s.Managed && !c.diags.HasErrors() {
			c.warn(diag.CodeEmptySet, s.Name.Range, fmt.Sprintf("ipset %q is empty", s.Name.Value), "It contains no addresses: an accept or allow with it admits no client, and a deny with it blocks none. Add entries or files.")
		}
	}
}

// entries returns the literal entries and those of list files. The result may be shared: do
// not change it.
func (c *compilation) entries(literals []parser.At[netipx.IPRange], names []parser.At[string]) addrlist.Ranges {
	var out addrlist.Ranges
	for _, e := range literals {
		out.Add(e.Value)
	}
	for _, f := range names {
		ranges, diags, err := c.lists.ranges(f.Value)
		if err != nil {
			reason := files.Reason(err)
			if irregular := (*files.Irregular)(nil); errors.As(err, &irregular) && irregular.Mode.IsDir() {
				reason += "; list each file in it"
			}
			summary, hint := fmt.Sprintf("cannot read address list %q", f.Value), parser.FileNameHint(f.Value)
			if strings.Contains(f.Value, "\n") {
				summary = "cannot read address list"
			}
			if hint != "" {
				c.error(diag.CodeFileRead, f.Range, summary, "%s", hint)
			} else {
				c.error(diag.CodeFileRead, f.Range, summary, "%s: %s. Paths are relative to the policy.", c.lists.files.Display(f.Value), reason)
			}
		}
		c.diags = append(c.diags, diags...)
		if out.Len()+ranges.Len() > budget.MaxEntries {
			c.error(diag.CodeBudget, f.Range, "too many entries", "With this list the set has %d entries; the maximum is %d. Combine neighbouring addresses into networks.", out.Len()+ranges.Len(), budget.MaxEntries)
			continue
		}
		if out.Len() == 0 {
			// The capacity makes a further append copy the ranges, which the list keeps.
			out = addrlist.Ranges{V4: slices.Clip(ranges.V4), V6: slices.Clip(ranges.V6)}
			continue
		}
		out.Append(ranges)
	}
	return out
}

// elements returns the elements of a set in one family: sorted, distinct and without the
// excluded addresses.
func (c *compilation) elements(s *parser.Set, include, exclude addrlist.Ranges, f ir.Family) ir.Prefixes {
	switch {
	case s.Type == parser.SetHashIP:
		return c.addresses(s, include, exclude, f)
	case s.Aggregate:
		return c.merge(include, exclude, f, s.DeclRange)
	}
	without := merged(exclude, addrlist.Ranges{}, f)
	var v4 []ir.Prefix4
	var v6 []ir.Prefix6
	for _, r := range include.V4 {
		if f != ir.IPv4 {
			break
		}
		for _, p := range prefixes4(nil, r) {
			whole := addrlist.Range4{First: p.Address, Last: addrlist.Last4(p.Address, p.Bits)}
			if holes := overlapping4(without.V4, whole); len(holes) > 0 {
				for _, rest := range minus4([]addrlist.Range4{whole}, holes) {
					v4 = prefixes4(v4, rest)
				}
			} else {
				v4 = append(v4, p)
			}
		}
		if len(v4)+len(v6) > budget.MaxEntries {
			c.tooManyElements(s.DeclRange)
			return ir.Prefixes{}
		}
	}
	for _, r := range include.V6 {
		if f != ir.IPv6 {
			break
		}
		for _, p := range prefixes6(nil, r) {
			whole := range6(p)
			if holes := overlapping6(without.V6, whole); len(holes) > 0 {
				for _, rest := range minus6([]addrlist.Range6{whole}, holes) {
					v6 = prefixes6(v6, rest)
				}
			} else {
				v6 = append(v6, p)
			}
		}
		if len(v4)+len(v6) > budget.MaxEntries {
			c.tooManyElements(s.DeclRange)
			return ir.Prefixes{}
		}
	}
	slices.SortFunc(v4, ir.Prefix4.Compare)
	slices.SortFunc(v6, ir.Prefix6.Compare)
	v4, v6 = slices.Compact(v4), slices.Compact(v6)
	return ir.PrefixList(v4, v6)
}

// overlapping4 returns the ranges that overlap r, of joined ones.
func overlapping4(sorted []addrlist.Range4, r addrlist.Range4) []addrlist.Range4 {
	from, _ := slices.BinarySearchFunc(sorted, r.First, func(one addrlist.Range4, a uint32) int { return cmp.Compare(one.Last, a) })
	to := from
	for to < len(sorted) && sorted[to].First <= r.Last {
		to++
	}
	return sorted[from:to]
}

// overlapping6 is overlapping4 for IPv6.
func overlapping6(sorted []addrlist.Range6, r addrlist.Range6) []addrlist.Range6 {
	from, _ := slices.BinarySearchFunc(sorted, r.First, func(one addrlist.Range6, a addrlist.Number6) int { return one.Last.Compare(a) })
	to := from
	for to < len(sorted) && sorted[to].First.Compare(r.Last) <= 0 {
		to++
	}
	return sorted[from:to]
}

// merge returns the shortest list of prefixes of one family with exactly the addresses that
// are in include and not in exclude. It reports an error at rng if they are too many for a
// set.
func (c *compilation) merge(include, exclude addrlist.Ranges, f ir.Family, rng hcl.Range) ir.Prefixes {
	out, ok := prefixesOf(merged(include, exclude, f), budget.MaxEntries)
	if !ok {
		c.tooManyElements(rng)
	}
	return out
}

func (c *compilation) tooManyElements(rng hcl.Range) {
	c.error(diag.CodeBudget, rng, "too many elements", "The entries make more than %d addresses and networks, the maximum of a set. A range that does not begin and end at a network boundary takes many: write networks instead.", budget.MaxEntries)
}

// addresses returns the elements of a hash:ip set, which are single addresses.
func (c *compilation) addresses(s *parser.Set, include, exclude addrlist.Ranges, f ir.Family) ir.Prefixes {
	limit := uint64(maxAddresses)
	if s.MaxElem != nil {
		limit = uint64(s.MaxElem.Value)
	}
	if text := tooLarge(include, f); text != "" {
		c.error(diag.CodeSetElement, s.DeclRange, fmt.Sprintf("%s in a hash:ip set", text), "A hash:ip set contains every address as an element, and this entry has more than %d addresses. Use type = \"hash:net\".", maxExpansion)
		return ir.Prefixes{}
	}
	ranges := merged(include, exclude, f)
	total := uint64(0)
	for _, r := range ranges.V4 {
		total += uint64(r.Last-r.First) + 1
	}
	for _, r := range ranges.V6 {
		total += addressesIn(r)
	}
	if total > budget.MaxEntries {
		c.tooManyElements(s.DeclRange)
		return ir.Prefixes{}
	}
	if total > limit {
		rng := s.DeclRange
		if s.MaxElem != nil {
			rng = s.MaxElem.Range
		}
		c.error(diag.CodeSetFull, rng, "too many elements", "ipset %q has %d addresses; the maximum is %d. Use type = \"hash:net\", or increase maxelem.", s.Name.Value, total, limit)
		return ir.Prefixes{}
	}
	unspecified := func(text string) {
		c.error(diag.CodeSetElement, s.DeclRange, fmt.Sprintf("%s in a hash:ip set", text), "A hash:ip set cannot hold this address. Remove it, or use type = \"hash:net\".")
	}
	var v4 []ir.Prefix4
	var v6 []ir.Prefix6
	for _, r := range ranges.V4 {
		for a := uint64(r.First); a <= uint64(r.Last); a++ {
			if a == 0 {
				unspecified("0.0.0.0")
			}
			v4 = append(v4, ir.Prefix4{Address: uint32(a), Bits: 32})
		}
	}
	for _, r := range ranges.V6 {
		for a := r.First; ; a, _ = next6(a) {
			if a == (addrlist.Number6{}) {
				unspecified("::")
			}
			v6 = append(v6, ir.Prefix6{High: a.High, Low: a.Low, Bits: 128})
			if a == r.Last {
				break
			}
		}
	}
	return ir.PrefixList(v4, v6)
}

// tooLarge returns an entry with more addresses than one entry of a hash:ip set may have, or
// "".
func tooLarge(include addrlist.Ranges, f ir.Family) string {
	for _, r := range include.V4 {
		if f == ir.IPv4 && r.Last-r.First >= maxExpansion {
			return r.String()
		}
	}
	for _, r := range include.V6 {
		if f == ir.IPv6 && addressesIn(r) > maxExpansion {
			return r.String()
		}
	}
	return ""
}

// addressesIn returns the number of addresses in r, or a number that exceeds every limit.
func addressesIn(r addrlist.Range6) uint64 {
	low, borrow := bits.Sub64(r.Last.Low, r.First.Low, 0)
	if high, _ := bits.Sub64(r.Last.High, r.First.High, borrow); high > 0 || low >= 1<<62 {
		return 1 << 62
	}
	return low + 1
}

// maxElem returns maxelem of the policy, 0 without one. It reports an error if the set has
// more elements.
func (c *compilation) maxElem(s *parser.Set, set *ir.Set) int {
	if s.MaxElem == nil {
		return 0
	}
	elements := set.Prefixes.Len()
	if set.Prefixes.HasWhole() {
		elements++ // hash:net cannot store /0: the emitter splits it into two /1
	}
	if elements > s.MaxElem.Value {
		c.error(diag.CodeSetFull, s.MaxElem.Range, "too many elements", "ipset %q has %d elements, but maxelem is %d. Increase maxelem, or remove it.", set.HostName(), elements, s.MaxElem.Value)
	}
	return s.MaxElem.Value
}

// reportUnused warns of sets that no rule uses.
func (c *compilation) reportUnused() {
	for _, s := range c.policy.Sets {
		for _, m := range s.Members {
			c.used[m.Value] = true
		}
	}
	for _, s := range c.policy.Sets {
		if !c.used[s.Name.Value] {
			c.warn(diag.CodeUnusedSet, s.Name.Range, fmt.Sprintf("ipset %q is not used", s.Name.Value), "No rule refers to ipset.%s, but every host loads it. Refer to it in a rule, or remove the block.", s.Name.Value)
		}
	}
}
