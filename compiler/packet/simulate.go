package packet

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Step is a rule that a packet came to.
type Step struct {
	At Place
	// Failed is the first condition of the rule that does not hold; nil if all do.
	Failed Cond
}

// Decision is what becomes of one packet.
type Decision struct {
	Verdict Verdict
	// At is the rule that decided, or AtEnd.
	At Place
	// Steps are the rules the packet came to, the deciding one last.
	Steps []Step
}

// Decide sends one packet through the program, rule by rule, as the kernel does.
// It shares nothing with the sets, whose check it is. Opaque conditions hold if
// p.Conditions says so, by the names that they have in e's space.
func (e *Evaluation) Decide(p Packet) Decision { return e.Program.Decide(p) }

// Decide is Evaluation.Decide for a program of no space, whose opaque conditions
// are told by their texts alone.
func (p *Program) Decide(packet Packet) Decision {
	packet.Complete()
	d := Decision{Verdict: p.Default, At: AtEnd}
	p.walk(0, true, &packet, &d)
	return d
}

// walk returns true when the packet has its verdict.
func (p *Program) walk(chain int, top bool, packet *Packet, d *Decision) bool {
	for i, r := range p.Chains[chain].Rules {
		at := Place{chain, i}
		step := Step{At: at}
		for _, c := range r.Matches {
			if !Holds(c, packet) {
				step.Failed = c
				break
			}
		}
		d.Steps = append(d.Steps, step)
		if step.Failed != nil {
			continue
		}
		switch r.Verdict.Kind {
		case Continue:
		case Return:
			if top {
				d.At = at
			}
			return top
		case Jump:
			if p.walk(p.chain(r.Verdict.Chain), false, packet, d) {
				return true
			}
		case Goto:
			return p.walk(p.chain(r.Verdict.Chain), top, packet, d)
		default:
			d.Verdict, d.At = r.Verdict, at
			return true
		}
	}
	return false
}

// Holds tells whether a condition holds for a packet that is complete.
func Holds(c Cond, p *Packet) bool {
	switch c := c.(type) {
	case FamilyIs:
		return p.Family == c.Family
	case Addr:
		switch c.End {
		case Source:
			return p.Source.IsValid() && c.In.Contains(p.Source)
		case Destination:
			return p.Destination.IsValid() && c.In.Contains(p.Destination)
		}
		return p.Tracked() && p.OriginalDestination.IsValid() && c.In.Contains(p.OriginalDestination)
	case Port:
		port := p.OriginalPort
		switch c.End {
		case Source:
			port = p.SourcePort
		case Destination:
			port = p.DestinationPort
		}
		if c.End == OriginalDestination && !p.Tracked() || c.End != OriginalDestination && !hasPorts(p.Protocol) {
			return false
		}
		return slices.ContainsFunc(c.Ranges, func(r ir.PortRange) bool { return r.First <= port && port <= r.Last })
	case Proto:
		return slices.Contains(c.Numbers, p.Protocol)
	case ICMPType:
		return isICMP(p.Family, p.Protocol) && c.FirstType <= p.ICMPType && p.ICMPType <= c.LastType &&
			c.FirstCode <= p.ICMPCode && p.ICMPCode <= c.LastCode
	case Interface:
		name := p.In
		if c.End == Destination {
			name = p.Out
		}
		return matchesInterface(c.Name, name)
	case State:
		has := p.State
		if p.Tracked() && p.DNAT {
			has |= ir.CTDNAT
		}
		if p.Tracked() && p.SNAT {
			has |= ir.CTSNAT
		}
		return has&c.States != 0
	case Dir:
		return p.Tracked() && (c.Dir == ir.CTAny || p.Direction == c.Dir)
	case Opaque:
		return p.Conditions[c.Text]
	case Mark:
		if holds, known := c.Of(p.Marks, p.Tracked()); known {
			return holds
		}
		return p.Conditions[c.String()]
	case InSet:
		return Holds(c.C, p)
	case Not:
		return !Holds(c.C, p)
	case All:
		return !slices.ContainsFunc(c, func(x Cond) bool { return !Holds(x, p) })
	case Any:
		return slices.ContainsFunc(c, func(x Cond) bool { return Holds(x, p) })
	}
	panic(fmt.Sprintf("unknown condition %T", c))
}
