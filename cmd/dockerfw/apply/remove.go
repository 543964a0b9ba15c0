package apply

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Remove removes all rules, chains and sets of dockerfw, from both kinds of iptables, and its table of
// nft. DOCKER-USER and the jump to it stay for the engine.
func (a *Applier) Remove() (*Result, error) {
	var out *Result
	err := a.locked(lockWait, func() error {
		records, err := Records(a.store)
		if err != nil {
			return unchanged(err)
		}
		// Of a host that had target nftables only, iptables need not be installed.
		o := snapshot.LiveOptions{Removing: true, Optional: a.onlyNFTables()}
		host, _, err := a.read(o)
		if err != nil {
			return unchanged(err)
		}
		if o.Optional {
			a.ignoreUnread(host)
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
		if host, _, err = a.read(o); err != nil {
			return fmt.Errorf("%w\nit is not known whether all rules were removed", err)
		}
		if host.TableText != nil {
			return errors.New("table inet dockerfw of nft remains\nnot all rules were removed")
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

// onlyNFTables reports whether the version that was loaded last, and the change that waits for
// confirmation, are for target nftables.
func (a *Applier) onlyNFTables() bool {
	folders := recordedFolders(a.store)
	return len(folders) > 0 && len(folders) == len(KnownTables(a.store))
}

// ignoreUnread makes a host one without the rules and sets that could not be read.
func (a *Applier) ignoreUnread(h *snapshot.Host) {
	for _, err := range append(slices.Collect(maps.Values(h.Unread)), h.SetsUnread) {
		if err != nil && !errors.Is(err, snapshot.ErrNoTool) {
			a.warn("cannot tell whether this host has rules or sets of dockerfw for iptables: %v", err)
		}
	}
	h.Unread, h.SetsUnread = nil, nil
}
