// Package proof checks that emitted text gives every packet the verdict of its policy.
//
// In: a policy's AST, and the tables and sets of iptables, or the table of nft, as they are after
// the text was loaded.
// Out: nil, or an error with a packet that shows the difference.
//
// The policy's programs come from package semantics, directly from the AST; those of the
// text from package netfilter, which also reads saved tables. It checks the passes and the
// printing, so it knows neither.
package proof

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Loaded is what a host has of one family after the text was loaded.
type Loaded struct {
	Family ir.Family
	// Filter has the chains of dockerfw; forwarded packets enter the one called Forward.
	Filter  *iptables.Table
	Forward string
	// Security has the chains of the fallback rules, which forwarded packets enter in
	// ir.OwnChain, and those for the host in ir.InputChain; it has no chains, or is nil, if
	// there are none.
	Security *iptables.Table
	Sets     *netfilter.Sets
	// Cuts are shared with the proofs of other hosts; nil if there are none.
	Cuts *packet.Cuts
}

// Path is one of the two parts of a proof, which do not depend on each other.
type Path int

// Forwarded is for packets that are forwarded, ToHost for those to the host itself.
const (
	Forwarded Path = iota
	ToHost
)

// Paths are both.
var Paths = []Path{Forwarded, ToHost}

// Prove returns an error if the verdict of the filter table and the sets on any packet of the
// family differs from that of the policy, or if the security table does not refuse exactly
// the packets, forwarded and to the host, that the policy refuses as long as no limit is reached.
func Prove(policy *parser.Policy, lists *semantics.Lists, loaded Loaded) error {
	for _, path := range Paths {
		if err := ProvePath(policy, lists, loaded, path); err != nil {
			return err
		}
	}
	return nil
}

// ProvePath is Prove for the packets of one path. Both paths can be proved at the same time.
func ProvePath(policy *parser.Policy, lists *semantics.Lists, loaded Loaded, path Path) error {
	return ProveTogether(path, Subject{policy, lists, loaded})[0]
}

// Subject is a policy with what a host has loaded for it.
type Subject struct {
	Policy *parser.Policy
	Lists  *semantics.Lists
	Loaded Loaded
}

// ProveTogether returns what ProvePath returns for each subject. All are of one family, and share the cuts of the first.
// What subjects have in common is evaluated once.
func ProveTogether(path Path, subjects ...Subject) []error {
	claims := make([]claim, len(subjects))
	for i, s := range subjects {
		claims[i] = s.claim(path)
	}
	return proveAll(subjects[0].Loaded.Cuts, claims)
}

// claim returns what must hold for the packets of a path.
func (s Subject) claim(path Path) claim {
	meaning, t := semantics.Of(s.Policy, s.Loaded.Family, s.Lists), newTranslator(s.Policy, s.Loaded)
	if path == Forwarded {
		refusing := s.Policy
		if s.Policy.Host.Chain.Value == parser.ChainDocker {
			refusing = nil // only some of the forwarded packets meet the policy: there are no fallback rules
		}
		return claim{meaning.Forwarded(), t.program(s.Loaded.Filter, s.Loaded.Forward), refusing, t.program(s.Loaded.Security, ir.OwnChain)}
	}
	loaded, fallback := t.program(s.Loaded.Filter, ir.InputChain), t.program(s.Loaded.Security, ir.InputChain)
	loaded.ToHost, fallback.ToHost = true, true
	return claim{meaning.Input(), loaded, s.Policy, fallback}
}

// claim is that the program of the text is equal to that of the policy, and that the fallback rules refuse exactly
// what the policy refuses as long as no limit is reached; nothing if refusing is nil.
type claim struct {
	program, text *packet.Program
	refusing      *parser.Policy
	fallback      *packet.Program
}

// programs are those that the claim is about: the three of it, and that of the policy without limits if it has any.
func (c claim) programs() []*packet.Program {
	out := []*packet.Program{c.program, c.text, c.fallback}
	if c.refusing != nil {
		if unlimited := withoutLimits(c.refusing, c.program); unlimited != c.program {
			out = append(out, unlimited)
		}
	}
	return out
}

// check returns an error if the claim is wrong; evaluated are its programs.
func (c claim) check(evaluated []*packet.Evaluation) error {
	if err := mustEqual(evaluated[0], evaluated[1]); err != nil {
		return err
	}
	switch {
	case c.refusing == nil:
		return mustRefuse(nil, evaluated[2])
	case len(evaluated) > 3:
		return mustRefuse(evaluated[3], evaluated[2])
	}
	return mustRefuse(evaluated[0], evaluated[2])
}

// proveAll returns for each claim an error if it is wrong. Unless all are right, each is proved alone: one that is wrong
// has the same error as then, and programs that are too complex together may not be alone.
func proveAll(cuts *packet.Cuts, claims []claim) []error {
	errs := make([]error, len(claims))
	if len(claims) > 1 && prove(cuts, claims) == nil {
		return errs
	}
	for i := range claims {
		errs[i] = prove(cuts, claims[i:i+1])
	}
	return errs
}

// prove returns an error if any claim is wrong, or if there is no answer. All programs are in one space, which divides
// their sets of addresses once.
func prove(cuts *packet.Cuts, claims []claim) (err error) {
	defer packet.Catch(&err)
	var programs []*packet.Program
	var ends []int
	for _, c := range claims {
		programs = append(programs, c.programs()...)
		ends = append(ends, len(programs))
	}
	evaluated, err := evaluate(cuts, programs...)
	if err != nil {
		return err
	}
	defer cuts.Done(evaluated[0].Space())
	begin := 0
	for i, c := range claims {
		if err := c.check(evaluated[begin:ends[i]]); err != nil {
			return err
		}
		begin = ends[i]
	}
	return nil
}

// evaluate returns the programs evaluated in one space.
func evaluate(cuts *packet.Cuts, programs ...*packet.Program) ([]*packet.Evaluation, error) {
	space, err := cuts.New(programs...)
	if err != nil {
		return nil, tooMany(err)
	}
	return space.Programs(), nil
}

func tooMany(err error) error { return fmt.Errorf("too many rules to prove: %w", err) }

// mustEqual returns an error if any packet has another verdict by the text than by the policy.
func mustEqual(byPolicy, byText *packet.Evaluation) error {
	difference, err := packet.Compare(byPolicy, byText, 1)
	if err != nil {
		return tooMany(err)
	}
	if difference.Changed.IsEmpty() {
		return nil
	}
	p, _ := difference.Changed.Witness()
	wanted, got := byPolicy.Decide(p), byText.Decide(p)
	return fmt.Errorf("the verdict on %s is %q by the policy (%s) and %q by the text (%s)",
		p, wanted.Verdict, ruleName(byPolicy.Source(), wanted.At), got.Verdict, ruleName(byText.Source(), got.At))
}

const noRule = "no rule"

func ruleName(p *packet.Program, at packet.Place) string {
	if r := p.Rule(at); r != nil {
		return r.Text
	}
	return noRule
}

// unmanagedSets are the sets of one family that the policy does not fill, by their names on the
// host.
type unmanagedSets struct {
	names map[string]bool
	// conditions are those of package semantics for being in one of them, by the text of those
	// of package netfilter.
	conditions map[string]packet.Cond
}

func unmanagedOf(policy *parser.Policy, f ir.Family) unmanagedSets {
	u := unmanagedSets{names: map[string]bool{}, conditions: map[string]packet.Cond{}}
	for _, s := range policy.Sets {
		if s.Managed {
			continue
		}
		name := semantics.UnmanagedName(s, f)
		u.names[name] = true
		for _, end := range []packet.End{packet.Source, packet.Destination} {
			u.conditions[netfilter.InUnknownSet(name, end).Text] = semantics.InUnmanaged(name, end)
		}
	}
	return u
}

func (u unmanagedSets) has(name string) bool { return u.names[name] }

// condition returns the condition of package semantics for one of being in an unmanaged
// set, and any other condition unchanged.
func (u unmanagedSets) condition(c packet.Cond) packet.Cond {
	if o, ok := c.(packet.Opaque); ok && u.conditions[o.Text] != nil {
		return u.conditions[o.Text]
	}
	return c
}

// translator translates loaded chains to programs of packets. Conditions that do not follow
// from a packet's fields become those of package semantics.
type translator struct {
	loaded    Loaded
	sets      *netfilter.Sets
	unmanaged unmanagedSets
}

func newTranslator(policy *parser.Policy, loaded Loaded) *translator {
	unmanaged := unmanagedOf(policy, loaded.Family)
	return &translator{loaded: loaded, sets: loaded.Sets.Hiding(unmanaged.has), unmanaged: unmanaged}
}

// program returns the program that begins in a chain of a table; an empty one if there is
// none.
//
// Whether a limit matches does not follow from a packet. Package semantics has one
// condition for the rate of a rule of the policy and one for its connections, which replace
// the matches of limits. The read-back compares their numbers.
func (t *translator) program(from *iptables.Table, start string) *packet.Program {
	if from.Chain(start) == nil {
		return &packet.Program{Family: t.loaded.Family, Chains: []*packet.Chain{{Name: start}}}
	}
	table := &iptables.Table{Name: from.Name}
	rules := map[string][]parsedRule{} // by chain
	for _, loaded := range from.Reachable(start).Chains {
		chain := *loaded
		chain.Rules = make([]*iptables.Rule, len(loaded.Rules))
		parsed := make([]parsedRule, len(loaded.Rules))
		for i, r := range loaded.Rules {
			parsed[i] = parseRule(r)
			chain.Rules[i] = parsed[i].unlimited
		}
		rules[chain.Name] = parsed
		table.Chains = append(table.Chains, &chain)
	}
	p := netfilter.ProgramWithoutText(table, t.loaded.Family, start, t.sets)
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			for i, m := range r.Matches {
				r.Matches[i] = packet.Map(m, t.unmanaged.condition)
			}
			parsed := rules[r.At.Chain][r.At.Rule]
			r.Matches = append(r.Matches, parsed.limits...)
			r.Text = parsed.id.Comment()
		}
	}
	return p
}

// parsedRule is a rule of the text with its limits separated.
type parsedRule struct {
	id ir.RuleID
	// unlimited is the rule without the matches of limits, and limits the conditions that
	// replace them.
	unlimited *iptables.Rule
	limits    []packet.Cond
}

func parseRule(r *iptables.Rule) parsedRule {
	id, _ := ir.ParseComment(r.Comment())
	out := parsedRule{id: id, unlimited: r}
	limit := func(m iptables.Match) packet.Cond {
		switch m.Name {
		case "hashlimit":
			return semantics.RateOf(id.Name)
		case "connlimit":
			return semantics.ConnectionsOf(id.Name)
		}
		return nil
	}
	for _, m := range r.Matches {
		if c := limit(m); c != nil {
			out.limits = append(out.limits, c)
		}
	}
	if len(out.limits) > 0 {
		unlimited := *r
		unlimited.Matches = slices.DeleteFunc(slices.Clone(r.Matches), func(m iptables.Match) bool { return limit(m) != nil })
		out.unlimited = &unlimited
	}
	return out
}
