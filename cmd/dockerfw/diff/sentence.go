package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// sentences puts the parts of a description into words. All formats of a report share it.
type sentences struct {
	// full leaves out no ports.
	full bool
	// exact tells lists of addresses apart that begin alike.
	exact bool
}

// whole is for comparisons: what reads the same is the same.
var whole = sentences{full: true, exact: true}

// How many addresses and port ranges a sentence lists.
const (
	shownPrefixes = 4
	shownPorts    = 12
)

// description writes a line for each traffic, and one for the rest.
func (s sentences) description(d Description) []string {
	var lines []string
	for _, t := range d.Traffic {
		lines = append(lines, s.traffic(t))
	}
	switch d.Rest {
	case ExceptOtherRules:
		lines = append(lines, "except packets that other rules match")
	case InOtherStates:
		lines = append(lines, "and of the same traffic: "+statesText(d.OtherStates))
	case Incomplete:
		lines = append(lines, "… and more")
	}
	return lines
}

// traffic writes "192.0.2.0/24, arriving on eth0, to published port 443/tcp".
func (s sentences) traffic(t Traffic) string {
	who := s.clients(t.Clients)
	if t.Clients.In != nil || len(t.Clients.Ports) > 0 {
		who += ","
	}
	return who + " to " + s.destinations(t.To)
}

func (s sentences) clients(c Clients) string {
	text := "everyone"
	if c.Addresses != nil {
		text = s.addressList(c.Addresses)
		if c.Addresses.Not {
			text = "everyone except " + text
		}
	}
	if c.In != nil {
		text += ", arriving on " + interfaceList(c.In)
	}
	if len(c.Ports) > 0 {
		text += ", from " + s.ports("source ", c.Ports, "")
	}
	return text
}

func (s sentences) destinations(all []Destination) string {
	var texts []string
	separator := " and "
	for _, d := range all {
		text := s.destination(d)
		if strings.Contains(text, ",") {
			separator = "; "
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, separator)
}

// destination writes the target, then what narrows it: "published port 443/tcp on
// 192.0.2.1, leaving on docker0".
func (s sentences) destination(d Destination) string {
	protocols := protocolList(d.Protocols)
	one := ""
	if len(d.Ports)+len(d.MappedTo) > 0 && len(d.Protocols) == 1 {
		one, protocols = protocols, "" // part of the port: 443/tcp
	}
	text := s.target(d, one)
	if d.OnHost {
		text = s.targetOnHost(d, one)
	}
	if d.PublishedOn != nil {
		if d.Target == Anything {
			text += " published"
		}
		text += " on " + s.anyAddressList(d.PublishedOn)
	}
	if d.Target == Published && len(d.MappedTo) > 0 {
		if len(d.Ports) > 0 {
			one = ""
		}
		text += " mapped to " + s.ports("container ", d.MappedTo, one)
	}
	switch {
	case d.Address == nil:
	case (text == anything || text == containers) && !d.Address.Not:
		text = s.addressList(d.Address)
	default:
		text += " at " + s.anyAddressList(d.Address)
	}
	if d.Target == Direct {
		text += " directly (no DNAT)"
	}
	switch {
	case len(d.ICMP) > 0 && len(d.Protocols) == 1:
		text += " over " + protocolList(d.Protocols) + " " + words.ICMPTypes(d.ICMP)
	case len(d.ICMP) > 0:
		text += " over ICMP " + words.ICMPTypes(d.ICMP)
	case protocols != "":
		text += " over " + protocols
	}
	switch {
	case d.Out == nil:
	case text == anything:
		text += " leaving on " + interfaceList(d.Out)
	default:
		text += ", leaving on " + interfaceList(d.Out)
	}
	if states := statesText(d.States); states != "" {
		text += ", only " + states
	}
	if d.SNAT != nil {
		text += map[bool]string{true: ", only connections with SNAT", false: ", only connections without SNAT"}[*d.SNAT]
	}
	joint := ", if "
	for _, c := range d.Conditions {
		if end, ok := packet.UntilText(c.Name, c.Holds); ok {
			text += ", " + end
			continue
		}
		text += joint + conditionText(c)
		joint = " and "
	}
	return text
}

// Targets that an address takes the place of.
const (
	anything   = "anything"
	containers = "container addresses"
)

func conditionText(c packet.Condition) string {
	if c.Holds {
		return "[" + c.Name + "] matches"
	}
	return "[" + c.Name + "] does not match"
}

func (s sentences) target(d Destination, protocol string) string {
	switch d.Target {
	case Published:
		switch {
		case len(d.Ports) > 0:
			return s.ports("published ", d.Ports, protocol)
		case len(d.MappedTo) > 0:
			return "published ports"
		}
		return "any published port"
	case Container:
		return s.ports("container ", d.Ports, protocol)
	case Direct:
		if len(d.Ports) > 0 {
			return s.ports("container ", d.Ports, protocol)
		}
		return containers
	case Proxy:
		return "docker-proxy on " + s.ports("", d.Ports, protocol)
	case OtherPorts:
		return "all other ports"
	case OpenConnections:
		return "all other ports, only packets of open connections"
	case MatchedByOld:
		return matchedBy("old", d.Rules, "matched", "matched")
	case MatchedByNew:
		return matchedBy("new", d.Rules, "matches", "match")
	}
	return anything
}

// targetOnHost is target for packets to the host itself: "port 22/tcp of the host".
func (s sentences) targetOnHost(d Destination, protocol string) string {
	switch d.Target {
	case Anything:
		return "the host"
	case Proxy:
		return s.ports("", d.Ports, protocol) + " of the host"
	case OtherPorts:
		return "all other ports of the host"
	case OpenConnections:
		return "all other ports of the host, only packets of open connections"
	}
	return s.target(d, protocol)
}

// matchedBy names a single rule; several are in the report below the sentence.
func matchedBy(side string, rules []Rule, one, several string) string {
	if len(rules) == 1 {
		return "everything that " + rules[0].Name + " " + one
	}
	return "everything that the " + side + " rules " + several
}

// ports writes ranges with the kind of port before them: "published ports 80, 443/tcp".
// All but a few are written as the few: "any tcp container port except 80".
func (s sentences) ports(kind string, ranges []ir.PortRange, protocol string) string {
	if n := len(ranges); ranges[0].First <= 1 && ranges[n-1].Last == 65535 {
		var except []ir.PortRange
		for i := 1; i < n; i++ {
			except = append(except, ir.PortRange{First: ranges[i-1].Last + 1, Last: ranges[i].First - 1})
		}
		if protocol != "" {
			kind = protocol + " " + kind
		}
		if len(except) == 0 {
			return "any " + kind + "port"
		}
		return "any " + kind + "port except " + s.portList(except)
	}
	word := "port "
	if len(ranges) > 1 || ranges[0].First != ranges[0].Last {
		word = "ports "
	}
	text := kind + word + s.portList(ranges)
	if protocol != "" {
		text += "/" + protocol
	}
	return text
}

func (s sentences) portList(ranges []ir.PortRange) string {
	limit := shownPorts
	if s.full {
		limit = 0
	}
	return words.List(words.PortRanges(ranges), limit)
}

// statesText writes the states of connections, unless new ones are among them: those are
// what a policy is about.
func statesText(states []packet.ConnState) string {
	var packets, replies, clients []ir.CTState
	for _, s := range states {
		if s.State == ir.CTNew {
			return ""
		}
		both := slices.Contains(states, packet.ConnState{State: s.State, Dir: ir.CTOriginal}) &&
			slices.Contains(states, packet.ConnState{State: s.State, Dir: ir.CTReply})
		list := &packets
		switch {
		case both:
		case s.Dir == ir.CTReply:
			list = &replies
		case s.Dir == ir.CTOriginal:
			list = &clients
		}
		if !slices.Contains(*list, s.State) {
			*list = append(*list, s.State)
		}
	}
	var texts []string
	for _, part := range []struct {
		states []ir.CTState
		what   string
	}{{packets, "packets"}, {replies, "replies"}, {clients, "client packets"}} {
		var connections, none []ir.CTState // invalid and untracked packets belong to no connection
		for _, s := range part.states {
			if s == ir.CTInvalid || s == ir.CTUntracked {
				none = append(none, s)
			} else {
				connections = append(connections, s)
			}
		}
		if len(connections) > 0 {
			texts = append(texts, fmt.Sprintf("%s of %s connections", part.what, words.And(stateNames(connections))))
		}
		if len(none) > 0 {
			texts = append(texts, words.And(stateNames(none))+" "+part.what)
		}
	}
	return words.And(texts)
}

func stateNames(states []ir.CTState) []string {
	var names []string
	for _, s := range states {
		names = append(names, words.State(s))
	}
	return names
}

func (s sentences) anyAddressList(a *packet.Addresses) string {
	if a.Not {
		return "any address except " + s.addressList(a)
	}
	return s.addressList(a)
}

// addressList names the sets that the addresses are, or lists the first prefixes.
func (s sentences) addressList(a *packet.Addresses) string {
	if len(a.Sets) > 0 {
		return strings.Join(a.Sets, ", ")
	}
	prefixes, total := a.Prefixes(shownPrefixes)
	text := strings.Join(words.Prefixes(prefixes), ", ")
	if total > len(prefixes) {
		text += fmt.Sprintf(" and %d more", total-len(prefixes))
		if s.exact {
			text += fmt.Sprintf(" (%x)", a.In.Hash())
		}
	}
	return text
}

func interfaceList(i *packet.Interfaces) string {
	switch {
	case len(i.Except) == 0:
		return words.Or(i.Names)
	case len(i.Names) == 0, len(i.Names) == 1 && i.Names[0] == "+":
		return "any interface except " + words.And(i.Except)
	}
	return words.Or(i.Names) + " except " + words.And(i.Except)
}

// protocolList writes protocols; where they are all but a few, those few.
func protocolList(ranges []packet.ProtoRange) string {
	if n := len(ranges); n > 0 && ranges[0].First == 0 && ranges[n-1].Last == 255 {
		var except []packet.ProtoRange
		for i := 1; i < n; i++ {
			except = append(except, packet.ProtoRange{First: ranges[i-1].Last + 1, Last: ranges[i].First - 1})
		}
		return "any protocol except " + words.And(protocolNames(except))
	}
	return words.Or(protocolNames(ranges))
}

func protocolNames(ranges []packet.ProtoRange) []string {
	var names []string
	for _, r := range ranges {
		if r.First == r.Last {
			names = append(names, words.Protocol(r.First))
		} else {
			names = append(names, fmt.Sprintf("protocols %d-%d", r.First, r.Last))
		}
	}
	return names
}
