package snapshot

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// sshPort is the port of sshd, unless its configuration changes it.
const sshPort = 22

// ClosesSSH reports whether the host's policy closes the host, and lets no new TCP packet from an
// external interface reach its port 22 over either family. It fails with a *packet.BudgetError.
func (h *Host) ClosesSSH() (bool, error) {
	closes := false
	for _, f := range h.Families() {
		if !h.HasScope(f, ir.ScopeInput) || !h.HasScope(f, ir.ScopeHost) {
			continue
		}
		passes, err := h.sshPasses(f)
		if err != nil || passes {
			return false, err
		}
		closes = true
	}
	return closes, nil
}

func (h *Host) sshPasses(f ir.Family) (passes bool, err error) {
	defer packet.Catch(&err)
	var in packet.Any
	external, _ := h.Interfaces(f)
	for _, name := range external {
		in = append(in, packet.Interface{End: packet.Source, Name: name})
	}
	accept := packet.Verdict{Kind: packet.Accept}
	ssh := &packet.Program{
		Family: f, ToHost: true, Default: packet.Verdict{Kind: packet.Drop},
		Chains: []*packet.Chain{{Name: "ssh", Rules: []*packet.Rule{{
			Matches: []packet.Cond{
				in,
				packet.State{States: ir.CTNew},
				packet.Proto{Numbers: []uint8{packet.ProtoTCP}},
				packet.Port{End: packet.Destination, Ranges: []ir.PortRange{{First: sshPort, Last: sshPort}}},
			},
			Verdict: accept,
		}}}},
	}
	space, err := packet.New(h.Program(f, h.ChainOf(ir.ScopeInput)), ssh)
	if err != nil {
		return false, err
	}
	rest := space.Programs()[1].Outcome(accept)
	for _, o := range space.Programs()[0].Outcomes() {
		if o.Verdict.Kind == packet.Drop || o.Verdict.Kind == packet.Reject {
			rest = rest.Diff(o.Set)
		}
	}
	return !rest.IsEmpty(), nil
}
