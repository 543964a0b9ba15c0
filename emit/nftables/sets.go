package nftables

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// declareSets converts the sets of the ruleset. Those that are managed are named by their content, so
// that rules and content change together: docs/contributing/netfilter.md, "Reload of a table".
func (l *legalization) declareSets() {
	for _, s := range l.in.Sets {
		if s.Type == ir.ListSet {
			continue
		}
		set := &Set{Name: s.HostName(), Family: s.Family, Label: s.Name, Origin: s.Origin}
		if s.Managed {
			set.Prefixes = withoutContained(s.Prefixes)
			set.Name += "." + digest(func(w io.Writer) { writeSetBody(w, set) })
		} else {
			set.Kind, set.Size = Unmanaged, s.MaxElem
		}
		l.declared[setKey{s.Name, s.Family}] = []*Set{set}
		l.out.Sets = append(l.out.Sets, set)
	}
	// nft has no sets of sets: rules match the members.
	for _, s := range l.in.Sets {
		if s.Type != ir.ListSet {
			continue
		}
		var members []*Set
		for _, m := range s.Members {
			members = append(members, l.declared[setKey{m, s.Family}]...)
		}
		l.declared[setKey{s.Name, s.Family}] = members
	}
}

// literalSet returns the set of the addresses that a rule lists itself, and adds it unless the rule already has it from
// another scope. It is named by its content, too.
func (l *legalization) literalSet(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction, not bool) *Set {
	suffix := end(d, ".src", ".dst")
	switch {
	case not && r.Phase == ir.PhaseDefault:
		suffix = ".allow"
	case not:
		suffix += "-not"
	}
	set := &Set{
		Family: f, Label: ruleName(r) + suffix, Prefixes: withoutContained(ir.PrefixesOf(sorted(a.Prefixes)...)),
		Origin: ir.Origin{Block: r.Origin.Block, Name: r.Origin.Name, Range: a.Range},
	}
	set.Name = ir.SetName(set.Label, f) + "." + digest(func(w io.Writer) { writeSetBody(w, set) })
	if have := l.literal[set.Name]; have != nil {
		return have
	}
	l.literal[set.Name] = set
	l.out.Sets = append(l.out.Sets, set)
	return set
}

// digest returns eight hexadecimal digits that identify what write writes.
func digest(write func(io.Writer)) string {
	sum := sha256.New()
	write(sum)
	return hex.EncodeToString(sum.Sum(nil)[:4])
}

// withoutContained removes prefixes that another one contains: nft refuses intervals that overlap. The prefixes are sorted.
func withoutContained(p ir.Prefixes) ir.Prefixes {
	var v4 []ir.Prefix4
	var v6 []ir.Prefix6
	if p.Ranges().Len() > 0 {
		return p // the prefixes of ranges do not overlap
	}
	overlaps := false
	for x := range p.All4() {
		if last := len(v4) - 1; last >= 0 && v4[last].Prefix().Contains(x.Prefix().Addr()) {
			overlaps = true
			continue
		}
		v4 = append(v4, x)
	}
	for x := range p.All6() {
		if last := len(v6) - 1; last >= 0 && v6[last].Prefix().Contains(x.Prefix().Addr()) {
			overlaps = true
			continue
		}
		v6 = append(v6, x)
	}
	if !overlaps {
		return p // hosts share the list
	}
	return ir.PrefixList(v4, v6)
}

// dynamicSet returns the set with the counts of a rule's limit. Its name has a digest of the limit, since an element
// keeps the limit that it was added with; with the same limit the counts survive a reload.
func (l *legalization) dynamicSet(r *ir.Rule, f ir.Family, use string, timeout time.Duration, limit string) string {
	name := ruleName(r) + "." + use
	if f == ir.IPv6 {
		name += "-v6"
	}
	name += "." + digest(func(w io.Writer) { io.WriteString(w, limit) })
	if l.dynamic[name] == nil {
		set := &Set{Name: name, Family: f, Kind: Dynamic, Size: dynamicSize, Timeout: timeout, Origin: r.Origin}
		l.dynamic[name] = set
		l.out.Sets = append(l.out.Sets, set)
	}
	return name
}

// dynamicSize is the number of sources that a limit counts at a time. A packet of one more does not match the rule.
const dynamicSize = 65535

// ruleName returns the name of a rule as the beginning of a name in nft, which does not begin with a digit.
func ruleName(r *ir.Rule) string {
	if r.Name != "" && strings.ContainsRune("0123456789", rune(r.Name[0])) {
		return "_" + r.Name
	}
	return r.Name
}

// limits returns the matches of a rule's limits for sources of a family: up to the limit for an accept, above it for a deny.
// Each use counts separately: the logging rule has counters of its own, so that it does not consume those of the
// rule with the verdict.
func (l *legalization) limits(r *ir.Rule, f ir.Family, use string) []Match {
	above := r.Phase == ir.PhaseDeny
	var out []Match
	if r.Rate != nil {
		rate := Rate{r.Rate.Frequency, r.Rate.Burst}
		if r.Rate.PerSource {
			set := l.dynamicSet(r, f, use+"rate", refill(rate), fmt.Sprintf("%+v %t", rate, above))
			out = append(out, SourceLimit{Rate: rate, Over: above, Set: set, Family: f})
		} else {
			out = append(out, Limit{Rate: rate, Over: above})
		}
	}
	if c := r.Connections; c != nil {
		set := l.dynamicSet(r, f, use+"connections", 0, fmt.Sprintf("%+v %t", *c, above))
		out = append(out, SourceConnections{Max: c.Max, Over: above, PrefixLength: c.PrefixLength, Set: set, Family: f})
	}
	return out
}

// refill returns the time in which the whole burst is available again. The count of a source that is idle for
// as long says nothing any more.
func refill(r Rate) time.Duration {
	return time.Duration((r.Burst*r.Seconds+r.Count-1)/r.Count) * time.Second
}
