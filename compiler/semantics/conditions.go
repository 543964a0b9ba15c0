package semantics

import (
	"fmt"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// limits returns the conditions of a rule on the number of connections, each opaque:
// whether it is fulfilled does not follow from a packet.
func limits(r *parser.Rule) []packet.Cond {
	var out []packet.Cond
	if r.Rate != nil {
		out = append(out, RateOf(r.Name.Value))
	}
	if r.Connections != nil {
		out = append(out, ConnectionsOf(r.Name.Value))
	}
	return out
}

// until returns the condition that the end of a rule has not passed, or nil if it has none.
func until(r *parser.Rule) packet.Cond {
	if r.Expires == nil {
		return nil
	}
	return packet.Until{End: r.Expires.Value.Unix()}
}

// RateOf returns the condition that the rate limit of a rule matches.
func RateOf(rule string) packet.Cond { return packet.Opaque{Text: "rate of " + rule} }

// ConnectionsOf returns the condition that the connection limit of a rule matches.
func ConnectionsOf(rule string) packet.Cond { return packet.Opaque{Text: "connections of " + rule} }

// InUnmanaged returns the condition of being in an unmanaged set, whose elements dockerfw
// does not know.
func InUnmanaged(set string, end packet.End) packet.Cond {
	return packet.Opaque{Text: fmt.Sprintf("%s in %s", end, set)}
}

// always holds for all packets.
var always packet.Cond = packet.All{}

// listKey identifies a list of the policy by its first element.
type listKey struct {
	first *parser.At[string]
	end   packet.End
}

// interfaces returns the condition of being on one of the interfaces; without any, there is
// no restriction. Most rules have the list of the host block, and share the condition.
func (b *builder) interfaces(names []parser.At[string], end packet.End) packet.Cond {
	if len(names) == 0 {
		return always
	}
	key := listKey{&names[0], end}
	known := b.onInterfaces[key]
	if known == nil {
		out := make(packet.Any, len(names))
		for i, n := range names {
			out[i] = packet.Interface{End: end, Name: n.Value}
		}
		known = out
		b.onInterfaces[key] = known
	}
	return known
}

// in returns the condition of having a listed address, or nil without a list.
func (b *builder) in(a *parser.Addresses, end packet.End) packet.Cond {
	if a == nil {
		return nil
	}
	out := make(packet.Any, len(a.Items))
	for i, item := range a.Items {
		if item.Set != "" {
			out[i] = b.sets[setKey{item.Set, end}]
		} else {
			out[i] = inRanges(end, item.Literal)
		}
	}
	return out
}

// notIn returns the condition of having no listed address, or nil without a list.
func (b *builder) notIn(a *parser.Addresses, end packet.End) packet.Cond {
	if a == nil {
		return nil
	}
	return packet.Not{C: b.in(a, end)}
}

// UnmanagedName returns the name on the host of an unmanaged set. It is not that of package
// ir, which the emitter uses: the proof would not detect a fault in it.
func UnmanagedName(s *parser.Set, f ir.Family) string {
	switch {
	case f != ir.IPv6:
		return s.Name.Value
	case s.IPv6Name.Value != "":
		return s.IPv6Name.Value
	}
	return s.Name.Value + "-v6"
}

// set returns the condition of being in a set.
func (b *builder) set(s *parser.Set, end packet.End) packet.Cond {
	switch {
	case !s.Managed:
		return InUnmanaged(UnmanagedName(s, b.family), end)
	case s.Type == parser.SetList:
		var out packet.Any
		for _, name := range s.Members {
			for _, member := range b.policy.Sets {
				if member.Name.Value == name.Value {
					out = append(out, b.set(member, end))
				}
			}
		}
		return out
	}
	return packet.All{
		b.lists.in(end, b.family, s.Entries, s.Files),
		packet.Not{C: b.lists.in(end, b.family, s.Exclude, s.ExcludeFiles)},
	}
}

func inRanges(end packet.End, ranges ...netipx.IPRange) packet.Cond {
	var b packet.AddrSetBuilder
	for _, r := range ranges {
		b.AddRange(r.From(), r.To())
	}
	return packet.Addr{End: end, In: b.Set("")}
}

// protocols returns the condition of having one of the protocols. ICMP matches only in
// IPv4, ICMPv6 only in IPv6.
func (b *builder) protocols(list []parser.At[parser.Protocol]) packet.Cond {
	if len(list) == 0 {
		return nil
	}
	out := make(packet.Any, len(list))
	for i, p := range list {
		out[i] = b.protocol(p.Value.Number)
	}
	return out
}

func (b *builder) protocol(number uint8) packet.Cond {
	known := b.ofProtocol[number]
	if known == nil {
		family := always
		switch number {
		case parser.ICMP:
			family = packet.FamilyIs{Family: ir.IPv4}
		case parser.ICMPv6:
			family = packet.FamilyIs{Family: ir.IPv6}
		}
		known = packet.All{family, packet.Proto{Numbers: []uint8{number}}}
		b.ofProtocol[number] = known
	}
	return known
}

// ports returns the condition of having one of the ports, or nil without any.
func ports(list []parser.At[parser.Ports], end packet.End) packet.Cond {
	if len(list) == 0 {
		return nil
	}
	c := packet.Port{End: end, Ranges: make([]ir.PortRange, len(list))}
	for i, p := range list {
		c.Ranges[i] = ir.PortRange{First: p.Value.First, Last: p.Value.Last}
	}
	return c
}

// icmp returns the condition of having one of the ICMP types, each in the families that
// have it.
func icmp(list []parser.At[parser.ICMPType]) packet.Cond {
	if len(list) == 0 {
		return nil
	}
	var out packet.Any
	for _, t := range list {
		for family, code := range map[ir.Family]*parser.ICMPCode{ir.IPv4: t.Value.V4, ir.IPv6: t.Value.V6} {
			if code == nil {
				continue
			}
			c := packet.ICMPType{FirstType: code.Type, LastType: code.Type, FirstCode: 0, LastCode: 255}
			if code.Code >= 0 {
				c.FirstCode, c.LastCode = uint8(code.Code), uint8(code.Code)
			}
			out = append(out, packet.All{packet.FamilyIs{Family: family}, c})
		}
	}
	return out
}
