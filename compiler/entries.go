package compiler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// tooFew reports a set with fewer entries than the policy requires, and returns whether it is
// one. Without min_entries, what counts is whether there are any. A download that failed must neither open nor close anything.
func (c *compilation) tooFew(s *parser.Set, entries int) bool {
	switch {
	case !s.Managed || s.Type == parser.SetList:
		return false
	case s.MinEntries != nil:
		if entries >= s.MinEntries.Value {
			return false
		}
		c.error(diag.CodeTooFew, s.MinEntries.Range, "too few entries", "After exclusion, ipset %q holds %d of at least %d entries. Check whether a download failed, or lower min_entries.", s.Name.Value, entries, s.MinEntries.Value)
		return true
	case entries > 0 || len(s.Files) == 0:
		return false
	}
	deny := denyWith(c.policy, s.Name.Value)
	if deny == nil {
		return false
	}
	d := c.error(diag.CodeTooFew, s.Name.Range, fmt.Sprintf("ipset %q is empty", s.Name.Value), "Its files have no address of a compiled family that is not excluded, so that deny %q would not block what it should. Check whether a download failed. If the lists may be empty, write min_entries = 0.", deny.Name.Value)
	diag.WithRelated(d, fmt.Sprintf("used by deny %q", deny.Name.Value), deny.Name.Range)
	return true
}

// denyWith returns the first deny that uses a set, itself or as the member of another one.
func denyWith(p *parser.Policy, set string) *parser.Rule {
	names := []string{set}
	for _, s := range p.Sets {
		for _, m := range s.Members {
			if m.Value == set {
				names = append(names, s.Name.Value)
			}
		}
	}
	for _, r := range p.AllRules() {
		if r.Kind != parser.KindDeny {
			continue
		}
		for _, list := range []*parser.Addresses{r.Source, r.SourceNot, r.Destination, r.DestinationNot} {
			if list != nil && slices.ContainsFunc(list.Items, func(a parser.Address) bool { return slices.Contains(names, a.Set) }) {
				return r
			}
		}
	}
	return nil
}

// countEntries returns how many different entries of one family have an address that is not
// excluded.
func countEntries(include, exclude addrlist.Ranges, f ir.Family) int {
	without := merged(exclude, addrlist.Ranges{}, f)
	n := 0
	// The excluded ranges do not touch, so that one of them contains all of an entry or none
	// does.
	if f == ir.IPv4 {
		entries := slices.Clone(include.V4)
		slices.SortFunc(entries, func(a, b addrlist.Range4) int {
			return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
		})
		for _, r := range slices.Compact(entries) {
			if holes := overlapping4(without.V4, r); len(holes) != 1 || holes[0].First > r.First || holes[0].Last < r.Last {
				n++
			}
		}
		return n
	}
	entries := slices.Clone(include.V6)
	slices.SortFunc(entries, func(a, b addrlist.Range6) int {
		return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last))
	})
	for _, r := range slices.Compact(entries) {
		if holes := overlapping6(without.V6, r); len(holes) != 1 || holes[0].First.Compare(r.First) > 0 || holes[0].Last.Compare(r.Last) < 0 {
			n++
		}
	}
	return n
}
