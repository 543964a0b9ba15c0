package lint

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// maxElements is how many elements of a list are still compared with each other.
const maxElements = 50

// addressesOfSets are the addresses of a policy's sets, by name; nil for unmanaged ones.
type addressesOfSets map[string]*packet.AddrSet

func setAddresses(p *parser.Policy, lists *semantics.Lists) addressesOfSets {
	out := addressesOfSets{}
	for _, s := range p.Sets {
		out[s.Name.Value] = addresses(p, s, lists)
	}
	return out
}

// addressLists are all lists of addresses that a policy's rules use.
func addressLists(p *parser.Policy) []*parser.Addresses {
	out := []*parser.Addresses{p.Default.Allow}
	add := func(rules []*parser.Rule) {
		for _, r := range rules {
			out = append(out, r.Source, r.SourceNot, r.Destination, r.DestinationNot)
		}
	}
	add(p.Rules)
	if p.Input != nil {
		add(p.Input.Rules)
		out = append(out, p.Input.Default.Allow)
	}
	if p.Egress != nil {
		add(p.Egress.Rules)
		out = append(out, p.Egress.Default.Allow)
	}
	return out
}

// emptySets are the sets of a policy without entries and files, which the compiler warns about where
// they are declared.
func emptySets(p *parser.Policy) map[string]bool {
	out := map[string]bool{}
	for _, s := range p.Sets {
		out[s.Name.Value] = s.Managed && len(s.Entries)+len(s.Files)+len(s.Members) == 0
	}
	return out
}

// onlySets reports whether a list has nothing but such sets.
func onlySets(list *parser.Addresses, empty map[string]bool) bool {
	return list != nil && !slices.ContainsFunc(list.Items, func(item parser.Address) bool { return !empty[item.Set] })
}

// element is a set or literal of a list.
type element struct {
	name  string
	place hcl.Range
	// addresses is nil where they are not known.
	addresses *packet.AddrSet
}

func elements(list *parser.Addresses, sets addressesOfSets) []element {
	var out []element
	for _, item := range list.Items {
		if item.Set != "" {
			out = append(out, element{"ipset." + item.Set, item.Range, sets[item.Set]})
		} else {
			out = append(out, element{rangeText(item.Literal), item.Range, packet.NewAddrSet("", item.Literal.Prefixes())})
		}
	}
	return out
}

// containedSets finds elements of a list that another element contains.
func containedSets(list *parser.Addresses, sets addressesOfSets) []finding {
	all := elements(list, sets)
	var out []finding
	for i, inner := range all {
		j := container(all, i)
		if j < 0 {
			continue
		}
		n := len(inner.addresses.Prefixes(0))
		out = append(out, finding{
			place: inner.place, summary: fmt.Sprintf("%s is contained in %s", inner.name, all[j].name),
			detail:  fmt.Sprintf("All of its addresses (%s, such as %s) are in the other element of this list too. Remove it.", prefixes(n), inner.addresses.Prefixes(1)[0]),
			related: []diag.Related{{Message: "contains them", Range: all[j].place}},
		})
	}
	return out
}

// container returns the first element that contains the i-th, -1 if none does. Of two that
// are equal, the first is not contained.
func container(all []element, i int) int {
	inner := all[i].addresses
	if inner == nil || inner.IsEmpty() {
		return -1
	}
	for j, outer := range all {
		if i != j && outer.addresses != nil && !(i < j && inner.Equal(outer.addresses)) && inner.In(outer.addresses) {
			return j
		}
	}
	return -1
}

// overlappingSets finds elements that share some addresses, each with the first one after
// it. Address lists from different sources often do, so it is a note.
func overlappingSets(list *parser.Addresses, sets addressesOfSets) []finding {
	all := elements(list, sets)
	var out []finding
	for i, a := range all {
		if a.addresses == nil || a.addresses.IsEmpty() || container(all, i) >= 0 {
			continue
		}
		for _, b := range all[i+1:] {
			if b.addresses == nil {
				continue
			}
			if !a.addresses.Overlaps(b.addresses) || a.addresses.In(b.addresses) || b.addresses.In(a.addresses) {
				continue
			}
			shared := a.addresses.Minus(a.addresses.Minus(b.addresses))
			out = append(out, finding{
				place: b.place, summary: fmt.Sprintf("%s and %s overlap", b.name, a.name),
				detail:  fmt.Sprintf("Both contain %s, such as %s. To exclude an address, remove it from both.", prefixes(len(shared.Prefixes(0))), shared.Prefixes(1)[0]),
				related: []diag.Related{{Message: "contains them too", Range: a.place}},
			})
			break
		}
	}
	return out
}

func prefixes(n int) string {
	if n == 1 {
		return "1 prefix"
	}
	return fmt.Sprintf("%d prefixes", n)
}

// addresses are the entries of a set; nil if it is unmanaged.
func addresses(p *parser.Policy, s *parser.Set, lists *semantics.Lists) *packet.AddrSet {
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
	return lists.Addresses(s.Entries, s.Files).Minus(lists.Addresses(s.Exclude, s.ExcludeFiles))
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
