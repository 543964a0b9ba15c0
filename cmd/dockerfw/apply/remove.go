package apply

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Remove removes all rules, chains and sets of dockerfw, from both kinds of iptables. DOCKER-USER and
// the jump to it stay for the engine.
func (a *Applier) Remove() (*Result, error) {
	var out *Result
	err := a.locked(lockWait, func() error {
		records, err := Records(a.store)
		if err != nil {
			return unchanged(err)
		}
		host, _, err := a.read(snapshot.LiveOptions{Removing: true})
		if err != nil {
			return unchanged(err)
		}
		if host.SetsUnread != nil {
			return unchanged(fmt.Errorf("ipset does not work on this host: %w", host.SetsUnread))
		}
		if err := MustRead(host); err != nil {
			return unchanged(err)
		}
		if err := host.Unread[ir.IPv4]; err != nil {
			return unchanged(err)
		}
		none := &plan.Version{Rules: map[ir.Family]*plan.Rules{}, Sets: &iptables.Sets{}, Unmanaged: &iptables.Sets{}}
		p, err := plan.Make(plan.Input{Host: host.State(), Want: none, Records: records, Force: true})
		if err != nil {
			return unchanged(err)
		}
		uninterrupted()
		if err := a.lock.Drop(); err != nil {
			return err
		}
		if err := a.lock.SetNames(store.Made, p.Made); err != nil {
			return err
		}
		if err := a.steps(host, p.Load); err != nil {
			return fmt.Errorf("%w\nnot all rules were removed: fix the cause, and run dockerfw remove again", err)
		}
		kept := a.settleSteps(host, p)
		// Steps that fail are no more than warnings after a load; here they leave rules in force.
		if host, _, err = a.read(snapshot.LiveOptions{Removing: true}); err != nil {
			return fmt.Errorf("%w\nit is not known whether all rules were removed", err)
		}
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			if plan.HasOwn(host.Rules[f]) || plan.HasOwn(host.Other[f]) {
				return fmt.Errorf("rules of dockerfw for IPv%d remain\nnot all rules were removed", f)
			}
		}
		out = &Result{Plan: p, Backend: host.Backend, Before: host, Kept: kept}
		if err := a.lock.Forget(); err != nil {
			return err
		}
		return a.lock.SetNames(store.Made, kept)
	})
	return out, err
}
