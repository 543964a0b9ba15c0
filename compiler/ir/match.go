package ir

import "net/netip"

// Match is a condition on packets. The types in this file are all there are;
// emit, read-back and the packet algebra each handle every one of them.
type Match interface{ isMatch() }

// Address matches the source or destination address after DNAT (-s, -d).
type Address struct {
	Dir    Direction
	Not    bool
	Prefix netip.Prefix
}

// Interface matches the interface a packet came by (Dir is Src: -i) or leaves by
// (Dir is Dst: -o). A name that ends in + matches all that start with the rest.
type Interface struct {
	Dir  Direction
	Name string
}

// Protocol matches the IP protocol number, 1 to 255 (-p).
type Protocol struct {
	Number uint8
}

// PortRange is a range of ports, both ends inclusive.
type PortRange struct {
	First, Last uint16
}

// Ports matches the source port, the destination port after DNAT, or both. It
// needs a Protocol of TCP, UDP or SCTP before it. A nil range means any.
type Ports struct {
	Protocol uint8
	Src, Dst *PortRange
}

// ICMP matches an ICMP or ICMPv6 type, and a code unless Code is negative.
type ICMP struct {
	Family Family
	Type   uint8
	Code   int
}

// CTState is a set of conntrack states (-m conntrack --ctstate).
type CTState uint8

// The conntrack states in the order iptables-save prints them.
const (
	CTInvalid CTState = 1 << iota
	CTNew
	CTRelated
	CTEstablished
	CTUntracked
	CTSNAT
	CTDNAT
)

// CTDir is the direction of a packet within its connection.
type CTDir int

// Directions as conntrack names them; the zero value means either.
const (
	CTAny CTDir = iota
	CTOriginal
	CTReply
)

// Conntrack matches what connection tracking knows of a packet's connection.
// Zero values mean any.
type Conntrack struct {
	// States: the connection is in any one of them.
	States CTState
	// OrigDst is the address the client connected to, before DNAT.
	OrigDst netip.Addr
	// OrigDstPort is the port the client connected to, before DNAT: the published port.
	OrigDstPort *PortRange
	Dir         CTDir
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
	// PerSource counts each source address for itself.
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

// Verdict is what happens to a packet that a rule matches. The types below are
// all there are.
type Verdict interface{ isVerdict() }

// AcceptPacket lets the packet through and ends the table, so that rules behind
// ours, such as Docker's own, are not asked.
type AcceptPacket struct{}

// Return hands the packet on to the rules behind ours.
type Return struct{}

// Drop discards the packet silently.
type Drop struct{}

// Reject discards the packet and tells the sender.
type Reject struct {
	// With is the kind of answer, as iptables-save names it.
	With string
}

// JumpTo goes through another chain of ours; a packet it does not decide comes back.
type JumpTo struct {
	Chain string
}

// Log writes the packet to the kernel log and goes on (-j LOG).
type Log struct {
	// Prefix has 1 to 29 bytes.
	Prefix string
	// Level is the syslog level, 0 (emerg) to 7 (debug).
	Level int
}

// NFLog hands the packet to a netlink log group and goes on (-j NFLOG).
type NFLog struct {
	// Prefix has at most 63 bytes.
	Prefix string
	Group  uint16
}

func (AcceptPacket) isVerdict() {}
func (Return) isVerdict()       {}
func (Drop) isVerdict()         {}
func (Reject) isVerdict()       {}
func (JumpTo) isVerdict()       {}
func (Log) isVerdict()          {}
func (NFLog) isVerdict()        {}

// Terminal reports whether a rule with verdict v ends a packet's way through the
// chain the rule stands in.
func Terminal(v Verdict) bool {
	switch v.(type) {
	case JumpTo, Log, NFLog:
		return false
	}
	return true
}
