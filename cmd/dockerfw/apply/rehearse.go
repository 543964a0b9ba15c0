package apply

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

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
	var loaded []ir.Family
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if v.Rules[f] == nil {
			continue
		}
		if _, err := ns.Output(background, v.IntoEmpty(f, h.NoSecurity[f]), a.tool(h, f, "-restore"), "--noflush"); err != nil {
			return nil, fmt.Errorf("this host cannot load the IPv%d rules: %w", f, err)
		}
		loaded = append(loaded, f)
	}
	return a.printed(ns, h, loaded)
}

// printed are the tables of families in a namespace, which nothing changes any more: their tools run
// at the same time.
func (a *Applier) printed(ns *hosttool.Namespace, h *snapshot.Host, families []ir.Family) (plan.Printed, error) {
	rules, errs := make([]*iptables.Ruleset, len(families)), make([]error, len(families))
	var running sync.WaitGroup
	for i, f := range families {
		running.Go(func() {
			text, err := ns.Output(background, nil, a.tool(h, f, "-save"))
			if err != nil {
				errs[i] = fmt.Errorf("this host cannot print the IPv%d rules: %w", f, err)
				return
			}
			file, diags := iptables.ParseRules(bytes.NewReader(text), a.tool(h, f, "-save"))
			rules[i] = iptables.NewRuleset(iptables.Family(f))
			if diags = append(diags, rules[i].Load(file)...); diags.HasErrors() {
				errs[i] = diags
			}
		})
	}
	running.Wait()
	out := plan.Printed{}
	for i, f := range families {
		out[f] = rules[i]
	}
	return out, errors.Join(errs...)
}
