package packet

import "github.com/dockerfw/dockerfw/compiler/ir"

// tracking is the state and the direction of a packet as one number: a new connection has
// seen no reply, and a packet that is not tracked has no direction.
type tracking uint32

const (
	trackNew tracking = iota
	trackEstablished
	trackRelated
	trackEstablishedReply
	trackRelatedReply
	trackInvalid
	trackUntracked
	lastTracking = trackUntracked
)

func trackingOf(s ir.CTState, d ir.CTDir) tracking {
	switch {
	case s&ir.CTInvalid != 0:
		return trackInvalid
	case s&ir.CTUntracked != 0:
		return trackUntracked
	case s&ir.CTNew != 0:
		return trackNew
	case s&ir.CTRelated != 0 && d == ir.CTReply:
		return trackRelatedReply
	case s&ir.CTRelated != 0:
		return trackRelated
	case d == ir.CTReply:
		return trackEstablishedReply
	}
	return trackEstablished
}

func (t tracking) state() ir.CTState {
	return [...]ir.CTState{
		ir.CTNew, ir.CTEstablished, ir.CTRelated, ir.CTEstablished, ir.CTRelated, ir.CTInvalid, ir.CTUntracked,
	}[t]
}

func (t tracking) direction() ir.CTDir {
	switch {
	case t <= trackRelated:
		return ir.CTOriginal
	case t <= trackRelatedReply:
		return ir.CTReply
	}
	return ir.CTAny
}
