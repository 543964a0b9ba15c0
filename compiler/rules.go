package compiler

import (
	"fmt"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// makeRules adds a rule for every block and each family in which the block can match.
func (c *compilation) makeRules() {
	for _, f := range c.families {
		c.out.Programs = append(c.out.Programs, &ir.Program{Family: f})
	}
	c.checkDisabled()
	c.checkComments()
	for _, s := range c.scopes() {
		for _, f := range c.families {
			c.established(s, f)
		}
		for _, r := range s.rules {
			possible := false
			for _, f := range c.families {
				possible = c.rule(s, r, f) || possible
			}
			if !possible && s.Scope != ir.ScopeProxy {
				c.error(diag.CodeNoFamily, r.DeclRange, fmt.Sprintf("%s %q matches nothing", r.Kind, r.Name.Value), "%s", c.whyNoFamily(r))
			}
		}
		for _, f := range c.families {
			c.defaultRule(s, f)
			switch s.Scope {
			case ir.ScopeEgress:
				c.jumpToEgress(s, f)
			case ir.ScopeProxy:
				c.jumpToProxy(s, f)
				c.pruneInput(f, ir.ScopeProxy)
			case ir.ScopeHost:
				c.jumpToHost(s, f)
				c.pruneInput(f, ir.ScopeHost)
			}
		}
		if s.Scope == ir.ScopeProxy {
			c.warnUnprotected(s)
			c.warnHostServices()
		}
		if s.Scope == ir.ScopeHost {
			c.warnSSHClosed(s)
		}
	}
}

// checkDisabled reports disabled rules that could not match if they were enabled. The sets
// that they list are used: who enables a rule again needs them.
func (c *compilation) checkDisabled() {
	for _, r := range c.policy.Disabled {
		if !slices.ContainsFunc(c.families, func(f ir.Family) bool { return len(c.impossible(r, f)) == 0 }) {
			c.error(diag.CodeNoFamily, r.DeclRange, fmt.Sprintf("%s %q matches nothing", r.Kind, r.Name.Value), "%s", c.whyNoFamily(r))
		}
	}
}

// checkComments reports rules whose names are too long for a comment of nft.
func (c *compilation) checkComments() {
	if c.out.Target != ir.TargetNFTables {
		return
	}
	for _, r := range slices.Concat(c.policy.AllRules(), c.policy.Disabled) {
		id := ir.RuleID{Phase: ir.PhaseAccept, Name: r.Name.Value}
		if r.Kind == parser.KindDeny {
			id.Phase = ir.PhaseDeny
		}
		if over := len(id.Comment()) - ir.MaxNFTComment; over > 0 {
			c.error(diag.CodeName, r.Name.Range, "name too long for nftables", "The comment of the rule, %q, has %d bytes, and nft allows %d. Shorten the name to %d bytes.", id.Comment(), len(id.Comment()), ir.MaxNFTComment, len(r.Name.Value)-over)
		}
	}
}

// add appends a rule to the program of a family, in the order of the policy.
func (c *compilation) add(f ir.Family, r *ir.Rule) {
	c.places++
	r.Place = c.places
	p := c.program(f)
	p.Rules = append(p.Rules, r)
}

// program returns the program of a compiled family.
func (c *compilation) program(f ir.Family) *ir.Program {
	return c.out.Programs[slices.Index(c.families, f)]
}

// established adds the rules that let replies and related traffic through, on the paths of
// all rules: none of them must break a connection.
func (c *compilation) established(s *scope, f ir.Family) {
	paths := s.paths()
	add := func(name string, verdict ir.Verdict, states ir.CTState, dir ir.CTDir) {
		for _, p := range paths {
			c.add(f, &ir.Rule{
				Scope:     s.Scope,
				Phase:     ir.PhaseEstablished,
				Origin:    ir.Origin{Block: "established", Name: name, Range: c.policy.Established.DeclRange},
				In:        p.in,
				Out:       p.out,
				States:    states,
				Direction: dir,
				Verdict:   verdict,
			})
		}
	}
	// In ScopeHost open connections always pass: rechecking would end the session of the
	// administrator who loads rules that no longer accept it.
	if c.policy.Established.Recheck && s.Scope != ir.ScopeHost {
		// ICMP errors about clients' connections are RELATED and go in the original direction:
		// they pass in either direction, or path MTU discovery breaks.
		add("", c.pass(s), ir.CTRelated, ir.CTAny)
		add("", c.pass(s), ir.CTEstablished, ir.CTReply)
	} else {
		add("", c.pass(s), ir.CTRelated|ir.CTEstablished, ir.CTAny)
	}
	if c.policy.Established.DropInvalid {
		add("drop_invalid", ir.Drop{}, ir.CTInvalid, ir.CTAny)
	}
}

// jumpToEgress adds the jumps to ScopeEgress for packets that leave containers.
func (c *compilation) jumpToEgress(s *scope, f ir.Family) {
	for _, p := range s.paths() {
		c.add(f, &ir.Rule{
			Scope:   ir.ScopeForward,
			Phase:   ir.PhaseEgress,
			Origin:  ir.Origin{Block: "egress", Range: c.policy.Egress.DeclRange},
			In:      p.in,
			Out:     p.out,
			Verdict: ir.Jump{To: ir.ScopeEgress},
		})
	}
}

// pass returns the verdict of established and accept. In INPUT that is never ACCEPT, which would skip the host's own rules in INPUT.
func (c *compilation) pass(s *scope) ir.Verdict {
	if c.policy.Host.Verdict == parser.VerdictReturn || s.Scope == ir.ScopeProxy || s.Scope == ir.ScopeHost {
		return ir.Return{}
	}
	return ir.Accept{}
}

// refuse returns the verdict of a deny or default.
func refuse(a parser.Action) ir.Verdict {
	if a == parser.ActionReject {
		return ir.Reject{}
	}
	return ir.Drop{}
}

// rule adds the rule of a deny or accept block in one family. It returns false if no packet
// of that family can match.
func (c *compilation) rule(s *scope, r *parser.Rule, f ir.Family) bool {
	source, sourceNot := c.operands(r.Source, f), c.operands(r.SourceNot, f)
	destination, destinationNot := c.operands(r.Destination, f), c.operands(r.DestinationNot, f)
	if never(source, sourceNot) || never(destination, destinationNot) {
		return false
	}
	out := &ir.Rule{
		Scope:             s.Scope,
		Phase:             ir.PhaseAccept,
		Origin:            ir.Origin{Block: string(r.Kind), Name: r.Name.Value, Range: r.DeclRange},
		Name:              r.Name.Value,
		In:                parser.Values(r.Interfaces),
		Out:               parser.Values(r.OutInterfaces),
		Source:            ir.End{In: source.positive(), NotIn: sourceNot.Addresses},
		Destination:       ir.End{In: destination.positive(), NotIn: destinationNot.Addresses},
		SourcePorts:       portRanges(parser.Values(r.SourcePorts)),
		DestinationPorts:  portRanges(parser.Values(r.ContainerPorts)),
		PublishedPorts:    portRanges(parser.Values(r.PublishedPorts)),
		Rate:              rate(r.Rate),
		Connections:       connections(r.Connections, f),
		Log:               logging(r.Log),
		SessionsRechecked: c.policy.Established.Recheck && s.Scope != ir.ScopeHost,
		Verdict:           c.pass(s),
	}
	if r.Expires != nil {
		out.Until = r.Expires.Value
	}
	if r.Kind == parser.KindDeny {
		out.Phase, out.Verdict = ir.PhaseDeny, refuse(r.Action)
	}
	if s.Scope == ir.ScopeHost {
		out.DestinationPorts = portRanges(parser.Values(r.HostPorts))
	}
	if len(out.In) == 0 {
		out.In = s.in
	}
	if len(out.Out) == 0 {
		out.Out = s.out
	}
	for _, p := range r.Protocols {
		if protocolFamily(p.Value.Number, f) {
			out.Protocols = append(out.Protocols, p.Value.Number)
		}
	}
	for _, a := range r.PublishedAddress {
		if ir.FamilyOf(a.Value.From()) == f {
			out.PublishedAddresses = append(out.PublishedAddresses, a.Value.From())
		}
	}
	for _, t := range r.ICMPTypes {
		code, protocol := t.Value.V4, uint8(parser.ICMP)
		if f == ir.IPv6 {
			code, protocol = t.Value.V6, parser.ICMPv6
		}
		if code != nil {
			out.ICMP = append(out.ICMP, ir.ICMP{Type: code.Type, Code: code.Code})
			out.Protocols = []uint8{protocol}
		}
	}
	if len(r.Protocols) > 0 && len(out.Protocols) == 0 ||
		len(r.PublishedAddress) > 0 && len(out.PublishedAddresses) == 0 ||
		len(r.ICMPTypes) > 0 && len(out.ICMP) == 0 {
		return false
	}
	if s.Scope != ir.ScopeProxy {
		c.warnFamilyOpen(r, f, sourceNot)
	}
	c.add(f, out)
	return true
}

// whyNoFamily returns a text with the conditions that cannot match in each family.
func (c *compilation) whyNoFamily(r *parser.Rule) string {
	var parts []string
	for _, f := range c.families {
		parts = append(parts, fmt.Sprintf("no %s packet matches %s", familyName(f), strings.Join(c.impossible(r, f), ", ")))
	}
	text := strings.Join(parts, ", and ")
	text = strings.ToUpper(text[:1]) + text[1:]
	if len(c.families) == 1 {
		other := ir.IPv4
		if c.families[0] == ir.IPv4 {
			other = ir.IPv6
		}
		return text + fmt.Sprintf(". Add %q to families of the host, or remove the rule.", other)
	}
	return text + ". Write a rule for each family, or use addresses of one family in all conditions."
}

// impossible returns the attributes of a rule that no packet of a family can match.
func (c *compilation) impossible(r *parser.Rule, f ir.Family) []string {
	var out []string
	add := func(name string, never bool) {
		if never {
			out = append(out, name)
		}
	}
	add("source", never(c.operands(r.Source, f), operands{}))
	add("source_not", never(operands{}, c.operands(r.SourceNot, f)))
	add("destination", never(c.operands(r.Destination, f), operands{}))
	add("destination_not", never(operands{}, c.operands(r.DestinationNot, f)))
	add("protocol", len(r.Protocols) > 0 && !slices.ContainsFunc(r.Protocols, func(p parser.At[parser.Protocol]) bool { return protocolFamily(p.Value.Number, f) }))
	add("published_address", len(r.PublishedAddress) > 0 && !slices.ContainsFunc(r.PublishedAddress, func(a parser.At[netipx.IPRange]) bool { return ir.FamilyOf(a.Value.From()) == f }))
	add("icmp_types", len(r.ICMPTypes) > 0 && !slices.ContainsFunc(r.ICMPTypes, func(t parser.At[parser.ICMPType]) bool {
		return f == ir.IPv4 && t.Value.V4 != nil || f == ir.IPv6 && t.Value.V6 != nil
	}))
	return out
}

// protocolFamily reports whether a protocol is used in a family.
func protocolFamily(number uint8, f ir.Family) bool {
	switch number {
	case parser.ICMP:
		return f == ir.IPv4
	case parser.ICMPv6:
		return f == ir.IPv6
	}
	return true
}

// familyName returns the name of a family in prose.
func familyName(f ir.Family) string {
	if f == ir.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// warnFamilyOpen warns of an accept that restricts its sources only by source_not, without
// any address of one family there.
func (c *compilation) warnFamilyOpen(r *parser.Rule, f ir.Family, sourceNot operands) {
	if r.Kind != parser.KindAccept || r.SourceNot == nil || r.Source != nil || !c.isEmpty(sourceNot.Addresses) {
		return
	}
	c.warn(diag.CodeFamilyOpen, r.SourceNot.Range, fmt.Sprintf("accept %q admits every %s source", r.Name.Value, familyName(f)), "source_not has no %[1]s address, so no %[1]s source is excluded. Add %[1]s addresses to it, or list the sources to admit in source.", familyName(f))
}

// isEmpty reports whether there are neither addresses nor sets that can have elements.
func (c *compilation) isEmpty(a ir.Addresses) bool {
	return len(a.Prefixes) == 0 && !slices.ContainsFunc(a.Sets, c.canHaveElements)
}

// canHaveElements reports whether a set has elements or is unmanaged.
func (c *compilation) canHaveElements(s *ir.Set) bool {
	return !s.Managed || s.Prefixes.Len() > 0 || slices.ContainsFunc(s.Members, func(member string) bool {
		m := c.declared[member][s.Family]
		return m != nil && c.canHaveElements(m)
	})
}

// defaultRule adds the rule that refuses packets whose source, in ScopeEgress destination,
// is not an allowed address.
func (c *compilation) defaultRule(s *scope, f ir.Family) {
	d := s.def
	allow := c.operands(d.Allow, f)
	if d.Action == parser.ActionReturn {
		return
	}
	if allow.whole() {
		if s.Scope == ir.ScopeForward {
			c.warn(diag.CodeOpenDefault, d.Allow.Range, fmt.Sprintf("open by default for %s", familyName(f)), "allow contains every %s address, so every client that is not denied reaches the published ports. List only the addresses of clients to admit.", familyName(f))
		}
		return
	}
	r := &ir.Rule{
		Scope:   s.Scope,
		Phase:   ir.PhaseDefault,
		Origin:  ir.Origin{Block: "default", Range: d.DeclRange},
		Name:    "default",
		In:      s.in,
		Out:     s.out,
		Log:     logging(d.Log),
		Verdict: refuse(d.Action),
	}
	switch s.Scope {
	case ir.ScopeEgress:
		r.Name = "egress-default"
		r.Destination.NotIn = allow.Addresses
	case ir.ScopeHost:
		r.Name = "input-default"
		r.Source.NotIn = allow.Addresses
		r.Protocols = closedProtocols
		c.dhcpClient(s, f)
	default:
		r.Source.NotIn = allow.Addresses
	}
	c.add(f, r)
}
