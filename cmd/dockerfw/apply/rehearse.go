package apply

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// rehearse loads a version into a new network namespace: it fails there if this kernel or these
// tools do not support something. It returns the tables as iptables-save of this host prints
// them, so that they can be compared with those of the host.
func (a *Applier) rehearse(h *snapshot.Host, v *plan.Version) (plan.Printed, error) {
	ns, err := a.tools.NewNamespace()
	if errors.Is(err, hosttool.ErrNamespace) {
		a.warn("%v: the files are not tested before they are loaded", err)
		return plan.Simulate(v, h.NoSecurity)
	} else if err != nil {
		return nil, err
	}
	defer ns.Close()
	if sets := v.EmptySets(); len(sets) > 0 {
		if _, err := ns.Output(background, sets, "ipset", "restore"); err != nil {
			return nil, fmt.Errorf("this host cannot load the sets: %w", err)
		}
	}
	out := plan.Printed{}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if v.Rules[f] == nil {
			continue
		}
		if _, err := ns.Output(background, v.IntoEmpty(f, h.NoSecurity[f]), a.tool(h, f, "-restore"), "--noflush"); err != nil {
			return nil, fmt.Errorf("this host cannot load the IPv%d rules: %w", f, err)
		}
		text, err := ns.Output(background, nil, a.tool(h, f, "-save"))
		if err != nil {
			return nil, fmt.Errorf("this host cannot print the IPv%d rules: %w", f, err)
		}
		file, diags := iptables.ParseRules(bytes.NewReader(text), a.tool(h, f, "-save"))
		out[f] = iptables.NewRuleset(iptables.Family(f))
		if diags = append(diags, out[f].Load(file)...); diags.HasErrors() {
			return nil, diags
		}
	}
	return out, nil
}
