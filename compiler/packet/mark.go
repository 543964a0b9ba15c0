package packet

import (
	"fmt"
)

// Marks are the marks of a packet and of its connection, as far as they are known.
type Marks struct{ Packet, Conn MarkValue }

// MarkValue is a mark of which only some bits may be known. The zero MarkValue is
// a mark of 0, as a packet has that no rule has marked.
type MarkValue struct{ Bits, Unknown uint32 }

// UnknownMark is a mark of which nothing is known: that of a connection which earlier
// packets may have marked.
var UnknownMark = MarkValue{Unknown: ^uint32(0)}

// xor returns the mark with the bits of mask cleared, then those of value flipped.
func (m MarkValue) xor(value MarkValue, mask uint32) MarkValue {
	unknown := m.Unknown&^mask | value.Unknown
	return MarkValue{(m.Bits&^mask ^ value.Bits) &^ unknown, unknown}
}

// and returns the bits of the mark that are in mask, the others 0.
func (m MarkValue) and(mask uint32) MarkValue {
	return MarkValue{m.Bits & mask, m.Unknown & mask}
}

// is tells whether the condition holds; known is false where bits that are not known
// decide it.
func (c Mark) is(m MarkValue) (holds, known bool) {
	if (m.Bits^c.Value)&c.Mask&^m.Unknown != 0 || c.Value&^c.Mask != 0 {
		return false, true
	}
	return true, m.Unknown&c.Mask == 0
}

// Of evaluates the condition for marks; known is false where bits that are not known
// decide it. A packet without a connection has no connection mark: tracked says whether
// it has one.
func (c Mark) Of(m Marks, tracked bool) (holds, known bool) {
	switch {
	case !c.Conn:
		return c.is(m.Packet)
	case !tracked:
		return false, true
	}
	return c.is(m.Conn)
}

// opaque is the condition where the mark is not known.
func (c Mark) opaque() Opaque { return Opaque{Text: c.String()} }

// ActionKind is what an action changes.
type ActionKind int

// The actions. The formulas are those of the kernel's xt_mark.c and xt_connmark.c.
const (
	// SetMark makes the packet's mark (mark &^ Mask) ^ Value.
	SetMark ActionKind = iota
	// SetConnMark makes the connection's mark (mark &^ Mask) ^ Value.
	SetConnMark
	// SaveMark makes the connection's mark (its mark &^ Mask) ^ (packet's mark & Value).
	SaveMark
	// RestoreMark makes the packet's mark (its mark &^ Mask) ^ (connection's mark & Value).
	RestoreMark
	// LoseMark leaves nothing known of either mark: a target that is not followed sets
	// one of them.
	LoseMark
	// Untrack takes the packet out of connection tracking: no state but UNTRACKED, no NAT.
	Untrack
)

// Action is what a rule does to a packet besides its verdict.
type Action struct {
	Kind        ActionKind
	Value, Mask uint32
}

// marks returns the marks after an action.
func (a Action) marks(m Marks) Marks {
	value := MarkValue{Bits: a.Value}
	switch a.Kind {
	case SetMark:
		m.Packet = m.Packet.xor(value, a.Mask)
	case SetConnMark:
		m.Conn = m.Conn.xor(value, a.Mask)
	case SaveMark:
		m.Conn = m.Conn.xor(m.Packet.and(a.Value), a.Mask)
	case RestoreMark:
		m.Packet = m.Packet.xor(m.Conn.and(a.Value), a.Mask)
	case LoseMark:
		m = Marks{UnknownMark, UnknownMark}
	case Untrack:
		// The marks stay what they are.
	default:
		panic(fmt.Sprintf("unknown kind of action %d", a.Kind))
	}
	return m
}

// after returns the marks after all actions of a rule.
func (r *Rule) after(m Marks) Marks {
	for _, a := range r.Actions {
		m = a.marks(m)
	}
	return m
}

// untracks tells whether the rule takes packets out of connection tracking.
func (r *Rule) untracks() bool {
	for _, a := range r.Actions {
		if a.Kind == Untrack {
			return true
		}
	}
	return false
}

// tracked holds for packets that connection tracking knows.
var tracked = Dir{}

// String writes a mark as iptables does.
func (m MarkValue) String() string {
	if m.Unknown != 0 {
		return fmt.Sprintf("%#x (bits %#x not known)", m.Bits, m.Unknown)
	}
	return fmt.Sprintf("%#x", m.Bits)
}
