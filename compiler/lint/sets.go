package lint

import (
	"fmt"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// longList is how many addresses in a list are still compared with each other: what
// people write by hand.
const longList = 50

// sets finds elements of one list that hold each other, a warning, or that only
// overlap: address lists from different sources do, so that is a note.
func (f *findings) sets(policies []*parser.Policy, lists semantics.Lists) {
	seen := map[hcl.Range]bool{}
	for _, p := range policies {
		known := map[string]*packet.AddrSet{}
		for _, s := range p.Sets {
			known[s.Name.Value] = addresses(p, s, lists)
		}
		for _, list := range operands(p) {
			if list == nil || seen[list.Range] || len(list.Items) < 2 || len(list.Items) > longList {
				continue
			}
			seen[list.Range] = true
			f.overlaps(list, known)
		}
	}
}

// operands are all lists of addresses of a policy.
func operands(p *parser.Policy) []*parser.Addresses {
	out := []*parser.Addresses{p.Default.Allow}
	add := func(rules []*parser.Rule) {
		for _, r := range rules {
			out = append(out, r.Source, r.SourceNot, r.Destination, r.DestinationNot)
		}
	}
	add(p.Rules)
	if p.Egress != nil {
		add(p.Egress.Rules)
		out = append(out, p.Egress.Default.Allow)
	}
	return out
}

// overlaps compares the elements of a list; each is said once, with the first that
// holds it or, if none does, with the first that it overlaps.
func (f *findings) overlaps(list *parser.Addresses, known map[string]*packet.AddrSet) {
	held := make([]*packet.AddrSet, len(list.Items))
	names := make([]string, len(list.Items))
	for i, item := range list.Items {
		if item.Set != "" {
			held[i], names[i] = known[item.Set], "ipset."+item.Set
		} else {
			held[i], names[i] = packet.NewAddrSet("", item.Literal.Prefixes()), rangeText(item.Literal)
		}
	}
	for i, inner := range held {
		if inner == nil || inner.IsEmpty() {
			continue
		}
		contained := false
		for j, outer := range held {
			// Of two that are equal, the first stays.
			if i == j || outer == nil || i < j && inner.Equal(outer) || !inner.Minus(outer).IsEmpty() {
				continue
			}
			count := len(inner.Prefixes(0))
			d := diag.Warn(diag.CodeOverlappingSets, list.Items[i].Range, fmt.Sprintf("%s is in %s already", names[i], names[j]),
				fmt.Sprintf("All of its addresses (%s, such as %s) are in the other one of the list. Leave it out.", prefixes(count), inner.Prefixes(1)[0]))
			f.diags = append(f.diags, diag.WithRelated(d, "it holds them", list.Items[j].Range))
			contained = true
			break
		}
		if !contained {
			f.overlap(list, held, names, i)
		}
	}
}

// overlap notes the first element behind the i-th that shares addresses with it, and
// of which neither holds the other.
func (f *findings) overlap(list *parser.Addresses, held []*packet.AddrSet, names []string, i int) {
	for j := i + 1; j < len(held); j++ {
		if held[j] == nil {
			continue
		}
		mine, theirs := held[i].Minus(held[j]), held[j].Minus(held[i])
		if mine.Equal(held[i]) || mine.IsEmpty() || theirs.IsEmpty() {
			continue
		}
		shared := held[i].Minus(mine)
		d := diag.Note(diag.CodeOverlappingSets, list.Items[j].Range, fmt.Sprintf("%s and %s overlap", names[j], names[i]),
			fmt.Sprintf("Both hold %s, such as %s. To take an address out, take it out of both.", prefixes(len(shared.Prefixes(0))), shared.Prefixes(1)[0]))
		f.diags = append(f.diags, diag.WithRelated(d, "it holds them too", list.Items[i].Range))
		return
	}
}

func prefixes(n int) string {
	if n == 1 {
		return "1 prefix"
	}
	return fmt.Sprintf("%d prefixes", n)
}

// addresses are what a set holds; nil if others fill it.
func addresses(p *parser.Policy, s *parser.Set, lists semantics.Lists) *packet.AddrSet {
	if !s.Managed {
		return nil
	}
	if s.Type == parser.SetList {
		var members []*packet.AddrSet
		for _, m := range s.Members {
			for _, other := range p.Sets {
				if other.Name.Value != m.Value {
					continue
				}
				set := addresses(p, other, lists)
				if set == nil {
					return nil
				}
				members = append(members, set)
			}
		}
		return packet.Union("", members...)
	}
	all := func(entries []parser.At[netipx.IPRange], files []parser.At[string]) *packet.AddrSet {
		var out []netip.Prefix
		for _, e := range entries {
			out = e.Value.AppendPrefixes(out)
		}
		for _, f := range files {
			for _, r := range lists(f.Value) {
				out = r.AppendPrefixes(out)
			}
		}
		return packet.NewAddrSet("", out)
	}
	return all(s.Entries, s.Files).Minus(all(s.Exclude, s.ExcludeFiles))
}

func addressText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func rangeText(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	return r.String()
}

func portText(p parser.Ports) string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}
