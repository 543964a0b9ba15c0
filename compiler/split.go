package compiler

import (
	"fmt"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
)

// clause is a rule of the policy in one family: what is left of its conditions
// there. Empty lists mean any.
type clause struct {
	family ir.Family
	phase  ir.Phase
	origin ir.Origin
	// name starts the names of sets made of literal addresses.
	name                        string
	interfaces, outInterfaces   []string
	source, destination         end
	protocols                   []uint8
	published, container, ports []parser.Ports
	publishedAddresses          []netip.Addr
	icmp                        []parser.ICMPCode
	// state restricts to conntrack states; verdict is nil for what drops or
	// rejects by action.
	state   ir.Conntrack
	action  parser.Action
	verdict ir.Verdict
}

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
	for _, f := range c.families {
		c.established(f)
	}
	for _, r := range c.policy.Rules {
		found := false
		for _, f := range c.families {
			found = c.rule(r, f) || found
		}
		if !found {
			c.error(codeNoFamily, r.DeclRange, fmt.Sprintf("%s %q matches nothing", r.Kind, r.Name.Value), "%s", c.whyNoFamily())
		}
	}
	for _, f := range c.families {
		c.defaultRule(f)
	}
}

func (c *compilation) whyNoFamily() string {
	if len(c.families) == 1 {
		return fmt.Sprintf("Its conditions cannot all hold for a packet of %s, the only family the host compiles.", c.families[0])
	}
	return "Its conditions cannot all hold for one packet: some are for IPv4 only, others for IPv6 only, or a negation leaves nothing."
}

// established makes the clauses that let replies and related traffic through, on
// every interface that any rule decides.
func (c *compilation) established(f ir.Family) {
	names := externalInterfaces(c.policy.Host)
	for _, r := range c.policy.Rules {
		for _, i := range r.Interfaces {
			names = addInterface(names, i.Value)
		}
	}
	base := clause{
		family:        f,
		phase:         ir.Established,
		origin:        ir.Origin{Block: "established", Range: c.policy.Established.DeclRange},
		interfaces:    names,
		outInterfaces: values(c.policy.Host.ContainerInterfaces),
		verdict:       c.pass(),
	}
	all := base
	all.state = ir.Conntrack{States: ir.CTRelated | ir.CTEstablished}
	c.clauses = append(c.clauses, &all)
}

// addInterface adds a name that no pattern in the list covers.
func addInterface(list []string, name string) []string {
	for _, have := range list {
		if parser.Covers(have, name) {
			return list
		}
	}
	return append(list, name)
}

// pass is the verdict of established and accept.
func (c *compilation) pass() ir.Verdict {
	if c.policy.Host.Verdict == parser.VerdictReturn {
		return ir.Return{}
	}
	return ir.AcceptPacket{}
}

// rule makes the clause of a deny or accept block in one family. It returns false
// when no packet of that family can match.
func (c *compilation) rule(r *parser.Rule, f ir.Family) bool {
	cl := &clause{
		family:        f,
		phase:         ir.Accept,
		origin:        ir.Origin{Block: string(r.Kind), Name: r.Name.Value, Range: r.DeclRange},
		name:          r.Name.Value,
		interfaces:    values(r.Interfaces),
		outInterfaces: values(r.OutInterfaces),
		published:     values(r.PublishedPorts),
		container:     values(r.ContainerPorts),
		ports:         values(r.SourcePorts),
		action:        r.Action,
		verdict:       c.pass(),
	}
	if r.Kind == parser.KindDeny {
		cl.phase, cl.verdict = ir.Deny, nil
	}
	if len(cl.interfaces) == 0 {
		cl.interfaces = externalInterfaces(c.policy.Host)
	}
	if len(cl.outInterfaces) == 0 {
		cl.outInterfaces = values(c.policy.Host.ContainerInterfaces)
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
	c.warnFamilyOpen(r, f, cl)
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
	if r.Kind != parser.KindAccept || r.SourceNot == nil || r.Source != nil || !cl.source.notIn.empty() {
		return
	}
	c.warn(codeFamilyOpen, r.SourceNot.Range, fmt.Sprintf("accept %q takes every %s source", r.Name.Value, f), "source_not names no %s address, so that no %s source is left out. Name those too, or give the rule a source.", f, f)
}

// defaultRule makes the clause that drops sources outside the allowed ones.
func (c *compilation) defaultRule(f ir.Family) {
	d := c.policy.Default
	allow := c.operands(d.Allow, f)
	if d.Action == parser.ActionReturn || allow.whole() {
		return
	}
	c.clauses = append(c.clauses, &clause{
		family:        f,
		phase:         ir.Default,
		origin:        ir.Origin{Block: "default", Range: d.DeclRange},
		name:          "default",
		interfaces:    externalInterfaces(c.policy.Host),
		outInterfaces: values(c.policy.Host.ContainerInterfaces),
		source:        end{notIn: allow},
		action:        d.Action,
	})
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
	o.literals = merge(ofFamily(literals, f), nil)
	if o.whole() {
		o.sets = nil
	}
	return o
}

func externalInterfaces(h *parser.Host) []string { return values(h.ExternalInterfaces) }

func values[T any](list []parser.At[T]) []T {
	var out []T
	for _, v := range list {
		out = append(out, v.Value)
	}
	return out
}
