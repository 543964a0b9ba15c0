package iptables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// merge replaces atoms that differ only in their literal sources by one rule with a set. Each
// entry of the set has the name of the first rule that lists it as its comment.
func (f *ruleFolder) merge(rules []*ir.Rule) []*ir.Rule {
	alike := map[conditionsKey][]*ir.Rule{}
	key := make([]conditionsKey, len(rules))
	for i, r := range rules {
		if len(otherEnd(r).In.Prefixes) > 0 {
			key[i] = keyOfConditions(r)
			alike[key[i]] = append(alike[key[i]], r)
		}
	}
	var out []*ir.Rule
	for i, r := range rules {
		switch same := alike[key[i]]; {
		case len(same) < 2:
			out = append(out, r)
		case same[0] == r:
			out = append(out, f.merged(same))
		}
	}
	return out
}

// conditionsKey is the same for atoms with the same verdict and the same conditions on everything but the literal
// addresses of the other end. others are all conditions that are lists.
type conditionsKey struct {
	phase   ir.Phase
	verdict ir.Verdict
	until   int64
	others  string
}

func keyOfConditions(r *ir.Rule) conditionsKey {
	far, near := otherEnd(r), &r.Destination
	if r.Scope == ir.ScopeEgress {
		near = &r.Source
	}
	b := make([]byte, 0, 128)
	b = appendList(b, r.In, appendString)
	b = appendList(b, r.Out, appendString)
	b = appendList(b, r.Protocols, func(b []byte, p uint8) []byte { return append(b, p) })
	b = appendList(b, r.SourcePorts, appendPorts)
	b = appendList(b, r.DestinationPorts, appendPorts)
	b = appendList(b, r.PublishedPorts, appendPorts)
	b = appendList(b, r.PublishedAddresses, func(b []byte, a netip.Addr) []byte { return appendString(b, string(a.AsSlice())) })
	b = appendList(b, r.ICMP, func(b []byte, i ir.ICMP) []byte { return binary.AppendVarint(append(b, i.Type), int64(i.Code)) })
	for _, a := range []*ir.Addresses{&far.NotIn, &near.In, &near.NotIn} {
		b = appendList(b, a.Prefixes, func(b []byte, p netip.Prefix) []byte {
			return append(appendString(b, string(p.Addr().AsSlice())), byte(p.Bits()))
		})
		b = appendList(b, a.Sets, func(b []byte, s *ir.Set) []byte { return appendString(b, s.HostName()) })
	}
	return conditionsKey{r.Phase, r.Verdict, r.Until.Unix(), string(b)}
}

// appendList appends the number of elements and the elements, so that no two lists have the same bytes.
func appendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, x := range list {
		b = one(b, x)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendPorts(b []byte, p ir.PortRange) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, p.First), p.Last)
}

// merged returns one rule for atoms that differ only in literal addresses.
func (f *ruleFolder) merged(rules []*ir.Rule) *ir.Rule {
	entries := newFirstEntries(len(rules))
	for _, r := range rules {
		for _, p := range otherEnd(r).In.Prefixes {
			entries.add(p, &r.Origin)
		}
	}
	out := *rules[0]
	label := mergedLabel(&out)
	if f.labels[label]++; f.labels[label] > 1 {
		label += fmt.Sprintf("#%d", f.labels[label])
	}
	out.Origin.Name = label
	otherEnd(&out).In = ir.Addresses{Sets: []*ir.Set{{Name: f.mergedSet(entries, label, &out), Family: f.family, Type: ir.HashNet, Managed: true}}, Range: otherEnd(&out).In.Range}
	return &out
}

// clients returns the set of all clients that the rules list; nil if not all rules list literal addresses.
// Packets of other clients need not be searched for, and most packets that rules refuse are of such clients.
func (f *ruleFolder) clients(rules []*ir.Rule) *ir.Addresses {
	entries := newFirstEntries(len(rules))
	for _, r := range rules {
		in := otherEnd(r).In
		prefixes := in.Prefixes
		for _, s := range in.Sets {
			merged, ok := f.contents[s.HostName()]
			if !ok {
				return nil
			}
			prefixes = append(prefixes[:len(prefixes):len(prefixes)], merged...)
		}
		if len(prefixes) == 0 {
			return nil
		}
		for _, p := range prefixes {
			entries.add(p, &r.Origin)
		}
	}
	of := "any"
	if len(rules[0].Protocols) == 1 {
		of = protocol(rules[0].Protocols[0])
	}
	prefixes, _ := entries.sorted()
	name := f.addSet(&Set{Prefixes: ir.PrefixesOf(prefixes...), Origin: unconditional(rules[0]).Origin}, of+"-clients", rules[0].Phase)
	return &ir.Addresses{Sets: []*ir.Set{{Name: name, Family: f.family, Type: ir.HashNet, Managed: true}}}
}

// mergedLabel describes what merged rules are about: tcp/443, tcp/8000:8010, udp/any or any.
func mergedLabel(r *ir.Rule) string {
	of, to := "any", "any"
	if len(r.Protocols) == 1 {
		of = protocol(r.Protocols[0])
	}
	if p := port(r); p != nil {
		to = ports(*p)
	}
	return ir.MergedName(of, to)
}

// mergedSet adds the set of merged rules, which rules with the same entries share. It returns its
// name without the ending of the family.
func (f *ruleFolder) mergedSet(entries *firstEntries, label string, r *ir.Rule) string {
	prefixes, origins := entries.sorted()
	base := strings.NewReplacer("/", "-", ":", "-", "#", "-").Replace(label)
	name := f.addSet(&Set{Comment: true, Prefixes: ir.PrefixesOf(prefixes...), Rules: origins, Origin: r.Origin}, base, r.Phase)
	f.contents[ir.SetName(name, f.family)] = prefixes
	return name
}

// addSet adds a set with a name that begins with base, unless it already has one with the same
// content. It returns the name without the ending of the family.
func (f *ruleFolder) addSet(set *Set, base string, phase ir.Phase) string {
	content := fmt.Sprint(phase, set.Prefixes, set.Comment, names(set.Rules))
	if name := f.merges[content]; name != "" {
		return name
	}
	name := literalSetName(base, "."+phase.String())
	for i := 2; f.named[ir.SetName(name, f.family)]; i++ {
		name = literalSetName(base, fmt.Sprintf("-%d.%s", i, phase))
	}
	set.Name, set.Family, set.Type, set.Managed = ir.SetName(name, f.family), f.family, ir.HashNet, true
	set.HashSize, set.MaxElem = hashSize(max(set.Prefixes.Len(), minHashSize)), maxElem(set.Prefixes.Len())
	f.named[set.Name] = true
	f.merges[content] = name
	f.out.Sets = append(f.out.Sets, set)
	return name
}

func names(origins []ir.Origin) []string {
	var out []string
	for _, o := range origins {
		out = append(out, o.Name)
	}
	return out
}

// firstEntries are entries with the first rule that lists each. One within an entry of an earlier
// rule is left out, so that of those which contain an address the longest has the rule that
// matches it first.
type firstEntries struct {
	list   []firstEntry
	listed map[netip.Prefix]struct{}
	// lengths are the lengths of the prefixes in the list.
	lengths [129]bool
}

type firstEntry struct {
	prefix netip.Prefix
	rule   *ir.Origin
}

// newFirstEntries has room for the entries of so many rules, of which most list one.
func newFirstEntries(rules int) *firstEntries {
	return &firstEntries{list: make([]firstEntry, 0, rules), listed: make(map[netip.Prefix]struct{}, rules)}
}

func (e *firstEntries) add(p netip.Prefix, rule *ir.Origin) {
	if p.Bits() == 0 {
		// A hash:net set accepts no prefix of length 0: see splitWhole.
		for half := range splitWhole(ir.PrefixesOf(p)).All() {
			e.add(half, rule)
		}
		return
	}
	for bits := p.Bits(); bits > 0; bits-- {
		if !e.lengths[bits] {
			continue
		}
		if _, listed := e.listed[netip.PrefixFrom(p.Addr(), bits).Masked()]; listed {
			return
		}
	}
	e.listed[p.Masked()] = struct{}{}
	e.list = append(e.list, firstEntry{p.Masked(), rule})
	e.lengths[p.Bits()] = true
}

// sorted returns the entries in the order of a set, with their rules.
func (e *firstEntries) sorted() (prefixes []netip.Prefix, rules []ir.Origin) {
	slices.SortFunc(e.list, func(a, b firstEntry) int {
		if c := a.prefix.Addr().Compare(b.prefix.Addr()); c != 0 {
			return c
		}
		return a.prefix.Bits() - b.prefix.Bits()
	})
	prefixes, rules = make([]netip.Prefix, len(e.list)), make([]ir.Origin, len(e.list))
	for i, entry := range e.list {
		prefixes[i], rules[i] = entry.prefix, *entry.rule
	}
	return prefixes, rules
}
