package cut

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Connection is an entry of the kernel's table of connections.
type Connection struct {
	Family   ir.Family
	Protocol uint8
	// Original are the ends of the first packet as it arrived, and Reply those of the answers:
	// its source is the destination after DNAT.
	Original, Reply Tuple
	// Expected: another connection announced it, such as that of FTP for its data. Its first
	// packet was RELATED.
	Expected bool
	// DNAT: the destination was translated (IPS_DST_NAT, which the match conntrack tests too).
	DNAT bool
	// TCPState is a value of the kernel's enum tcp_conntrack (uapi/linux/netfilter/
	// nf_conntrack_tcp.h), 0 for other protocols.
	TCPState uint8
	// Zone is the zone of both directions. A connection whose directions have different zones
	// has those of its tuples.
	Zone uint16
}

// Tuple are the ends of the packets of one direction. Ports are 0 for protocols without ports.
type Tuple struct {
	Source, Destination netip.AddrPort
	// Zone is that of this direction alone; see Connection.
	Zone uint16
}

// TCP connections in these states have ended.
const (
	tcpTimeWait = 7 // TCP_CONNTRACK_TIME_WAIT
	tcpClose    = 8 // TCP_CONNTRACK_CLOSE
)

// lasts reports whether the connection can be open and was judged by rules for new ones. An
// exchange of pings ends by itself.
func (c *Connection) lasts() bool {
	over := c.Protocol == packet.ProtoTCP && (c.TCPState == tcpTimeWait || c.TCPState == tcpClose)
	ping := c.Protocol == packet.ProtoICMP || c.Protocol == packet.ProtoICMPv6
	return !over && !ping && !c.Expected
}

// first returns the first packet as it was in the filter table, between DNAT and source NAT,
// without interfaces.
func (c *Connection) first() packet.Packet {
	return packet.Packet{
		Family: c.Family, Protocol: c.Protocol,
		Source: c.Original.Source.Addr(), SourcePort: c.Original.Source.Port(),
		Destination: c.Reply.Source.Addr(), DestinationPort: c.Reply.Source.Port(),
		State: ir.CTNew, Direction: ir.CTOriginal, DNAT: c.DNAT,
		OriginalDestination: c.Original.Destination.Addr(), OriginalPort: c.Original.Destination.Port(),
	}
}

// String is the protocol and the ends, as in
// "tcp 198.51.100.3:40000 -> 198.51.100.1:8080 (172.17.0.2:80)": where the first packet came
// from, where it was sent, and with DNAT where it went.
func (c *Connection) String() string {
	out := words.Protocol(c.Protocol) + " " + c.end(c.Original.Source) + " -> " + c.end(c.Original.Destination)
	if c.DNAT {
		out += " (" + c.end(c.Reply.Source) + ")"
	}
	return out
}

// end writes an end, with its port if it has one.
func (c *Connection) end(e netip.AddrPort) string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.String()
}
