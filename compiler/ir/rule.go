package ir

import (
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Rule is one rule of the policy in one family. A packet matches if it fulfills all
// conditions; an empty list, a nil pointer and a zero value mean any.
type Rule struct {
	Scope  Scope
	Phase  Phase
	Origin Origin
	// Name is the prefix for names of sets and other objects that are created for the rule:
	// the label of its block, "default", "egress-default" or "input-default".
	Name string
	// Place is the rule's position in the policy. Sets that are created for rules are in this
	// order, whatever the order of evaluation.
	Place int

	// In and Out are the interfaces on which packets arrive and leave. A name that ends in +
	// matches all interfaces that begin with the rest of it.
	In, Out             []string
	Source, Destination End
	// Protocols are numbers, 1 to 255.
	Protocols []uint8
	// SourcePorts, and DestinationPorts after DNAT, in ScopeHost those of the host. A rule with ports has Protocols.
	SourcePorts, DestinationPorts []PortRange
	// PublishedPorts and PublishedAddresses are the destination before DNAT. In ScopeProxy,
	// where Docker has not translated the packet, they are the packet's own destination.
	PublishedPorts     []PortRange
	PublishedAddresses []netip.Addr
	// ICMP types. A rule with types has protocol ICMP, or ICMPv6 in IPv6.
	ICMP []ICMP
	// States are connection-tracking states, of which the packet must have one. Direction is
	// that of the packet within its connection.
	States    CTState
	Direction CTDir

	// Until is when the rule ends; zero means never. Whole seconds.
	Until time.Time

	// Rate and Connections limit new connections: an accept matches up to the limit, a
	// deny above it.
	Rate        *Rate
	Connections *Connections
	// SessionsRechecked means that packets of established connections reach the rule, too.
	// Its limits are about new connections and must let these packets pass.
	SessionsRechecked bool

	// Log also writes matching packets to a log: of an accept the first of a connection.
	Log     *Log
	Verdict Verdict
}

// Limited reports whether the rule limits new connections.
func (r *Rule) Limited() bool { return r.Rate != nil || r.Connections != nil }

// End is the conditions on the address at one end of a packet: it is in In and not in
// NotIn.
type End struct{ In, NotIn Addresses }

// Addresses are literal prefixes and sets of one family; without any, all addresses match.
type Addresses struct {
	Prefixes []netip.Prefix
	Sets     []*Set
	// Range is the attribute that lists them.
	Range hcl.Range
}

// IsEmpty reports whether there are neither prefixes nor sets.
func (a Addresses) IsEmpty() bool { return len(a.Prefixes) == 0 && len(a.Sets) == 0 }

// PortRange is a range of ports, both ends inclusive.
type PortRange struct {
	First, Last uint16
}

// ICMP is an ICMP or ICMPv6 type with a code, or any code if that is negative.
type ICMP struct {
	Type uint8
	Code int
}

// CTState is a set of connection-tracking states.
type CTState uint8

// The states in the order in which iptables-save prints them.
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

// The directions; the zero value means either.
const (
	CTAny CTDir = iota
	CTOriginal
	CTReply
)

// Frequency is Count events in Seconds. Both are 1 or more.
type Frequency struct {
	Count, Seconds int
}

// Rate is a limit on new connections over time.
type Rate struct {
	Frequency
	// Burst is the number of connections that may come at once, 1 or more.
	Burst int
	// PerSource counts each source address separately.
	PerSource bool
}

// Connections is a limit on concurrent connections of a source.
type Connections struct {
	Max int
	// PrefixLength groups sources: 32 (IPv6: 128) counts each address separately.
	PrefixLength int
}

// Log is how packets are logged.
type Log struct {
	// Prefix begins each line: 1 to 29 bytes.
	Prefix string
	// Level is the syslog level, 0 (emerg) to 7 (debug).
	Level int
	// Group is the netlink log group that gets the packets instead of the kernel log.
	Group *uint16
	// Limit is the rate of log lines.
	Limit Frequency
}

// Verdict is what happens to a packet that a rule matches: one of the types below.
type Verdict interface{ isVerdict() }

// Accept accepts the packet. It skips the rules after dockerfw's, such as Docker's own.
type Accept struct{}

// Return returns the packet to the rules after dockerfw's.
type Return struct{}

// Drop discards the packet silently.
type Drop struct{}

// Reject discards the packet and sends an error to its sender: TCP gets a reset, the
// rest the family's "administratively prohibited".
type Reject struct{}

// Jump continues in another scope. A packet without a verdict there returns.
type Jump struct{ To Scope }

func (Accept) isVerdict() {}
func (Return) isVerdict() {}
func (Drop) isVerdict()   {}
func (Reject) isVerdict() {}
func (Jump) isVerdict()   {}
