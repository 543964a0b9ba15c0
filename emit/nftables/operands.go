package nftables

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// operand is the addresses in one condition: literal ones or a named set.
type operand struct {
	ranges []netipx.IPRange
	set    *Set
}

func (o operand) match(d Direction, not bool) Match {
	if o.set != nil {
		return SetMatch{Set: o.set.Name, Family: o.set.Family, Dir: d, Not: not}
	}
	return Address{Dir: d, Not: not, Ranges: o.ranges}
}

// operands returns the conditions for a list of addresses and sets at one end of a rule: one for the literals, and one
// for each set.
func (l *legalization) operands(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction, not bool) []operand {
	var out []operand
	if len(a.Prefixes) > 0 {
		out = append(out, l.literals(r, f, a, d, not))
	}
	seen := map[string]bool{}
	for _, s := range a.Sets {
		for _, set := range l.declared[setKey{s.Name, f}] {
			if !seen[set.Name] {
				seen[set.Name] = true
				out = append(out, operand{set: set})
			}
		}
	}
	return out
}

// literals returns the condition for the addresses that a rule lists itself: a range, single addresses, or a named set
// where nft would make an anonymous one with intervals.
func (l *legalization) literals(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction, not bool) operand {
	ranges := joinAddresses(a.Prefixes)
	if len(ranges) == 1 {
		return operand{ranges: ranges}
	}
	if slices.ContainsFunc(a.Prefixes, func(p netip.Prefix) bool { return !p.IsSingleIP() }) {
		return operand{set: l.literalSet(r, f, a, d, not)}
	}
	ranges = nil
	for _, p := range sorted(a.Prefixes) {
		ranges = append(ranges, netipx.RangeOfPrefix(p))
	}
	return operand{ranges: slices.Compact(ranges)}
}

// alternatives returns the options of a list of which a packet must have one address. A limit must count each packet
// once, so that the options of a limited rule exclude each other.
func (l *legalization) alternatives(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction) factor {
	var out factor
	var before []Match
	for _, o := range l.operands(r, f, a, d, false) {
		matches := []Match{o.match(d, false)}
		if r.Limited() {
			matches = slices.Concat(before, matches)
			before = append(before, o.match(d, true))
		}
		out = append(out, func(c combination) combination { return c.with(matches...) })
	}
	return out
}

// exclusions returns the conditions of having none of the addresses.
func (l *legalization) exclusions(r *ir.Rule, f ir.Family, a ir.Addresses, d Direction) []Match {
	var out []Match
	for _, o := range l.operands(r, f, a, d, true) {
		out = append(out, o.match(d, true))
	}
	return out
}

// interfaces returns the options of a list of interfaces: one with all names, unless releases of nft print an anonymous
// set of them in different orders (docs/contributing/netfilter.md, "Printed tables"), and each wildcard, which would make
// it a set with intervals ("Sets and rules in one transaction").
func interfaces(names []string, d Direction) factor {
	var exact, prefixes []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if prefix, wild := strings.CutSuffix(name, "+"); wild {
			prefixes = append(prefixes, prefix)
		} else {
			exact = append(exact, name)
		}
	}
	// Without those that a wildcard matches, the options exclude each other: a limit counts a packet once.
	covered := func(name string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return p != name && strings.HasPrefix(name, p) })
	}
	exact = slices.DeleteFunc(exact, func(name string) bool { return slices.Contains(prefixes, name) || covered(name) })
	var lists [][]string
	if len(exact) > 0 && slices.IsSortedFunc(exact, compareAsNumbers) {
		lists = append(lists, exact)
	} else {
		lists = slices.Collect(slices.Chunk(exact, 1))
	}
	for _, prefix := range prefixes {
		if !covered(prefix) {
			lists = append(lists, []string{prefix + "*"})
		}
	}
	var out factor
	for _, list := range lists {
		out = append(out, func(c combination) combination { return c.with(Interface{Dir: d, Names: list}) })
	}
	return out
}

// compareAsNumbers compares names as numbers whose least significant byte is the first.
func compareAsNumbers(a, b string) int {
	reversed := func(s string) string {
		bytes := []byte(s)
		slices.Reverse(bytes)
		return string(bytes)
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(reversed(a), reversed(b)))
}

// joinPorts returns sorted ranges that neither overlap nor touch.
func joinPorts(list []ir.PortRange) []ir.PortRange {
	var out []ir.PortRange
	for _, p := range slices.SortedFunc(slices.Values(list), func(a, b ir.PortRange) int { return cmp.Compare(a.First, b.First) }) {
		if n := len(out); n > 0 && int(p.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, p.Last)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// sorted returns the prefixes in the order of their addresses, shorter ones first.
func sorted(prefixes []netip.Prefix) []netip.Prefix {
	return slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare)
}

// joinAddresses returns sorted ranges that neither overlap nor touch.
func joinAddresses(prefixes []netip.Prefix) []netipx.IPRange {
	var out []netipx.IPRange
	for _, p := range sorted(prefixes) {
		next := netipx.RangeOfPrefix(p)
		if n := len(out); n > 0 {
			if last := out[n-1]; last.Contains(next.From()) || last.To().Next() == next.From() {
				if last.To().Less(next.To()) {
					out[n-1] = netipx.IPRangeFrom(last.From(), next.To())
				}
				continue
			}
		}
		out = append(out, next)
	}
	return out
}

// icmpMatches returns the alternatives for ICMP types: one for all types with any code, and one for each type with a code.
func icmpMatches(list []ir.ICMP, f ir.Family) []Match {
	var any []uint8
	var out []Match
	for _, t := range list {
		if t.Code < 0 {
			any = append(any, t.Type)
		}
	}
	if len(any) > 0 {
		slices.Sort(any)
		out = append(out, ICMP{Family: f, Types: slices.Compact(any), Code: -1})
	}
	for _, t := range list {
		if t.Code >= 0 && !slices.Contains(any, t.Type) {
			out = append(out, ICMP{Family: f, Types: []uint8{t.Type}, Code: t.Code})
		}
	}
	return out
}

// portLists returns ports as lists of which each fits in one rule: one with all single ports, and each range. nft makes a
// set with intervals of a list with a range: docs/contributing/netfilter.md, "Sets and rules in one transaction".
func portLists(ports []ir.PortRange) [][]ir.PortRange {
	joined := joinPorts(ports)
	if len(joined) == 1 {
		return [][]ir.PortRange{joined}
	}
	var single []ir.PortRange
	var out [][]ir.PortRange
	for _, p := range joined {
		switch p.Last - p.First {
		case 0:
			single = append(single, p)
		case 1:
			single = append(single, ir.PortRange{First: p.First, Last: p.First}, ir.PortRange{First: p.Last, Last: p.Last})
		default:
			out = append(out, []ir.PortRange{p})
		}
	}
	if len(single) > 0 {
		out = append([][]ir.PortRange{single}, out...)
	}
	return out
}

// hasSinglePort reports whether one of the lists has one port.
func hasSinglePort(lists [][]ir.PortRange) bool {
	return slices.ContainsFunc(lists, func(list []ir.PortRange) bool { return len(list) == 1 && list[0].First == list[0].Last })
}

// portOptions returns the options of lists of ports.
func portOptions(lists [][]ir.PortRange, d Direction) factor {
	var out factor
	for _, list := range lists {
		out = append(out, func(c combination) combination {
			c.ports = append(c.ports[:len(c.ports):len(c.ports)], Ports{Dir: d, Ranges: list})
			return c
		})
	}
	return out
}
