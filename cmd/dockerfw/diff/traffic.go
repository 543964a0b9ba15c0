package diff

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Description is the packets of a change as text, Markdown and JSON report them.
type Description struct {
	Traffic []Traffic
	Rest    Rest
	// OtherStates are the states of connection tracking that InOtherStates refers to.
	OtherStates []packet.ConnState
}

// Rest is what the packets of a change are besides their traffic.
type Rest int

// Exact: the traffic is all of the packets. ExceptOtherRules: less those that other rules
// match. InOtherStates: also the same traffic in the other states. Incomplete: there is more
// traffic than is listed.
const (
	Exact Rest = iota
	ExceptOtherRules
	InOtherStates
	Incomplete
)

// Traffic is packets in the parts of a sentence: who sends them, and to what.
type Traffic struct {
	Clients Clients
	To      []Destination
}

// Clients are where packets come from. Zero fields are any.
type Clients struct {
	Addresses *packet.Addresses
	In        *packet.Interfaces
	Ports     []ir.PortRange
}

// Destination is what packets are sent to, and what else is true of them. Zero fields are any.
type Destination struct {
	Target Target
	// OnHost: it is the host itself, which an input block closes.
	OnHost bool
	// Ports are those of the target: published ones, or the container's.
	Ports []ir.PortRange
	// MappedTo are the container's ports behind published ones, and PublishedOn the host's
	// addresses that they are published on.
	MappedTo    []ir.PortRange
	PublishedOn *packet.Addresses
	// Address is the destination after DNAT.
	Address    *packet.Addresses
	Protocols  []packet.ProtoRange
	ICMP       []packet.ICMPType
	Out        *packet.Interfaces
	States     []packet.ConnState
	SNAT       *bool
	Conditions []packet.Condition
	// Rules are those that match, where the target is MatchedByOld or MatchedByNew.
	Rules []Rule
}

// Target is the kind of a destination.
type Target int

// Published ports are reached by DNAT; Direct destinations are a container's own addresses
// without it; Container destinations are both. OtherPorts and OpenConnections are what no
// explicit rule matches.
const (
	Anything Target = iota
	Published
	Container
	Direct
	Proxy
	OtherPorts
	OpenConnections
	MatchedByOld
	MatchedByNew
)

// clientsOf are the clients of a region.
func clientsOf(r packet.Region) Clients {
	return Clients{Addresses: shown(r.Source), In: r.In, Ports: r.SourcePorts}
}

// shown returns what a report shows of addresses: of named sets only the names. The addresses of a
// large set, in the reports of many hosts, do not fit into memory, nor does the text that the names are in.
func shown(a *packet.Addresses) *packet.Addresses {
	if a == nil || len(a.Sets) == 0 {
		return a
	}
	return &packet.Addresses{Not: a.Not, Sets: cloneAll(a.Sets)}
}

// destinationOf is the destination of a region on a path.
func (p Path) destinationOf(r packet.Region) Destination {
	d := Destination{
		PublishedOn: shown(r.OriginalDestination), Address: shown(r.Destination), Protocols: r.Protocols, ICMP: r.ICMP,
		Out: r.Out, States: r.States, SNAT: r.SNAT, Conditions: r.Conditions,
	}
	switch {
	case p == ToProxy:
		// docker-proxy's own port is the published one.
		if d.Ports = slices.Concat(r.DestinationPorts, r.OriginalPorts); d.Ports != nil {
			d.Target = Proxy
		}
	case r.DNAT != nil && !*r.DNAT:
		d.Target, d.Ports = Direct, r.DestinationPorts
		if d.Ports == nil {
			d.Ports = r.OriginalPorts // the same, without DNAT
		}
	case r.DNAT != nil, len(r.OriginalPorts) > 0:
		d.Target, d.Ports, d.MappedTo = Published, r.OriginalPorts, r.DestinationPorts
	case len(r.DestinationPorts) > 0:
		d.Target, d.Ports = Container, r.DestinationPorts
	}
	return d
}

// trafficOf describes regions, those of the same clients together. wide is the most
// destinations that one of them has.
func (p Path) trafficOf(regions []packet.Region) (all []Traffic, wide int) {
	for _, r := range regions {
		clients, to := clientsOf(r), p.destinationOf(r)
		i := slices.IndexFunc(all, func(t Traffic) bool { return t.Clients.equal(clients) })
		if i < 0 {
			i = len(all)
			all = append(all, Traffic{Clients: clients})
		}
		all[i].To = appendDestination(all[i].To, to)
		wide = max(wide, len(all[i].To))
	}
	return all, wide
}

// appendDestination adds a destination, unless it reads like one that is there.
func appendDestination(all []Destination, more ...Destination) []Destination {
	for _, d := range more {
		if !slices.ContainsFunc(all, d.equal) {
			all = append(all, d)
		}
	}
	return all
}

// Two parts are equal if [whole] writes them the same way: equal address sets have several forms.
func (c Clients) equal(o Clients) bool { return whole.clients(c) == whole.clients(o) }

func (d Destination) equal(o Destination) bool { return whole.destination(d) == whole.destination(o) }

// sameClients reports whether the traffic of two descriptions has the same clients, and
// nothing else limits it.
func (d Description) sameClients(o Description) bool {
	return d.Rest == Exact && o.Rest == Exact &&
		slices.EqualFunc(d.Traffic, o.Traffic, func(a, b Traffic) bool { return a.Clients.equal(b.Clients) })
}

// destinations are those of all clients.
func (d Description) destinations() []Destination {
	var out []Destination
	for _, t := range d.Traffic {
		out = appendDestination(out, t.To...)
	}
	return out
}

// lines is how many lines a report has for the description.
func (d Description) lines() int { return len(whole.description(d)) }

// onHost marks all destinations as the host itself.
func (d Description) onHost() {
	for _, t := range d.Traffic {
		for i := range t.To {
			t.To[i].OnHost = true
		}
	}
}
