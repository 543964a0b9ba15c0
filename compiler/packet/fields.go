package packet

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// fieldID is the index of a field in the table fields. The opaque conditions of a space are
// fields from fOpaque on.
type fieldID int

const (
	fFamily fieldID = iota
	fTracking
	fDNAT
	fSNAT
	fProtocol
	fIn
	fOut
	fSource
	fDestination
	fOrigDst
	fSourcePort
	fDestPort
	fOrigPort
	fICMP
	fOpaque
)

// The fields that a condition on an address, a port or an interface is about, by its End.
var (
	addressOf   = [...]fieldID{Source: fSource, Destination: fDestination, OriginalDestination: fOrigDst}
	portOf      = [...]fieldID{Source: fSourcePort, Destination: fDestPort, OriginalDestination: fOrigPort}
	interfaceOf = [...]fieldID{Source: fIn, Destination: fOut}
)

// field declares a field of packets. Its values are numbers; what is no number, such as a
// name, is numbered in each space.
type field struct {
	name string
	// layer is the position of its bits in a diagram.
	layer layer
	// turn is the position in the order in which the values of an example are chosen. The
	// first are chosen freely, later ones among what they leave.
	turn int
	// byFamily: a number is a different value in IPv4 than in IPv6.
	byFamily bool
	// addresses: conditions list sets of addresses, which Cuts divides.
	addresses bool
	// under returns the packets that have the field; nil if all have it. No diagram depends
	// on a field that a packet does not have.
	under func(s *Space, f ir.Family) ref
	// highest returns the highest number of either family.
	highest func(s *Space) [2]uint32
	// atoms adds sets of numbers to those that conditions list; nil if there are none.
	atoms func(s *Space, c *column)
	// read returns the number that a packet has, 0 if it has none.
	read func(s *Space, p *Packet) uint32
	// best returns the best example between lo and hi. named reports that a condition lists
	// these numbers.
	best func(s *Space, family int, lo, hi uint32, named bool) candidate
	// set gives a value to an example packet; usual does where the field does not matter.
	// Both are called in the order of the table.
	set   func(s *Space, p *Packet, v value)
	usual func(s *Space, p *Packet)
	// describe adds the classes in runs to a region.
	describe func(s *Space, c *column, family int, runs []span, r *Region)
}

// value is the value of a field: an address, or its number for all other fields.
type value struct {
	number  uint32
	address netip.Addr
}

// layer is the position of the bits of a field in a diagram, from the root down.
type layer int

const (
	// middle fields are sorted by orders.
	middle layer = iota
	// upper: which other fields a packet has depends on it.
	upper
	// lower: few rules depend on it.
	lower
)

// fields is the table of all fields. A new field is a new entry.
var fields = [fOpaque]field{
	fFamily: {
		name: "family", layer: upper, turn: 1,
		highest: upTo(1), atoms: apart(span{1, 1}),
		read:  func(_ *Space, p *Packet) uint32 { return uint32(index(p.Family)) },
		best:  lowest,
		set:   func(_ *Space, p *Packet, v value) { p.Family = families[v.number] },
		usual: func(*Space, *Packet) {}, // Space.packet has set it
		describe: func(_ *Space, c *column, family int, runs []span, r *Region) {
			r.Family = families[c.numbers(family, runs)[0].lo]
		},
	},
	fTracking: {
		name: "connection tracking", layer: upper, turn: 3,
		highest: upTo(uint32(lastTracking)),
		atoms: func(_ *Space, c *column) {
			for t := range uint32(lastTracking) + 1 {
				c.addSpans(0, []span{{t, t}})
			}
		},
		read: func(_ *Space, p *Packet) uint32 { return uint32(trackingOf(p.State, p.Direction)) },
		best: lowest,
		set: func(_ *Space, p *Packet, v value) {
			p.State, p.Direction = tracking(v.number).state(), tracking(v.number).direction()
		},
		usual: func(_ *Space, p *Packet) { p.State, p.Direction = ir.CTNew, ir.CTOriginal },
		describe: func(_ *Space, c *column, family int, runs []span, r *Region) {
			for _, x := range c.numbers(family, runs) {
				for t := tracking(x.lo); t <= tracking(x.hi); t++ {
					r.States = append(r.States, ConnState{t.state(), t.direction()})
				}
			}
		},
	},
	// An example shows DNAT only where it matters; then the packet is one to a published
	// port.
	fDNAT: natField("DNAT", 4, highestNumber,
		func(p *Packet) *bool { return &p.DNAT }, func(r *Region) **bool { return &r.DNAT }),
	fSNAT: natField("SNAT", 5, lowest,
		func(p *Packet) *bool { return &p.SNAT }, func(r *Region) **bool { return &r.SNAT }),
	fProtocol: {
		name: "protocol", turn: 2,
		highest: upTo(255),
		// Which other fields a packet has depends on these.
		atoms: func(_ *Space, c *column) {
			c.addSpans(0, portProtocols)
			c.addSpans(0, protoSpans(ProtoICMP))
			c.addSpans(0, protoSpans(ProtoICMPv6))
		},
		read:  func(_ *Space, p *Packet) uint32 { return uint32(p.Protocol) },
		best:  bestProtocol,
		set:   func(_ *Space, p *Packet, v value) { p.Protocol = uint8(v.number) },
		usual: func(_ *Space, p *Packet) { p.Protocol = ProtoTCP },
		describe: func(_ *Space, c *column, family int, runs []span, r *Region) {
			for _, x := range c.numbers(family, runs) {
				r.Protocols = append(r.Protocols, ProtoRange{uint8(x.lo), uint8(x.hi)})
			}
		},
	},
	fIn: interfaceField("incoming interface", 8, func(*Space) string { return UsualExternal },
		func(p *Packet) *string { return &p.In }, func(r *Region) **Interfaces { return &r.In }),
	fOut: interfaceField("outgoing interface", 9, usualOut,
		func(p *Packet) *string { return &p.Out }, func(r *Region) **Interfaces { return &r.Out }),
	fSource: addressField("source", 10, nil, func(*Space) *examples { return &sources },
		func(p *Packet) *netip.Addr { return &p.Source }, func(r *Region) **Addresses { return &r.Source }),
	fDestination: addressField("destination", 11, nil, usualDestinations,
		func(p *Packet) *netip.Addr { return &p.Destination }, func(r *Region) **Addresses { return &r.Destination }),
	fOrigDst: addressField("original destination", 12, (*Space).ownOriginal, func(*Space) *examples { return &hosts },
		func(p *Packet) *netip.Addr { return &p.OriginalDestination }, func(r *Region) **Addresses { return &r.OriginalDestination }),
	fSourcePort: portField("source port", 13, bestSourcePort, UsualSourcePort,
		func(p *Packet) *uint16 { return &p.SourcePort }, func(r *Region) *[]ir.PortRange { return &r.SourcePorts }),
	fDestPort: portField("destination port", 7, bestPort, usualPort,
		func(p *Packet) *uint16 { return &p.DestinationPort }, func(r *Region) *[]ir.PortRange { return &r.DestinationPorts }),
	fOrigPort: originalPortField(6),
	fICMP: {
		name: "ICMP type", turn: 14, byFamily: true,
		under:   (*Space).icmp,
		highest: func(*Space) [2]uint32 { return [2]uint32{65535, 65535} },
		read:    func(_ *Space, p *Packet) uint32 { return uint32(p.ICMPType)<<8 | uint32(p.ICMPCode) },
		best:    lowest,
		set: func(_ *Space, p *Packet, v value) {
			p.ICMPType, p.ICMPCode = uint8(v.number>>8), uint8(v.number)
		},
		usual: func(_ *Space, p *Packet) { p.ICMPType, p.ICMPCode = EchoRequest(p.Family), 0 },
		describe: func(_ *Space, c *column, family int, runs []span, r *Region) {
			for _, x := range c.numbers(family, runs) {
				r.ICMP = append(r.ICMP, ICMPTypes(uint16(x.lo), uint16(x.hi))...)
			}
		},
	},
}

// opaqueField declares an opaque condition as a field of a space.
func opaqueField(text string) *field {
	return &field{
		name: text, layer: lower, turn: lastTurn,
		highest: upTo(1), atoms: apart(span{1, 1}),
		read: func(_ *Space, p *Packet) uint32 { return number(p.Conditions[text]) },
		best: highestNumber, // an example is of packets for which it holds
		set: func(_ *Space, p *Packet, v value) {
			if p.Conditions == nil {
				p.Conditions = map[string]bool{}
			}
			p.Conditions[text] = v.number == 1
		},
		usual: func(*Space, *Packet) {},
		describe: func(_ *Space, c *column, family int, runs []span, r *Region) {
			r.Conditions = append(r.Conditions, Condition{text, c.numbers(family, runs)[0].lo == 1})
		},
	}
}

// lastTurn is that of opaque conditions: they are chosen last, in the order in which the
// space found them.
const lastTurn = 100
