package apply

import (
	"errors"
	"fmt"
	"os"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

type iptablesRules = iptables.Ruleset

// Remove removes all rules, chains and sets of dockerfw, from both kinds of iptables. DOCKER-USER and
// the jump to it stay for the engine.
func (a *Applier) Remove() (*Result, error) {
	var out *Result
	err := a.locked(lockWait, func() error {
		recorded, err := a.recorded()
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
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			// A kernel without a family has no rules of it.
			if err := host.Unread[f]; err != nil && (f == ir.IPv4 || hasIPv6() && !errors.Is(err, snapshot.ErrNoTool)) {
				return unchanged(err)
			}
		}
		if pending, err := a.store.Pending(); err == nil && pending != nil {
			var now plan.Version
			if now.UnmarshalJSON(pending.New) == nil {
				recorded.made = append(recorded.made, now.Sets.Names()...)
			}
		}
		none := &plan.Version{Rules: map[ir.Family]*plan.Rules{}, Sets: &iptables.Sets{}, Unmanaged: &iptables.Sets{}}
		p, err := plan.Make(plan.Input{Host: host.State(), Want: none, Made: recorded.made, Last: recorded.last, Unmanaged: recorded.unmanaged, Force: true})
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
			return fmt.Errorf("%w\nnot all rules were removed", err)
		}
		kept := a.settleSteps(host, p)
		out = &Result{Plan: p, Backend: host.Backend, Before: host, Kept: kept}
		if err := a.lock.Forget(); err != nil {
			return err
		}
		return a.lock.SetNames(store.Made, kept)
	})
	return out, err
}

// hasIPv6 reports whether this kernel has IPv6.
func hasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}
