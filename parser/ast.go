package parser

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"
)

// At is a value with the place it was written at.
type At[T any] struct {
	Value T
	Range hcl.Range
}

// Values returns the values of a list without their positions.
func Values[T any](list []At[T]) []T {
	var out []T
	for _, v := range list {
		out = append(out, v.Value)
	}
	return out
}

// Policy is the policy of one host. Blocks that were not written have their defaults,
// except Egress and Input.
type Policy struct {
	// Files are the names of the policy's files, relative to its directory.
	Files       []string
	Host        *Host
	Sets        []*Set
	Established *Established
	// Rules holds deny and accept blocks in the order written.
	Rules []*Rule
	// Disabled are those, of egress too, that are checked and left out.
	Disabled []*Rule
	Default  *Default
	// Egress is nil when containers may reach everything.
	Egress *Egress
	// Input is nil when the host itself is not closed: then INPUT protection covers only the
	// ports that the policy lists.
	Input *HostInput
	// Tests are those for this host. They have no effect on what is compiled.
	Tests []*Test
}

// Host is a host block.
type Host struct {
	// Name is the block's label; "" for the unlabeled host.
	Name                string
	DeclRange           hcl.Range
	ExternalInterfaces  []At[string]
	ContainerInterfaces []At[string]
	// InternalInterfaces are left open on purpose. They have no effect on rules.
	InternalInterfaces []At[string]
	IPv4, IPv6         bool
	// Target is what loads the rules. With TargetNFTables, Chain, Install and Verdict are their
	// defaults and have no meaning.
	Target  Target
	Chain   At[string]
	Install At[Install]
	Verdict Verdict
	// InputGuard is whether INPUT also filters the ports that docker-proxy accepts.
	InputGuard bool
	// ProxyPorts are published ports to protect in INPUT although no rule lists them.
	ProxyPorts []At[ProxyPorts]
}

// ProxyPorts is a range of ports of one protocol.
type ProxyPorts struct {
	// Protocol is TCP, UDP or SCTP.
	Protocol uint8
	Ports    Ports
}

// Target is what loads the rules of a host.
type Target string

// The values of target.
const (
	TargetIPTables Target = "iptables"
	TargetNFTables Target = "nftables"
)

// Install is how the rules get into the host's chain.
type Install string

// The values of install.
const (
	InstallReplace Install = "replace"
	InstallJump    Install = "jump"
	InstallInsert  Install = "insert"
)

// Verdict is what established and accept do with a packet.
type Verdict string

// The values of verdict.
const (
	VerdictAccept Verdict = "accept"
	VerdictReturn Verdict = "return"
)

// Set is an ipset block. It becomes one set for each family.
type Set struct {
	Name      At[string]
	DeclRange hcl.Range
	Type      SetType
	// Entries are literal addresses. The compiler reads list files, as streams.
	Entries, Exclude           []At[netipx.IPRange]
	Files, ExcludeFiles        []At[string]
	Members                    []At[string]
	Aggregate, Managed         bool
	HashSize, MaxElem, Timeout *At[int]
	Counters, Comment          bool
	// IPv6Name is the name of the IPv6 set of an unmanaged one, "" for the label with -v6.
	IPv6Name At[string]
	// MinEntries is the fewest entries of the set, nil if it was not written.
	MinEntries *At[int]
}

// SetType is the type of an ipset.
type SetType string

// The values of an ipset's type.
const (
	SetHashNet SetType = "hash:net"
	SetHashIP  SetType = "hash:ip"
	SetList    SetType = "list:set"
)

// Established is the established block.
type Established struct {
	DeclRange hcl.Range
	// Recheck lets only replies of established connections pass, so that the rules
	// check every packet that clients send.
	Recheck     bool
	DropInvalid bool
}

// RuleKind is the block type of a rule.
type RuleKind string

// The kinds of rules.
const (
	KindDeny   RuleKind = "deny"
	KindAccept RuleKind = "accept"
)

// Rule is a deny or accept block. Empty lists mean any.
type Rule struct {
	Kind      RuleKind
	Name      At[string]
	DeclRange hcl.Range
	// Nil when the attribute was not written.
	Source, SourceNot, Destination, DestinationNot *Addresses
	Protocols                                      []At[Protocol]
	PublishedPorts, ContainerPorts, SourcePorts    []At[Ports]
	// HostPorts are ports of the host itself, only in Input.
	HostPorts []At[Ports]
	// PublishedAddress are single addresses.
	PublishedAddress          []At[netipx.IPRange]
	ICMPTypes                 []At[ICMPType]
	Interfaces, OutInterfaces []At[string]
	Action                    Action
	Rate                      *Rate
	Connections               *Connections
	Log                       *Log
	// Expires is the first second in which the rule does not match, in UTC.
	Expires     *At[time.Time]
	Description string
}

// Addresses is a list of addresses and sets.
type Addresses struct {
	Range hcl.Range
	Items []Address
}

// Address is a literal address, prefix or range, or the name of a set.
type Address struct {
	Range   hcl.Range
	Literal netipx.IPRange
	// Set is the name of an ipset block; "" for a literal.
	Set string
}

// Protocol is an IP protocol, 1 to 255.
type Protocol struct {
	Number uint8
	Name   string
}

// HasPorts reports whether packets of the protocol have ports. Docker publishes ports of
// these protocols.
func (p Protocol) HasPorts() bool {
	return p.Number == TCP || p.Number == UDP || p.Number == SCTP
}

// IP protocol numbers with a special meaning in the language.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
	SCTP   = 132
)

// Ports is a range of ports, 1 to 65535, both ends inclusive.
type Ports struct {
	First, Last uint16
}

// ICMPType is a type of ICMP message in one family or both.
type ICMPType struct {
	V4, V6 *ICMPCode
}

// ICMPCode is an ICMP type with a code. A negative code means any.
type ICMPCode struct {
	Type uint8
	Code int
}

// Action is what a deny or the default does with a packet.
type Action string

// The actions; ActionReturn is for default only.
const (
	ActionDrop   Action = "drop"
	ActionReject Action = "reject"
	ActionReturn Action = "return"
)

// Rate is a rate block: a limit of new connections over a time.
type Rate struct {
	DeclRange hcl.Range
	Limit     Frequency
	// Burst is how many may come at once; 1 or more.
	Burst int
	// PerSource is whether each source address has a count of its own.
	PerSource bool
}

// Frequency is a number of things over a time.
type Frequency struct {
	// Count is 1 or more.
	Count int
	// Seconds is 1, 60, 3600 or 86400.
	Seconds int
}

// Connections is a connections block: a limit of open connections.
type Connections struct {
	DeclRange          hcl.Range
	Max                int
	PrefixV4, PrefixV6 int
}

// Log is a log block.
type Log struct {
	DeclRange hcl.Range
	Prefix    string
	// Level is a syslog level, 0 to 7.
	Level int
	// Limit is the most lines over a time.
	Limit Frequency
	// Group is the NFLOG group, nil for the kernel log.
	Group *uint16
}

// Default is a default block.
type Default struct {
	DeclRange hcl.Range
	// Written is false when the policy has no such block.
	Written bool
	Allow   *Addresses
	Action  Action
	Log     *Log
}

// Egress is the egress block: the same phases for packets that leave containers.
type Egress struct {
	DeclRange hcl.Range
	Rules     []*Rule
	// Default is open (ActionReturn) unless written.
	Default *Default
}

// HostInput is the input block: the same phases for packets to the host itself.
type HostInput struct {
	DeclRange hcl.Range
	Rules     []*Rule
	// Default is closed (ActionDrop) unless written.
	Default *Default
}

// AllRules returns the rules of the policy, then those of its egress and input blocks.
func (p *Policy) AllRules() []*Rule {
	out := p.Rules[:len(p.Rules):len(p.Rules)]
	if p.Egress != nil {
		out = append(out, p.Egress.Rules...)
	}
	if p.Input != nil {
		out = append(out, p.Input.Rules...)
	}
	return out
}
