package packet

import (
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

var (
	always = All{}
	never  = Any{}
)

func truth(holds bool) Cond {
	if holds {
		return always
	}
	return never
}

// given is the condition for packets with these marks at a stage.
func (c Mark) given(m Marks, s stage) Cond {
	value, guard := m.Packet, Cond(always)
	if c.Conn {
		value, guard = m.Conn, s.of(tracked, false)
	}
	if holds, known := c.is(value); known {
		return All{guard, truth(holds)}
	}
	return All{guard, c.opaque()}
}

// sentTo holds for packets that were sent to where c, a condition on the destination,
// holds for it, before any NAT. Packets of the direction in which the connection was
// opened were sent to its original destination. What others were sent to is where they
// go, unless NAT changed that, which nothing in the packet tells.
func sentTo(original, c Cond) Cond {
	icmpError := All{State{ir.CTRelated}, ICMPType{0, 255, 0, 255}}
	forth := All{Dir{ir.CTOriginal}, Not{icmpError}}
	changed := Any{All{Dir{ir.CTReply}, State{ir.CTSNAT}}, All{icmpError, State{ir.CTSNAT | ir.CTDNAT}}}
	return Any{
		All{forth, original},
		All{Not{forth}, Not{changed}, c},
		All{Not{forth}, changed, Opaque{Text: c.String() + " before NAT"}},
	}
}

// of returns the condition about a packet as routed that is equal to c, which is about the
// same packet at an earlier stage.
func (s stage) of(c Cond, toHost bool) Cond {
	if o, ok := c.(Opaque); ok && (o == DestinationIsLocal || o == SourceIsLocal) {
		return s.local(o, toHost)
	}
	switch s {
	case asRouted:
		return c
	case beforeRouting:
		if i, ok := c.(Interface); ok && i.End == Destination {
			return never
		}
		return c
	}
	switch c := c.(type) {
	case Addr:
		switch {
		case c.End == Destination:
			return sentTo(Addr{OriginalDestination, c.In}, c)
		case c.End == OriginalDestination && s == beforeTracking:
			return never
		}
	case Port:
		switch {
		case c.End == Destination:
			return All{Proto{[]uint8{ProtoTCP, ProtoUDP, ProtoSCTP}}, sentTo(Port{OriginalDestination, c.Ranges}, c)}
		case c.End == OriginalDestination && s == beforeTracking:
			return never
		}
	case Interface:
		if c.End == Destination {
			return never // it is not routed yet
		}
	case Dir:
		if s == beforeTracking {
			return never
		}
	case State:
		if s == beforeTracking {
			// xt_conntrack takes a packet that it does not know yet for INVALID.
			untracked := State{ir.CTUntracked}
			return Any{All{untracked, truth(c.States&ir.CTUntracked != 0)}, All{Not{untracked}, truth(c.States&ir.CTInvalid != 0)}}
		}
		if nat := c.States & (ir.CTSNAT | ir.CTDNAT); nat != 0 {
			// A new connection has no NAT before the nat table.
			return Any{State{c.States &^ nat}, All{Not{State{ir.CTNew}}, State{nat}}}
		}
	case FamilyIs, Proto, ICMPType, Opaque, InSet, Not, All, Any:
		// The same at each stage.
	default: // Mark is never asked about: see given
		panic(fmt.Sprintf("unknown condition %T", c))
	}
	return c
}

// local is what follows of an address being the host's own. What is forwarded goes to
// none, but may have been sent to one before DNAT.
func (s stage) local(o Opaque, toHost bool) Cond {
	switch {
	case toHost:
		return o // a broadcast is for the host as well, and goes to no address of its own
	case s >= beforeRouting || o == SourceIsLocal:
		return never
	}
	return All{State{ir.CTDNAT | ir.CTNew}, o}
}
