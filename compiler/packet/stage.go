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

// given returns the condition for packets with these marks at a stage.
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

// sentTo returns the condition that c, a condition on the destination, held before any NAT.
// Packets in the original direction were sent to the original destination of their
// connection. Others were sent to their destination, unless NAT changed it; nothing in the
// packet shows from what.
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

// of returns the condition on a packet as it is routed that is equivalent to c, a condition
// on the same packet at an earlier stage.
func (s stage) of(c Cond, toHost bool) Cond {
	if o, ok := c.(Opaque); ok && (o == DestinationIsLocal || o == SourceIsLocal) {
		return s.local(o, toHost)
	}
	translated := s >= beforeRouting // DNAT happened before the stage
	switch c := c.(type) {
	case Addr:
		switch {
		case translated:
		case c.End == Destination:
			return sentTo(Addr{OriginalDestination, c.In}, c)
		case c.End == OriginalDestination && s == beforeTracking:
			return never
		}
	case Port:
		switch {
		case translated:
		case c.End == Destination:
			return All{Proto{[]uint8{ProtoTCP, ProtoUDP, ProtoSCTP}}, sentTo(Port{OriginalDestination, c.Ranges}, c)}
		case c.End == OriginalDestination && s == beforeTracking:
			return never
		}
	case Interface:
		if c.End == Destination && s != asRouted {
			return never // not routed yet
		}
	case Dir:
		if s == beforeTracking {
			return never
		}
	case State:
		if s == beforeTracking {
			// For xt_conntrack a packet without a connection is INVALID:
			// docs/contributing/netfilter.md, "Packets without a connection".
			untracked := State{ir.CTUntracked}
			return Any{All{untracked, truth(c.States&ir.CTUntracked != 0)}, All{Not{untracked}, truth(c.States&ir.CTInvalid != 0)}}
		}
		if nat := c.States & (ir.CTSNAT | ir.CTDNAT); nat != 0 && !translated {
			// A new connection has no NAT before the nat table.
			return Any{State{c.States &^ nat}, All{Not{State{ir.CTNew}}, State{nat}}}
		}
	case FamilyIs, Proto, ICMPType, Opaque, Until, InSet, Not, All, Any:
		// The same at each stage.
	default: // Mark is replaced by given
		panic(fmt.Sprintf("unknown condition %T", c))
	}
	return c
}

// local returns what follows for a condition that an address is one of the host's own. A
// forwarded packet goes to none of them, but may have been sent to one before DNAT.
func (s stage) local(o Opaque, toHost bool) Cond {
	switch {
	case toHost:
		return o // a broadcast is for the host too, but not to an address of its own
	case s >= beforeRouting || o == SourceIsLocal:
		return never
	}
	return All{State{ir.CTDNAT | ir.CTNew}, o}
}
