package packet

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Step is a rule that a packet reached.
type Step struct {
	At Place
	// Failed is the first condition of the rule that does not hold; nil if all do.
	Failed Cond
}

// Decision is the verdict of one packet, and how it got it.
type Decision struct {
	Verdict Verdict
	// At is the rule that gave the verdict, or AtEnd.
	At Place
	// Steps are the rules that the packet reached, in order.
	Steps []Step
}

// Decide sends one packet through the program, rule by rule, as the kernel does. It shares
// no code with the sets, so that each checks the other. An opaque condition holds if
// p.Conditions is true for its name in e's space.
func (e *Evaluation) Decide(p Packet) Decision { return e.Program.Decide(p) }

// Decide is Evaluation.Decide for a program without a space: an opaque condition holds if
// p.Conditions is true for its text.
func (p *Program) Decide(packet Packet) Decision {
	packet.Complete()
	d := Decision{Verdict: p.Default, At: AtEnd}
	p.walk(0, true, &packet, &d)
	return d
}

// walk returns true if the packet has got its verdict.
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
		case Docker, Accept, Drop, Reject, Other:
			d.Verdict, d.At = r.Verdict, at
			return true
		default:
			panic(r.Verdict.unknown())
		}
	}
	return false
}

// Holds reports whether a condition holds for a packet that is complete. An opaque
// condition holds if p.Conditions is true for its text.
func Holds(c Cond, p *Packet) bool {
	holds, _ := evaluate(c, p, func(text string) (holds, known bool) { return p.Conditions[text], true })
	return holds
}

// evaluate reports whether a condition holds for a packet. known is false if that depends
// on an opaque condition for which opaque returns known false.
func evaluate(c Cond, p *Packet, opaque func(text string) (holds, known bool)) (holds, known bool) {
	switch c := c.(type) {
	case FamilyIs:
		return p.Family == c.Family, true
	case Addr:
		return c.holds(p), true
	case Port:
		return c.holds(p), true
	case Proto:
		return slices.Contains(c.Numbers, p.Protocol), true
	case ICMPType:
		return isICMP(p.Family, p.Protocol) && c.FirstType <= p.ICMPType && p.ICMPType <= c.LastType &&
			c.FirstCode <= p.ICMPCode && p.ICMPCode <= c.LastCode, true
	case Interface:
		name := p.In
		if c.End == Destination {
			name = p.Out
		}
		return matchesInterface(c.Name, name), true
	case State:
		return c.holds(p), true
	case Dir:
		return p.Tracked() && (c.Dir == ir.CTAny || p.Direction == c.Dir), true
	case Opaque:
		return opaque(c.Text)
	case Until:
		return opaque(c.String())
	case Mark:
		if holds, known := c.Of(p.Marks, p.Tracked()); known {
			return holds, true
		}
		return opaque(c.String())
	case InSet:
		return evaluate(c.C, p, opaque)
	case Not:
		holds, known = evaluate(c.C, p, opaque)
		return !holds, known
	case All:
		return firstOther(c, true, p, opaque)
	case Any:
		return firstOther(c, false, p, opaque)
	}
	panic(fmt.Sprintf("unknown condition %T", c))
}

// firstOther returns the value of All, whose neutral value is true, or Any, whose neutral
// value is false: one condition with the other value is enough, even if others are not
// known.
func firstOther(cs []Cond, neutral bool, p *Packet, opaque func(text string) (holds, known bool)) (holds, known bool) {
	known = true
	for _, c := range cs {
		h, k := evaluate(c, p, opaque)
		if k && h != neutral {
			return h, true
		}
		known = known && k
	}
	return neutral, known
}

func (c Addr) holds(p *Packet) bool {
	a := p.Source
	switch c.End {
	case Destination:
		a = p.Destination
	case OriginalDestination:
		if a = p.OriginalDestination; !p.Tracked() {
			return false
		}
	}
	return a.IsValid() && c.In.Contains(a)
}

func (c Port) holds(p *Packet) bool {
	port, has := p.SourcePort, hasPorts(p.Protocol)
	switch c.End {
	case Destination:
		port = p.DestinationPort
	case OriginalDestination:
		port, has = p.OriginalPort, p.Tracked()
	}
	return has && slices.ContainsFunc(c.Ranges, func(r ir.PortRange) bool { return r.First <= port && port <= r.Last })
}

func (c State) holds(p *Packet) bool {
	has := p.State
	if p.Tracked() && p.DNAT {
		has |= ir.CTDNAT
	}
	if p.Tracked() && p.SNAT {
		has |= ir.CTSNAT
	}
	return has&c.States != 0
}
