package ir

import (
	"net/netip"

	"github.com/hashicorp/hcl/v2"
)

// Family is an address family; its value is the IP version.
type Family int

// The two families; each is filtered by tables of its own.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address. An IPv4 address mapped into IPv6 is IPv6.
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
	// Install is how the rules get into Chain.
	Install Install
	// Chain is the host's chain that forwarded packets pass: DOCKER-USER or, for
	// engines before 17.06, DOCKER.
	Chain string
	// Sets of ipset blocks, one for each compiled family, in the order of the policy.
	Sets []*Set
	// Programs, one for each compiled family, IPv4 first.
	Programs []*Program
}

// Program is the rules of one family.
type Program struct {
	Family Family
	// Rules by scope, then in the order in which they are evaluated.
	Rules []*Rule
}

// Scope returns the rules of one scope.
func (p *Program) Scope(s Scope) []*Rule {
	var out []*Rule
	for _, r := range p.Rules {
		if r.Scope == s {
			out = append(out, r)
		}
	}
	return out
}

// Scope is a direction of traffic that has rules, and phases, of its own.
type Scope int

// The scopes.
const (
	// ScopeForward decides packets that are forwarded to containers.
	ScopeForward Scope = iota
	// ScopeEgress decides packets that leave containers.
	ScopeEgress
	// ScopeInput sends packets for protected ports, which docker-proxy on the host
	// would answer, to ScopeProxy; it decides nothing itself.
	ScopeInput
	// ScopeProxy refuses packets for protected ports, or leaves them to the host's own
	// rules of INPUT.
	ScopeProxy
)

func (s Scope) String() string {
	return [...]string{"forward", "egress", "input", "proxy"}[s]
}

// Install is how rules get into the chain of the host.
type Install int

// The ways to install rules, named as in the policy language.
const (
	// InstallReplace flushes and fills the chain, which belongs to dockerfw alone.
	InstallReplace Install = iota
	// InstallJump fills a chain of dockerfw's; a jump in the host's chain leads to it.
	InstallJump
	// InstallInsert inserts the rules at the head of a chain that also has foreign rules.
	InstallInsert
)

func (i Install) String() string {
	return [...]string{"replace", "jump", "insert"}[i]
}

// Phase is the part of a scope that a rule belongs to. Within a scope phases never go
// backwards.
type Phase int

// The phases in the order in which they are evaluated.
const (
	PhaseEstablished Phase = iota
	PhaseDeny
	PhaseAccept
	PhaseDefault
	// PhaseEgress is the jump from ScopeForward to ScopeEgress.
	PhaseEgress
	// PhaseInput is the jump from ScopeInput to ScopeProxy.
	PhaseInput
)

func (p Phase) String() string {
	return [...]string{"established", "deny", "accept", "default", "egress", "input"}[p]
}

// Origin is where in the policy a rule or set comes from.
type Origin struct {
	// Block is the block's type, such as "accept".
	Block string
	// Name is the block's label; "" for blocks without one.
	Name string
	// Range is the block's header, or the attribute that made a set.
	Range hcl.Range
}

// SetType is the type of a set, named as in the policy language and in ipset(8).
type SetType string

// The types of sets that a policy can declare.
const (
	HashNet SetType = "hash:net"
	HashIP  SetType = "hash:ip"
	ListSet SetType = "list:set"
)

// Set is a named set of addresses of one family.
type Set struct {
	// Name is the label of the ipset block; SetName has the name on the host.
	Name   string
	Family Family
	Type   SetType
	// Managed sets are filled by dockerfw; others are only created if they are missing.
	Managed bool
	// HashSize is the initial number of buckets, MaxElem the largest number of elements;
	// 0 leaves them to the tool that makes the set.
	HashSize, MaxElem int
	// Timeout is the default number of seconds after which an element is removed, 0 for
	// never. Range 0 to 2147483.
	Timeout int
	// HasTimeout distinguishes timeout 0 (elements may have timeouts) from none.
	HasTimeout bool
	// Counters and Comment are the set extensions of these names.
	Counters, Comment bool
	// Prefixes are sorted, distinct, and have no bits set below the mask.
	Prefixes []netip.Prefix
	// Members are the labels of the sets that a list:set is made of.
	Members []string
	Origin  Origin
}
