package packet

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

var families = [...]ir.Family{ir.IPv4, ir.IPv6}

func number(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func upTo(n uint32) func(*Space) [2]uint32 {
	return func(*Space) [2]uint32 { return [2]uint32{n, 0} }
}

// apart makes a set of numbers an atom of every space.
func apart(x span) func(*Space, *column) {
	return func(_ *Space, c *column) { c.addSpans(0, []span{x}) }
}

// natField declares whether a connection is subject to a kind of NAT.
func natField(name string, turn int, best bestOf, at func(*Packet) *bool, in func(*Region) **bool) field {
	return field{
		name: name, layer: upper, turn: turn,
		under:   func(s *Space, _ ir.Family) ref { return s.tracked() },
		highest: upTo(1), atoms: apart(span{1, 1}),
		read:  func(_ *Space, p *Packet) uint32 { return number(*at(p)) },
		best:  best,
		set:   func(_ *Space, p *Packet, v value) { *at(p) = v.number == 1 },
		usual: func(_ *Space, p *Packet) { *at(p) = false },
		describe: func(_ *Space, c *column, family int, runs []span, r *Region) {
			holds := c.numbers(family, runs)[0].lo == 1
			*in(r) = &holds
		},
	}
}

// interfaceField declares the name of an interface. Its numbers are indexes of the names
// that represent all others: see interfaces.
func interfaceField(name string, turn int, usual func(*Space) string, at func(*Packet) *string, in func(*Region) **Interfaces) field {
	return field{
		name: name, turn: turn,
		highest: func(s *Space) [2]uint32 { return [2]uint32{uint32(len(s.ifaces.names) - 1), 0} },
		atoms: func(s *Space, c *column) {
			for _, name := range s.names {
				c.addSpans(0, s.ifaces.spans(name))
			}
		},
		read:  func(s *Space, p *Packet) uint32 { return s.ifaces.find(*at(p), s.names) },
		best:  lowest,
		set:   func(s *Space, p *Packet, v value) { *at(p) = s.ifaces.names[v.number] },
		usual: func(s *Space, p *Packet) { *at(p) = usual(s) },
		describe: func(s *Space, c *column, family int, runs []span, r *Region) {
			*in(r) = s.interfacesOf(c.numbers(family, runs))
		},
	}
}

// usualOut returns the interface that packets leave on: none, if they are for the host
// itself.
func usualOut(s *Space) string {
	if s.toHost {
		return ""
	}
	return UsualBridge
}

// addressField declares an address. The numbers of IPv4 are addresses, those of IPv6 the
// intervals between the addresses where a set begins or ends: see bounds.
func addressField(name string, turn int, under func(*Space, ir.Family) ref, liked func(*Space) *examples, at func(*Packet) *netip.Addr, in func(*Region) **Addresses) field {
	return field{
		name: name, turn: turn, byFamily: true, addresses: true,
		under:   under,
		highest: func(s *Space) [2]uint32 { return [2]uint32{1<<32 - 1, uint32(s.bounds6.len() - 1)} },
		read: func(s *Space, p *Packet) uint32 {
			a := *at(p)
			switch {
			case !a.IsValid(), a.Is4() != (p.Family == ir.IPv4):
				return 0
			case a.Is4():
				return number4(a)
			}
			return s.index6(number6(a))
		},
		best: func(s *Space, family int, lo, hi uint32, _ bool) candidate {
			first, last := s.interval(family, lo, hi)
			rank, a := liked(s).best(family, first, last)
			size := float64(last.High-first.High)*(1<<32)*(1<<32) + float64(last.Low) - float64(first.Low) + 1
			return candidate{rank, value{address: a}, size}
		},
		set:   func(_ *Space, p *Packet, v value) { *at(p) = v.address },
		usual: func(s *Space, p *Packet) { *at(p) = liked(s).usual(index(p.Family)) },
		describe: func(s *Space, c *column, family int, runs []span, r *Region) {
			*in(r) = s.addresses(c, family, runs)
		},
	}
}

// usualDestinations returns containers, or for packets to the host itself an address that
// clients connect to.
func usualDestinations(s *Space) *examples {
	if s.toHost {
		return &hosts
	}
	return &containers
}

// portField declares a port of TCP, UDP and SCTP.
func portField(name string, turn int, best bestOf, usual uint16, at func(*Packet) *uint16, in func(*Region) *[]ir.PortRange) field {
	return field{
		name: name, turn: turn,
		under:   func(s *Space, _ ir.Family) ref { return s.havePorts() },
		highest: upTo(65535),
		read:    func(_ *Space, p *Packet) uint32 { return uint32(*at(p)) },
		best:    best,
		set:     func(_ *Space, p *Packet, v value) { *at(p) = uint16(v.number) },
		usual:   func(_ *Space, p *Packet) { *at(p) = usual },
		describe: func(_ *Space, c *column, family int, runs []span, r *Region) {
			*in(r) = portRanges(c.numbers(family, runs))
		},
	}
}

func portRanges(numbers []span) []ir.PortRange {
	out := make([]ir.PortRange, 0, len(numbers))
	for _, x := range numbers {
		out = append(out, ir.PortRange{First: uint16(x.lo), Last: uint16(x.hi)})
	}
	return out
}

// originalPortField declares the port that the client of a tracked connection sent its
// packets to. In a space that is published it is also the destination port of packets
// without DNAT.
func originalPortField(turn int) field {
	f := portField("original port", turn, bestPort, usualPort,
		func(p *Packet) *uint16 { return &p.OriginalPort }, func(r *Region) *[]ir.PortRange { return &r.OriginalPorts })
	// Protocols without ports have it as well: Space.port makes the difference.
	f.under = func(s *Space, _ ir.Family) ref { return s.tracked() }
	f.read = func(s *Space, p *Packet) uint32 {
		if s.published && !p.DNAT && hasPorts(p.Protocol) {
			return uint32(p.DestinationPort)
		}
		return uint32(p.OriginalPort)
	}
	f.set = func(s *Space, p *Packet, v value) {
		p.OriginalPort = uint16(v.number)
		if s.published && !p.DNAT {
			p.DestinationPort = p.OriginalPort
		}
	}
	f.usual = func(s *Space, p *Packet) {
		switch {
		case !hasPorts(p.Protocol):
			p.OriginalPort = 0
		case s.published && !p.DNAT:
			p.OriginalPort, p.DestinationPort = usualPort, usualPort
		default:
			p.OriginalPort = p.DestinationPort
		}
	}
	return f
}
