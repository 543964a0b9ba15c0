package plan

// Clone is a copy of the host that Run can change.
func (h *Host) Clone() *Host { return h.clone() }

// OneStep reports whether a change of a set is one step for all packets.
var OneStep = oneStep
