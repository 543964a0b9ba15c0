package snapshot

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// is returns a function that reports whether a rule is the jump, if the rule is in the jump's
// chain.
func is(j plan.Jump) func(*iptables.Rule) bool {
	return func(r *iptables.Rule) bool { return identity.JumpsTo(r, j.To) }
}

// Placement is what loading does with a jump. A jump that exists stays where it is, unless
// rules ahead of it let through packets that the rules of dockerfw refuse.
type Placement struct {
	plan.Jump
	// Copies are how many times the chain has it. A jump with conditions does not count, and stays.
	Copies int
	// Move: loading makes the jump the first rule of its chain, because it is missing, is dockerfw's
	// own and exists more than once, or comes too late.
	Move bool
	// Behind is the rule of the chain that lets packets through ahead of the jump, and Example
	// one of these packets; "" and nil if that is not why it moves.
	Behind  string
	Example *packet.Packet
	// Undecided is why there is no Example although Behind is set: whether the rule lets through
	// such packets could not be computed. Then the jump moves all the same.
	Undecided error
}

// aheadBudget is the number of nodes for the decision about one jump, about 120 MB: policies
// of 10,000 rules need a fifth of it.
var aheadBudget = 4 << 20

// Placements returns what loading h, which is compiled, does with each jump on another host, in
// the order in which it does.
func (h *Host) Placements(host *Host) ([]Placement, error) {
	var out []Placement
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if host.Rules[f] == nil && h.Rules[f] == nil {
			continue
		}
		_, placed, err := h.rulesLoadedOnto(host, f)
		if err != nil {
			return nil, err
		}
		out = append(out, placed...)
	}
	return out, nil
}

// Late is the Mover for a plan that places jumps so.
func Late(placements []Placement) plan.Mover {
	return func(j plan.Jump) bool {
		return slices.ContainsFunc(placements, func(p Placement) bool { return p.Jump == j && p.Move })
	}
}

// Text is what loading did with the jump; "" if nothing.
func (p Placement) Text() string {
	where := words.Family(p.Family) + " " + p.Chain
	if p.Table != "filter" {
		where = fmt.Sprintf("%s %s table, %s", words.Family(p.Family), p.Table, p.Chain)
	}
	switch {
	case p.Copies == 0:
		return fmt.Sprintf("%s: added the jump to %s as the first rule", where, p.To)
	case p.Undecided != nil:
		return fmt.Sprintf("%s: moved the jump to %s ahead of %s, which may let through packets that the policy refuses (%v)", where, p.To, p.Behind, p.Undecided)
	case p.Example != nil:
		return fmt.Sprintf("%s: moved the jump to %s ahead of %s, which lets through packets that the policy refuses, such as %s", where, p.To, p.Behind, p.Example)
	case p.Move:
		return fmt.Sprintf("%s: replaced %d jumps to %s by one, the first rule", where, p.Copies, p.To)
	}
	return ""
}

// place puts the jumps where they have to be, in rules of a host with the rules of h loaded and the
// jumps that exist where the host has them.
func (h *Host) place(host *Host, rules *iptables.Ruleset, jumps []plan.Jump) []Placement {
	var out []Placement
	for _, j := range jumps {
		if rules.Table(j.Table) == nil {
			continue // a kernel without the security table
		}
		p := h.placement(host, rules, j)
		if c := rules.Table(j.Table).Chain(j.Chain); p.Move {
			c.Rules = slices.DeleteFunc(slices.Clone(c.Rules), is(j))
			c.Rules = slices.Insert(c.Rules, 0, &iptables.Rule{Chain: c.Name, Jump: j.To, Text: "-j " + j.To})
		}
		out = append(out, p)
	}
	return out
}

func (h *Host) placement(host *Host, rules *iptables.Ruleset, j plan.Jump) Placement {
	p := Placement{Jump: j}
	if have := host.Rules[j.Family]; have != nil {
		p.Copies = plan.Copies(have.Table(j.Table), j)
	}
	if p.Move = p.Copies == 0 || plan.Misplaced(host.Rules[j.Family].Table(j.Table), j); !p.Move {
		if at := slices.IndexFunc(rules.Table(j.Table).Chain(j.Chain).Rules, is(j)); at > 0 {
			h.lookAhead(host, rules, at, &p)
		}
	}
	return p
}

// lookAhead decides whether a jump at an index of its chain comes too late.
func (h *Host) lookAhead(host *Host, rules *iptables.Ruleset, index int, p *Placement) {
	v := h.view(host, rules, p.Family)
	ahead := v.ahead(p.Jump, index)
	suspect := firstAdmitting(ahead)
	if suspect < 0 {
		return
	}
	containers := ContainerPackets(p.Family, h, v)
	if ahead.ToHost {
		// Every packet for the host may be for docker-proxy.
		containers = &packet.Program{Family: p.Family, ToHost: true, Default: packet.Verdict{Kind: packet.Accept}, Chains: []*packet.Chain{{Name: "host"}}}
	}
	at, example, err := admitted(v.marked(ahead, p.Jump), v.refusing(p.Jump), containers, ahead.Chains[0].Rules[suspect].At)
	if err == nil && example == nil {
		return
	}
	p.Move, p.Example, p.Undecided = true, example, err
	p.Behind = v.RuleAt(p.Family, at).Line()
	if p.Table != "filter" {
		p.Behind = "-t " + p.Table + " " + p.Behind
	}
}

// view is a host with some rules and the sets of h. The entries of other sets count as unknown:
// they change between two loads, so that a rule that accepts by them may let through any packet.
func (h *Host) view(host *Host, rules *iptables.Ruleset, f ir.Family) *Host {
	return &Host{
		Name: host.Name, Kind: host.Kind, Rules: map[ir.Family]*iptables.Ruleset{f: rules}, Sets: h.Sets, ipsets: h.packetSets(),
		Backend: host.Backend, savedBy: host.savedBy, NFT: host.NFT,
	}
}

// ahead is the program of the rules ahead of a jump, which is at an index of its chain. It ends
// with Reached there. Packets that return from a user chain pass dockerfw's rules by.
func (h *Host) ahead(j plan.Jump, at int) *packet.Program {
	t := h.Rules[j.Family].Table(j.Table)
	p := h.convert(replaced(t, j.Chain, t.Chain(j.Chain).Rules[:at]), j.Family, j.Chain)
	p.Chains[0].Rules = append(p.Chains[0].Rules, &packet.Rule{Verdict: Reached, Text: "dockerfw"})
	p.ToHost = pathOf(j) == ToHost
	return p
}

func pathOf(j plan.Jump) Path {
	if j.Chain == ToHost.FilterChain() {
		return ToHost
	}
	return Forward
}

// refusing is the program of the rules of dockerfw that a jump leads to, without the foreign rules
// in its chain.
func (h *Host) refusing(j plan.Jump) *packet.Program {
	t := h.Rules[j.Family].Table(j.Table)
	rules := slices.DeleteFunc(slices.Clone(t.Chain(j.To).Rules), func(r *iptables.Rule) bool { return !identity.Ours(r) })
	p := h.convert(replaced(t, j.To, rules), j.Family, j.To)
	p.ToHost = pathOf(j) == ToHost
	return p
}

// replaced is a table with other rules in one of its chains.
func replaced(t *iptables.Table, chain string, rules []*iptables.Rule) *iptables.Table {
	out := &iptables.Table{Name: t.Name}
	for _, c := range t.Chains {
		if c.Name == chain {
			copied := *c
			copied.Rules = rules
			c = &copied
		}
		out.Chains = append(out.Chains, c)
	}
	return out
}

// admitted returns a packet that the program ahead of a jump lets through, and refusing drops or
// rejects, with the rule that lets it through; nil if there is none. It prefers packets that
// containers accepts. suspect is a rule of the jump's chain that may let packets through.
func admitted(ahead, refusing, containers *packet.Program, suspect packet.Origin) (by packet.Origin, example *packet.Packet, err error) {
	defer packet.Catch(&err)
	by = suspect
	space, err := packet.WithBudget(aheadBudget, ahead, refusing, containers)
	if err != nil {
		return by, nil, err
	}
	passed, ours, preferred := space.Programs()[0], space.Programs()[1], space.Programs()[2]
	found := Bypassing(passed).And(Refused(ours))
	if better := found.Diff(Refused(preferred)); !better.IsEmpty() {
		found = better
	}
	witness, ok := found.Witness()
	if !ok {
		return by, nil, nil
	}
	for _, s := range passed.Decide(witness).Steps {
		// The last rule of the chain that the packet matches is the one that lets it through.
		if o := passed.Program.Rule(s.At).At; s.Failed == nil && o.Table == suspect.Table && o.Chain == suspect.Chain && !o.Policy {
			by = o
		}
	}
	return by, &witness, nil
}

// marked gives the marks that rules ahead of a jump match their values, where they are known:
// in the built-in chains of the filter table, unless a target that is not followed, such as a
// queue, may set them before. Elsewhere packets may have any mark.
func (h *Host) marked(ahead *packet.Program, j plan.Jump) *packet.Program {
	if !ahead.MatchesMarks() {
		return ahead
	}
	unknown := ahead.MarksUnknown()
	if j.Table != "filter" || j.Chain != pathOf(j).FilterChain() {
		return unknown
	}
	for _, hook := range h.Hooks(j.Family, pathOf(j)) {
		if hook.Table == j.Table {
			break
		}
		for _, r := range hook.Program.Rules() {
			if r.Verdict.Kind == packet.Other && !hook.Translates() {
				return unknown
			}
		}
	}
	if p, err := h.withMarks(j.Family, pathOf(j), ahead); err == nil {
		return p
	}
	return unknown
}

// firstAdmitting is the index of the first rule of a program's first chain that may let packets
// through; -1 if all can only drop packets, or go on with the next rule.
func firstAdmitting(p *packet.Program) int {
	chains := map[string]*packet.Chain{}
	for _, c := range p.Chains {
		chains[c.Name] = c
	}
	known := map[string]bool{}
	var admits func(name string) bool
	may := func(r *packet.Rule, returned bool) bool {
		switch v := r.Verdict; v.Kind {
		case packet.Drop, packet.Reject, packet.Continue:
			return false
		case packet.Return:
			return returned
		case packet.Jump:
			return admits(v.Chain)
		case packet.Goto:
			return returned || admits(v.Chain)
		default:
			return v != Reached
		}
	}
	admits = func(name string) bool {
		found, seen := known[name]
		if !seen {
			found = slices.ContainsFunc(chains[name].Rules, func(r *packet.Rule) bool { return may(r, false) })
			known[name] = found
		}
		return found
	}
	returned := p.Default.Kind != packet.Drop
	return slices.IndexFunc(p.Chains[0].Rules, func(r *packet.Rule) bool { return may(r, returned) })
}
