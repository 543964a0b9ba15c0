package snapshot

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// MergedInto returns the rules of the policy that were merged into a rule of dockerfw and match
// packets of a set, by the comments of the entries in its set; nil if it is not such a rule.
func (h *Host) MergedInto(f ir.Family, r *Rule, packets packet.Set) []ir.RuleID {
	id, set, end := h.merged(r)
	if set == nil {
		return nil
	}
	matched := packets.Sources(f)
	if end == packet.Destination {
		matched = packets.Destinations(f)
	}
	var out []ir.RuleID
	rest := matched
	for _, e := range byLength(set) {
		inside := packet.NewAddrSet("", []netip.Prefix{e.Prefix})
		if left := rest.Minus(inside); !left.Equal(rest) {
			rest = left
			out = appendRule(out, id.Phase, e)
		}
		if rest.IsEmpty() {
			break
		}
	}
	return out
}

// BlockOf returns the rule of the policy that a rule of dockerfw comes from: of merged ones, the
// one that matches the packet. ok is false for a rule without a comment of dockerfw.
func (h *Host) BlockOf(r *Rule, p *packet.Packet) (id ir.RuleID, ok bool) {
	id, set, end := h.merged(r)
	if set == nil {
		return r.ID()
	}
	address := p.Source
	if end == packet.Destination {
		address = p.Destination
	}
	for _, e := range byLength(set) {
		if e.Prefix.Contains(address) {
			return appendRule(nil, id.Phase, e)[0], true
		}
	}
	return id, true
}

// EntriesOfMerged returns the entries of each rule of the policy that was merged into a rule; nil if it is not
// such a rule.
func (h *Host) EntriesOfMerged(r *Rule) map[ir.RuleID]string {
	id, set, _ := h.merged(r)
	if set == nil {
		return nil
	}
	out := map[ir.RuleID]string{}
	for e := range set.Entries() {
		out[ir.RuleID{Phase: id.Phase, Name: ruleName(e)}] += " " + e.String()
	}
	return out
}

// merged returns the set with the entries of the rules that were merged into a rule, and the end of
// packets that it is about; nil if it is not such a rule.
func (h *Host) merged(r *Rule) (id ir.RuleID, set *iptables.Set, end packet.End) {
	id, ok := r.ID()
	if !ok || !id.Merged() || r.IPTables == nil {
		return id, nil, end
	}
	for i := range r.IPTables.Matches {
		o := r.IPTables.Matches[i].Option("--match-set")
		if o == nil || o.Not || len(o.Values) != 2 {
			continue
		}
		if s := h.Sets.Set(o.Values[0]); s != nil && s.Len() > 0 && !slices.ContainsFunc(slices.Collect(s.Entries()), func(e *iptables.Entry) bool { return ruleName(e) == "" }) {
			if o.Values[1] == "dst" {
				end = packet.Destination
			}
			return id, s, end
		}
	}
	return id, nil, end
}

// byLength returns the entries of a set, longest prefixes first: an address has the rule of the
// longest entry that contains it. Those of the same length are in the order of their addresses, not
// in that of the kernel, which differs from load to load.
func byLength(s *iptables.Set) []*iptables.Entry {
	return slices.SortedStableFunc(s.Entries(), func(a, b *iptables.Entry) int {
		return cmp.Or(b.Prefix.Bits()-a.Prefix.Bits(), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
}

// ruleName is the name of the rule that an entry comes from; "" without one.
func ruleName(e *iptables.Entry) string {
	if !e.Prefix.IsValid() {
		return ""
	}
	return e.Comment()
}

// appendRule adds the rule of an entry, once.
func appendRule(to []ir.RuleID, phase ir.Phase, e *iptables.Entry) []ir.RuleID {
	if id := (ir.RuleID{Phase: phase, Name: ruleName(e)}); !slices.Contains(to, id) {
		to = append(to, id)
	}
	return to
}
