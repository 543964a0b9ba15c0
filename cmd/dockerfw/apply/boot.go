package apply

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// FallbackVariable is the variable of the environment that, with the value "open", leaves containers
// open where nothing can be loaded at boot.
const FallbackVariable = "DOCKERFW_BOOT_FALLBACK"

// Boot loads a folder before the engine starts: or else the folder that was loaded last, or else
// rules that close all containers to the outside. The error is nil if one of the folders is
// loaded.
func (a *Applier) Boot(path string) (out *Result, err error) {
	uninterrupted()
	a.waitForFirewalld()
	locked := false
	if err = a.unusable; err == nil {
		err = a.locked(lockWait, func() (err error) {
			locked = true
			out, err = a.boot(path)
			return err
		})
	}
	var held *store.HeldError
	if err != nil && !locked && !errors.As(err, &held) {
		// Without a place for the lock, dockerfw must not load: but what nobody loads must not be
		// open.
		a.warn("%v", err)
		a.warn("CANNOT LOAD %s", path)
		files, resolved, unread := store.ReadFolder(path, 0)
		if unread != nil {
			a.warn("%v", unread)
		}
		return nil, a.bootClosed(files, resolved)
	}
	var failure *Failure
	if err != nil && !errors.As(err, &failure) {
		err = fmt.Errorf("%w\nNOTHING WAS LOADED: unless rules were loaded before, published ports are open to everyone", err)
	}
	return out, err
}

func (a *Applier) boot(path string) (*Result, error) {
	files, resolved, err := store.ReadFolder(path, 0)
	if err != nil {
		a.warn("%v", err)
	}
	// known are the files that show which interfaces and ports to close if nothing can be loaded.
	known := files
	var damaged *store.DamagedError
	if errors.As(err, &damaged) {
		known = damaged.Intact
	}
	confirmed := true
	if unconfirmed, _ := a.store.Unconfirmed(); files != nil && unconfirmed == folder.Digest(files[folder.ManifestFile]) {
		confirmed = false
		switch _, _, ok, err := a.store.Good(); {
		case err != nil:
			a.warn("%s was never confirmed, but the copy of the folder that was loaded before cannot be used: loading it\n%v", resolved, err)
		case ok:
			a.warn("%s was never confirmed: loading the folder that was loaded before", resolved)
			files = nil
		default:
			a.warn("%s was never confirmed, but nothing was loaded before: loading it", resolved)
		}
	}
	if files != nil {
		out, err := a.bootFolder(files, resolved, confirmed)
		if err == nil {
			return out, nil
		}
		a.warn("%v", err)
	}
	if files != nil || confirmed {
		a.warn("CANNOT LOAD %s", path)
	}
	good, goodPath, ok, err := a.store.Good()
	if err != nil {
		a.warn("%v", err)
	} else if ok {
		out, err := a.bootFolder(good, goodPath, false)
		if err == nil {
			return out, nil
		}
		a.warn("%v", err)
		a.warn("CANNOT LOAD %s", goodPath)
		switch {
		case known == nil:
			known = good
		case damaged != nil:
			for _, name := range damaged.Names {
				if content, ok := good[name]; ok {
					known[name] = content
				}
			}
		}
	}
	return nil, a.bootClosed(known, path)
}

// bootFolder loads one folder. keep makes it the copy for the next boot.
func (a *Applier) bootFolder(files map[string][]byte, path string, keep bool) (*Result, error) {
	l := &load{Applier: a, options: Options{Force: true}}
	if err := l.use(files, path); err != nil {
		return nil, err
	}
	if err := a.needNFT(l.version); err != nil {
		return nil, err
	}
	host, note, err := a.read(l.reads(snapshot.LiveOptions{Boot: true}), l.version.Table)
	if err != nil {
		return nil, err
	}
	if err := a.needTools(host, l.want); err != nil {
		return nil, err
	}
	l.Backend, l.Note, l.Result.Before = host.Backend, note, host
	if err := l.plan(host, nil); err != nil {
		return nil, err
	}
	a.destroyForeign(l)
	for _, p := range l.Plan.Problems {
		return nil, p
	}
	for _, rule := range l.Plan.Deleted {
		a.warn("deleting foreign rule: %s", rule)
	}
	if err := l.record(); err != nil {
		return nil, err
	}
	if err := a.steps(host, l.Plan.Load); err != nil {
		return nil, err
	}
	l.settle()
	waits := false
	if change, err := a.store.Waiting(); err == nil && change != nil {
		// A change that waits for confirmation is no longer loaded, unless it is this folder.
		if change.Digest == folder.Digest(files[folder.ManifestFile]) {
			waits, err = true, a.lock.Completed()
		} else {
			err = a.lock.Drop()
		}
		if err != nil {
			a.warn("%v", err)
		}
	}
	if keep {
		l.keep(true)
	} else if waits {
		// As after the load that it waits since: what is in force is recorded when it is confirmed.
	} else if in, err := l.inForce(); err == nil {
		if err := a.lock.SetInForce(in); err != nil {
			a.warn("%v", err)
		}
	}
	return &l.Result, nil
}

// destroyForeign destroys sets with names that dockerfw needs while it loads: a set that was saved
// during a run may be restored at boot. A set in use stays, and is a problem.
func (a *Applier) destroyForeign(l *load) {
	if len(l.Plan.Reserved) == 0 {
		return
	}
	for _, name := range l.Plan.Reserved {
		if _, err := a.tools.Output(background, nil, "ipset", "destroy", name); err != nil {
			return
		}
	}
	host, _, err := a.read(snapshot.LiveOptions{Boot: true})
	if err != nil {
		return
	}
	if err := l.plan(host, nil); err != nil {
		a.warn("%v", err)
	}
}

// bootClosed loads rules that close all containers to the outside, and returns the error that
// describes it.
func (a *Applier) bootClosed(files map[string][]byte, path string) error {
	host, _, err := a.read(snapshot.LiveOptions{Boot: true})
	if err != nil {
		return closedError([]string{err.Error(), "CANNOT LOAD EVEN RULES THAT CLOSE ALL CONTAINERS: published ports are open to everyone"}, Open)
	}
	var texts []string
	state := Closed
	if os.Getenv(FallbackVariable) == "open" {
		state = Unchanged
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			if plan.HasOwn(host.Rules[f]) || host.TableText != nil {
				texts = append(texts, fmt.Sprintf("NOTHING WAS LOADED for IPv%d: the existing rules remain", f))
			} else {
				state = Open
				texts = append(texts, fmt.Sprintf("NO RULES ARE LOADED for IPv%d: published ports are open to everyone", f))
			}
		}
		return closedError(texts, state)
	}
	var want *plan.Version
	if files != nil {
		// Interfaces and ports of docker-proxy that are to be closed.
		if compiled, diags, err := snapshot.OpenFiles(path, files); err == nil && !diags.HasErrors() {
			want = compiled.Version()
		}
	}
	if a.closesTable(files) {
		why, ok := a.closeTable(host, files)
		if texts = why; ok {
			return closedError(append(texts, allClosed), state)
		}
		want = nil // without nft, rules of iptables close the containers as well
	}
	closed, err := plan.Closed(want)
	if err != nil {
		return err
	}
	least, err := plan.Closed(nil)
	if err != nil {
		return err
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		unread := host.Unread[f]
		if unread != nil {
			if f == ir.IPv6 && !hasIPv6() {
				continue
			}
			// What cannot be read counts as empty: closing may work all the same.
			host.Rules[f] = iptables.NewRuleset(iptables.Family(f))
		}
		err := a.closeFamily(host, closed, f)
		if err != nil && want != nil {
			// A rule of the input block may be what cannot be loaded.
			if a.closeFamily(host, least, f) == nil {
				texts = append(texts, err.Error(), fmt.Sprintf("ONLY PACKETS FROM CONTAINERS ARE FORWARDED for IPv%d, and the host itself is not closed", f))
				continue
			}
		}
		if err != nil {
			state = Open
			if unread != nil {
				texts = append(texts, unread.Error())
			}
			texts = append(texts, err.Error(), fmt.Sprintf("CANNOT LOAD EVEN RULES THAT CLOSE ALL CONTAINERS for IPv%d: published ports are open to everyone", f))
		}
	}
	if state == Closed {
		texts = append(texts, allClosed)
	}
	return closedError(texts, state)
}

const allClosed = "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE until dockerfw apply succeeds"

// closesTable reports whether the table of nft is to close the containers: the files are of that
// target, or are not known and there is no iptables.
func (a *Applier) closesTable(files map[string][]byte) bool {
	if m, err := folder.ParseManifest(files[folder.ManifestFile]); err == nil {
		return m.Target != ""
	}
	_, err := a.tools.Find("iptables-restore")
	return err != nil && a.needNFT(&plan.Version{Table: &plan.Table{}}) == nil
}

// closeTable loads a table that closes all containers, with the interfaces and ports of a compiled
// folder. It returns what a person has to know.
func (a *Applier) closeTable(host *snapshot.Host, files map[string][]byte) (texts []string, ok bool) {
	var tables []*plan.Table
	if t, err := plan.ParseTable(files[folder.NFTFile]); err == nil {
		tables = append(tables, t)
	}
	for i, t := range append(tables, nil) {
		closed := &plan.Version{Table: plan.ClosedTable(t), Sets: &iptables.Sets{}, Unmanaged: &iptables.Sets{}}
		p, err := plan.Make(plan.Input{Host: &plan.Host{Table: host.TableText, Sets: &iptables.Sets{}}, Want: closed, Force: true})
		if err == nil {
			err = a.steps(host, p.Load)
		}
		if err == nil {
			if i > 0 {
				texts = append(texts, "ONLY PACKETS FROM CONTAINERS ARE FORWARDED, and the host itself is not closed")
			}
			return texts, true
		}
		texts = append(texts, err.Error())
	}
	return texts, false
}

func closedError(texts []string, state State) error {
	return &Failure{Err: closedText(strings.Join(texts, "\n")), State: state}
}

type closedText string

func (t closedText) Error() string { return string(t) }

// closeFamily loads the rules of one family that close all containers.
func (a *Applier) closeFamily(host *snapshot.Host, closed *plan.Version, f ir.Family) error {
	one := *closed
	one.Rules = map[ir.Family]*plan.Rules{f: closed.Rules[f]}
	state := host.State()
	only := *state
	only.Rules = map[ir.Family]*iptables.Ruleset{f: state.Rules[f]}
	only.Other = nil
	p, err := plan.Make(plan.Input{Host: &only, Want: &one, Late: func(plan.Jump) bool { return true }, Force: true})
	if err != nil {
		return err
	}
	for _, s := range p.Load {
		if s.Tool == plan.IPTables {
			if err := a.step(host, s); err != nil {
				return err
			}
		}
	}
	return nil
}
