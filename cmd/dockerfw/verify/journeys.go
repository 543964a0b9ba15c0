package verify

import (
	"iter"
	"maps"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// maxConditions limits the journeys of a packet to two to the power of it.
const maxConditions = 8

// journeys are the paths of a packet through hooks, one for each combination of the opaque
// conditions that matter. One that depends on more than maxConditions of them is still open.
func journeys(hooks []packet.Hook, p packet.Packet) iter.Seq[packet.Journey] {
	return func(yield func(packet.Journey) bool) {
		var try func(known map[string]bool) bool
		try = func(known map[string]bool) bool {
			p.Conditions = known
			j := packet.Trace(hooks, p)
			if j.Open == "" || len(known) == maxConditions {
				return yield(j)
			}
			for _, holds := range []bool{false, true} {
				more := maps.Clone(known)
				more[j.Open] = holds
				if !try(more) {
					return false
				}
			}
			return true
		}
		try(map[string]bool{})
	}
}
