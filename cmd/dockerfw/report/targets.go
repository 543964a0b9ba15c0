package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

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
	// All classes together may be what one condition lists.
	type described struct {
		regions         []packet.Region
		complete, whole bool
	}
	together := make([]described, len(grids))
	for n, g := range grids {
		if set, ok := r.sets[g.family]; ok {
			regions, complete, whole := g.regions(set)
			whole = whole || complete && len(regions) < len(r.classes) && !slices.ContainsFunc(regions, func(region packet.Region) bool {
				_, order := targetName(k, r.Direct, region, g, b)
				return order.complement == 0
			})
			together[n] = described{regions, complete, whole}
		}
	}
	var texts []string
	first := true
	for i, class := range r.classes {
		for i, holds := range class {
			if who := by[i]; holds == '1' && who != "" && !slices.Contains(r.By, who) {
				r.By = append(r.By, who)
			}
		}
		for n, g := range grids {
			set, ok := g.of[class]
			if !ok {
				continue
			}
			regions, complete := together[n].regions, together[n].complete
			switch {
			case together[n].whole && i > 0:
				continue
			case !together[n].whole:
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
// that, or that they are one region. Interfaces on which all packets of the table leave tell nothing.
func (g *grid) regions(set packet.Set) (regions []packet.Region, complete, whole bool) {
	for _, t := range g.targets[1:] {
		if t.Equal(set) {
			regions, complete = g.shown(t).Regions(maxRegions)
			return regions, complete, true
		}
	}
	regions, complete = g.shown(set).Regions(maxRegions)
	return regions, complete, len(regions) == 1
}

// shown is a set without the interfaces on which all packets of the table leave.
func (g *grid) shown(s packet.Set) packet.Set {
	if anywhere := s.LeavingAnywhere(); anywhere.And(g.scope).Equal(s) {
		return anywhere
	}
	return s
}

// restName is the name of what no rule lists, on the interfaces on which it leaves if those are not all.
func (r *row) restName(k Kind, grids []*grid, b *builder) string {
	name := r.restPorts(k, grids, b)
	if k == Host || b.ofHost() {
		return name
	}
	var leaving []string
	for _, g := range grids {
		set, ok := r.sets[g.family]
		if !ok {
			continue
		}
		regions, _ := g.shown(set).Regions(maxRegions)
		for _, region := range regions {
			if text := leavingText(region, g); text != "" && !slices.Contains(leaving, text) {
				leaving = append(leaving, text)
			}
		}
	}
	if len(leaving) > 0 {
		name += ", leaving on " + strings.Join(leaving, "; ")
	}
	return name
}

// leavingText names the interfaces on which packets leave; "" if they are those of the table.
func leavingText(r packet.Region, g *grid) string {
	if r.Out == nil {
		return ""
	}
	text := interfaceText(r.Out)
	if whole, _ := g.scope.Regions(2); len(whole) == 1 && text == interfaceText(whole[0].Out) {
		return ""
	}
	return text
}

// restPorts is the name of what no rule lists, without interfaces.
func (r *row) restPorts(k Kind, grids []*grid, b *builder) string {
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
	if leaving := leavingText(r, g); k != Host && !b.ofHost() && leaving != "" {
		text += ", leaving on " + leaving
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
