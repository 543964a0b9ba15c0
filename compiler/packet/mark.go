package packet

import (
	"fmt"
)

// Marks are the marks of a packet and of its connection, as far as they are known.
type Marks struct{ Packet, Conn MarkValue }

// MarkValue is a mark of which only some bits may be known. The zero MarkValue is 0, the
// mark of a packet that no rule has marked.
type MarkValue struct{ Bits, Unknown uint32 }

// UnknownMark is a mark of which no bit is known, such as that of a connection which
// earlier packets may have marked.
var UnknownMark = MarkValue{Unknown: ^uint32(0)}

// xor returns the mark with the bits of mask cleared and then those of value flipped.
func (m MarkValue) xor(value MarkValue, mask uint32) MarkValue {
	unknown := m.Unknown&^mask | value.Unknown
	return MarkValue{(m.Bits&^mask ^ value.Bits) &^ unknown, unknown}
}

// and returns the mark with all bits cleared that are not in mask.
func (m MarkValue) and(mask uint32) MarkValue {
	return MarkValue{m.Bits & mask, m.Unknown & mask}
}

// is reports whether the condition holds; known is false if that depends on bits that are
// not known.
func (c Mark) is(m MarkValue) (holds, known bool) {
	if (m.Bits^c.Value)&c.Mask&^m.Unknown != 0 || c.Value&^c.Mask != 0 {
		return false, true
	}
	return true, m.Unknown&c.Mask == 0
}

// Of reports whether the condition holds for marks; known is false if that depends on bits
// that are not known. A packet that is not tracked has no connection mark.
func (c Mark) Of(m Marks, tracked bool) (holds, known bool) {
	switch {
	case !c.Conn:
		return c.is(m.Packet)
	case !tracked:
		return false, true
	}
	return c.is(m.Conn)
}

// opaque returns the condition for where the mark is not known.
func (c Mark) opaque() Opaque { return Opaque{Text: c.String()} }

// ActionKind is the kind of an action.
type ActionKind int

// The actions, by the formulas of the kernel's xt_mark.c and xt_connmark.c.
const (
	// SetMark makes the packet's mark (mark &^ Mask) ^ Value.
	SetMark ActionKind = iota
	// SetConnMark makes the connection's mark (mark &^ Mask) ^ Value.
	SetConnMark
	// SaveMark makes the connection's mark (its mark &^ Mask) ^ (packet's mark & Value).
	SaveMark
	// RestoreMark makes the packet's mark (its mark &^ Mask) ^ (connection's mark & Value).
	RestoreMark
	// LoseMark makes both marks unknown, for targets that set one of them to a value that
	// is not followed.
	LoseMark
	// Untrack takes the packet out of connection tracking: its state is UNTRACKED, and it
	// gets no NAT.
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
		// It changes no mark.
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

// untracks reports whether the rule takes packets out of connection tracking.
func (r *Rule) untracks() bool {
	for _, a := range r.Actions {
		if a.Kind == Untrack {
			return true
		}
	}
	return false
}

// tracked holds for packets that are part of a known connection.
var tracked = Dir{}

// String writes a mark as iptables does.
func (m MarkValue) String() string {
	if m.Unknown != 0 {
		return fmt.Sprintf("%#x (bits %#x not known)", m.Bits, m.Unknown)
	}
	return fmt.Sprintf("%#x", m.Bits)
}
