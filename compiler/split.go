package compiler

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// scope is one direction of traffic with the rules for it.
type scope struct {
	// chain the rules stand in.
	chain  string
	egress bool
	rules  []*parser.Rule
	def    *parser.Default
	// interfaces packets come by and leave by, unless a rule says otherwise.
	in, out []string
	// guarded are the ports the scope is for, if it is the guard of INPUT: it
	// refuses packets, and leaves all others to the rules behind its jump.
	guarded []protocolPorts
	// handedOver are the interfaces by which packets come to the guard's rules.
	handedOver []string
}

func (s *scope) isGuard() bool { return len(s.guarded) > 0 }

// scopes are the directions the policy decides. Traffic that enters comes first:
// what passes it, and leaves by an external interface, is then decided as egress.
// The guard is last; its rules are those for what enters.
func (c *compilation) scopes() []*scope {
	h := c.policy.Host
	external, container := values(h.ExternalInterfaces), values(h.ContainerInterfaces)
	all := []*scope{{chain: chainName(h), rules: c.policy.Rules, def: c.policy.Default, in: external, out: container}}
	if e := c.policy.Egress; e != nil && (len(e.Rules) > 0 || e.Default.Action != parser.ActionReturn) {
		all = append(all, &scope{chain: EgressChain, egress: true, rules: e.Rules, def: e.Default, in: container, out: external})
	}
	if guard := c.guardScope(external); guard != nil {
		all = append(all, guard)
	}
	return all
}

// way is where packets come from and go to, by interface. Empty means any.
type way struct{ in, out []string }

// decided are the ways that any rule of the scope is about.
func (s *scope) decided() []way {
	ways := []way{{slices.Clone(s.in), slices.Clone(s.out)}}
	for _, r := range s.rules {
		w := way{values(r.Interfaces), values(r.OutInterfaces)}
		if len(w.in) == 0 {
			w.in = s.in
		}
		if len(w.out) == 0 {
			w.out = s.out
		}
		ways = addWay(ways, w, s.egress)
	}
	return ways
}

// addWay adds a way to those that do not cover it: to the interfaces of one that
// is the same on the side of the containers, or as one more.
func addWay(ways []way, w way, egress bool) []way {
	for i, have := range ways {
		switch {
		case coverAll(have.in, w.in) && coverAll(have.out, w.out):
			return ways
		case !egress && slices.Equal(have.out, w.out):
			ways[i].in = addInterfaces(have.in, w.in)
			return ways
		case egress && slices.Equal(have.in, w.in):
			ways[i].out = addInterfaces(have.out, w.out)
			return ways
		}
	}
	return append(ways, way{slices.Clone(w.in), slices.Clone(w.out)})
}

// coverAll reports whether the patterns of a cover all of b.
func coverAll(a, b []string) bool {
	if len(a) == 0 {
		return true
	}
	for _, name := range b {
		if !slices.ContainsFunc(a, func(have string) bool { return parser.Covers(have, name) }) {
			return false
		}
	}
	return len(b) > 0
}

// addInterfaces adds names that no pattern in the list covers.
func addInterfaces(list, names []string) []string {
	for _, name := range names {
		if !coverAll(list, []string{name}) {
			list = append(list, name)
		}
	}
	return list
}

// clause is a rule of the policy in one family: what is left of its conditions
// there. Empty lists mean any.
type clause struct {
	chain  string
	family ir.Family
	phase  ir.Phase
	origin ir.Origin
	// name starts the names of what is made for the clause, such as sets of
	// literal addresses.
	name                            string
	interfaces, outInterfaces       []string
	source, destination             end
	protocols                       []uint8
	published, container, fromPorts []parser.Ports
	publishedAddresses              []netip.Addr
	icmp                            []parser.ICMPCode
	// inInput tells that published ports and addresses are those of the packet
	// itself: Docker did not send it on.
	inInput bool
	// state restricts to what conntrack knows.
	state ir.Conntrack
	// verdict is nil for what drops or rejects by action.
	verdict     ir.Verdict
	action      parser.Action
	rate        *parser.Rate
	connections *parser.Connections
	log         *parser.Log
	// recheck tells that established packets come here too, which limits of new
	// connections must let pass.
	recheck bool
}

// limited reports whether the clause has limits of new connections.
func (cl *clause) limited() bool { return cl.rate != nil || cl.connections != nil }

// end is one end of a packet: in any of the first, in none of the second.
type end struct {
	in, notIn operands
}

// operands are addresses of one family, literal ones and sets.
type operands struct {
	written  bool
	rng      hcl.Range
	literals []netip.Prefix
	sets     []*ir.Set
}

// never reports that no packet can hold the condition.
func (e end) never() bool {
	return e.in.written && e.in.empty() || e.notIn.whole()
}

func (o operands) empty() bool { return len(o.literals) == 0 && len(o.sets) == 0 }

// whole reports that the literals are all addresses of the family.
func (o operands) whole() bool { return len(o.literals) == 1 && o.literals[0].Bits() == 0 }

// splitFamilies makes the clauses of every block for each family it matches in.
func (c *compilation) splitFamilies() {
	for _, s := range c.scopes() {
		for _, f := range c.families {
			c.established(s, f)
		}
		for _, r := range s.rules {
			found := false
			for _, f := range c.families {
				found = c.rule(s, r, f) || found
			}
			if !found && !s.isGuard() {
				c.error(diag.CodeNoFamily, r.DeclRange, fmt.Sprintf("%s %q matches nothing", r.Kind, r.Name.Value), "%s", c.whyNoFamily(r))
			}
		}
		for _, f := range c.families {
			c.defaultRule(s, f)
			if s.egress {
				c.handOver(s, f)
			}
			if s.isGuard() {
				c.handOverGuarded(s, f)
				c.pruneGuard(f)
			}
		}
		if s.isGuard() {
			c.warnUnguarded(s)
			c.warnHostServices()
		}
	}
}

// whyNoFamily says which conditions keep a rule from matching in each family.
func (c *compilation) whyNoFamily(r *parser.Rule) string {
	var parts []string
	for _, f := range c.families {
		name := map[ir.Family]string{ir.IPv4: "IPv4", ir.IPv6: "IPv6"}[f]
		parts = append(parts, fmt.Sprintf("no %s packet matches %s", name, strings.Join(c.never(r, f), ", ")))
	}
	text := strings.Join(parts, ", and ")
	text = strings.ToUpper(text[:1]) + text[1:]
	if len(c.families) == 1 {
		return text + ". That is the only family which the host compiles."
	}
	return text + ". Make a rule for each family, or give all conditions addresses of one."
}

// never names the conditions of a rule that no packet of a family can hold.
func (c *compilation) never(r *parser.Rule, f ir.Family) []string {
	var out []string
	add := func(name string, never bool) {
		if never {
			out = append(out, name)
		}
	}
	empty := func(o operands) bool { return o.written && o.empty() }
	add("source", empty(c.operands(r.Source, f)))
	add("source_not", c.operands(r.SourceNot, f).whole())
	add("destination", empty(c.operands(r.Destination, f)))
	add("destination_not", c.operands(r.DestinationNot, f).whole())
	add("protocol", len(r.Protocols) > 0 && !slices.ContainsFunc(r.Protocols, func(p parser.At[parser.Protocol]) bool { return protocolFamily(p.Value.Number, f) }))
	add("published_address", len(r.PublishedAddress) > 0 && !slices.ContainsFunc(r.PublishedAddress, func(a parser.At[netipx.IPRange]) bool { return a.Value.From().Is4() == (f == ir.IPv4) }))
	add("icmp_types", len(r.ICMPTypes) > 0 && !slices.ContainsFunc(r.ICMPTypes, func(t parser.At[parser.ICMPType]) bool {
		return f == ir.IPv4 && t.Value.V4 != nil || f == ir.IPv6 && t.Value.V6 != nil
	}))
	return out
}

// established makes the clauses that let replies and related traffic through, on
// every interface that any rule decides.
func (c *compilation) established(s *scope, f ir.Family) {
	ways := s.decided()
	add := func(name string, verdict ir.Verdict, state ir.Conntrack) {
		for _, w := range ways {
			c.clauses = append(c.clauses, &clause{
				chain:         s.chain,
				family:        f,
				phase:         ir.Established,
				origin:        ir.Origin{Block: "established", Name: name, Range: c.policy.Established.DeclRange},
				interfaces:    w.in,
				outInterfaces: w.out,
				state:         state,
				verdict:       verdict,
			})
		}
	}
	if c.policy.Established.Recheck {
		// ICMP errors about clients' connections are RELATED and go in the original
		// direction: they pass whatever the direction, or path MTU discovery breaks.
		add("", c.pass(s), ir.Conntrack{States: ir.CTRelated})
		add("", c.pass(s), ir.Conntrack{States: ir.CTEstablished, Dir: ir.CTReply})
	} else {
		add("", c.pass(s), ir.Conntrack{States: ir.CTRelated | ir.CTEstablished})
	}
	if c.policy.Established.DropInvalid {
		add("drop_invalid", ir.Drop{}, ir.Conntrack{States: ir.CTInvalid})
	}
}

// handOver makes the clauses that send leaving traffic through the egress chain.
func (c *compilation) handOver(s *scope, f ir.Family) {
	for _, w := range s.decided() {
		c.clauses = append(c.clauses, &clause{
			chain:         chainName(c.policy.Host),
			family:        f,
			phase:         ir.Egress,
			origin:        ir.Origin{Block: "egress", Range: c.policy.Egress.DeclRange},
			interfaces:    w.in,
			outInterfaces: w.out,
			verdict:       ir.JumpTo{Chain: s.chain},
		})
	}
}

// pass is the verdict of established and accept. The guard never lets a packet
// past the host's own rules of INPUT.
func (c *compilation) pass(s *scope) ir.Verdict {
	if c.policy.Host.Verdict == parser.VerdictReturn || s.isGuard() {
		return ir.Return{}
	}
	return ir.AcceptPacket{}
}

// rule makes the clause of a deny or accept block in one family. It returns false
// when no packet of that family can match.
func (c *compilation) rule(s *scope, r *parser.Rule, f ir.Family) bool {
	cl := &clause{
		chain:         s.chain,
		family:        f,
		phase:         ir.Accept,
		origin:        ir.Origin{Block: string(r.Kind), Name: r.Name.Value, Range: r.DeclRange},
		name:          r.Name.Value,
		interfaces:    values(r.Interfaces),
		outInterfaces: values(r.OutInterfaces),
		published:     values(r.PublishedPorts),
		container:     values(r.ContainerPorts),
		fromPorts:     values(r.SourcePorts),
		action:        r.Action,
		verdict:       c.pass(s),
		inInput:       s.isGuard(),
		rate:          r.Rate,
		connections:   r.Connections,
		log:           r.Log,
		recheck:       c.policy.Established.Recheck,
	}
	if r.Kind == parser.KindDeny {
		cl.phase, cl.verdict = ir.Deny, nil
	}
	if len(cl.interfaces) == 0 {
		cl.interfaces = s.in
	}
	if len(cl.outInterfaces) == 0 {
		cl.outInterfaces = s.out
	}
	cl.source = end{c.operands(r.Source, f), c.operands(r.SourceNot, f)}
	cl.destination = end{c.operands(r.Destination, f), c.operands(r.DestinationNot, f)}

	possible := !cl.source.never() && !cl.destination.never()
	for _, p := range r.Protocols {
		if protocolFamily(p.Value.Number, f) {
			cl.protocols = append(cl.protocols, p.Value.Number)
		}
	}
	possible = possible && (len(r.Protocols) == 0 || len(cl.protocols) > 0)
	for _, a := range r.PublishedAddress {
		if a.Value.From().Is4() == (f == ir.IPv4) {
			cl.publishedAddresses = append(cl.publishedAddresses, a.Value.From())
		}
	}
	possible = possible && (len(r.PublishedAddress) == 0 || len(cl.publishedAddresses) > 0)
	for _, t := range r.ICMPTypes {
		code, protocol := t.Value.V4, uint8(parser.ICMP)
		if f == ir.IPv6 {
			code, protocol = t.Value.V6, parser.ICMPv6
		}
		if code != nil {
			cl.icmp = append(cl.icmp, *code)
			cl.protocols = []uint8{protocol}
		}
	}
	possible = possible && (len(r.ICMPTypes) == 0 || len(cl.icmp) > 0)
	if !possible {
		return false
	}
	if !s.isGuard() {
		c.warnFamilyOpen(r, f, cl)
	}
	c.clauses = append(c.clauses, cl)
	return true
}

// protocolFamily reports whether a protocol occurs in a family.
func protocolFamily(number uint8, f ir.Family) bool {
	switch number {
	case parser.ICMP:
		return f == ir.IPv4
	case parser.ICMPv6:
		return f == ir.IPv6
	}
	return true
}

// warnFamilyOpen warns of an accept whose only restriction of sources is a
// negation that says nothing about one family.
func (c *compilation) warnFamilyOpen(r *parser.Rule, f ir.Family, cl *clause) {
	if r.Kind != parser.KindAccept || r.SourceNot == nil || r.Source != nil || !c.holdNobody(cl.source.notIn) {
		return
	}
	c.warn(diag.CodeFamilyOpen, r.SourceNot.Range, fmt.Sprintf("accept %q takes every %s source", r.Name.Value, f), "source_not names no %s address, so that no %s source is left out. Name those too, or give the rule a source.", f, f)
}

// holdNobody reports that there are no addresses in operands, and nobody else puts any there.
func (c *compilation) holdNobody(o operands) bool {
	return len(o.literals) == 0 && !slices.ContainsFunc(o.sets, c.mayHold)
}

func (c *compilation) mayHold(s *ir.Set) bool {
	return !s.Managed || len(s.Prefixes) > 0 || slices.ContainsFunc(c.out.Sets, func(m *ir.Set) bool {
		return slices.Contains(s.Members, m.Name) && c.mayHold(m)
	})
}

// defaultRule makes the clause that drops who is outside the allowed sets: as the
// source of what enters, as the destination of what leaves.
func (c *compilation) defaultRule(s *scope, f ir.Family) {
	d := s.def
	allow := c.operands(d.Allow, f)
	if d.Action == parser.ActionReturn {
		return
	}
	if allow.whole() {
		if !s.egress && !s.isGuard() {
			c.warn(diag.CodeOpenDefault, d.Allow.Range, fmt.Sprintf("open by default for %s", f), "allow holds every %s address, so that everyone who is not denied reaches what Docker publishes. Name who may.", f)
		}
		return
	}
	cl := &clause{
		chain:         s.chain,
		family:        f,
		phase:         ir.Default,
		origin:        ir.Origin{Block: "default", Range: d.DeclRange},
		name:          "default",
		interfaces:    s.in,
		outInterfaces: s.out,
		action:        d.Action,
		log:           d.Log,
	}
	if s.egress {
		cl.name = "egress-default"
		cl.destination = end{notIn: allow}
	} else {
		cl.source = end{notIn: allow}
	}
	c.clauses = append(c.clauses, cl)
}

// operands resolves the addresses of one family.
func (c *compilation) operands(a *parser.Addresses, f ir.Family) operands {
	if a == nil {
		return operands{}
	}
	o := operands{written: true, rng: a.Range}
	var literals []netipx.IPRange
	seen := map[string]bool{}
	for _, item := range a.Items {
		if item.Set == "" {
			literals = append(literals, item.Literal)
			continue
		}
		c.used[item.Set] = true
		// A set that failed to be read is not there; its error is reported.
		if set := c.declared[item.Set][f]; set != nil && !seen[item.Set] {
			seen[item.Set] = true
			o.sets = append(o.sets, set)
		}
	}
	o.literals = c.merge(ofFamily(literals, f), nil, o.rng)
	if o.whole() {
		o.sets = nil
	}
	return o
}

func values[T any](list []parser.At[T]) []T {
	var out []T
	for _, v := range list {
		out = append(out, v.Value)
	}
	return out
}
