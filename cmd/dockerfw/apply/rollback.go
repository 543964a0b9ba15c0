package apply

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// earlier is what a load is rolled back to.
type earlier struct {
	Version *plan.Version `json:"version"`
	// Made are the sets that were recorded as dockerfw's besides those of the version before.
	Made []string `json:"made,omitempty"`
}

// rollBack undoes a load that failed, and returns the failure.
func (l *load) rollBack(cause error) error {
	out := &Failure{Err: cause, State: Unchanged}
	changed, err := l.restore(l.before, l.version, l.Plan.Made, l.Backend)
	if err == nil {
		if changed {
			out.State = RolledBack
		}
		if l.waits() {
			if err := l.forgetChange(); err != nil {
				l.warn("%v", err)
			}
		}
		return out
	}
	out.State, out.Rollback = Unknown, err
	if text, err := json.Marshal(l.before); err == nil {
		if out.Saved, err = l.lock.SetSnapshot(text); err != nil {
			l.warn("%v", err)
		}
	}
	switch in := l.InForce(); {
	case l.waits():
		out.Retry, out.Command = l.options.Confirm, "dockerfw rollback"
	case in != nil:
		out.Command = shell.Command("dockerfw", "apply", in.Folder)
	default: // nothing was loaded before
		out.Command = "dockerfw remove"
	}
	return out
}

// forgetChange removes what is recorded of a change that waits for confirmation.
func (a *Applier) forgetChange() error {
	return errors.Join(a.lock.Drop(), a.lock.ClearUnconfirmed())
}

// restore puts an earlier version in force in place of another one, with the names of sets that may
// have been made since, and in the kind of iptables that was used. changed reports whether rules were changed.
func (a *Applier) restore(before earlier, now *plan.Version, made []string, backend snapshot.Backend) (changed bool, err error) {
	records, err := Records(a.store)
	if err != nil {
		return false, err
	}
	records.Made = append(records.Made, made...)
	// Without rules of iptables on either side it does not have to work.
	optional := len(before.Version.Rules) == 0 && (before.Version.Table != nil || now.Table != nil)
	host, _, err := a.read(snapshot.LiveOptions{Backend: backend, Fixed: true, Optional: optional}, before.Version.Table, now.Table)
	if err != nil {
		return false, err
	}
	if err := MustRead(host); err != nil && !optional {
		return false, err
	}
	p, err := plan.Make(plan.Input{Host: host.State(), Want: before.Version, Records: records, Force: true})
	if err != nil {
		return false, err
	}
	for _, rule := range p.Deleted {
		if !before.Version.HasRule(rule) {
			a.warn("deleting foreign rule, which was added since: %s", rule)
		}
	}
	// Rules in the tables that Docker does not use were there before as well.
	p.Settle = slices.DeleteFunc(p.Settle, func(s plan.Step) bool { return s.Other })
	if err := a.lock.SetNames(store.Made, p.Made); err != nil {
		return false, err
	}
	for _, s := range p.Load {
		changed = changed || s.Tool != plan.IPSet
	}
	if err := a.steps(host, p.Load); err != nil {
		return changed, err
	}
	kept := a.settleSteps(host, p)
	return changed, errors.Join(a.lock.SetNames(store.Made, append(kept, before.Made...)), a.lock.SetNames(store.UnmanagedNext, nil))
}

// Confirm keeps the change that waits for confirmation.
func (a *Applier) Confirm() (*Result, error) {
	var out *Result
	err := a.locked(lockWait, func() error {
		pending, err := a.pending()
		if err != nil {
			return err
		}
		if pending.Partial {
			return errors.New("the change that waits for confirmation was loaded only in part: run dockerfw rollback, then load it again")
		}
		l := &load{Applier: a}
		if err := l.use(pending.Files, pending.Folder); err != nil {
			return err
		}
		host, _, err := a.read(l.reads(snapshot.LiveOptions{Backend: snapshot.Backend(pending.Backend), Fixed: true}), l.version.Table)
		if err != nil {
			return err
		}
		if err := l.mustRead(host); err != nil {
			return err
		}
		l.Backend, l.Result.Before, l.After = host.Backend, host, host
		printed, err := a.rehearse(host, l.version, nil)
		if err != nil {
			return err
		}
		if err := l.plan(host, printed); err != nil {
			return err
		}
		// A rollback that failed, or another tool, may have changed the rules since.
		if d := l.Plan.Differences; d.Table != nil || len(d.Chains)+len(d.Jumps) > 0 {
			return fmt.Errorf("the host no longer has what was loaded (%s): run dockerfw rollback, then load it again", strings.Join(d.Lines(), "; "))
		}
		uninterrupted()
		if err := a.lock.Keep(pending.Files); err != nil {
			return fmt.Errorf("%w; the change is not confirmed yet", err)
		}
		// At once: a run that is killed later must not leave a change that is rolled back.
		if err := a.lock.Drop(); err != nil {
			return fmt.Errorf("%w; the change is not confirmed yet", err)
		}
		l.keep(true)
		l.settle()
		out = &l.Result
		return nil
	})
	return out, unchanged(err)
}

// errNoneWaits is the error of confirm and rollback without a change that waits.
var errNoneWaits = errors.New("no change waits for confirmation: dockerfw status shows what is in force")

// pending is the change that waits for confirmation.
func (a *Applier) pending() (*store.Pending, error) {
	pending, err := a.store.Pending()
	if err == nil && pending == nil {
		err = errNoneWaits
	}
	return pending, err
}

// Rollback undoes the change that waits for confirmation.
func (a *Applier) Rollback() error {
	_, err := a.rollback("", time.Time{})
	return err
}

// rollback undoes the change that waits for confirmation. With a token, it waits for the lock as
// long as it takes, and undoes only the change with that token and that end: done is false if it was
// confirmed or undone in the meantime, or got another deadline because it was still being loaded.
func (a *Applier) rollback(token string, end time.Time) (done bool, err error) {
	wait := lockWait
	if token != "" {
		wait = -1
	}
	err = a.locked(wait, func() error {
		pending, err := a.store.Pending()
		switch {
		case err != nil:
			return unchanged(err)
		case token != "" && (pending == nil || pending.Token != token || !pending.Deadline.Equal(end)):
			return nil
		case pending == nil:
			return unchanged(fmt.Errorf("%w\nto return to an earlier version, load its folder: dockerfw apply FOLDER", errNoneWaits))
		}
		var old earlier
		var now plan.Version
		if err := errors.Join(json.Unmarshal(pending.Old, &old), json.Unmarshal(pending.New, &now)); err != nil {
			return unchanged(fmt.Errorf("the previous version cannot be read: %w", err))
		}
		if old.Version == nil {
			return unchanged(errors.New("the previous version is missing"))
		}
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			if r := old.Version.Rules[f]; r != nil {
				r.NoJump = false // the engine may use the jump by now
			}
		}
		uninterrupted()
		if _, err := a.restore(old, &now, now.Sets.Names(), snapshot.Backend(pending.Backend)); err != nil {
			return &Failure{Err: err, State: Unknown, Rollback: err, Saved: a.store.Run + "/pending", Command: "dockerfw rollback"}
		}
		done = true
		return errors.Join(a.forgetChange(), a.lock.ClearSnapshot())
	})
	return done, err
}
