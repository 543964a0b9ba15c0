package diff

import "slices"

// Formats are those of Write.
var Formats = []string{"text", "json", "markdown"}

// Gates are the values of Gate.On.
var Gates = []string{"any", string(Widened), string(Narrowed)}

// Gate selects the differences that a check fails on.
type Gate struct {
	// On is any, widened or narrowed.
	On string
	// Strict adds, for any, differences that change no packet's verdict or only that of
	// packets which Docker's rules accept too.
	Strict bool
}

// Fails reports whether reports have a difference that the gate selects.
func (g Gate) Fails(reports []*Report) bool {
	return slices.ContainsFunc(reports, func(r *Report) bool {
		if g.On == string(Widened) || g.On == string(Narrowed) {
			return r.Effect == Effect(g.On) || r.Effect == Both
		}
		return r.Different() || g.Strict && len(r.Rules)+len(r.Foreign)+len(r.Sets)+len(r.SameReach) > 0
	})
}
