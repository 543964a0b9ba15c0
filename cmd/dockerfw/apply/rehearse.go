package apply

import (
	"bytes"
	"cmp"
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
// them, so that they can be compared with those of the host. early is what beginRehearsal returned, or nil.
func (a *Applier) rehearse(h *snapshot.Host, v *plan.Version, early *rehearsal) (*printed, error) {
	out := &printed{}
	var err error
	if v.Table != nil {
		out.table, err = a.rehearseTable(v)
		return out, err
	}
	if early.wait(); early.of(a, h) {
		out.rules, err = early.printed, early.err
	} else {
		out.rules, err = a.rehearseQuietly(h, v)
	}
	if errors.Is(err, hosttool.ErrNamespace) {
		a.warn("%v: the files are not tested before they are loaded", err)
		out.rules, err = plan.Simulate(v, h.NoSecurity)
	}
	return out, err
}

// printed is a version as the tools of the host print it: the tables of iptables, or the table of nft.
type printed struct {
	rules plan.Printed
	table *plan.Table
}

// rehearsal is a rehearsal that began before the host was read.
type rehearsal struct {
	host    *snapshot.Host
	done    chan struct{}
	printed plan.Printed
	err     error
}

// beginRehearsal begins to rehearse a version while the host is read, on what a host with
// iptables-nft probably turns out to be. nil: iptables is of the other kind, whose tables in the
// kernel have to be known; or the other kind is asked for, or was used last: a rehearsal that does not
// count costs time and processes.
func (a *Applier) beginRehearsal(v *plan.Version, asked snapshot.Backend) *rehearsal {
	if v.Table != nil || standard(a.tools, "iptables") != snapshot.NFT || cmp.Or(asked, a.lastBackend()) == snapshot.Legacy {
		return nil
	}
	r := &rehearsal{host: &snapshot.Host{Backend: snapshot.NFT}, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.printed, r.err = a.rehearseQuietly(r.host, v)
	}()
	return r
}

// wait waits until no tool of the rehearsal runs any more.
func (r *rehearsal) wait() {
	if r != nil {
		<-r.done
	}
}

// of reports whether the rehearsal is one for a host as it was read.
func (r *rehearsal) of(a *Applier, h *snapshot.Host) bool {
	if r == nil || h.Backend != r.host.Backend {
		return false
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if h.NoSecurity[f] || a.tool(h, f, "") != a.tool(r.host, f, "") {
			return false
		}
	}
	return true
}

// rehearseQuietly is rehearse. It returns an error that wraps [hosttool.ErrNamespace] if there can be
// no namespace.
func (a *Applier) rehearseQuietly(h *snapshot.Host, v *plan.Version) (plan.Printed, error) {
	ns, err := a.tools.NewNamespace()
	if err != nil {
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
