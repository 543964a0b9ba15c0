package iptables

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Tables is everything that one host loads, in the terms of iptables and ipset.
type Tables struct {
	// Host is the label of the host block; "" for the unlabeled one.
	Host string
	// Sets in the order of creation: the members of a list:set before it.
	Sets []*Set
	// Programs, one for each compiled family, IPv4 first.
	Programs []*Program
}

// Program is what is loaded into the filter and security tables of one family.
type Program struct {
	Family  ir.Family
	Install ir.Install
	// Target is the chain that forwarded packets traverse, such as DOCKER-USER.
	Target string
	// Chains are the chain that packets enter first, then the chains that it leads to. With
	// InstallInsert the first has the name Target, and its rules are inserted into that
	// chain; all other chains are dockerfw's own. The chains of INPUT protection, if any,
	// are last: ir.InputChain, then ir.ProxyChain and ir.HostChain. The chains of folded rules
	// follow the one that leads to them.
	Chains []*Chain
	// Fallback are the chains of the security table: FallbackChain and those to which it leads,
	// then ir.InputChain and those to which it leads. nil if nothing is loaded into that table.
	// See FallbackJumps.
	Fallback []*Chain
}

// BuiltinJump is a jump from a built-in chain of a table.
type BuiltinJump struct{ From, To string }

// FallbackJumps are the jumps to the fallback rules that the security table needs: from FORWARD
// to FallbackChain, and from INPUT to ir.InputChain.
func (p *Program) FallbackJumps() []BuiltinJump {
	var out []BuiltinJump
	for _, c := range p.Fallback {
		switch c.Name {
		case FallbackChain:
			out = append(out, BuiltinJump{"FORWARD", c.Name})
		case ir.InputChain:
			out = append(out, BuiltinJump{"INPUT", c.Name})
		}
	}
	return out
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

// Chain is a list of rules; the first matching rule with a terminating verdict applies.
type Chain struct {
	Name string
	// Scope is the scope of the rules.
	Scope ir.Scope
	// Rules in the order of evaluation, independent of the install mode.
	Rules []*Rule
	// Protocol is that of all packets that get to the chain; 0 if it is not known.
	Protocol uint8
}

// Rule is one rule of a chain.
type Rule struct {
	ID ir.RuleID
	// Origin is the block of the policy that the rule was compiled from.
	Origin ir.Origin
	// Matches in the order of iptables-save. A packet must fulfill all of them.
	Matches []Match
	Verdict Verdict
}

// Set is an ipset of one family; see ipset(8).
type Set struct {
	Name   string
	Family ir.Family
	Type   ir.SetType
	// Managed sets are filled by dockerfw; unmanaged sets are only created if missing.
	Managed bool
	// HashSize is the initial number of buckets, a power of two; 0 for a list:set.
	HashSize int
	// MaxElem is the maximum number of elements; for a list:set, its size.
	MaxElem int
	// Timeout is the default number of seconds after which an element is removed.
	Timeout int
	// HasTimeout distinguishes timeout 0 (elements may have timeouts) from no timeout.
	HasTimeout bool
	// Counters and Comment are the set extensions of these names.
	Counters, Comment bool
	// Prefixes are sorted, distinct, masked and longer than 0.
	Prefixes ir.Prefixes
	// Members are the names of a list:set's members.
	Members []string
	// Rules are the rules that the entries of Prefixes come from, in the set of merged rules: the
	// comments of the entries are their names. nil for other sets.
	Rules  []ir.Origin
	Origin ir.Origin
}
