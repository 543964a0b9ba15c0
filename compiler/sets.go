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
	// maxAddresses is the number of addresses that a hash:ip set may have unless maxelem
	// allows another.
	maxAddresses = 1 << 20
	// maxExpansion bounds the number of addresses in one entry of a hash:ip set.
	maxExpansion = 1 << 16
)

// readSets makes the sets of ipset blocks, one for each family, and reads their lists.
func (c *compilation) readSets() {
	for _, s := range c.policy.Sets {
		include := c.gather(s.Entries, s.Files)
		exclude := c.gather(s.Exclude, s.ExcludeFiles)
		c.declared[s.Name.Value] = map[ir.Family]*ir.Set{}
		elements := 0
		for _, f := range c.families {
			set := &ir.Set{
				Name:     s.Name.Value,
				Family:   f,
				Type:     ir.SetType(s.Type),
				Managed:  s.Managed,
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
			c.declared[s.Name.Value][f] = set
			c.out.Sets = append(c.out.Sets, set)
		}
		if elements == 0 && s.Managed && !c.diags.HasErrors() {
			c.warn(diag.CodeEmptySet, s.Name.Range, fmt.Sprintf("ipset %q is empty", s.Name.Value), "No address is in it: an accept or allow of it lets nobody through, a deny of it stops nobody.")
		}
	}
}

// gather joins the literal entries and those of list files.
func (c *compilation) gather(entries []parser.At[netipx.IPRange], names []parser.At[string]) []netipx.IPRange {
	var out []netipx.IPRange
	for _, e := range entries {
		out = append(out, e.Value)
	}
	for _, f := range names {
		ranges, diags, err := c.lists.ranges(f.Value)
		if err != nil {
			reason := files.Reason(err)
			if irregular := (*files.Irregular)(nil); errors.As(err, &irregular) && irregular.Mode.IsDir() {
				reason += "; write the name of each file in it"
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
			c.error(diag.CodeBudget, f.Range, "too many entries", "With this list the set has %d entries, and at most %d are read. Join neighbouring addresses to networks.", len(out)+len(ranges), budget.MaxEntries)
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

// elements computes what a set of the given block holds of one family: sorted,
// distinct, without what is excluded.
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

// overlapping returns those of sorted, which do not overlap each other, that overlap r.
func overlapping(sorted []netipx.IPRange, r netipx.IPRange) []netipx.IPRange {
	from, _ := slices.BinarySearchFunc(sorted, r.From(), func(one netipx.IPRange, a netip.Addr) int { return one.To().Compare(a) })
	to := from
	for to < len(sorted) && sorted[to].From().Compare(r.To()) <= 0 {
		to++
	}
	return sorted[from:to]
}

// merge returns the smallest list of prefixes that holds exactly the addresses of
// include that are not in exclude. More than a set may have are an error at rng.
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
	c.error(diag.CodeBudget, rng, "too many elements", "More than %d addresses and networks are left of the entries, the most of a set. A range that does not begin and end at a network's border takes many.", budget.MaxEntries)
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

// addresses lists the single addresses of a hash:ip set.
func (c *compilation) addresses(s *parser.Set, include, exclude []netipx.IPRange) []netip.Prefix {
	limit := uint64(maxAddresses)
	if s.MaxElem != nil {
		limit = uint64(s.MaxElem.Value)
	}
	for _, r := range include {
		if n := rangeSize(r); n > maxExpansion {
			c.error(diag.CodeSetElement, s.DeclRange, fmt.Sprintf("%s in a hash:ip set", r), "A hash:ip set lists each address for itself, and this entry stands for more than %d of them. Use type = \"hash:net\".", maxExpansion)
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
		c.error(diag.CodeSetFull, rng, "too many elements", "ipset %q has %d addresses, and holds %d. Use type = \"hash:net\", or raise maxelem.", s.Name.Value, total, limit)
		return nil
	}
	out := make([]netip.Prefix, 0, total)
	for _, p := range prefixes {
		r := netipx.RangeOfPrefix(p)
		for a := r.From(); ; a = a.Next() {
			if a.IsUnspecified() {
				c.error(diag.CodeSetElement, s.DeclRange, fmt.Sprintf("%s in a hash:ip set", a), "ipset refuses it in a hash:ip set. Leave it out, or use type = \"hash:net\".")
			}
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			if a == r.To() {
				break
			}
		}
	}
	return out
}

// rangeSize is the number of addresses in r, or a number past every limit.
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

// maxElem returns what the policy sets, 0 for nothing.
func (c *compilation) maxElem(s *parser.Set, set *ir.Set) int {
	if s.MaxElem == nil {
		return 0
	}
	elements := len(set.Prefixes)
	if slices.ContainsFunc(set.Prefixes, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		elements++ // the set holds it as two halves
	}
	if elements > s.MaxElem.Value {
		c.error(diag.CodeSetFull, s.MaxElem.Range, "too many elements", "ipset %q has %d elements, and maxelem = %d. Raise it, or leave it out.", ir.SetName(set.Name, set.Family), elements, s.MaxElem.Value)
	}
	return s.MaxElem.Value
}

// reportUnused warns of sets that no rule names.
func (c *compilation) reportUnused() {
	for _, s := range c.policy.Sets {
		for _, m := range s.Members {
			c.used[m.Value] = true
		}
	}
	for _, s := range c.policy.Sets {
		if !c.used[s.Name.Value] {
			c.warn(diag.CodeUnusedSet, s.Name.Range, fmt.Sprintf("ipset %q is not used", s.Name.Value), "No rule names ipset.%s. It is made and filled all the same.", s.Name.Value)
		}
	}
}
