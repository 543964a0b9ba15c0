package snapshot

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Reached is the verdict of packets that get to the rules of dockerfw; see RouteTo.
var Reached = packet.Verdict{Kind: packet.Other, With: "dockerfw"}

// RouteTo is the route of packets through a host up to the rules of dockerfw in a chain of the
// filter table: it ends with Reached there. In a chain with foreign rules too, that is before
// the first rule of dockerfw. Without fallback, the route leaves out the security table, which
// has the fallback rules.
func (h *Host) RouteTo(f ir.Family, path Path, chain string, fallback bool) (*packet.Program, error) {
	hooks := h.Hooks(f, path)
	if !fallback {
		hooks = slices.DeleteFunc(hooks, func(h packet.Hook) bool { return h.Table == "security" })
	}
	for i, hook := range hooks {
		if hook.Table == ownTable && hook.Chain == chain {
			// An accept of an earlier base chain does not keep packets from this one.
			hooks[i].Program = &packet.Program{Family: f, ToHost: hook.Program.ToHost, Default: hook.Program.Default, Chains: []*packet.Chain{
				{Name: chain, Rules: []*packet.Rule{{Verdict: Reached, Text: "dockerfw"}}},
			}}
		}
		if hook.Table != "filter" {
			continue
		}
		p := *hook.Program
		p.Chains = slices.Clone(p.Chains)
		for k, c := range p.Chains {
			if c.Name == chain {
				ahead := slices.Clone(c.Rules[:h.firstOwnRule(f, c)])
				p.Chains[k] = &packet.Chain{Name: c.Name, Rules: append(ahead, &packet.Rule{Verdict: Reached, Text: "dockerfw"})}
			}
		}
		hooks[i].Program = &p
	}
	return route(f, path, hooks)
}

// WholeRoute is the route of packets through all tables of a host, to its end.
func (h *Host) WholeRoute(f ir.Family, path Path) (*packet.Program, error) {
	return route(f, path, h.Hooks(f, path))
}

// route is the route through hooks. A host without any lets all packets through.
func route(f ir.Family, path Path, hooks []packet.Hook) (*packet.Program, error) {
	if len(hooks) == 0 {
		return &packet.Program{Family: f, ToHost: path == ToHost, Default: packet.Verdict{Kind: packet.Accept}, Chains: []*packet.Chain{{Name: "no tables"}}}, nil
	}
	return packet.Route(f, path == ToHost, hooks)
}

// firstOwnRule is the index of the first rule of a block of the policy in a chain of the
// filter table; 0 if there is none.
func (h *Host) firstOwnRule(f ir.Family, c *packet.Chain) int {
	return max(0, slices.IndexFunc(c.Rules, func(r *packet.Rule) bool {
		rule := h.RuleAt(f, r.At)
		return ir.IsComment(rule.Comment())
	}))
}

// Bypassing are the packets that a route made by RouteTo lets through before they get to the
// rules of dockerfw.
func Bypassing(route *packet.Evaluation) packet.Set {
	out := route.Space().None()
	for _, o := range route.Outcomes() {
		if k := o.Verdict.Kind; o.Verdict != Reached && o.Verdict != packet.CannotBe && k != packet.Drop && k != packet.Reject {
			out = out.Or(o.Set)
		}
	}
	return out
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

// AdmittingRule is the position of the rule of the filter table that lets a packet through, or
// of the policy of its chain.
func AdmittingRule(route *packet.Evaluation, p packet.Packet) packet.Origin {
	var at packet.Origin
	for _, s := range route.Decide(p).Steps {
		rule := route.Program.Rule(s.At)
		ends := rule.Verdict.Kind != packet.Continue && rule.Verdict.Kind != packet.Return && rule.Verdict.Kind != packet.Jump
		if s.Failed == nil && ends && rule.At.Table == "filter" {
			at = rule.At
		}
	}
	return at
}

// ProgramFrom is the program from a chain of the filter table on, for the packets that the
// built-in chain of a path leads there. What comes after the last jump to the chain is left to
// Docker, or to the host. It is nil where no jump leads to the chain.
//
// Of the table of dockerfw it is the chain with the foreign base chains that somebody added to the table,
// which a load deletes.
func (h *Host) ProgramFrom(f ir.Family, path Path, chain string) (*packet.Program, error) {
	if h.Table().Chain(chain) != nil {
		hooks := h.TableHooks(f, path)
		if len(hooks) == 1 || chain != h.OwnChain(path) {
			return h.Program(f, chain), nil
		}
		return packet.Route(f, path == ToHost, hooks)
	}
	t := h.Filter(f)
	builtin := path.FilterChain()
	if h.Kind.Compiled() || chain == builtin || !Declared(t.Chain(builtin)) {
		return h.Program(f, chain), nil
	}
	last := -1
	rules := t.Chain(builtin).Rules
	for i, r := range rules {
		if r.Jump == chain || t.Chain(r.Jump) != nil && Reaches(t, r.Jump, chain) {
			last = i
		}
	}
	switch {
	case last < 0:
		return nil, nil
	case last == 0 && identity.JumpsTo(rules[0], chain):
		return h.Program(f, chain), nil
	}
	cut := &iptables.Table{Name: t.Name}
	for _, c := range t.Chains {
		if c.Name == builtin {
			c = &iptables.Chain{Name: builtin, Rules: rules[:last+1], Range: c.Range}
		}
		cut.Chains = append(cut.Chains, c)
	}
	p := h.convert(cut, f, builtin)
	p.ToHost = path == ToHost
	return h.withMarks(f, path, p)
}

// withMarks gives the marks that a program matches the values that rules set before: those of
// the tables before the filter table, and its own.
func (h *Host) withMarks(f ir.Family, path Path, p *packet.Program) (*packet.Program, error) {
	if !p.MatchesMarks() {
		return p, nil
	}
	var hooks []packet.Hook
	for _, hook := range h.Hooks(f, path) {
		if hook.Table == "filter" {
			break
		}
		// Only their marks count here, not what they drop.
		hook.Program = hook.Program.MarksOnly()
		hooks = append(hooks, hook)
	}
	return packet.Route(f, path == ToHost, append(hooks, packet.Hook{Table: "filter", Chain: path.FilterChain(), Program: p}))
}

// ContainerPackets is a program that accepts packets to and from the containers of a host, and
// drops all others: by the bridges in Docker's rules, and the interfaces of the policy. It
// accepts everything where Docker has no rules that list bridges.
func ContainerPackets(f ir.Family, policy, host *Host) *packet.Program {
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

// RuleText is a rule or policy of the host with its table and position: -t mangle -A FORWARD
// -j DROP, rules.v4:7.
func (h *Host) RuleText(f ir.Family, at packet.Origin) string {
	if text, ok := h.NFTRuleText(at); ok {
		if at.Policy {
			return fmt.Sprintf("table %s: %s", at.Table, text)
		}
		return fmt.Sprintf("table %s, chain %s: %s", at.Table, at.Chain, text)
	}
	table := ""
	if at.Table != "filter" {
		table = "-t " + at.Table + " "
	}
	if rule := h.RuleAt(f, at); rule != nil {
		return fmt.Sprintf("%s%s, %s", table, rule.Line(), PlaceText(rule.IPTables.Range))
	}
	return fmt.Sprintf("%s-P %s %s", table, at.Chain, h.Rules[f].Table(at.Table).Chain(at.Chain).Policy)
}

// IsForeign reports whether a rule is neither dockerfw's nor Docker's. Docker sets the policy of
// FORWARD too.
func (h *Host) IsForeign(f ir.Family, at packet.Origin) bool {
	if _, ok := h.NFTRuleText(at); ok {
		return !IsDockerRule(at) && !IsOwnTable(at)
	}
	if at.Policy {
		return at.Table != "filter" || at.Chain != "FORWARD"
	}
	if h.RuleAt(f, at).Ours() {
		return false
	}
	return at.Table != "filter" || !identity.IsDockerChain(at.Chain) && !identity.IsOwnChain(at.Chain)
}
