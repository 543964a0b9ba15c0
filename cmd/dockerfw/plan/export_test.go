package plan

// Clone is a copy of the host that Run can change.
func (h *Host) Clone() *Host { return h.clone() }
