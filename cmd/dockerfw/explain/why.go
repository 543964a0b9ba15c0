package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// why says in what the packet is not what a condition asks for.
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
	case packet.Any:
		var parts []string
		for _, x := range c {
			parts = append(parts, why(x, p))
		}
		return strings.Join(parts, ", and ")
	case packet.InSet:
		return whySet(c, p, false)
	case packet.Opaque:
		return "taken not to hold: " + c.Text
	case packet.Mark:
		if _, known := c.Of(p.Marks, p.Tracked()); !known {
			return "taken not to hold: " + c.String()
		}
		if c.Conn {
			return fmt.Sprintf("its connection's mark is %s, not %#x/%#x", p.Marks.Conn, c.Value, c.Mask)
		}
		return fmt.Sprintf("its mark is %s, not %#x/%#x", p.Marks.Packet, c.Value, c.Mask)
	case packet.FamilyIs:
		return "the packet is " + p.Family.String()
	case packet.Addr:
		if !address(c.End, p).IsValid() {
			return "the packet has no " + c.End.String()
		}
		if c.End != packet.Source && address(c.End, p).IsUnspecified() {
			return fmt.Sprintf("the host's address that it was sent to is not given (--to-address), so it is not %s", set(c.In))
		}
		return fmt.Sprintf("%s %s is not %s", c.End, address(c.End, p), set(c.In))
	case packet.Port:
		if !p.HasPorts() {
			return "the packet has no ports"
		}
		if c.End == packet.OriginalDestination {
			return fmt.Sprintf("it was sent to port %d, not %s", p.OriginalPort, strings.TrimPrefix(c.String(), "original destination port "))
		}
		return fmt.Sprintf("%s port %d is not %s", c.End, port(c.End, p), strings.TrimPrefix(c.String(), c.End.String()+" port "))
	case packet.Proto:
		return fmt.Sprintf("it is %s, not %s", packet.Proto{Numbers: []uint8{p.Protocol}}.Name(), c.Name())
	case packet.ICMPType:
		if !p.HasICMP() {
			return "it is no ICMP message"
		}
		return fmt.Sprintf("it is ICMP type %d, not %s", p.ICMPType, strings.TrimPrefix(c.String(), "ICMP type "))
	case packet.Interface:
		if c.End == packet.Source {
			return fmt.Sprintf("it arrives on %s, not %s", p.In, c.Name)
		}
		return fmt.Sprintf("it leaves by %s, not %s", orNone(p.Out), c.Name)
	case packet.State:
		if c.States == ir.CTDNAT {
			return "Docker did not translate it (no DNAT): it goes to the container's own address"
		}
		return fmt.Sprintf("its connection is %s, not %s", packet.State{States: p.State}.Names(), c.Names())
	case packet.Dir:
		return fmt.Sprintf("it does not go in direction %s", strings.TrimPrefix(c.String(), "direction "))
	}
	return "not: " + c.String()
}

// whyNot says that the packet is what a condition must not be.
func whyNot(c packet.Cond, p *packet.Packet) string {
	switch c := c.(type) {
	case packet.Not:
		return why(c.C, p)
	case packet.Addr:
		return fmt.Sprintf("%s %s is %s", c.End, address(c.End, p), set(c.In))
	case packet.Interface:
		if c.End == packet.Source {
			return "it arrives on " + p.In
		}
		return "it leaves by " + p.Out
	case packet.Any:
		for _, x := range c {
			if packet.Holds(x, p) {
				return whyNot(x, p)
			}
		}
	case packet.All:
		var parts []string
		for _, x := range c {
			parts = append(parts, whyNot(x, p))
		}
		return strings.Join(parts, ", and ")
	case packet.InSet:
		return whySet(c, p, true)
	case packet.Opaque:
		return "taken to hold: " + c.Text
	}
	return "it is: " + c.String()
}

// whySet says what of the packet is, or is not, in a set of more than addresses.
func whySet(c packet.InSet, p *packet.Packet, in bool) string {
	if len(c.Ends) < len(c.Dims) {
		return fmt.Sprintf("set %s has %d dimensions and the rule names %d (src or dst), so that it never matches", c.Name, len(c.Dims), len(c.Ends))
	}
	plain := *p
	plain.Conditions = nil
	if open := packet.Open(c.C, &plain); len(open) > 0 {
		if in {
			return fmt.Sprintf("it is in set %s: taken to hold: %s", c.Name, strings.Join(slices.DeleteFunc(open, func(t string) bool { return !p.Conditions[t] }), ", "))
		}
		return fmt.Sprintf("it is not in set %s: taken not to hold: %s", c.Name, strings.Join(slices.DeleteFunc(open, func(t string) bool { return p.Conditions[t] }), ", "))
	}
	not := " not"
	if in {
		not = ""
	}
	if c.Dims == nil {
		if in {
			return "it is in a member of set " + c.Name
		}
		return "it is in no member of set " + c.Name
	}
	var words []string
	for i, end := range c.Ends {
		switch c.Dims[i] {
		case "ip", "net":
			words = append(words, fmt.Sprintf("%s %s", end, address(end, p)))
		case "port":
			words = append(words, portText(end, p))
		case "iface":
			name := p.In
			if end == packet.Destination {
				name = p.Out
			}
			words = append(words, "interface "+orNone(name))
		}
	}
	return fmt.Sprintf("%s is%s in set %s", strings.Join(words, ", "), not, c.Name)
}

// portText is what a set takes for the port of a packet.
func portText(end packet.End, p *packet.Packet) string {
	protocol := packet.Proto{Numbers: []uint8{p.Protocol}}.Name()
	switch {
	case p.HasPorts():
		return fmt.Sprintf("%s %s port %d", protocol, end, port(end, p))
	case p.HasICMP():
		return fmt.Sprintf("ICMP type %d/%d", p.ICMPType, p.ICMPCode)
	}
	return "protocol " + protocol
}

func address(end packet.End, p *packet.Packet) netip.Addr {
	return [...]netip.Addr{p.Source, p.Destination, p.OriginalDestination}[end]
}

func port(end packet.End, p *packet.Packet) uint16 {
	return [...]uint16{p.SourcePort, p.DestinationPort, p.OriginalPort}[end]
}

func set(s *packet.AddrSet) string {
	if s.Name != "" {
		return "in set " + s.Name
	}
	var words []string
	const shown = 3
	prefixes := s.Prefixes(shown + 1)
	for i, x := range prefixes {
		if i == shown {
			words = append(words, "…")
			break
		}
		if x.IsSingleIP() {
			words = append(words, x.Addr().String())
		} else {
			words = append(words, "in "+x.String())
		}
	}
	return strings.Join(words, " or ")
}

func orNone(name string) string {
	if name == "" {
		return "no interface (it is for the host itself)"
	}
	return name
}
