package snapshot

import (
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Version is what a compiled host loads.
func (h *Host) Version() *plan.Version {
	managed, unmanaged := map[string]string{}, map[string]string{}
	for _, name := range h.Sets.Names() {
		if h.Unmanaged[name] {
			unmanaged[name] = name
		} else {
			managed[name] = name
		}
	}
	out := &plan.Version{Table: h.TableText, Rules: map[ir.Family]*plan.Rules{}, Sets: h.Sets.Select(managed), Unmanaged: h.Sets.Select(unmanaged)}
	for f := range h.restore {
		out.Rules[f] = h.rulesVersion(f)
	}
	return out
}

// rulesVersion are the rules of a family that a compiled host loads; nil for none.
func (h *Host) rulesVersion(f ir.Family) *plan.Rules {
	file := h.restore[f]
	if file == nil {
		return nil
	}
	out := &plan.Rules{Target: h.Target}
	for _, b := range file.Blocks {
		switch b.Table {
		case "filter":
			out.Filter = b
		case "security":
			out.Security = b
		}
	}
	return out
}

// State is what a plan for the host starts from. The host was read for loading.
func (h *Host) State() *plan.Host {
	return &plan.Host{Rules: h.Rules, Other: h.Other, Table: h.TableText, Sets: h.Sets, NoSecurity: h.NoSecurity}
}
