package snapshot

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Arrives is the verdict of packets that come to our rules: see UpTo.
var Arrives = packet.Verdict{Kind: packet.Other, With: "dockerfw"}

// UpTo is the route of packets through a host that ends with Arrives where the rules of
// dockerfw begin in a chain of the filter table. In a chain of others, where ours were
// inserted, that is the first of them. Without fallback, the security table is left out,
// where apply.sh puts the refusals once more.
func (s *State) UpTo(f ir.Family, path Path, chain string, fallback bool) (*packet.Program, error) {
	hooks := s.Hooks(f, path)
	if !fallback {
		hooks = slices.DeleteFunc(hooks, func(h packet.Hook) bool { return h.Table == "security" })
	}
	for i, h := range hooks {
		if h.Table != "filter" {
			continue
		}
		p := *h.Program
		p.Chains = slices.Clone(p.Chains)
		for k, c := range p.Chains {
			if c.Name == chain {
				first := slices.IndexFunc(c.Rules, func(r *packet.Rule) bool { return strings.Contains(r.Text, `--comment "dockerfw `) })
				ahead := slices.Clone(c.Rules[:max(first, 0)])
				p.Chains[k] = &packet.Chain{Name: c.Name, Rules: append(ahead, &packet.Rule{Verdict: Arrives, Text: "dockerfw"})}
			}
		}
		hooks[i].Program = &p
	}
	return packet.Route(f, path == ToHost, hooks)
}

// Past are the packets that a route made by UpTo lets through before they come to our rules.
func Past(way *packet.Evaluation) packet.Set {
	past := way.Space().None()
	for _, o := range way.Outcomes() {
		if k := o.Verdict.Kind; o.Verdict != Arrives && o.Verdict != packet.CannotBe && k != packet.Drop && k != packet.Reject {
			past = past.Or(o.Set)
		}
	}
	return past
}

// Refused are the packets that a program drops or rejects.
func Refused(p *packet.Evaluation) packet.Set {
	refused := p.Space().None()
	for _, o := range p.Outcomes() {
		if k := o.Verdict.Kind; k == packet.Drop || k == packet.Reject {
			refused = refused.Or(o.Set)
		}
	}
	return refused
}

// LetsThrough is the rule of the filter table that lets a packet through; the policy of its
// chain if no rule does.
func LetsThrough(way *packet.Evaluation, p packet.Packet) packet.Origin {
	var at packet.Origin
	for _, s := range way.Decide(p).Steps {
		rule := way.Program.Rule(s.At)
		ends := rule.Verdict.Kind != packet.Continue && rule.Verdict.Kind != packet.Return && rule.Verdict.Kind != packet.Jump
		if s.Failed == nil && ends && rule.At.Table == "filter" {
			at = rule.At
		}
	}
	return at
}

// From is the program that packets of a path meet from a chain of the filter table on, each
// only if the rules of the built-in chain lead it there. What comes after the last rule that
// leads there is left to Docker, or to the host. It is nil where no rule does.
func (s *State) From(f ir.Family, path Path, chain string) (*packet.Program, error) {
	t := s.Filter(f)
	hook := path.FilterChain()
	if s.Kind.Compiled() || chain == hook || !Declared(t.Chain(hook)) {
		return s.Program(f, chain), nil
	}
	last := -1
	rules := t.Chain(hook).Rules
	for i, r := range rules {
		if r.Jump == chain || t.Chain(r.Jump) != nil && Leads(t, r.Jump, chain) {
			last = i
		}
	}
	switch {
	case last < 0:
		return nil, nil
	case last == 0 && jumpsTo(rules[0], chain):
		return s.Program(f, chain), nil
	}
	cut := &iptables.Table{Name: t.Name}
	for _, c := range t.Chains {
		if c.Name == hook {
			c = &iptables.Chain{Name: hook, Rules: rules[:last+1], Range: c.Range}
		}
		cut.Chains = append(cut.Chains, c)
	}
	p := s.programFrom(cut, f, hook)
	p.ToHost = path == ToHost
	return s.withMarks(f, path, p)
}

// withMarks gives the marks that a program asks for the values which rules before it set:
// those of the tables that packets meet earlier, and its own.
func (s *State) withMarks(f ir.Family, path Path, p *packet.Program) (*packet.Program, error) {
	if !p.MatchesMarks() {
		return p, nil
	}
	var hooks []packet.Hook
	for _, h := range s.Hooks(f, path) {
		if h.Table == "filter" {
			break
		}
		// What they drop is not asked here, only how they mark.
		h.Program = h.Program.MarksOnly()
		hooks = append(hooks, h)
	}
	return packet.Route(f, path == ToHost, append(hooks, packet.Hook{Table: "filter", Chain: path.FilterChain(), Program: p}))
}

// Containers is a program that accepts what goes to containers of a host or comes from
// them, and drops the rest: by the bridges that Docker's rules list, and the interfaces that
// the policy is for. Where neither says which they are, it accepts everything.
func Containers(f ir.Family, policy, host *State) *packet.Program {
	_, names := policy.Interfaces(f)
	names = slices.Concat(names, host.Bridges(f))
	p := &packet.Program{Family: f, Default: packet.Verdict{Kind: packet.Drop}, Chains: []*packet.Chain{{Name: "containers"}}}
	if len(host.Bridges(f)) == 0 {
		p.Default = packet.Verdict{Kind: packet.Accept}
		return p
	}
	for _, name := range names {
		for _, end := range []packet.End{packet.Source, packet.Destination} {
			p.Chains[0].Rules = append(p.Chains[0].Rules, &packet.Rule{
				Matches: []packet.Cond{packet.Interface{End: end, Name: name}}, Verdict: packet.Verdict{Kind: packet.Accept},
			})
		}
	}
	return p
}
