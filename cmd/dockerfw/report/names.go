package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// maxRegions limits the parts of the name of clients or ports.
const maxRegions = 48

// shownPrefixes and shownPorts are how many a name lists; the details list all.
const shownPrefixes = 3

// everything is all addresses of a family.
var everything = map[ir.Family]*packet.AddrSet{
	ir.IPv4: packet.AddrRange(packet.UnspecifiedHost(ir.IPv4), lastAddress(ir.IPv4)),
	ir.IPv6: packet.AddrRange(packet.UnspecifiedHost(ir.IPv6), lastAddress(ir.IPv6)),
}

// nameClients names the columns by the sets and networks that conditions list.
func (g *grid) nameClients(conditions []packet.Cond) {
	n := newNamer(g.family, packet.Source, conditions)
	whole, _ := g.scope.Regions(1)
	for _, c := range g.clients {
		c.Families = []ir.Family{g.family}
		regions, complete := c.set.Regions(maxRegions)
		var names, details []string
		for _, r := range regions {
			name, detail := n.client(r)
			where := ""
			if r.In != nil && (len(whole) == 0 || interfaceText(r.In) != interfaceText(whole[0].In)) {
				where = ", arriving on " + interfaceText(r.In)
			}
			c.where = where
			if len(r.SourcePorts) > 0 {
				where += ", from source port " + words.List(words.PortRanges(r.SourcePorts), 0)
			}
			if !slices.Contains(names, name+where) {
				names = append(names, name+where)
			}
			if !slices.Contains(details, detail+where) {
				details = append(details, detail+where)
			}
		}
		if !complete {
			names, details = append(names, "and more"), append(details, "and more")
		}
		c.Name, c.Detail = strings.Join(names, "; "), strings.Join(details, "; ")
		if len(regions) > 1 {
			c.where = ""
		}
		if c.Rest && len(g.clients) > 1 {
			c.Name = anyoneElse + c.where
		}
	}
	slices.SortStableFunc(g.clients, func(a, b *column) int {
		return cmp.Compare(boolOrder(a.Rest), boolOrder(b.Rest))
	})
}

// anyoneElse is the name of the clients that no rule lists.
const anyoneElse = "anyone else"

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// namer names sets of addresses of a family by the sets and networks that rules list.
type namer struct {
	family ir.Family
	atoms  []*packet.AddrSet
}

// newNamer knows the sets and networks at one end that conditions list.
func newNamer(f ir.Family, end packet.End, conditions []packet.Cond) *namer {
	n := &namer{family: f}
	for _, c := range conditions {
		packet.Walk(c, func(c packet.Cond) bool {
			if a, ok := c.(packet.Addr); ok && a.End == end {
				n.add(a.In)
			}
			return true
		})
	}
	return n
}

func (n *namer) add(s *packet.AddrSet) {
	s = s.OfFamily(n.family)
	if !s.IsEmpty() && !slices.ContainsFunc(n.atoms, func(o *packet.AddrSet) bool { return o.Equal(s) }) {
		n.atoms = append(n.atoms, s)
	}
}

// client names the clients of a region: by the unmanaged sets that they are in, and by their
// addresses.
func (n *namer) client(r packet.Region) (name, detail string) {
	name, detail = n.addresses(r.Source)
	var in, out []string
	for _, c := range r.Conditions {
		set, ok := unmanagedSource(c.Name)
		if !ok {
			continue
		}
		if set = n.setName(set); c.Holds {
			in = append(in, set)
		} else {
			out = append(out, set)
		}
	}
	if len(in) > 0 {
		inside := words.And(in)
		if name == "everyone" {
			name, detail = inside+" (unmanaged)", "everyone in "+inside+", which another program fills"
		} else {
			name, detail = name+" in "+inside+" (unmanaged)", detail+", if in "+inside+", which another program fills"
		}
	}
	if len(out) > 0 {
		detail += ", if not in " + words.Or(out)
	}
	return name, detail
}

// setName is the name of a set. The sets of the two families of one block have one name.
func (n *namer) setName(name string) string {
	if n.family == ir.IPv6 {
		return strings.Replace(name, "-v6", "", 1)
	}
	return name
}

// addresses names a set, in short and in full. nil is all addresses.
func (n *namer) addresses(a *packet.Addresses) (name, detail string) {
	all := everything[n.family]
	set := all
	if a != nil {
		set = a.In.OfFamily(n.family)
		if a.Not {
			set = all.Minus(set)
		}
	}
	if all.In(set) {
		return "everyone", "everyone"
	}
	if text, ok := n.listed(set); ok {
		return text, text
	}
	if text, ok := n.listed(all.Minus(set)); ok {
		text = "everyone except " + strings.Replace(text, " except ", " without ", 1)
		return text, text
	}
	before := ""
	if a.Not {
		before, set = "everyone except ", all.Minus(set)
	}
	prefixes := words.Prefixes(set.Prefixes(0))
	return before + words.List(prefixes, shownPrefixes), before + words.List(prefixes, 0)
}

// listed names a set by those that rules list: as their union, or by a few prefixes, or as one of
// them less others, or as what is in two of them.
func (n *namer) listed(set *packet.AddrSet) (string, bool) {
	if names, ok := n.union(set); ok {
		return words.List(names, 0), true
	}
	if prefixes := set.Prefixes(shownPrefixes + 1); len(prefixes) <= shownPrefixes {
		return words.List(words.Prefixes(prefixes), 0), true
	}
	var around []*packet.AddrSet
	for _, s := range n.atoms {
		if !set.In(s) {
			continue
		}
		if names, ok := n.within(s, s.Minus(set)); ok {
			return n.atom(s) + " except " + words.List(names, 0), true
		}
		around = append(around, s)
	}
	for i, a := range around {
		for _, b := range around[i+1:] {
			if a.Minus(a.Minus(b)).Equal(set) {
				return "both " + n.atom(a) + " and " + n.atom(b), true
			}
		}
	}
	return "", false
}

// union returns sets of which a set is the union, in the order of the rules.
func (n *namer) union(set *packet.AddrSet) (names []string, ok bool) {
	rest := set
	for _, s := range n.atoms {
		if s.In(set) && rest.Overlaps(s) {
			names, rest = append(names, n.atom(s)), rest.Minus(s)
		}
	}
	return names, rest.IsEmpty()
}

// within returns sets of which a part of a set is the union, if only what is in the set counts.
func (n *namer) within(set, part *packet.AddrSet) (names []string, ok bool) {
	rest := part
	for _, s := range n.atoms {
		if !s.Overlaps(set) {
			continue
		}
		inside := s.Minus(s.Minus(set))
		if !inside.In(part) || !rest.Overlaps(inside) {
			continue
		}
		names, rest = append(names, n.atom(s)), rest.Minus(inside)
	}
	return names, rest.IsEmpty()
}

// atom is the name of a set that a rule lists, or its first prefixes.
func (n *namer) atom(s *packet.AddrSet) string {
	if s.Name != "" {
		return n.setName(s.Name)
	}
	return words.List(words.Prefixes(s.Prefixes(0)), shownPrefixes)
}

func interfaceText(i *packet.Interfaces) string {
	switch {
	case i == nil:
		return "any interface"
	case len(i.Except) == 0:
		return words.Or(i.Names)
	case len(i.Names) == 0, len(i.Names) == 1 && i.Names[0] == "+":
		return "any interface except " + words.And(i.Except)
	}
	return words.Or(i.Names) + " except " + words.And(i.Except)
}
