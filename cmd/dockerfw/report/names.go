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
	if all.Minus(set).IsEmpty() {
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
		if !set.Minus(s).IsEmpty() {
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
		if s.Minus(set).IsEmpty() && !rest.Minus(s).Equal(rest) {
			names, rest = append(names, n.atom(s)), rest.Minus(s)
		}
	}
	return names, rest.IsEmpty()
}

// within returns sets of which a part of a set is the union, if only what is in the set counts.
func (n *namer) within(set, part *packet.AddrSet) (names []string, ok bool) {
	rest := part
	for _, s := range n.atoms {
		inside := s.Minus(s.Minus(set))
		if inside.IsEmpty() || !inside.Minus(part).IsEmpty() || rest.Minus(inside).Equal(rest) {
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

// portOrder sorts the rows of a table: by port, and what no rule lists at the end.
type portOrder struct {
	direct, rest, complement, protocol, first int
	name                                      string
}

func (a portOrder) compare(b portOrder) int {
	return cmp.Or(a.direct-b.direct, a.rest-b.rest, a.complement-b.complement, a.first-b.first, a.protocol-b.protocol, strings.Compare(a.name, b.name))
}

// name names a row by its classes.
func (r *row) name(k Kind, grids []*grid, by map[int]string, b *builder) {
	if k != Published {
		r.Direct = false
	}
	var texts []string
	first := true
	for i, class := range r.classes {
		for i, holds := range class {
			if who := by[i]; holds == '1' && who != "" && !slices.Contains(r.By, who) {
				r.By = append(r.By, who)
			}
		}
		for _, g := range grids {
			set, ok := g.of[class]
			if !ok {
				continue
			}
			// All classes together may be what one condition lists.
			regions, complete, whole := g.regions(r.sets[g.family])
			whole = whole || complete && len(regions) < len(r.classes) && !slices.ContainsFunc(regions, func(region packet.Region) bool {
				_, order := targetName(k, r.Direct, region, g, b)
				return order.complement == 0
			})
			switch {
			case whole && i > 0:
				continue
			case !whole:
				regions, complete, _ = g.regions(set)
			}
			for _, region := range regions {
				text, order := targetName(k, r.Direct, region, g, b)
				order.direct, order.rest = boolOrder(r.Direct), boolOrder(r.Rest)
				if first || order.compare(r.order) < 0 {
					r.order, first = order, false
				}
				if !slices.Contains(texts, text) {
					texts = append(texts, text)
				}
			}
			if !complete {
				texts = append(texts, "and more")
			}
		}
	}
	r.Name = joinPorts(withoutParts(texts))
	if r.Rest {
		r.Name = r.restName(k, grids, b)
	}
	r.order.name = r.Name
}

// regions describes targets: as what a condition lists, if that is all of them. whole reports
// that, or that they are one region.
func (g *grid) regions(set packet.Set) (regions []packet.Region, complete, whole bool) {
	for _, t := range g.targets[1:] {
		if t.Equal(set) {
			regions, complete = t.Regions(maxRegions)
			return regions, complete, true
		}
	}
	regions, complete = set.Regions(maxRegions)
	return regions, complete, len(regions) == 1
}

// restName is the name of what no rule lists.
func (r *row) restName(k Kind, grids []*grid, b *builder) string {
	switch {
	case r.Direct:
		return "containers directly, without a published port"
	case k == Published && b.ofHost():
		return "other published ports"
	case k == Egress:
		return "all other destinations"
	}
	for _, g := range grids {
		set, ok := r.sets[g.family]
		if !ok {
			continue
		}
		regions, _ := set.Regions(maxRegions)
		for _, region := range regions {
			if len(region.Protocols) == 0 || slices.ContainsFunc(region.Protocols, func(p packet.ProtoRange) bool {
				return p.First <= packet.ProtoTCP && packet.ProtoTCP <= p.Last || p.First <= packet.ProtoUDP && packet.ProtoUDP <= p.Last
			}) {
				return "all other ports"
			}
		}
	}
	return "all other protocols"
}

// withoutParts leaves out the names of ports at some addresses and at any other address, if the
// ports are there without one, for the family that has none of these addresses.
func withoutParts(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		for _, word := range []string{" at ", " on "} {
			if ports, _, ok := strings.Cut(n, word); ok && slices.Contains(names, ports) && slices.Contains(names, ports+word+otherAddress) {
				return true
			}
		}
		return false
	})
}

// joinPorts joins names such as 80/tcp and 443/tcp to 80, 443/tcp, and those of all other ports of
// several protocols.
func joinPorts(names []string) string {
	var out, others []string
	at := 0
	for _, n := range names {
		if protocol, ok := strings.CutSuffix(n, " ports"); ok {
			if protocol, ok = strings.CutPrefix(protocol, allOther); ok {
				if others == nil {
					at, out = len(out), append(out, "")
				}
				others = append(others, protocol)
				continue
			}
		}
		if i := len(out) - 1; i >= 0 && isPorts(n) && isPorts(out[i]) {
			a, protocol, _ := strings.Cut(out[i], "/")
			c, other, _ := strings.Cut(n, "/")
			if protocol == other {
				out[i] = a + ", " + c + "/" + protocol
				continue
			}
		}
		out = append(out, n)
	}
	if others != nil {
		out[at] = allOther + words.And(others) + " ports"
	}
	return strings.Join(out, "; ")
}

// allOther begins the name of all ports of a protocol but those that rules list.
const allOther = "all other "

func isPorts(s string) bool {
	ports, protocol, ok := strings.Cut(s, "/")
	return ok && strings.Trim(ports, "0123456789-, ") == "" && !strings.Contains(protocol, " ")
}

// portsOf are the ports that the name of a region shows first.
func portsOf(k Kind, direct bool, r packet.Region) []ir.PortRange {
	if k == Published && !direct {
		return r.OriginalPorts
	}
	if len(r.DestinationPorts) > 0 {
		return r.DestinationPorts
	}
	return r.OriginalPorts // the same, without DNAT
}

// targetName names a region of targets, and returns where its row belongs.
func targetName(k Kind, direct bool, r packet.Region, g *grid, b *builder) (text string, order portOrder) {
	ports := portsOf(k, direct, r)
	protocol := protocolText(r.Protocols)
	n := len(ports)
	listed := n > 0 && (ports[0].First > 1 || ports[n-1].Last != 65535)
	order.complement = 1
	if listed {
		order.complement, order.first = 0, int(ports[0].First)
	}
	if len(r.Protocols) > 0 {
		order.protocol = int(r.Protocols[0].First)
	}
	switch {
	case listed && protocol != "":
		text = words.List(words.PortRanges(ports), 0) + "/" + protocol
	case listed:
		text = "port " + words.List(words.PortRanges(ports), 0)
	case n > 0 && protocol != "":
		text = allOther + protocol + " ports"
	case n > 0:
		text = allOther + "ports"
	case len(r.ICMP) > 0:
		text = protocol + " " + words.ICMPTypes(r.ICMP)
	case protocol != "" && (protocol == "tcp" || protocol == "udp" || protocol == "sctp"):
		text = "any " + protocol + " port"
	case protocol != "":
		text = protocol
	default:
		text = "any port"
	}
	if direct {
		text += ", directly"
	}
	if k == Published && !direct && len(r.DestinationPorts) > 0 && !samePorts(ports, r.DestinationPorts) {
		text += " to container port " + words.List(words.PortRanges(r.DestinationPorts), 0)
	}
	if r.OriginalDestination != nil && k == Published && !direct {
		text += " on " + addressText(r.OriginalDestination)
	}
	switch {
	case r.Destination == nil, k == Published && !direct && b.ofHost():
	case k == Egress:
		to := otherAddress
		if !r.Destination.Not {
			to, _ = g.destinations.addresses(r.Destination)
		}
		if text == "any port" {
			text = to
		} else {
			text += " at " + to
		}
	default:
		text += " at " + addressText(r.Destination)
	}
	if whole, _ := g.scope.Regions(1); k != Host && r.Out != nil && !b.ofHost() && (len(whole) == 0 || interfaceText(r.Out) != interfaceText(whole[0].Out)) {
		text += ", leaving on " + interfaceText(r.Out)
	}
	return text, order
}

func samePorts(a, b []ir.PortRange) bool { return slices.Equal(a, b) }

// otherAddress are the addresses that no rule lists: those it does are in other rows.
const otherAddress = "any other address"

// addressText lists the sets that addresses are, or their first prefixes.
func addressText(a *packet.Addresses) string {
	text := strings.Join(a.Sets, ", ")
	if text == "" {
		prefixes, total := a.Prefixes(shownPrefixes + 1)
		if total > len(prefixes) {
			prefixes = prefixes[:shownPrefixes]
		}
		text = strings.Join(words.Prefixes(prefixes), ", ")
		if more := total - len(prefixes); more > 0 {
			text += " and " + words.Count(more, "more network")
		}
	}
	if a.Not {
		return otherAddress
	}
	return text
}

func protocolText(ranges []packet.ProtoRange) string {
	if n := len(ranges); n > 0 && ranges[0].First == 0 && ranges[n-1].Last == 255 {
		return "other protocols"
	}
	var names []string
	for _, r := range ranges {
		if r.First == r.Last {
			names = append(names, words.Protocol(r.First))
			continue
		}
		names = append(names, words.Protocol(r.First)+" to "+words.Protocol(r.Last))
	}
	return words.Or(names)
}
