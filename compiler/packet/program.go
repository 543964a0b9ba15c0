package packet

import (
	"fmt"
	"iter"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Kind is the kind of a verdict.
type Kind int

// The kinds. Docker leaves the packet to the rules after ours: in the first chain RETURN
// and the end of the chain do so; in others RETURN continues in the calling chain.
const (
	Docker Kind = iota
	Accept
	Drop
	Reject
	// Other is a target that is not followed, named by With.
	Other
	// Continue goes on with the next rule: LOG, MARK, or no target.
	Continue
	Return
	Jump
	// Goto is -g: a RETURN in the called chain returns from this one as well.
	Goto
)

// Verdict is what a rule does with packets that it matches. It is comparable.
type Verdict struct {
	Kind Kind
	// With is the kind of answer of Reject, or the target of Other.
	With string
	// Chain is the chain that Jump and Goto call.
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

// unknown is the message of a panic in a function that should handle each kind of verdict.
func (v Verdict) unknown() string { return fmt.Sprintf("unknown kind of verdict %d", v.Kind) }

// final reports whether packets end with that verdict.
func (v Verdict) final() bool {
	switch v.Kind {
	case Docker, Accept, Drop, Reject, Other:
		return true
	case Continue, Return, Jump, Goto:
		return false
	}
	panic(v.unknown())
}

// calls reports whether the verdict sends packets to another chain.
func (v Verdict) calls() bool { return v.Kind == Jump || v.Kind == Goto }

// Program is the rules for one family.
type Program struct {
	Family ir.Family
	// Chains are the chains; packets begin in the first. A chain that no rule calls has no
	// effect.
	Chains []*Chain
	// Default is the verdict of packets that return from the first chain or reach its end:
	// Docker, or the policy of a built-in chain.
	Default Verdict
	// ToHost: packets are for the host itself, as in INPUT, and leave by no interface. It
	// is the same for all programs of a space.
	ToHost bool

	// index has the chains by name, as many as there were when it was made. It is not safe
	// for concurrent use.
	index   map[string]int
	indexed int
}

// Chain is a list of rules.
type Chain struct {
	Name  string
	Rules []*Rule
}

// Rule is a rule: it matches packets for which all of Matches hold.
type Rule struct {
	Matches []Cond
	Verdict Verdict
	// Text is the rule in canonical form. Rules of two programs with the same text are the
	// same rule where conditions with state are paired.
	Text string
	// Actions are what the rule does besides its verdict to packets that it matches.
	Actions []Action
	// At is the position of a rule that was read from a saved table; zero for others.
	At Origin
}

// Origin is the position of a rule in a saved table: the index of the rule in a chain, from
// 0, or the policy of the chain.
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

// AtEnd is the place of packets that get the default.
var AtEnd = Place{-1, -1}

// Rule returns the rule at a place, nil AtEnd.
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

// size returns the number of rules of all chains.
func (p *Program) size() int {
	n := 0
	for _, c := range p.Chains {
		n += len(c.Rules)
	}
	return n
}

// Map returns a copy of the program in which f replaces each condition of each rule, as the
// function Map does.
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

// Opaque returns the texts of the opaque conditions of the rule, in order. Marks are among
// them: which of them a packet has depends on other rules.
func (r *Rule) Opaque() []string {
	var out []string
	Walk(All(r.Matches), func(c Cond) bool {
		switch c.(type) {
		case Opaque, Until, Mark:
			if !slices.Contains(out, c.String()) {
				out = append(out, c.String())
			}
		}
		return true
	})
	return out
}
