package question

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Packets returns the condition of being a packet that a question can be about. What the
// question does not set is free where Build assumes it, within the interfaces of the host; From
// is free, too, and only determines the family.
func Packets(q Question, h Host, words Words) (packet.Cond, Problems) {
	built, problems := Build(q, h, words)
	if len(problems) > 0 {
		return nil, problems
	}
	p := built.Packet
	outward := !q.Local() && h.IsExternal(p.Out)
	all := packet.All{
		packet.Proto{Numbers: []uint8{p.Protocol}},
		packet.State{States: p.State},
		packet.Not{C: packet.State{States: ir.CTSNAT}},
		interfacesOf(packet.Source, q.In, h.External, nil),
	}
	if p.Tracked() {
		all = append(all, packet.Dir{Dir: p.Direction})
	}
	if p.HasICMP() {
		all = append(all, packet.ICMPType{FirstType: p.ICMPType, LastType: p.ICMPType, FirstCode: p.ICMPCode, LastCode: p.ICMPCode})
	}
	switch {
	case q.Local():
	case outward:
		all = append(all, interfacesOf(packet.Destination, q.Out, h.External, nil))
	default:
		all = append(all, interfacesOf(packet.Destination, q.Out, h.Container, h.External))
	}
	asked := packet.Destination
	if p.DNAT {
		asked = packet.OriginalDestination
		all = append(all, packet.State{States: ir.CTDNAT})
	} else {
		all = append(all, packet.Not{C: packet.State{States: ir.CTDNAT}})
	}
	all = append(all, at(asked, q.ToAddress, q.ToPort)...)
	return append(all, at(packet.Destination, q.Container, q.ContainerPort)...), nil
}

// at returns the conditions on one end; none for what is not set.
func at(end packet.End, address netip.Addr, port uint16) []packet.Cond {
	var out []packet.Cond
	if address.IsValid() {
		out = append(out, packet.Addr{End: end, In: packet.NewAddrSet("", []netip.Prefix{netip.PrefixFrom(address, address.BitLen())})})
	}
	if port != 0 {
		out = append(out, packet.Port{End: end, Ranges: []ir.PortRange{{First: port, Last: port}}})
	}
	return out
}

// interfacesOf returns the condition on an interface: the one that is written, or any that one
// of the patterns matches, or without patterns any but the others.
func interfacesOf(end packet.End, written string, patterns, others []string) packet.Cond {
	if written != "" {
		return packet.Interface{End: end, Name: written}
	}
	list := func(names []string) packet.Any {
		var out packet.Any
		for _, name := range names {
			out = append(out, packet.Interface{End: end, Name: name})
		}
		return out
	}
	if len(patterns) > 0 {
		return list(patterns)
	}
	return packet.Not{C: list(others)}
}
