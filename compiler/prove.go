package compiler

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

// prove checks that rules which were read back from emitted text, with the sets
// that the emitted text fills, decide every packet of a family as the policy says.
// The policy's side is taken straight from the AST and shares nothing with the
// lowering. A difference is an error with a packet that shows it.
func prove(policy *parser.Policy, lists *Lists, read *ir.Program, sets *iptables.Sets) error {
	forward, guard := *read, *read
	forward.Chains, guard.Chains = nil, nil
	for _, c := range read.Chains {
		if c.Name == ir.GuardChain || c.Name == ir.ProxyChain {
			guard.Chains = append(guard.Chains, c)
		} else {
			forward.Chains = append(forward.Chains, c)
		}
	}
	if len(guard.Chains) == 0 {
		guard.Chains = []*ir.Chain{{Name: ir.GuardChain}}
	}
	saysForward, saysGuard := semantics.Programs(policy, read.Family, lists.Ranges)
	t := newTextReader(policy, read.Family, sets)
	if err := proveEqual(saysForward, t.program(&forward)); err != nil {
		return err
	}
	loads := t.program(&guard)
	loads.ToHost = true
	return proveEqual(saysGuard, loads)
}

// proveEqual compares what a policy says of packets with what its text does.
func proveEqual(says, loads *packet.Program) error {
	space, err := packet.New(says, loads)
	if err != nil {
		return fmt.Errorf("the rules are too many to be proved right: %w", err)
	}
	both := space.Programs()
	difference, err := packet.Compare(both[0], both[1], 1)
	if err != nil {
		return fmt.Errorf("the rules are too many to be proved right: %w", err)
	}
	if difference.Changed.IsEmpty() {
		return nil
	}
	p, _ := difference.Changed.Witness()
	policySays, textSays := both[0].Decide(p), both[1].Decide(p)
	return fmt.Errorf("%s gets %q by the policy (%s) and %q by the text (%s)",
		p, policySays.Verdict, ruleName(says, policySays.At), textSays.Verdict, ruleName(loads, textSays.At))
}

func ruleName(p *packet.Program, at packet.Place) string {
	switch r := p.Rule(at); {
	case r == nil:
		return "no rule"
	case r.IR != nil:
		return r.IR.Comment()
	default:
		return r.Text
	}
}

func newTextReader(policy *parser.Policy, f ir.Family, sets *iptables.Sets) *textReader {
	t := &textReader{known: netfilter.AddressSets(sets), lists: map[string][]string{}}
	for _, s := range policy.Sets {
		if !s.Managed {
			// The text makes it empty, and somebody else fills it.
			delete(t.known, setName(s.Name.Value, f))
		}
	}
	for _, name := range sets.Names() {
		if s := sets.Set(name); s.Type == string(ir.ListSet) {
			for e := range s.Entries() {
				t.lists[name] = append(t.lists[name], e.Text)
			}
			slices.Sort(t.lists[name])
		}
	}
	return t
}

// program turns rules that were read back into a program of packets.
func (t *textReader) program(read *ir.Program) *packet.Program {
	out := &packet.Program{Family: read.Family}
	for _, c := range read.Chains {
		chain := &packet.Chain{Name: c.Name}
		for _, r := range c.Rules {
			rule := &packet.Rule{Verdict: packet.FromVerdict(r.Verdict), IR: r, Text: r.Comment()}
			for _, m := range r.Matches {
				rule.Matches = append(rule.Matches, t.conditions(r, m, read.Family)...)
			}
			chain.Rules = append(chain.Rules, rule)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}

type textReader struct {
	known map[string]*packet.AddrSet
	// lists are the members of list:sets.
	lists map[string][]string
}

// conditions are what a match asks for. Limits and sets of others have the names
// that the meaning of the policy gives them.
func (t *textReader) conditions(r *ir.Rule, m ir.Match, f ir.Family) []packet.Cond {
	switch m := m.(type) {
	case ir.HashLimit:
		return []packet.Cond{semantics.RateOf(r.Origin.Name)}
	case ir.ConnLimit:
		return []packet.Cond{semantics.ConnectionsOf(r.Origin.Name)}
	case ir.SetMatch:
		c := t.inSet(m.Set, packet.End(m.Dir))
		if m.Not {
			c = packet.Not{C: c}
		}
		return []packet.Cond{c}
	}
	return packet.FromMatch(m, f, t.known)
}

func (t *textReader) inSet(name string, end packet.End) packet.Cond {
	if members, isList := t.lists[name]; isList {
		var any packet.Any
		for _, m := range members {
			any = append(any, t.inSet(m, end))
		}
		return any
	}
	if s := t.known[name]; s != nil {
		return packet.Addr{End: end, In: s}
	}
	return semantics.InUnmanaged(name, end)
}
