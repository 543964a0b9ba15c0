package snapshot

import (
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

type Placement struct {
	plan.Jump
	Move, Missing bool
	Behind        string
	Example       *packet.Packet
}

func (h *Host) Placements(host *Host) ([]Placement, error) { return nil, nil }
