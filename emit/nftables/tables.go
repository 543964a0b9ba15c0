package nftables

import (
	"net/netip"
	"time"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Tables is the table that one host loads.
type Tables struct {
	// Host is the label of the host block; "" for the unlabeled one.
	Host string
	// Families are those that the host compiles.
	Families []ir.Family
	// Sets are those of the policy in its order, then those of addresses that rules list, and those of limits.
	Sets []*Set
	// Chains are the base chains, then those they lead to.
	Chains []*Chain
}

// Kind is who adds the elements of a set.
type Kind int

// The kinds of sets.
const (
	// Managed sets have the elements of the policy.
	Managed Kind = iota
	// Unmanaged sets are declared, and other programs fill them.
	Unmanaged
	// Dynamic sets get elements from packets: they are the counts of limits.
	Dynamic
)

// Set is a named set of one family.
type Set struct {
	Name   string
	Family ir.Family
	Kind   Kind
	// Label is the label of the ipset block, or RULE.src and the like for addresses that a rule lists; "" for a Dynamic set.
	Label string
	// Size is the maximum number of elements; 0 means that there is none.
	Size int
	// Timeout is the time after which an element that no packet renews is removed; 0 for never.
	Timeout time.Duration
	// Prefixes are sorted and do not overlap.
	Prefixes ir.Prefixes
	Origin   ir.Origin
}

// Chain is a list of rules; the first matching rule with a terminating verdict applies.
type Chain struct {
	Name string
	// Base is set for a base chain, which packets enter at the hook of its name.
	Base bool
	// Scope is the scope of the rules.
	Scope ir.Scope
	Rules []*Rule
}

// Rule is one rule of a chain.
type Rule struct {
	ID ir.RuleID
	// Origin is the block of the policy that the rule was compiled from.
	Origin ir.Origin
	// Matches in canonical order. A packet must fulfill all of them.
	Matches []Match
	Verdict Verdict
}

// Match is a condition of a rule.
type Match interface{ isMatch() }

// Direction is an end of a packet.
type Direction int

// The two ends: the interface, address or port that a packet comes from, and that it goes to.
const (
	Src Direction = iota
	Dst
)

// Interface matches the name of the interface on which a packet arrives (Src) or leaves (Dst). A
// name that ends in * matches all that begin with the rest of it.
type Interface struct {
	Dir   Direction
	Names []string
}

// State matches the connection-tracking state, any of these; never SNAT and DNAT.
type State struct{ States ir.CTState }

// Translated matches packets of connections whose destination Docker translated.
type Translated struct{}

// CTDirection matches the direction of a packet within its connection.
type CTDirection struct{ Dir ir.CTDir }

// Protocol matches the protocol, any of these, in ascending order.
type Protocol struct{ Numbers []uint8 }

// Ports matches ports of a protocol, or with protocol 0 of the protocols that the rule has matched.
// The ranges are sorted and neither overlap nor touch.
type Ports struct {
	Protocol uint8
	Dir      Direction
	Ranges   []ir.PortRange
}

// ICMP matches the type of an ICMP message, or ICMPv6 in IPv6, any of these, in ascending order; of
// a single one also the code, unless that is negative.
type ICMP struct {
	Family ir.Family
	Types  []uint8
	Code   int
}

// Family matches packets of a family; with Not, those of the other one.
type Family struct {
	Family ir.Family
	Not    bool
}

// OriginalAddress matches the destination before DNAT, any of these of one family, in ascending order.
type OriginalAddress struct{ Addresses []netip.Addr }

// OriginalPort matches the destination port before DNAT. nft 1.0.6 prints no list of them.
type OriginalPort struct{ Range ir.PortRange }

// Address matches an address, any of these ranges of one family, which are sorted and neither overlap nor
// touch; with Not, none of them.
type Address struct {
	Dir    Direction
	Not    bool
	Ranges []netipx.IPRange
}

// SetMatch matches an address that is in a named set, with Not one that is not.
type SetMatch struct {
	Set    string
	Family ir.Family
	Dir    Direction
	Not    bool
}

// Time matches packets before a time, in whole seconds.
type Time struct{ Until time.Time }

// Rate is a number of packets over a unit of 1, 60, 3600 or 86400 seconds.
type Rate struct {
	ir.Frequency
	// Burst is how many may come at once.
	Burst int
}

// Limit matches up to a rate, with Over above it; one count for the rule.
type Limit struct {
	Rate
	Over bool
}

// SourceLimit is Limit with a count for each source, in a dynamic set.
type SourceLimit struct {
	Rate
	Over   bool
	Set    string
	Family ir.Family
}

// SourceConnections matches up to Max connections of a source, with Over above it. PrefixLength
// groups sources.
type SourceConnections struct {
	Max          int
	Over         bool
	PrefixLength int
	Set          string
	Family       ir.Family
}

func (Interface) isMatch()         {}
func (State) isMatch()             {}
func (Translated) isMatch()        {}
func (CTDirection) isMatch()       {}
func (Protocol) isMatch()          {}
func (Ports) isMatch()             {}
func (ICMP) isMatch()              {}
func (Family) isMatch()            {}
func (OriginalAddress) isMatch()   {}
func (OriginalPort) isMatch()      {}
func (Address) isMatch()           {}
func (SetMatch) isMatch()          {}
func (Time) isMatch()              {}
func (Limit) isMatch()             {}
func (SourceLimit) isMatch()       {}
func (SourceConnections) isMatch() {}

// Verdict is what happens to a packet that a rule matches.
type Verdict interface{ isVerdict() }

// Accept ends the base chain: later base chains and Docker's tables still decide.
type Accept struct{}

// Return continues in the calling chain; in a base chain, with its policy, accept.
type Return struct{}

// Drop discards the packet silently.
type Drop struct{}

// Reject discards the packet and answers with a TCP reset, or with the ICMP error "administratively prohibited" of the
// packet's family.
type Reject struct{ TCPReset bool }

// Jump continues in another chain, and after it with the next rule.
type Jump struct{ Chain string }

// Log writes the packet to the kernel log, and continues with the next rule.
type Log struct {
	Prefix string
	// Level is the syslog level, 0 (emerg) to 7 (debug).
	Level int
}

// NFLog sends the packet to a netlink log group, and continues with the next rule.
type NFLog struct {
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
