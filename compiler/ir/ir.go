package ir

import (
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Family is an address family; its value is the IP version.
type Family int

// The two families; each is filtered by tables of its own.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address; one of IPv4 mapped into IPv6 is of IPv6.
func FamilyOf(a netip.Addr) Family {
	if a.Is6() {
		return IPv6
	}
	return IPv4
}

func (f Family) String() string {
	if f == IPv6 {
		return "ipv6"
	}
	return "ipv4"
}

// Ruleset is everything that one host loads.
type Ruleset struct {
	// Host is the label of the host block; "" for the unlabelled one.
	Host string
	// Sets in the order they are created: a set's members before it.
	Sets []*Set
	// Programs, one for each compiled family, IPv4 first.
	Programs []*Program
}

// Install is the way rules get into the chain of the host.
type Install int

// The ways of installing rules, as the policy language names them.
const (
	// Replace flushes and fills the chain, which is ours alone.
	Replace Install = iota
	// Jump fills a chain of our own; a jump to it stands in the host's chain.
	Jump
	// Insert puts literal -I lines at the head of a chain of others.
	Insert
)

func (i Install) String() string {
	return [...]string{"replace", "jump", "insert"}[i]
}

// Program is the filter table of one family.
type Program struct {
	Family  Family
	Install Install
	// Target is the chain the host's packets come through: DOCKER-USER or, for
	// engines before 17.06, DOCKER.
	Target string
	// Chains holds the chain that decides first, then those it jumps to. With
	// Insert the first one's name is Target and its rules are added to it; all
	// others are ours alone. The chains of the guard stand last, if there are any:
	// GuardChain, then ProxyChain.
	Chains []*Chain
}

// The guard's chains. It decides what docker-proxy on the host would answer, which
// comes through INPUT and never meets Target.
const (
	// GuardChain is what a jump at the head of INPUT leads to. It hands the ports
	// that are guarded over to ProxyChain, and nothing else.
	GuardChain = "DOCKERFW-INPUT"
	// ProxyChain refuses, or returns to INPUT.
	ProxyChain = "DOCKERFW-PROXY"
)

// HasGuard tells whether the program has the guard's chains.
func (p *Program) HasGuard() bool {
	return slices.ContainsFunc(p.Chains, func(c *Chain) bool { return c.Name == GuardChain })
}

// Chain is a list of rules; the first that matches and has a verdict decides.
type Chain struct {
	Name string
	// Rules in the order they are evaluated, whatever way they are installed.
	Rules []*Rule
}

// Phase is the part of a chain that a rule belongs to. Phases never go
// backwards within a chain.
type Phase int

// The phases in the order they are evaluated.
const (
	Established Phase = iota
	Deny
	Accept
	Default
	// Egress is the hand-over of leaving traffic to the chain that decides it,
	// which has phases of its own.
	Egress
	// Input is the hand-over of what docker-proxy would answer to the chain that
	// decides it, which has phases of its own.
	Input
)

func (p Phase) String() string {
	return [...]string{"established", "deny", "accept", "default", "egress", "input"}[p]
}

// Rule is one line of a chain.
type Rule struct {
	Phase  Phase
	Origin Origin
	// Matches in the order iptables-save prints them. All must hold.
	Matches []Match
	Verdict Verdict
}

// Origin is the place of the policy that a rule or set came from.
type Origin struct {
	// Block is the block's type, such as "accept".
	Block string
	// Name is the block's label; "" for blocks without one.
	Name string
	// Range is the block's header, or the attribute that made a set.
	Range hcl.Range
}

// Comment is the text that stands with the rule in the kernel, which says what
// of the policy it is: "dockerfw accept https". At most 255 bytes are kept by
// the kernel (facts measured with iptables 1.8.9: more is cut silently).
func (r *Rule) Comment() string {
	text := "dockerfw " + r.Phase.String()
	if r.Origin.Name != "" {
		text += " " + r.Origin.Name
	}
	return text
}

// Direction says which end of a packet an address or a port belongs to.
type Direction int

// The two ends of a packet.
const (
	Src Direction = iota
	Dst
)

func (d Direction) String() string {
	return [...]string{"src", "dst"}[d]
}

// SetType is an ipset type; see ipset(8).
type SetType string

// The set types that policies can make.
const (
	HashNet SetType = "hash:net"
	HashIP  SetType = "hash:ip"
	ListSet SetType = "list:set"
)

// Dimensions is how many flags (src, dst) a match against the set takes. A match
// with fewer never holds, and its negation always does (measured on Linux 6.18).
func (SetType) Dimensions() int { return 1 }

// Set is an ipset of one family.
type Set struct {
	Name   string
	Family Family
	Type   SetType
	// Managed sets are filled by us; others are only created when missing.
	Managed bool
	// HashSize is the initial number of buckets, a power of two; 0 leaves it to ipset.
	HashSize int
	// MaxElem is the largest number of elements the set can hold.
	MaxElem int
	// Timeout in seconds after which an element vanishes, 0 for a set without
	// timeouts. Range 0 to 2147483.
	Timeout int
	// HasTimeout tells timeout 0 (elements may have timeouts) from none.
	HasTimeout bool
	// Counters and Comment are the set extensions of these names.
	Counters, Comment bool
	// Prefixes, sorted, distinct, and with no bits set below the mask.
	Prefixes []netip.Prefix
	// Members are the names of a list:set's members.
	Members []string
	Origin  Origin
}
