package ir

import (
	"net/netip"

	"github.com/hashicorp/hcl/v2"
)

// Family is an address family; its value is the IP version.
type Family int

// The two families. The kernel has separate tables for each.
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

// Ruleset is everything that one host loads: the rules and sets of its policy.
type Ruleset struct {
	// Host is the label of the host block; "" for the unlabeled one.
	Host string
	// Target is what loads the rules. With TargetNFTables there is no Install and no Chain.
	Target Target
	// Install is how Chain gets the rules.
	Install Install
	// Chain is the host's chain through which forwarded packets go: DOCKER-USER or, for
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

// Scope is a direction of traffic. Each has its own rules, in phases.
type Scope int

// The scopes.
const (
	// ScopeForward has the rules for packets that are forwarded to containers.
	ScopeForward Scope = iota
	// ScopeEgress has the rules for packets that leave containers.
	ScopeEgress
	// ScopeInput sends packets on: those to protected ports to ScopeProxy, because docker-proxy
	// on the host would answer them, and all others to ScopeHost.
	ScopeInput
	// ScopeProxy has the rules for packets to protected ports. It drops or rejects them, or
	// returns them to the host's own rules in INPUT.
	ScopeProxy
	// ScopeHost has the rules of the input block, for packets to all other ports of the host.
	// It drops or rejects them, or returns them to the host's own rules in INPUT.
	ScopeHost
)

// LastScope is the last of the scopes.
const LastScope = ScopeHost

func (s Scope) String() string {
	return [...]string{"forward", "egress", "input", "proxy", "host"}[s]
}

// Target is what loads the rules into the kernel.
type Target int

// The targets, named as in the policy language.
const (
	// TargetIPTables loads rules with iptables, and sets with ipset.
	TargetIPTables Target = iota
	// TargetNFTables loads one table of nft, with base chains of its own.
	TargetNFTables
)

func (t Target) String() string { return [...]string{"iptables", "nftables"}[t] }

// Install is how the chain of the host gets the rules.
type Install int

// The ways to install rules, named as in the policy language.
const (
	// InstallReplace flushes the chain, which must have no foreign rules, and fills it.
	InstallReplace Install = iota
	// InstallJump fills a chain of dockerfw's own. The host's chain has a jump to it.
	InstallJump
	// InstallInsert inserts the rules at the head of a chain that also has foreign rules.
	InstallInsert
)

func (i Install) String() string {
	return [...]string{"replace", "jump", "insert"}[i]
}

// Phase is the part of a scope that a rule belongs to. The rules of a scope are sorted by
// phase.
type Phase int

// The phases in the order in which they are evaluated.
const (
	PhaseEstablished Phase = iota
	PhaseDeny
	PhaseAccept
	PhaseDefault
	// PhaseEgress is the jump from ScopeForward to ScopeEgress.
	PhaseEgress
	// PhaseInput has the rules of ScopeInput.
	PhaseInput
)

// PhaseForward is before all others: the jump from a base chain to the rules of ScopeForward. Only legalization for
// TargetNFTables adds it.
const PhaseForward Phase = -1

func (p Phase) String() string {
	if p == PhaseForward {
		return "forward"
	}
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
	// Name is the label of the ipset block; HostName returns the name on the host.
	Name string
	// IPv6Name is the name on the host of the IPv6 set of an unmanaged one; "" for that of
	// SetName.
	IPv6Name string
	Family   Family
	Type     SetType
	// Managed means that dockerfw fills the set. Unmanaged sets are only created if missing.
	Managed bool
	// HashSize is the initial number of buckets, MaxElem the maximum number of elements; 0
	// means the default of the tool that creates the set.
	HashSize, MaxElem int
	// Timeout is the default number of seconds after which an element is removed, 0 for
	// never. Range 0 to 2147483.
	Timeout int
	// HasTimeout distinguishes timeout 0 (elements may have timeouts) from none.
	HasTimeout bool
	// Counters and Comment are the set extensions of these names.
	Counters, Comment bool
	// Prefixes are sorted, distinct, and have no bits set below the mask.
	Prefixes Prefixes
	// Members are the labels of the sets in a list:set.
	Members []string
	Origin  Origin
}
