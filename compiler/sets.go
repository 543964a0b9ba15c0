package compiler

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

const (
	// maxAddresses is the maximum number of addresses in a hash:ip set without maxelem.
	maxAddresses = 1 << 20
	// maxExpansion is the maximum number of addresses in one entry of a hash:ip set.
	maxExpansion = 1 << 16
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
				set.Prefixes = c.elements(s, ofFamily(include, f), ofFamily(exclude, f))
				set.MaxElem = c.maxElem(s, set)
			}
			elements += len(set.Prefixes) + len(set.Members)
			if s.MinEntries != nil {
				entries += countEntries(ofFamily(include, f), ofFamily(exclude, f))
			} else {
				entries += len(set.Prefixes)
			}
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

// entries returns the literal entries and those of list files.
func (c *compilation) entries(literals []parser.At[netipx.IPRange], names []parser.At[string]) []netipx.IPRange {
	var out []netipx.IPRange
	for _, e := range literals {
		out = append(out, e.Value)
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
		if len(out)+len(ranges) > budget.MaxEntries {
			c.error(diag.CodeBudget, f.Range, "too many entries", "With this list the set has %d entries; the maximum is %d. Combine neighbouring addresses into networks.", len(out)+len(ranges), budget.MaxEntries)
			continue
		}
		out = append(out, ranges...)
	}
	return out
}

func ofFamily(ranges []netipx.IPRange, f ir.Family) []netipx.IPRange {
	var out []netipx.IPRange
	for _, r := range ranges {
		if r.From().Is4() == (f == ir.IPv4) {
			out = append(out, r)
		}
	}
	return out
}

// elements returns the elements of a set in one family: sorted, distinct and without the
// excluded addresses.
func (c *compilation) elements(s *parser.Set, include, exclude []netipx.IPRange) []netip.Prefix {
	switch {
	case s.Type == parser.SetHashIP:
		return c.addresses(s, include, exclude)
	case s.Aggregate:
		return c.merge(include, exclude, s.DeclRange)
	}
	without := ipSet(exclude, nil).Ranges()
	var out []netip.Prefix
	for _, r := range include {
		for _, p := range r.Prefixes() {
			if holes := overlapping(without, netipx.RangeOfPrefix(p)); len(holes) > 0 {
				out = append(out, c.merge([]netipx.IPRange{netipx.RangeOfPrefix(p)}, holes, s.DeclRange)...)
			} else {
				out = append(out, p)
			}
		}
		if len(out) > budget.MaxEntries {
			c.tooManyElements(s.DeclRange)
			return nil
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// overlapping returns the ranges that overlap r, of sorted ones that do not overlap each
// other.
func overlapping(sorted []netipx.IPRange, r netipx.IPRange) []netipx.IPRange {
	from, _ := slices.BinarySearchFunc(sorted, r.From(), func(one netipx.IPRange, a netip.Addr) int { return one.To().Compare(a) })
	to := from
	for to < len(sorted) && sorted[to].From().Compare(r.To()) <= 0 {
		to++
	}
	return sorted[from:to]
}

// merge returns the shortest list of prefixes with exactly the addresses that are in
// include and not in exclude. It reports an error at rng if they are too many for a set.
func (c *compilation) merge(include, exclude []netipx.IPRange, rng hcl.Range) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range ipSet(include, exclude).Ranges() {
		if out = r.AppendPrefixes(out); len(out) > budget.MaxEntries {
			c.tooManyElements(rng)
			return nil
		}
	}
	return out
}

func (c *compilation) tooManyElements(rng hcl.Range) {
	c.error(diag.CodeBudget, rng, "too many elements", "The entries make more than %d addresses and networks, the maximum of a set. A range that does not begin and end at a network boundary takes many: write networks instead.", budget.MaxEntries)
}

func ipSet(include, exclude []netipx.IPRange) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, r := range include {
		b.AddRange(r)
	}
	for _, r := range exclude {
		b.RemoveRange(r)
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err) // ranges from the parser are valid
	}
	return set
}

// addresses returns the elements of a hash:ip set, which are single addresses.
func (c *compilation) addresses(s *parser.Set, include, exclude []netipx.IPRange) []netip.Prefix {
	limit := uint64(maxAddresses)
	if s.MaxElem != nil {
		limit = uint64(s.MaxElem.Value)
	}
	for _, r := range include {
		if n := rangeSize(r); n > maxExpansion {
			c.error(diag.CodeSetElement, s.DeclRange, fmt.Sprintf("%s in a hash:ip set", r), "A hash:ip set contains every address as an element, and this entry has more than %d addresses. Use type = \"hash:net\".", maxExpansion)
			return nil
		}
	}
	prefixes := c.merge(include, exclude, s.DeclRange)
	total := uint64(0)
	for _, p := range prefixes {
		total += rangeSize(netipx.RangeOfPrefix(p))
	}
	if total > budget.MaxEntries {
		c.tooManyElements(s.DeclRange)
		return nil
	}
	if total > limit {
		rng := s.DeclRange
		if s.MaxElem != nil {
			rng = s.MaxElem.Range
		}
		c.error(diag.CodeSetFull, rng, "too many elements", "ipset %q has %d addresses; the maximum is %d. Use type = \"hash:net\", or increase maxelem.", s.Name.Value, total, limit)
		return nil
	}
	out := make([]netip.Prefix, 0, total)
	for _, p := range prefixes {
		r := netipx.RangeOfPrefix(p)
		for a := r.From(); ; a = a.Next() {
			if a.IsUnspecified() {
				c.error(diag.CodeSetElement, s.DeclRange, fmt.Sprintf("%s in a hash:ip set", a), "The ipset command does not accept this address in a hash:ip set. Remove it, or use type = \"hash:net\".")
			}
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			if a == r.To() {
				break
			}
		}
	}
	return out
}

// rangeSize returns the number of addresses in r, or a number that exceeds every limit.
func rangeSize(r netipx.IPRange) uint64 {
	from, to := r.From().As16(), r.To().As16()
	for i := range 8 {
		if from[i] != to[i] {
			return 1 << 63
		}
	}
	var a, b uint64
	for i := 8; i < 16; i++ {
		a, b = a<<8|uint64(from[i]), b<<8|uint64(to[i])
	}
	if b-a >= 1<<62 {
		return 1 << 63
	}
	return b - a + 1
}

// maxElem returns maxelem of the policy, 0 without one. It reports an error if the set has
// more elements.
func (c *compilation) maxElem(s *parser.Set, set *ir.Set) int {
	if s.MaxElem == nil {
		return 0
	}
	elements := len(set.Prefixes)
	if slices.ContainsFunc(set.Prefixes, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
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
