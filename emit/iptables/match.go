package iptables

import (
	"net/netip"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Direction selects the source or destination of a packet.
type Direction int

// Source and destination.
const (
	Src Direction = iota
	Dst
)

func (d Direction) String() string {
	return [...]string{"src", "dst"}[d]
}

// Match is a condition of a rule. It is a sealed type: the types in this file are the only
// ones, and a test checks that every stage handles each of them.
type Match interface{ isMatch() }

// Address matches the source or destination address after DNAT (-s, -d).
type Address struct {
	Dir    Direction
	Not    bool
	Prefix netip.Prefix
}

// Interface matches the interface on which a packet arrives (Dir is Src: -i) or leaves
// (Dir is Dst: -o). A name that ends in + matches all names with that prefix.
type Interface struct {
	Dir  Direction
	Name string
}

// Protocol matches the IP protocol number, 1 to 255 (-p).
type Protocol struct {
	Number uint8
}

// Ports matches the source port, the destination port after DNAT, or both. It needs a
// preceding Protocol of TCP, UDP or SCTP. A nil range means any.
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

// Conntrack matches the connection-tracking entry of a packet. Zero values mean any.
type Conntrack struct {
	// States are alternatives: any one of them matches.
	States ir.CTState
	// OrigDst is the destination address before DNAT.
	OrigDst netip.Addr
	// OrigDstPort is the destination port before DNAT: the published port.
	OrigDstPort *ir.PortRange
	Dir         ir.CTDir
}

// SetMatch matches packets whose source or destination address is in a set.
type SetMatch struct {
	Set string
	Dir Direction
	Not bool
}

// Time matches up to a second, which it includes (-m time). The kernel's clock is in UTC.
type Time struct {
	Last time.Time
}

// Unit is the unit of time of a rate.
type Unit string

// The units of iptables-extensions(8), as iptables-save writes them.
const (
	PerSecond Unit = "sec"
	PerMinute Unit = "min"
	PerHour   Unit = "hour"
	PerDay    Unit = "day"
)

// Rate is a number of packets, 1 or more, per unit of time.
type Rate struct {
	Count int
	Unit  Unit
}

// HashLimit matches packets up to a rate, or above it (-m hashlimit).
type HashLimit struct {
	// Above matches packets above the rate instead of packets up to it.
	Above bool
	Rate  Rate
	// Burst is the number of packets that may arrive at once, 1 or more.
	Burst int
	// PerSource counts each source address separately.
	PerSource bool
	// Expire is the number of seconds after the last packet until the kernel deletes the
	// entry, which restores the full burst. 0 means one unit of the rate.
	Expire int
	// Name of the table in /proc/net/ipt_hashlimit, at most 15 bytes. Rules with the same
	// name share their counters.
	Name string
}

// ConnLimit matches on the number of concurrent connections of a source (-m connlimit).
type ConnLimit struct {
	// Above matches connections above Max instead of those up to it.
	Above bool
	Max   int
	// PrefixLength groups sources: 32 (IPv6: 128) counts each address separately.
	PrefixLength int
}

// Limit matches packets up to a rate (-m limit); it limits the rate of log entries.
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
func (Time) isMatch()      {}
func (HashLimit) isMatch() {}
func (ConnLimit) isMatch() {}
func (Limit) isMatch()     {}

// Verdict is the target of a rule. It is a sealed type: the types below are the only ones.
type Verdict interface{ isVerdict() }

// Accept accepts the packet and ends the table: later rules, such as Docker's own, are not
// evaluated (-j ACCEPT).
type Accept struct{}

// Return continues after the rule that jumped to the chain (-j RETURN).
type Return struct{}

// Drop discards the packet silently (-j DROP).
type Drop struct{}

// Reject discards the packet and sends an error to its sender (-j REJECT).
type Reject struct {
	// With is the type of error, in the words of iptables-save.
	With string
}

// Jump continues in another chain of dockerfw; evaluation returns after the jump if no rule
// there has a terminating verdict.
type Jump struct {
	Chain string
}

// Goto continues in another chain of dockerfw; a packet without a verdict there continues where
// this chain was called from (-g).
type Goto struct {
	Chain string
}

// Log writes the packet to the kernel log and continues with the next rule (-j LOG).
type Log struct {
	// Prefix has 1 to 29 bytes.
	Prefix string
	// Level is the syslog level, 0 (emerg) to 7 (debug).
	Level int
}

// NFLog sends the packet to a netlink log group and continues with the next rule
// (-j NFLOG).
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
func (Goto) isVerdict()   {}
func (Log) isVerdict()    {}
func (NFLog) isVerdict()  {}
