package packet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Packet is one packet at a rule in the FORWARD or INPUT chain.
type Packet struct {
	Family ir.Family
	// In and Out are interfaces. A packet for the host itself has no Out.
	In, Out     string
	Source      netip.Addr
	Destination netip.Addr // after DNAT
	Protocol    uint8
	// SourcePort and DestinationPort (after DNAT) of TCP, UDP and SCTP.
	SourcePort, DestinationPort uint16
	// State is exactly one of INVALID, NEW, RELATED, ESTABLISHED and UNTRACKED.
	State ir.CTState
	// Direction of a tracked packet within its connection.
	Direction ir.CTDir
	// DNAT and SNAT are the kinds of NAT that the connection is subject to.
	DNAT, SNAT bool
	// OriginalDestination and OriginalPort are where the client of a tracked connection
	// sent its packets: the published port. They follow from other fields (see Complete)
	// except with DNAT and in ICMP errors.
	OriginalDestination netip.Addr
	OriginalPort        uint16
	ICMPType, ICMPCode  uint8
	// Elsewhere: the original destination is no address of the host, although the
	// connection is subject to DNAT.
	Elsewhere bool
	// Marks are the marks of the packet and of its connection.
	Marks Marks
	// Conditions are opaque conditions that hold or not, by their text in the space.
	Conditions map[string]bool
}

// Tracked reports whether the packet is part of a known connection.
func (p *Packet) Tracked() bool {
	return p.State&(ir.CTInvalid|ir.CTUntracked) == 0
}

// HasICMP reports whether the packet has an ICMP type and code, HasPorts whether it has
// ports.
func (p *Packet) HasICMP() bool  { return isICMP(p.Family, p.Protocol) }
func (p *Packet) HasPorts() bool { return hasPorts(p.Protocol) }

// relatedICMP reports whether the packet is an ICMP error about a connection, whose
// addresses differ from the packet's own.
func (p *Packet) relatedICMP() bool {
	return p.State == ir.CTRelated && isICMP(p.Family, p.Protocol)
}

// Complete sets the fields that follow from others and clears those that the packet cannot
// have. Without DNAT the original destination is the destination, or for replies the
// source.
func (p *Packet) Complete() {
	if p.Family == 0 {
		p.Family = ir.IPv4
		if p.Source.Is6() || p.Destination.Is6() {
			p.Family = ir.IPv6
		}
	}
	if p.State == 0 {
		p.State = ir.CTNew
	}
	switch {
	case !p.Tracked():
		p.Direction, p.DNAT, p.SNAT = ir.CTAny, false, false
		p.OriginalDestination, p.OriginalPort = netip.Addr{}, 0
	case p.State == ir.CTNew || p.Direction == ir.CTAny:
		p.Direction = ir.CTOriginal
	}
	if !hasPorts(p.Protocol) {
		p.SourcePort, p.DestinationPort = 0, 0
	}
	if !isICMP(p.Family, p.Protocol) {
		p.ICMPType, p.ICMPCode = 0, 0
	}
	if !p.Tracked() || p.DNAT || p.relatedICMP() {
		return
	}
	p.OriginalDestination = p.Destination
	port := p.DestinationPort
	if p.Direction == ir.CTReply {
		p.OriginalDestination, port = p.Source, p.SourcePort
	}
	if hasPorts(p.Protocol) {
		p.OriginalPort = port
	}
}

// String returns the packet in one line.
func (p Packet) String() string {
	var b strings.Builder
	ports := hasPorts(p.Protocol)
	end := func(a netip.Addr, port uint16, with bool) string {
		switch {
		case !with:
			return a.String()
		case !a.IsValid():
			return fmt.Sprintf("port %d", port)
		}
		return netip.AddrPortFrom(a, port).String()
	}
	b.WriteString(protocolText(p.Protocol))
	if isICMP(p.Family, p.Protocol) {
		fmt.Fprintf(&b, " type %d/%d", p.ICMPType, p.ICMPCode)
	}
	fmt.Fprintf(&b, " %s -> ", end(p.Source, p.SourcePort, ports))
	if p.DNAT || p.relatedICMP() {
		fmt.Fprintf(&b, "%s => ", end(p.OriginalDestination, p.OriginalPort, ports || p.OriginalPort != 0))
	}
	b.WriteString(end(p.Destination, p.DestinationPort, ports))
	if p.In != "" {
		b.WriteString(" in " + p.In)
	}
	if p.Out != "" {
		b.WriteString(" out " + p.Out)
	}
	b.WriteString(" " + statesText(p.State))
	if p.Tracked() && p.State != ir.CTNew {
		b.WriteString(" " + directionText(p.Direction))
	}
	if p.SNAT {
		b.WriteString(" SNAT")
	}
	if p.Marks.Packet != (MarkValue{}) {
		b.WriteString(" mark " + p.Marks.Packet.String())
	}
	if p.Marks.Conn != (MarkValue{}) {
		b.WriteString(" connection mark " + p.Marks.Conn.String())
	}
	var names []string
	for name, holds := range p.Conditions {
		if holds {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, " [%s]", name)
	}
	return b.String()
}
