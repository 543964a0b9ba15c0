// Package proof checks that emitted text treats every packet as its policy does.
//
// In: a policy's AST, and the tables and sets as they are after the text was loaded.
// Out: nil, or an error with a packet that shows the difference.
// The policy's side is the semantics, taken straight from the AST; the text's side is the
// route by which any saved table is read. It knows neither the passes nor how text is
// printed, which are what it is there to check.
package proof

import (
	"fmt"

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
	// Filter has the chains of dockerfw, of which Forward decides forwarded packets.
	Filter  *iptables.Table
	Forward string
	Sets    *iptables.Sets
}

// Prove returns an error if a host with these tables and sets treats any packet of the
// family otherwise than the policy.
func Prove(policy *parser.Policy, lists semantics.Lists, loaded Loaded) error {
	forwarded, input := semantics.Programs(policy, loaded.Family, lists)
	t := newTranslator(policy, loaded)
	if err := equal(forwarded, t.program(loaded.Forward)); err != nil {
		return err
	}
	loads := t.program(ir.InputChain)
	loads.ToHost = true
	return equal(input, loads)
}

// equal compares what a policy means with what its text does.
func equal(means, does *packet.Program) error {
	space, err := packet.New(means, does)
	if err != nil {
		return fmt.Errorf("too many rules to prove: %w", err)
	}
	both := space.Programs()
	difference, err := packet.Compare(both[0], both[1], 1)
	if err != nil {
		return fmt.Errorf("too many rules to prove: %w", err)
	}
	if difference.Changed.IsEmpty() {
		return nil
	}
	p, _ := difference.Changed.Witness()
	byPolicy, byText := both[0].Decide(p), both[1].Decide(p)
	return fmt.Errorf("the verdict on %s is %q by the policy (%s) and %q by the text (%s)",
		p, byPolicy.Verdict, ruleName(means, byPolicy.At), byText.Verdict, ruleName(does, byText.At))
}

func ruleName(p *packet.Program, at packet.Place) string {
	if r := p.Rule(at); r != nil {
		return r.Text
	}
	return "no rule"
}

// translator turns loaded chains into programs of packets, in which the conditions that do
// not follow from a packet's fields are those that the semantics has.
type translator struct {
	loaded Loaded
	sets   *netfilter.Sets
	// unmanaged are the conditions of being in a set that dockerfw does not fill, by the
	// text of the condition that the text's route has for it.
	unmanaged map[string]packet.Cond
}

func newTranslator(policy *parser.Policy, loaded Loaded) *translator {
	t := &translator{loaded: loaded, unmanaged: map[string]packet.Cond{}}
	hidden := map[string]bool{}
	for _, s := range policy.Sets {
		if s.Managed {
			continue
		}
		name := ir.SetName(s.Name.Value, loaded.Family)
		hidden[name] = true
		for _, end := range []packet.End{packet.Source, packet.Destination} {
			t.unmanaged[netfilter.InUnknownSet(name, end).Text] = semantics.InUnmanaged(name, end)
		}
	}
	t.sets = netfilter.NewSets(loaded.Sets, func(name string) bool { return hidden[name] })
	return t
}

// program returns the program that begins in a chain; an empty one if there is none.
//
// Whether a limit holds does not follow from a packet. The semantics has one condition for
// the rate of a rule of the policy and one for its connections; so the matches of limits
// are replaced by these. That their numbers are right is for the read-back to check.
func (t *translator) program(start string) *packet.Program {
	if t.loaded.Filter.Chain(start) == nil {
		return &packet.Program{Family: t.loaded.Family, Chains: []*packet.Chain{{Name: start}}}
	}
	table := &iptables.Table{Name: t.loaded.Filter.Name}
	read := map[packet.Origin]lineOf{}
	for _, name := range reachable(t.loaded.Filter, start) {
		chain := *t.loaded.Filter.Chain(name)
		chain.Rules = nil
		for i, r := range t.loaded.Filter.Chain(name).Rules {
			line := readLine(r)
			read[packet.Origin{Table: table.Name, Chain: name, Rule: i}] = line
			chain.Rules = append(chain.Rules, line.unlimited)
		}
		table.Chains = append(table.Chains, &chain)
	}
	p := netfilter.Program(table, t.loaded.Family, start, t.sets)
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			for i, m := range r.Matches {
				r.Matches[i] = packet.Map(m, t.named)
			}
			line := read[r.At]
			r.Matches = append(r.Matches, line.limits...)
			r.Text = line.id.Comment()
		}
	}
	return p
}

// named replaces the condition of being in an unmanaged set by that of the semantics.
func (t *translator) named(c packet.Cond) packet.Cond {
	if o, ok := c.(packet.Opaque); ok && t.unmanaged[o.Text] != nil {
		return t.unmanaged[o.Text]
	}
	return c
}

// reachable returns the chain and those that it leads to.
func reachable(t *iptables.Table, start string) []string {
	names, seen := []string{start}, map[string]bool{start: true}
	for i := 0; i < len(names); i++ {
		for _, r := range t.Chain(names[i]).Rules {
			if t.Chain(r.Jump) != nil && !seen[r.Jump] {
				seen[r.Jump] = true
				names = append(names, r.Jump)
			}
		}
	}
	return names
}

// lineOf is a rule of the text, taken apart.
type lineOf struct {
	id ir.RuleID
	// unlimited is the rule without the matches of limits, and limits the conditions that
	// replace them.
	unlimited *iptables.Rule
	limits    []packet.Cond
}

func readLine(r *iptables.Rule) lineOf {
	var line lineOf
	for i := range r.Matches {
		if o := r.Matches[i].Option("--comment"); o != nil {
			line.id, _ = ir.ParseComment(o.Value())
		}
	}
	unlimited := *r
	unlimited.Matches = nil
	for _, m := range r.Matches {
		switch m.Name {
		case "hashlimit":
			line.limits = append(line.limits, semantics.RateOf(line.id.Name))
		case "connlimit":
			line.limits = append(line.limits, semantics.ConnectionsOf(line.id.Name))
		default:
			unlimited.Matches = append(unlimited.Matches, m)
		}
	}
	line.unlimited = &unlimited
	return line
}
