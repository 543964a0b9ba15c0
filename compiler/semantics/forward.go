package semantics

import (
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// forwarded returns the program for forwarded packets: the rules for packets that enter,
// then those of the egress block. A packet that an earlier rule accepts never gets to
// egress.
func (b *builder) forwarded() *packet.Program {
	p := b.policy
	b.rules = nil
	b.addDirection(p.Rules, p.Default, p.Host.ExternalInterfaces, p.Host.ContainerInterfaces, false)
	if e := p.Egress; e != nil && (len(e.Rules) > 0 || e.Default.Action != parser.ActionReturn) {
		b.addDirection(e.Rules, e.Default, p.Host.ContainerInterfaces, p.Host.ExternalInterfaces, true)
	}
	return &packet.Program{
		Family:  b.family,
		Chains:  []*packet.Chain{{Name: "policy", Rules: b.rules}},
		Default: packet.Verdict{Kind: packet.Docker},
	}
}

// pass returns the verdict of established and accept.
func (b *builder) pass() packet.Verdict {
	if b.policy.Host.Verdict == parser.VerdictReturn {
		return packet.Verdict{Kind: packet.Docker}
	}
	return packet.Verdict{Kind: packet.Accept}
}

// addDirection adds all phases for packets that enter or, with egress, leave.
func (b *builder) addDirection(rules []*parser.Rule, def *parser.Default, in, out []parser.At[string], egress bool) {
	// Wherever a rule can refuse packets, replies pass first: it must not break connections.
	paths := packet.Any{b.path(in, out)}
	for _, r := range rules {
		if len(r.Interfaces) > 0 || len(r.OutInterfaces) > 0 {
			paths = append(paths, b.path(ruleInterfaces(r, in, out)))
		}
	}
	b.addEstablished(b.pass(), paths, b.policy.Established.Recheck)
	for _, kind := range []parser.RuleKind{parser.KindDeny, parser.KindAccept} {
		for _, r := range rules {
			if r.Kind == kind {
				b.addRule(r, b.pass(), b.policy.Established.Recheck, b.forwardConditions(r, in, out))
			}
		}
	}
	if def.Action == parser.ActionReturn {
		return
	}
	end := packet.Source
	if egress {
		end = packet.Destination
	}
	b.addRefusal("default", def.Action, false,
		b.interfaces(in, packet.Source), b.interfaces(out, packet.Destination), b.notIn(def.Allow, end))
}

// ruleInterfaces returns the interfaces of a rule, which default to those of its direction.
func ruleInterfaces(r *parser.Rule, in, out []parser.At[string]) (ruleIn, ruleOut []parser.At[string]) {
	if len(r.Interfaces) > 0 {
		in = r.Interfaces
	}
	if len(r.OutInterfaces) > 0 {
		out = r.OutInterfaces
	}
	return in, out
}

// path returns the condition that a packet arrives and leaves on the given interfaces.
func (b *builder) path(in, out []parser.At[string]) packet.Cond {
	return packet.All{b.interfaces(in, packet.Source), b.interfaces(out, packet.Destination)}
}

// forwardConditions returns the conditions of a deny or accept on forwarded packets, apart
// from its limits.
func (b *builder) forwardConditions(r *parser.Rule, in, out []parser.At[string]) []packet.Cond {
	in, out = ruleInterfaces(r, in, out)
	b.conditions = append(b.conditions[:0],
		b.interfaces(in, packet.Source), b.interfaces(out, packet.Destination),
		b.in(r.Source, packet.Source), b.notIn(r.SourceNot, packet.Source),
		b.in(r.Destination, packet.Destination), b.notIn(r.DestinationNot, packet.Destination),
		b.protocols(r.Protocols),
		ports(r.ContainerPorts, packet.Destination), ports(r.SourcePorts, packet.Source),
		published(r), icmp(r.ICMPTypes), until(r),
	)
	return b.conditions
}

// The conditions that all rules with published ports or addresses have.
var translated, toOriginal packet.Cond = packet.State{States: ir.CTDNAT}, packet.Dir{Dir: ir.CTOriginal}

// published returns the condition that a client sent the packet to the published ports and
// addresses of a rule, which Docker then translated.
func published(r *parser.Rule) packet.Cond {
	if len(r.PublishedPorts) == 0 && len(r.PublishedAddress) == 0 {
		return nil
	}
	all := packet.All{translated, toOriginal}
	if c := ports(r.PublishedPorts, packet.OriginalDestination); c != nil {
		all = append(all, c)
	}
	if c := publishedAddresses(r, packet.OriginalDestination); c != nil {
		all = append(all, c)
	}
	return all
}

// publishedAddresses returns the condition that one end of a packet is a published address
// of a rule.
func publishedAddresses(r *parser.Rule, end packet.End) packet.Cond {
	if len(r.PublishedAddress) == 0 {
		return nil
	}
	var ranges []netipx.IPRange
	for _, a := range r.PublishedAddress {
		ranges = append(ranges, a.Value)
	}
	return inRanges(end, ranges...)
}
