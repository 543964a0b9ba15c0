package iptables

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Tables is everything that one host loads, as iptables and ipset can express it.
type Tables struct {
	// Host is the label of the host block; "" for the unlabelled one.
	Host string
	// Sets in the order in which they are created: the members of a list:set before it.
	Sets []*Set
	// Programs, one for each compiled family, IPv4 first.
	Programs []*Program
}

// Program is what is loaded into the filter table of one family.
type Program struct {
	Family  ir.Family
	Install ir.Install
	// Target is the chain that forwarded packets pass.
	Target string
	// Chains holds the chain that decides first, then those that it jumps to. With
	// InstallInsert the first one's name is Target and its rules are added to it; all
	// others belong to dockerfw alone. The chains of INPUT protection are last, if there
	// are any: ir.InputChain, then ir.ProxyChain.
	Chains []*Chain
}

// ProtectsInput reports whether the program has the chains of INPUT protection.
func (p *Program) ProtectsInput() bool {
	for _, c := range p.Chains {
		if c.Name == ir.InputChain {
			return true
		}
	}
	return false
}

// Chain is a list of rules; the first that matches and ends the chain decides.
type Chain struct {
	Name string
	// Rules in the order of evaluation, whatever way they are installed.
	Rules []*Rule
}

// Rule is one line of a chain.
type Rule struct {
	ID ir.RuleID
	// Origin is where in the policy the rule comes from.
	Origin ir.Origin
	// Matches in the order in which iptables-save prints them. All must hold.
	Matches []Match
	Verdict Verdict
}

// Set is an ipset of one family; see ipset(8).
type Set struct {
	Name   string
	Family ir.Family
	Type   ir.SetType
	// Managed sets are filled by dockerfw; others are only created if they are missing.
	Managed bool
	// HashSize is the initial number of buckets, a power of two; 0 for a list:set.
	HashSize int
	// MaxElem is the largest number of elements that the set can hold.
	MaxElem int
	// Timeout is the default number of seconds after which an element is removed.
	Timeout int
	// HasTimeout distinguishes timeout 0 (elements may have timeouts) from none.
	HasTimeout bool
	// Counters and Comment are the set extensions of these names.
	Counters, Comment bool
	// Prefixes are sorted, distinct, have no bits set below the mask, and are longer than 0.
	Prefixes []netip.Prefix
	// Members are the names of a list:set's members.
	Members []string
	Origin  ir.Origin
}
