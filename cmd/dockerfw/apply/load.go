package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/emit/folder"
)

// Options are those of Load.
type Options struct {
	// DryRun makes all checks and changes nothing.
	DryRun bool
	// Force deletes foreign rules in chains that are replaced, and replaces foreign sets.
	Force bool
	// Cut ends open connections that the new rules refuse, apart from those to the host itself:
	// CutHost ends these too.
	Cut, CutHost bool
	// Confirm is how many seconds the change waits for confirmation, 1 to 99,999; 0: it does not.
	Confirm int
	// AllowMissing loads rules for interfaces that do not exist, or on which no packet arrives.
	AllowMissing bool
	// Backend is the kind of iptables to use before Docker has run; "" for the one used last.
	Backend snapshot.Backend
}

// Load loads a compiled folder.
func (a *Applier) Load(path string, o Options) (*Result, error) {
	var out *Result
	a.waitForFirewalld()
	err := a.locked(lockWait, func() error {
		l, err := a.prepare(path, o)
		if err != nil {
			return unchanged(err)
		}
		out = &l.Result
		if !l.Plan.Differences.Empty() && o.Confirm == 0 {
			l.warnSSHClosed()
		}
		if a.OnPlan != nil {
			a.OnPlan(l.Result)
		}
		if o.DryRun {
			return nil
		}
		return l.run()
	})
	var failure *Failure
	if err != nil && !errors.As(err, &failure) {
		err = unchanged(err)
	}
	return out, err
}

// load is one load of a folder.
type load struct {
	*Applier
	Result
	options Options
	files   map[string][]byte
	want    *snapshot.Host
	version *plan.Version
	// input is what the plan was made from.
	input plan.Input
	// before is what a failure is rolled back to.
	before earlier
}

// prepare finds all errors that can be found before anything is changed, and makes the plan.
func (a *Applier) prepare(path string, o Options) (*load, error) {
	waiting, err := a.store.Waiting()
	switch {
	case err != nil:
		return nil, err
	case waiting != nil && !o.DryRun:
		return nil, errors.New("the last change waits for confirmation: run dockerfw confirm or dockerfw rollback")
	}
	l := &load{Applier: a, options: o}
	a.progress("checking %s", path)
	if err := l.open(path); err != nil {
		return nil, err
	}
	if l.nftables() && o.Backend != "" {
		return nil, fmt.Errorf("--backend %s selects tables of iptables, and %s is for target nftables: omit it", o.Backend, path)
	}
	early := a.beginRehearsal(l.version, o.Backend)
	defer early.wait()
	if l.Was, err = a.store.InForce(); err != nil {
		l.Was = nil // a damaged record is replaced after the load
	}
	if err := a.needNFT(l.version); err != nil {
		return nil, err
	}
	host, note, err := a.read(l.reads(snapshot.LiveOptions{Backend: o.Backend}), l.version.Table)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(a.needTools(host, l.want), l.mustRead(host)); err != nil {
		return nil, err
	}
	l.Backend, l.Note, l.Result.Before = host.Backend, note, host
	a.progress("testing the rules and sets in a network namespace")
	printed, err := a.rehearse(host, l.version, early)
	if err != nil {
		return nil, err
	}
	if err := l.plan(host, printed); err != nil {
		return nil, err
	}
	problems := []error{l.missing(host)}
	for _, p := range l.Plan.Problems {
		problems = append(problems, p)
	}
	return l, errors.Join(problems...)
}

// open reads the compiled folder.
func (l *load) open(path string) error {
	files, resolved, err := store.ReadFolder(path, 0)
	if err != nil {
		return err
	}
	return l.use(files, resolved)
}

// use takes the files of a compiled folder.
func (l *load) use(files map[string][]byte, path string) (err error) {
	l.files, l.Folder = files, path
	want, diags, err := snapshot.OpenFiles(path, files)
	switch {
	case err != nil:
		return err
	case diags.HasErrors():
		return diags
	}
	l.want, l.version = want, want.Version()
	in, err := l.inForce()
	if err != nil {
		return err
	}
	l.Loaded, l.Want = &in, want
	for _, r := range l.version.Rules {
		l.Rules += r.Count()
	}
	l.Sets = len(l.version.Sets.Names()) + len(l.version.Table.Sets())
	l.Rules += l.version.Table.CountRules()
	return nil
}

// nftables reports whether the folder is for target nftables.
func (l *load) nftables() bool { return l.version.Table != nil }

// reads are the options for reading the host: for target nftables it needs no iptables, and its rules
// are removed whichever kind of iptables Docker uses.
func (l *load) reads(o snapshot.LiveOptions) snapshot.LiveOptions {
	if l.nftables() {
		o.Optional, o.Removing, o.Compiled = true, true, []*snapshot.Host{l.want}
	}
	return o
}

// mustRead is MustRead. For target nftables, rules of iptables that cannot be read are no error: those
// that a host may still have only refuse more.
func (l *load) mustRead(host *snapshot.Host) error {
	err := MustRead(host)
	if err != nil && l.nftables() {
		l.warn("cannot tell whether this host has rules of dockerfw for iptables, which would refuse packets too: %v", err)
		return nil
	}
	return err
}

// plan makes the plan for a host as it was read.
func (l *load) plan(host *snapshot.Host, printed *printed) error {
	records, err := Records(l.store)
	if err != nil {
		return err
	}
	placements, err := l.want.Placements(host)
	if err != nil {
		return err
	}
	l.Moved = slices.DeleteFunc(slices.Clone(placements), func(p snapshot.Placement) bool { return p.Behind == "" })
	l.input = plan.Input{
		Host: host.State(), Want: l.version, Records: records, Force: l.options.Force,
		Late: snapshot.Late(placements),
	}
	if printed != nil {
		l.input.Printed, l.input.PrintedTable = printed.rules, printed.table
	}
	l.Plan, err = plan.Make(l.input)
	return err
}

// Records are the names of sets that were recorded, and those of the last folder and of the
// change that waits for confirmation.
func Records(s *store.Store) (r plan.Records, err error) {
	r.Made, err = s.Names(store.Made)
	for _, list := range []store.List{store.Unmanaged, store.UnmanagedNext} {
		names, more := s.Names(list)
		r.Unmanaged, err = append(r.Unmanaged, names...), errors.Join(err, more)
	}
	if err != nil {
		return r, err
	}
	for _, files := range recordedFolders(s) {
		m, err := folder.ParseManifest(files[folder.ManifestFile])
		if err != nil || m.Target != "" {
			continue // the sets of target nftables are in its table
		}
		for _, set := range m.Sets {
			if set.Managed {
				r.Earlier = append(r.Earlier, set.Name)
			} else {
				r.Unmanaged = append(r.Unmanaged, set.Name)
			}
		}
	}
	return r, nil
}

// recordedFolders are the files of the folder that was loaded last and of the change that waits for
// confirmation.
func recordedFolders(s *store.Store) (out []map[string][]byte) {
	// A damaged copy is replaced after the load.
	if good, _, ok, err := s.Good(); ok && err == nil {
		out = append(out, good)
	}
	if pending, err := s.Pending(); err == nil && pending != nil {
		out = append(out, pending.Files)
	}
	return out
}

// run changes the host.
func (l *load) run() error {
	if err := l.lock.Room(l.size()); err != nil {
		return unchanged(err)
	}
	l.before = earlier{l.input.Host.Before(l.version, l.input.Records), l.input.Records.Made}
	uninterrupted()
	if err := l.record(); err != nil {
		return unchanged(err)
	}
	if l.Plan.Differences.Empty() && len(l.Plan.Load) == 0 {
		return l.finish()
	}
	if l.waits() {
		if err := l.startTimer(); err != nil {
			return unchanged(errors.Join(err, l.forgetChange()))
		}
	}
	if err := l.loadAndCheck(); err != nil {
		return l.rollBack(err)
	}
	return l.finish()
}

// attempts is how often a run loads the rules while other programs change them.
const attempts = 3

// loadAndCheck runs the steps of the plan, and reads the host again: it has to have what was loaded.
// Another program may have changed something meanwhile, such as firewalld, which deletes all rules some
// time after it was asked to reload. What differs then is loaded again, but not for ever.
func (l *load) loadAndCheck() error {
	host, steps := l.Before, l.Plan.Load
	for n := 1; ; n++ {
		if err := l.steps(host, steps); err != nil {
			return err
		}
		p, err := l.planAgain()
		if err != nil {
			return err
		}
		if p.Differences.Empty() {
			return nil
		}
		differences := strings.Join(p.Differences.Lines(), "; ")
		if n == attempts {
			return fmt.Errorf("the host still differs after loading %d times: %s", n, differences)
		}
		if len(p.Problems) > 0 {
			problems := make([]error, len(p.Problems))
			for i, problem := range p.Problems {
				problems[i] = problem
			}
			return errors.Join(problems...)
		}
		l.warn("another program changed the host meanwhile, loading again: %s", differences)
		l.waitForFirewalld()
		host, steps = l.After, p.Load
	}
}

// size is how many bytes the run may write.
func (l *load) size() (n int64) {
	for _, content := range l.files {
		n += int64(len(content))
	}
	for _, s := range l.Plan.Load {
		n += int64(len(s.Input))
	}
	return 4*n + 1<<16
}

// record keeps which sets the run may create, and which unmanaged ones it uses: if it is killed,
// the next run needs to know.
func (l *load) record() error {
	if err := l.lock.SetNames(store.UnmanagedNext, l.Plan.Unmanaged); err != nil {
		return err
	}
	return l.lock.SetNames(store.Made, l.Plan.Made)
}

// steps runs steps of a plan on the host, which is used for the names of its tools only.
func (a *Applier) steps(h *snapshot.Host, steps []plan.Step) error {
	for _, s := range steps {
		a.progress("%s", s.Name)
		if err := a.step(h, s); err != nil {
			return err
		}
	}
	return nil
}

func (a *Applier) step(h *snapshot.Host, s plan.Step) error {
	name, args := "ipset", []string{"restore"}
	switch s.Tool {
	case plan.NFT:
		name, args = "nft", []string{"-f", "-"}
	case plan.IPTables:
		// Another program may hold the lock of the legacy tools; 10 seconds are enough for any of
		// their runs.
		name, args = a.tool(h, s.Family, "-restore"), []string{"-w", "10", "--noflush"}
		if s.Other {
			name = other(h, s.Family, "-restore")
		}
	}
	_, err := a.tools.Output(background, s.Input, name, args...)
	return tooDeep(err)
}

// tooDeep says what to do about an error of a kernel with nf_tables that refuses more than 16 levels
// of chains (docs/contributing/netfilter.md, "Chains that lead to each other"). Folded rules leave two
// levels for other programs.
func tooDeep(err error) error {
	var tool *hosttool.Error
	if errors.As(err, &tool) && strings.Contains(tool.Stderr, "Too many links") {
		return fmt.Errorf("%w\nthe kernel accepts 16 levels of chains, and other chains on this host lead to those of dockerfw: lead to DOCKER-USER from FORWARD itself, or compile with --no-fold, which needs fewer levels", err)
	}
	return err
}

// planAgain reads the host again, and makes the plan for what differs from what was loaded.
func (l *load) planAgain() (*plan.Plan, error) {
	host, err := l.readAgain()
	if err != nil {
		return nil, err
	}
	l.After = host
	again := l.input
	again.Host, again.Late = host.State(), func(plan.Jump) bool { return false }
	p, err := plan.Make(again)
	if err != nil {
		return nil, err
	}
	p.Differences.Other = nil // they are removed later
	return p, nil
}

// readAgain reads what the steps of the plan may have changed.
func (l *load) readAgain() (*snapshot.Host, error) {
	host := l.Before.Copy()
	if slices.ContainsFunc(l.Plan.Load, func(s plan.Step) bool { return s.Tool != plan.NFT }) {
		r := l.reader()
		defer r.running.Wait()
		r.askTables(string(l.Backend))
		again, diags, err := l.Before.ReadAgain(r)
		switch {
		case err != nil:
			return nil, err
		case diags.HasErrors():
			return nil, diags
		}
		if err := l.mustRead(again); err != nil {
			return nil, err
		}
		host = again
	}
	if host.TableText = l.Before.TableText; l.Plan.Differences.Table == nil {
		return host, nil
	}
	var err error
	if host.TableText, err = ReadTable(l.nft, nil, l.version.Table); err != nil {
		return nil, err
	}
	loaded, err := l.want.LoadedOnto(host)
	if err == nil {
		host.NFT = loaded.NFT
	}
	return host, err
}

// finish records the version in force, and removes what nothing uses any more. A change that waits
// for confirmation is finished when it is confirmed.
func (l *load) finish() error {
	if l.OnLoad != nil {
		l.OnLoad(l.Result)
	}
	if l.waits() {
		// The time to confirm begins when everything is loaded.
		l.Deadline = time.Now().Add(time.Duration(l.options.Confirm) * time.Second)
		if err := errors.Join(l.lock.Extend(l.Deadline), l.lock.Completed()); err != nil {
			return l.rollBack(err)
		}
		return l.cut()
	}
	l.settle()
	l.keep(!l.Plan.Differences.Empty())
	return l.cut()
}

// waits reports whether the load waits for confirmation: one that changes nothing does not.
func (l *load) waits() bool { return l.options.Confirm > 0 && !l.Plan.Differences.Empty() }

// settle runs the last steps of the plan. They change nothing that packets meet.
func (l *load) settle() {
	l.Kept = append(l.Kept, l.settleSteps(l.Before, l.Plan)...)
	if err := errors.Join(l.lock.SetNames(store.Unmanaged, l.version.Unmanaged.Names()), l.lock.SetNames(store.UnmanagedNext, nil), l.lock.SetNames(store.Made, l.Kept), l.lock.ClearSnapshot()); err != nil {
		l.warn("%v", err)
	}
}

// settleSteps removes what a version does not need, and returns the sets that something else uses.
func (a *Applier) settleSteps(h *snapshot.Host, p *plan.Plan) (kept []string) {
	kept = slices.Clone(p.Left)
	for _, s := range p.Settle {
		err := a.step(h, s)
		switch {
		case err == nil:
		case s.Tool == plan.IPTables:
			a.warn("%s: %v", s.Name, err)
		default:
			kept = append(kept, a.destroyEach(s)...)
		}
	}
	if len(kept) > 0 {
		a.warn("sets in use outside dockerfw were not destroyed: %s", strings.Join(kept, ", "))
	}
	return kept
}

// destroyEach runs the lines of a step one by one, because ipset restore stops at a set that is in
// use. It returns the sets that remain.
func (a *Applier) destroyEach(s plan.Step) (remain []string) {
	for line := range strings.Lines(string(s.Input)) {
		name := strings.TrimSpace(strings.TrimPrefix(line, "destroy "))
		if _, err := a.tools.Output(background, nil, "ipset", "list", "-t", name); err != nil {
			continue // an earlier line has destroyed it
		}
		if _, err := a.tools.Output(background, nil, "ipset", "destroy", name); err != nil {
			remain = append(remain, name)
		}
	}
	return remain
}

// keep records the version in force, for status and for the next boot.
func (l *load) keep(changed bool) {
	err := errors.Join(l.lock.Keep(l.files), l.lock.ClearUnconfirmed())
	if !l.nftables() {
		err = errors.Join(err, l.lock.SetBackend(string(l.Backend)))
	}
	if err != nil {
		l.warn("cannot write the copy for boot: %v", err)
	}
	in, err := l.inForce()
	if err == nil && !changed {
		if was, readErr := l.store.InForce(); readErr == nil && was != nil && was.Digest == in.Digest {
			in.Since = was.Since
		}
	}
	if err == nil {
		err = l.lock.SetInForce(in)
	}
	if err != nil {
		l.warn("cannot write the record for dockerfw status: %v", err)
	}
}

func (l *load) inForce() (store.InForce, error) {
	m, err := folder.ParseManifest(l.files[folder.ManifestFile])
	if err != nil {
		return store.InForce{}, err
	}
	in := store.InForce{
		Folder: l.Folder, Digest: folder.Digest(l.files[folder.ManifestFile]), Host: m.Host,
		Version: m.Version, Target: m.Target, Since: time.Now(),
	}
	if m.Target == "" {
		in.Backend = string(l.Backend)
	}
	for _, input := range m.Inputs {
		in.Policy = append(in.Policy, input.Name)
	}
	return in, nil
}

// cut ends the connections that the rules in force refuse.
func (l *load) cut() error {
	if !l.options.Cut {
		return nil
	}
	host := l.After
	if host == nil {
		host = l.Before
	}
	var err error
	l.Ended, l.Spared, err = endRefused(host, l.want, l.options.CutHost)
	if err != nil {
		l.warn("not all connections that the rules refuse were ended: %v", err)
	}
	return nil
}

// endRefused ends the connections that the rules of a host refuse as new ones. It spares those to
// the host itself unless toHost is set.
func endRefused(host, want *snapshot.Host, toHost bool) (ended, spared []cut.Refusal, err error) {
	routes, err := cut.OpenRoutes()
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, routes.Close()) }()
	for _, f := range want.Families() {
		connections, err := cut.Connections(f)
		if err != nil {
			return ended, spared, err
		}
		refused, err := cut.Refused(host, want.EntryChain(), connections, routes)
		if err != nil {
			return ended, spared, err
		}
		var end []cut.Refusal
		for _, r := range refused {
			if r.ToHost() && !toHost {
				spared = append(spared, r)
			} else {
				end = append(end, r)
			}
		}
		now, err := cut.End(end)
		ended = append(ended, now...)
		if err != nil {
			return ended, spared, err
		}
	}
	return ended, spared, nil
}
