package iptables

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Direction is the end of a packet that an address or a port belongs to.
type Direction int

// The two ends of a packet.
const (
	Src Direction = iota
	Dst
)

func (d Direction) String() string {
	return [...]string{"src", "dst"}[d]
}

// Match is a condition of a rule. The types in this file are all there are; printing and
// read-back each handle every one of them.
type Match interface{ isMatch() }

// Address matches the source or destination address after DNAT (-s, -d).
type Address struct {
	Dir    Direction
	Not    bool
	Prefix netip.Prefix
}

// Interface matches the interface on which a packet arrives (Dir is Src: -i) or leaves
// (Dir is Dst: -o). A name that ends in + matches all that begin with the rest.
type Interface struct {
	Dir  Direction
	Name string
}

// Protocol matches the IP protocol number, 1 to 255 (-p).
type Protocol struct {
	Number uint8
}

// Ports matches the source port, the destination port after DNAT, or both. It
// needs a Protocol of TCP, UDP or SCTP before it. A nil range means any.
type Ports struct {
	Protocol uint8
	Src, Dst *ir.PortRange
}

// ICMP matches an ICMP or ICMPv6 type, and a code unless Code is negative.
type ICMP struct {
	Family ir.Family
	Type   uint8
	Code   int
}

// Conntrack matches what connection tracking knows of a packet's connection.
// Zero values mean any.
type Conntrack struct {
	// States: the connection is in any one of them.
	States ir.CTState
	// OrigDst is the address the client connected to, before DNAT.
	OrigDst netip.Addr
	// OrigDstPort is the port the client connected to, before DNAT: the published port.
	OrigDstPort *ir.PortRange
	Dir         ir.CTDir
}

// SetMatch matches packets whose address on one end is in a set.
type SetMatch struct {
	Set string
	Dir Direction
	Not bool
}

// Unit is the time a rate counts over.
type Unit string

// The units of iptables-extensions(8), as iptables-save writes them.
const (
	PerSecond Unit = "sec"
	PerMinute Unit = "min"
	PerHour   Unit = "hour"
	PerDay    Unit = "day"
)

// Rate is a number of packets over a time, 1 or more.
type Rate struct {
	Count int
	Unit  Unit
}

// HashLimit matches packets up to a rate, or above it (-m hashlimit).
type HashLimit struct {
	// Above matches what exceeds the rate instead of what keeps to it.
	Above bool
	Rate  Rate
	// Burst is the number of packets that may come at once, 1 or more.
	Burst int
	// PerSource counts each source address separately.
	PerSource bool
	// Expire is the number of seconds after the last packet until a count is
	// forgotten, and the burst is whole again. 0 is one unit of the rate.
	Expire int
	// Name of the table in /proc/net/ipt_hashlimit, at most 15 bytes. Rules with
	// the same name share their counts.
	Name string
}

// ConnLimit matches on the number of concurrent connections of a source (-m connlimit).
type ConnLimit struct {
	// Above matches connections past Max instead of those up to it.
	Above bool
	Max   int
	// PrefixLength groups sources: 32 (IPv6: 128) counts each address for itself.
	PrefixLength int
}

// Limit matches packets up to a rate (-m limit); it keeps logs short.
type Limit struct {
	Rate  Rate
	Burst int
}

func (Address) isMatch()   {}
func (Interface) isMatch() {}
func (Protocol) isMatch()  {}
func (Ports) isMatch()     {}
func (ICMP) isMatch()      {}
func (Conntrack) isMatch() {}
func (SetMatch) isMatch()  {}
func (HashLimit) isMatch() {}
func (ConnLimit) isMatch() {}
func (Limit) isMatch()     {}

// Verdict is what happens to a packet that a rule matches. The types below are all
// there are.
type Verdict interface{ isVerdict() }

// Accept lets the packet through and ends the table, so that rules after dockerfw's,
// such as Docker's own, are not evaluated (-j ACCEPT).
type Accept struct{}

// Return leaves the packet to the rules after dockerfw's (-j RETURN).
type Return struct{}

// Drop discards the packet silently (-j DROP).
type Drop struct{}

// Reject discards the packet and sends an error to its sender (-j REJECT).
type Reject struct {
	// With is the kind of error, as iptables-save names it.
	With string
}

// Jump continues in another chain of dockerfw's; a packet that it does not decide comes
// back.
type Jump struct {
	Chain string
}

// Log writes the packet to the kernel log and goes on (-j LOG).
type Log struct {
	// Prefix has 1 to 29 bytes.
	Prefix string
	// Level is the syslog level, 0 (emerg) to 7 (debug).
	Level int
}

// NFLog sends the packet to a netlink log group and goes on (-j NFLOG).
type NFLog struct {
	// Prefix has at most 63 bytes.
	Prefix string
	Group  uint16
}

func (Accept) isVerdict() {}
func (Return) isVerdict() {}
func (Drop) isVerdict()   {}
func (Reject) isVerdict() {}
func (Jump) isVerdict()   {}
func (Log) isVerdict()    {}
func (NFLog) isVerdict()  {}
