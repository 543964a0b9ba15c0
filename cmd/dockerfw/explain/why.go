package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// why is the reason why a condition does not hold for a packet: what the packet has, and what
// the condition requires.
func why(c packet.Cond, p *packet.Packet) string {
	switch c := c.(type) {
	case packet.Not:
		return whyNot(c.C, p)
	case packet.All:
		for _, x := range c {
			if !packet.Holds(x, p) {
				return why(x, p)
			}
		}
		return "it matches " + c.String()
	case packet.Any:
		var parts []string
		for _, x := range c {
			parts = append(parts, why(x, p))
		}
		return strings.Join(parts, ", and ")
	case packet.InSet:
		return whySet(c, p, false)
	case packet.Opaque:
		return "assumed not to match: " + c.Text
	case packet.Until:
		return "assumed to be past its end: " + c.String()
	case packet.Mark:
		return whyMark(c, p)
	case packet.FamilyIs:
		return "it is an " + words.Family(p.Family) + " packet"
	case packet.Addr:
		return whyAddress(c, p)
	case packet.Port:
		switch {
		case !p.HasPorts():
			return "it has no ports"
		case c.End == packet.OriginalDestination:
			return fmt.Sprintf("it was sent to port %d, not %s", p.OriginalPort, ports(c.Ranges))
		}
		return fmt.Sprintf("its %s port is %d, not %s", c.End, port(c.End, p), ports(c.Ranges))
	case packet.Proto:
		var names []string
		for _, n := range c.Numbers {
			names = append(names, words.Protocol(n))
		}
		return fmt.Sprintf("it is %s, not %s", words.Protocol(p.Protocol), words.Or(names))
	case packet.ICMPType:
		if !p.HasICMP() {
			return "it is not an ICMP packet"
		}
		return fmt.Sprintf("it is ICMP type %d/%d, not %s", p.ICMPType, p.ICMPCode, words.ICMPTypes([]packet.ICMPType{c}))
	case packet.Interface:
		if c.End == packet.Source {
			return fmt.Sprintf("it arrives on %s, not %s", p.In, c.Name)
		}
		if p.Out == "" {
			return fmt.Sprintf("it is for the host itself, and does not leave on %s", c.Name)
		}
		return fmt.Sprintf("it leaves on %s, not %s", p.Out, c.Name)
	case packet.State:
		if c.States == ir.CTDNAT {
			return "Docker did not translate it (no DNAT): it goes to the container's own address"
		}
		return fmt.Sprintf("its state is %s, not %s", states(p.State), states(c.States))
	case packet.Dir:
		if p.Direction == ir.CTAny {
			return "it belongs to no connection"
		}
		return fmt.Sprintf("its direction is %s, not %s", directions[p.Direction], directions[c.Dir])
	}
	panic(fmt.Sprintf("no reason for condition %T", c))
}

// whyNot is the reason why a negated condition does not hold.
func whyNot(c packet.Cond, p *packet.Packet) string {
	switch c := c.(type) {
	case packet.Not:
		return why(c.C, p)
	case packet.Addr:
		return fmt.Sprintf("its %s %s is %s", c.End, address(c.End, p), addresses(c.In))
	case packet.Interface:
		if c.End == packet.Source {
			return "it arrives on " + p.In
		}
		return "it leaves on " + p.Out
	case packet.Any:
		for _, x := range c {
			if packet.Holds(x, p) {
				return whyNot(x, p)
			}
		}
		return "it does not match " + c.String()
	case packet.All:
		var parts []string
		for _, x := range c {
			parts = append(parts, whyNot(x, p))
		}
		return strings.Join(parts, ", and ")
	case packet.InSet:
		return whySet(c, p, true)
	case packet.Opaque:
		return "assumed to match: " + c.Text
	case packet.Until:
		return "assumed not to be past its end: " + c.String()
	case packet.Port:
		return fmt.Sprintf("its %s port is %d", c.End, port(c.End, p))
	case packet.Proto:
		return "it is " + words.Protocol(p.Protocol)
	case packet.State:
		if c.States == ir.CTDNAT {
			return "Docker translated it (DNAT)"
		}
		return "its state is " + states(p.State)
	case packet.FamilyIs:
		return "it is an " + words.Family(p.Family) + " packet"
	case packet.ICMPType:
		return fmt.Sprintf("it is ICMP type %d/%d", p.ICMPType, p.ICMPCode)
	case packet.Dir:
		return "its direction is " + directions[p.Direction]
	case packet.Mark:
		if c.Conn {
			return fmt.Sprintf("its connection's mark is %s", p.Marks.Conn)
		}
		return fmt.Sprintf("its mark is %s", p.Marks.Packet)
	}
	panic(fmt.Sprintf("no reason for condition %T", c))
}

func whyMark(c packet.Mark, p *packet.Packet) string {
	if _, known := c.Of(p.Marks, p.Tracked()); !known {
		return "assumed not to match: " + c.String()
	}
	if c.Conn {
		return fmt.Sprintf("its connection's mark is %s, not %#x/%#x", p.Marks.Conn, c.Value, c.Mask)
	}
	return fmt.Sprintf("its mark is %s, not %#x/%#x", p.Marks.Packet, c.Value, c.Mask)
}

func whyAddress(c packet.Addr, p *packet.Packet) string {
	a := address(c.End, p)
	switch {
	case !a.IsValid():
		return fmt.Sprintf("it has no %s", c.End)
	case c.End != packet.Source && a.IsUnspecified():
		return fmt.Sprintf("the host address that it was sent to is not given (--to-address), so it is not %s", addresses(c.In))
	}
	return fmt.Sprintf("its %s %s is not %s", c.End, a, addresses(c.In))
}

// whySet is the reason why a packet is, or is not, in a set with ports, interfaces or marks.
func whySet(c packet.InSet, p *packet.Packet, in bool) string {
	if len(c.Ends) < len(c.Dims) {
		return fmt.Sprintf("set %s has %d dimensions but the rule has only %d (src or dst), so it never matches", c.Name, len(c.Dims), len(c.Ends))
	}
	plain := *p
	plain.Conditions = nil
	if open := packet.Open(c.C, &plain); len(open) > 0 {
		if in {
			return fmt.Sprintf("it is in set %s; assumed to match: %s", c.Name, strings.Join(slices.DeleteFunc(open, func(t string) bool { return !p.Conditions[t] }), ", "))
		}
		return fmt.Sprintf("it is not in set %s; assumed not to match: %s", c.Name, strings.Join(slices.DeleteFunc(open, func(t string) bool { return p.Conditions[t] }), ", "))
	}
	if c.Dims == nil {
		if in {
			return "it is in a set of list " + c.Name
		}
		return "it is in no set of list " + c.Name
	}
	var fields []string
	for i, end := range c.Ends {
		switch c.Dims[i] {
		case "ip", "net":
			fields = append(fields, fmt.Sprintf("%s %s", end, address(end, p)))
		case "port":
			fields = append(fields, portField(end, p))
		case "iface":
			name := p.In
			if end == packet.Destination {
				name = p.Out
			}
			if name == "" {
				fields = append(fields, "no interface (it is for the host itself)")
			} else {
				fields = append(fields, "interface "+name)
			}
		}
	}
	is := " is not in set "
	if in {
		is = " is in set "
	}
	return strings.Join(fields, ", ") + is + c.Name
}

// portField is what a set compares with the port of its entries.
func portField(end packet.End, p *packet.Packet) string {
	switch {
	case p.HasPorts():
		return fmt.Sprintf("%s %s port %d", words.Protocol(p.Protocol), end, port(end, p))
	case p.HasICMP():
		return fmt.Sprintf("ICMP type %d/%d", p.ICMPType, p.ICMPCode)
	}
	return words.Protocol(p.Protocol)
}

func address(end packet.End, p *packet.Packet) netip.Addr {
	return [...]netip.Addr{p.Source, p.Destination, p.OriginalDestination}[end]
}

func port(end packet.End, p *packet.Packet) uint16 {
	return [...]uint16{p.SourcePort, p.DestinationPort, p.OriginalPort}[end]
}

func ports(ranges []ir.PortRange) string { return words.Or(words.PortRanges(ranges)) }

// states writes states as iptables does.
func states(s ir.CTState) string {
	return strings.ReplaceAll(packet.State{States: s}.Names(), ",", " or ")
}

var directions = map[ir.CTDir]string{ir.CTOriginal: "original", ir.CTReply: "reply"}

// addresses writes the name of a set, or its first prefixes.
func addresses(s *packet.AddrSet) string {
	if s.Name != "" {
		return "in set " + s.Name
	}
	const shown = 3
	var texts []string
	for i, x := range s.Prefixes(shown + 1) {
		switch {
		case i == shown:
			return strings.Join(texts, ", ") + " or …"
		case x.IsSingleIP():
			texts = append(texts, words.Prefix(x))
		default:
			texts = append(texts, "in "+words.Prefix(x))
		}
	}
	return words.Or(texts)
}
