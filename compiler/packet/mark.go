package packet

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/parser/iptables"
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

// actionsOf are the actions of a rule's target.
func actionsOf(r *iptables.Rule) []Action {
	switch r.Jump {
	case "MARK":
		return markActions(r.Target, SetMark)
	case "CONNMARK":
		return markActions(r.Target, SetConnMark)
	case "NOTRACK":
		return []Action{{Kind: Untrack}}
	case "CT":
		for _, o := range r.Target {
			if o.Name == "--notrack" {
				return []Action{{Kind: Untrack}}
			}
		}
	case "HMARK":
		return []Action{{Kind: LoseMark}}
	case "SET":
		for _, o := range r.Target {
			if o.Name == "--map-mark" {
				return []Action{{Kind: LoseMark}}
			}
		}
	}
	return nil
}

// markActions reads the options of MARK and CONNMARK. What cannot be read loses the mark.
func markActions(options []iptables.Option, set ActionKind) []Action {
	var save, restore bool
	nf, ct := ^uint32(0), ^uint32(0)
	for _, o := range options {
		value, mask, ok := markNumbers(o.Value())
		switch o.Name {
		case "--save-mark":
			save = true
		case "--restore-mark":
			restore = true
		case "--nfmask":
			nf = value
		case "--ctmask":
			ct = value
		case "--mask":
			nf, ct = value, value
		case "--set-xmark":
			if ok {
				return []Action{{set, value, mask}}
			}
		case "--set-mark":
			if ok {
				return []Action{{set, value, value | mask}}
			}
		case "--and-mark":
			if ok {
				return []Action{{set, 0, ^value}}
			}
		case "--or-mark":
			if ok {
				return []Action{{set, value, value}}
			}
		case "--xor-mark":
			if ok {
				return []Action{{set, value, 0}}
			}
		}
	}
	switch {
	case save:
		return []Action{{SaveMark, nf, ct}}
	case restore:
		return []Action{{RestoreMark, ct, nf}}
	}
	return []Action{{Kind: LoseMark}}
}

// markNumbers reads VALUE or VALUE/MASK; without a mask all bits count.
func markNumbers(text string) (value, mask uint32, ok bool) {
	v, m, masked := strings.Cut(text, "/")
	number := func(s string) (uint32, error) {
		n, err := strconv.ParseUint(s, 0, 32)
		return uint32(n), err
	}
	value, err := number(v)
	if err != nil {
		return 0, 0, false
	}
	mask = ^uint32(0)
	if masked {
		if mask, err = number(m); err != nil {
			return 0, 0, false
		}
	}
	return value, mask, true
}

// markOption reads -m mark and -m connmark.
func markOption(m *iptables.Match) ([]Cond, bool) {
	if len(m.Options) != 1 || m.Options[0].Name != "--mark" {
		return nil, false
	}
	o := m.Options[0]
	value, mask, ok := markNumbers(o.Value())
	if !ok {
		return nil, false
	}
	c := Mark{m.Name == "connmark", value, mask}
	if !c.Conn {
		return []Cond{inverted(c, o)}, true
	}
	// Without a connection the match fails, with ! as well.
	return []Cond{tracked, inverted(c, o)}, true
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

// AsksMarks tells whether a rule of the program has a condition on a mark.
func (p *Program) AsksMarks() bool {
	asks := false
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			for _, m := range r.Matches {
				rewrite(m, func(leaf Cond) Cond {
					if _, ok := leaf.(Mark); ok {
						asks = true
					}
					return leaf
				})
			}
		}
	}
	return asks
}

// MarksOnly is the program for packets that it does not drop: how it marks them.
func (p *Program) MarksOnly() *Program {
	out := &Program{Family: p.Family, Default: Verdict{Kind: Accept}, ToHost: p.ToHost}
	for _, c := range p.Chains {
		chain := &Chain{Name: c.Name}
		for _, r := range c.Rules {
			if k := r.Verdict.Kind; k == Drop || k == Reject {
				rule := *r
				rule.Verdict = Verdict{Kind: Continue}
				r = &rule
			}
			chain.Rules = append(chain.Rules, r)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}

// ChangesMarks tells whether a rule of the program sets marks, or takes packets out of
// connection tracking.
func (p *Program) ChangesMarks() bool {
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			if len(r.Actions) > 0 {
				return true
			}
		}
	}
	return false
}

// MarksUnknown is the program where nothing is known of marks: not those that packets have
// when they come to it, nor those that it sets.
func (p *Program) MarksUnknown() *Program {
	out := p.rewritten(func(c Cond) Cond {
		if m, ok := c.(Mark); ok {
			return m.opaque()
		}
		return c
	})
	for _, c := range out.Chains {
		for _, r := range c.Rules {
			if len(r.Actions) > 0 && !r.untracks() {
				r.Actions = []Action{{Kind: LoseMark}}
			}
		}
	}
	return out
}

// rewritten is the program with each condition that is not made of others replaced.
func (p *Program) rewritten(leaf func(Cond) Cond) *Program {
	out := &Program{Family: p.Family, Default: p.Default, ToHost: p.ToHost}
	for _, c := range p.Chains {
		chain := &Chain{Name: c.Name}
		for _, r := range c.Rules {
			rule := *r
			rule.Matches = make([]Cond, len(r.Matches))
			for i, m := range r.Matches {
				rule.Matches[i] = rewrite(m, leaf)
			}
			chain.Rules = append(chain.Rules, &rule)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}
