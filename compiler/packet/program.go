package packet

import (
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
	switch v.Kind {
	case Reject, Other:
		word := "reject"
		if v.Kind == Other {
			word = "target"
		}
		if v.With != "" {
			return word + " " + v.With
		}
		return word
	case Jump, Goto:
		return [...]string{"jump ", "goto "}[v.Kind-Jump] + v.Chain
	}
	return [...]string{"docker", "accept", "drop", "", "", "continue", "return"}[v.Kind]
}

// final tells whether packets end with that verdict.
func (v Verdict) final() bool { return v.Kind <= Other }

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
	// IR is the rule this one was made from, if it was.
	IR *ir.Rule
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

// Texts of the opaque conditions a rule has, in order.
func (r *Rule) Opaque() []string {
	var out []string
	var walk func(c Cond)
	walk = func(c Cond) {
		switch c := c.(type) {
		case Opaque:
			if !slices.Contains(out, c.Text) {
				out = append(out, c.Text)
			}
		case Mark:
			if !slices.Contains(out, c.String()) {
				out = append(out, c.String())
			}
		case InSet:
			walk(c.C)
		case Not:
			walk(c.C)
		case All:
			for _, x := range c {
				walk(x)
			}
		case Any:
			for _, x := range c {
				walk(x)
			}
		}
	}
	for _, c := range r.Matches {
		walk(c)
	}
	return out
}
