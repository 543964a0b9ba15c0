package snapshot

import (
	"maps"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
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
	out := &plan.Version{Rules: map[ir.Family]*plan.Rules{}, Sets: h.Sets.Select(managed), Unmanaged: h.Sets.Select(unmanaged)}
	for f, file := range h.restore {
		r := &plan.Rules{Target: h.Target}
		for _, b := range file.Blocks {
			switch b.Table {
			case "filter":
				r.Filter = b
			case "security":
				r.Security = b
			}
		}
		out.Rules[f] = r
	}
	return out
}

// State is what a plan for the host starts from.
func (h *Host) State() *plan.Host {
	out := &plan.Host{Rules: maps.Clone(h.Rules), Other: map[ir.Family]*iptables.Ruleset{}, Sets: h.Sets, NoSecurity: map[ir.Family]bool{}}
	return out
}
