package packet

import (
	"fmt"
	"iter"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Kind is what a verdict does.
type Kind int

// The kinds. Docker hands the packet to the rules behind ours: in the first
// chain that is what RETURN and falling off the end do, in others RETURN goes
// back to the caller.
const (
	Docker Kind = iota
	Accept
	Drop
	Reject
	// Other ends the way with a target we do not know, named by With.
	Other
	// Continue goes on with the next rule: LOG, MARK, no target at all.
	Continue
	Return
	Jump
	// Goto is -g: a RETURN in the chain goes back past this one.
	Goto
)

// Verdict is what a rule does with what it matches. It may be compared.
type Verdict struct {
	Kind Kind
	// With is the kind of answer of Reject, or the target of Other.
	With string
	// Chain of Jump and Goto.
	Chain string
}

func (v Verdict) String() string {
	with := func(word, more string) string {
		if more == "" {
			return word
		}
		return word + " " + more
	}
	switch v.Kind {
	case Docker:
		return "docker"
	case Accept:
		return "accept"
	case Drop:
		return "drop"
	case Reject:
		return with("reject", v.With)
	case Other:
		return with("target", v.With)
	case Continue:
		return "continue"
	case Return:
		return "return"
	case Jump:
		return "jump " + v.Chain
	case Goto:
		return "goto " + v.Chain
	}
	panic(v.unknown())
}

// unknown is what a function panics with that handles each kind of verdict.
func (v Verdict) unknown() string { return fmt.Sprintf("unknown kind of verdict %d", v.Kind) }

// final tells whether packets end with that verdict.
func (v Verdict) final() bool {
	switch v.Kind {
	case Docker, Accept, Drop, Reject, Other:
		return true
	case Continue, Return, Jump, Goto:
		return false
	}
	panic(v.unknown())
}

// calls tells whether the verdict sends packets to another chain.
func (v Verdict) calls() bool { return v.Kind == Jump || v.Kind == Goto }

// Program is one family's rules.
type Program struct {
	Family ir.Family
	// Chains: packets begin in the first. Chains nobody jumps to do nothing.
	Chains []*Chain
	// Default is what becomes of packets that the first chain returns or does not
	// decide: Docker, or the policy of a built-in chain.
	Default Verdict
	// ToHost tells that the packets are for the host itself, as in INPUT: they leave
	// by no interface. Programs of one space are all so, or none is.
	ToHost bool

	// index has the places of chains by name, for as many as there were when it was made.
	// It is not safe for concurrent use.
	index   map[string]int
	indexed int
}

// Chain is a list of rules.
type Chain struct {
	Name  string
	Rules []*Rule
}

// Rule is a rule: all of Matches must hold.
type Rule struct {
	Matches []Cond
	Verdict Verdict
	// Text is the rule in canonical words. It says which rules of two programs are
	// the same, where conditions with state are paired.
	Text string
	// Actions are what the rule does to a packet it matches, besides its verdict.
	Actions []Action
	// At is where a rule read from a saved table is; zero for others.
	At Origin
}

// Origin is where a rule of a saved table is: the rule of that index in a chain, from
// 0, or the chain's policy.
type Origin struct {
	Table, Chain string
	Rule         int
	Policy       bool
}

// Place is the position of a rule in a program. The zero Place is the first rule;
// AtEnd is no rule, the end of the first chain.
type Place struct {
	Chain, Rule int
}

// AtEnd is where packets are that no rule decides.
var AtEnd = Place{-1, -1}

// Rule returns the rule at a place, or nil AtEnd.
func (p *Program) Rule(at Place) *Rule {
	if at == AtEnd {
		return nil
	}
	return p.Chains[at.Chain].Rules[at.Rule]
}

// Rules returns the rules of all chains with their places, in order.
func (p *Program) Rules() iter.Seq2[Place, *Rule] {
	return func(yield func(Place, *Rule) bool) {
		for i, c := range p.Chains {
			for k, r := range c.Rules {
				if !yield(Place{i, k}, r) {
					return
				}
			}
		}
	}
}

// Map returns a copy of the program in which each condition of each rule is what f
// returns for it: see the function Map.
func (p *Program) Map(f func(*Rule, Cond) Cond) *Program {
	return p.mapRules(func(r *Rule) *Rule {
		out := *r
		out.Matches = mapEach(r.Matches, func(c Cond) Cond { return f(r, c) })
		return &out
	})
}

// mapRules returns a copy of the program with each rule replaced.
func (p *Program) mapRules(f func(*Rule) *Rule) *Program {
	out := &Program{Family: p.Family, Default: p.Default, ToHost: p.ToHost}
	for _, c := range p.Chains {
		chain := &Chain{Name: c.Name}
		for _, r := range c.Rules {
			chain.Rules = append(chain.Rules, f(r))
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}

// Opaque returns the texts of the opaque conditions that the rule has, in order: marks
// are among them, as which of them a packet has depends on other rules.
func (r *Rule) Opaque() []string {
	var out []string
	Walk(All(r.Matches), func(c Cond) bool {
		switch c.(type) {
		case Opaque, Mark:
			if !slices.Contains(out, c.String()) {
				out = append(out, c.String())
			}
		}
		return true
	})
	return out
}
