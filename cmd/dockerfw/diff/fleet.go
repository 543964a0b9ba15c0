package diff

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Fleet compares the hosts of two sides, paired by their labels. A host that only one side
// has is compared with a host without rules.
func Fleet(before, after *snapshot.Fleet, opts Options) ([]*Report, error) {
	reports, diags, err := Sides(before.Side(), after.Side(), opts)
	if err == nil && diags.HasErrors() {
		err = diags
	}
	return reports, err
}

// Sides is Fleet for hosts that are read when they are compared, several at a time. The diagnostics are those of
// reading them; there are no reports if there is an error for any host.
func Sides(before, after *snapshot.Side, opts Options) ([]*Report, hcl.Diagnostics, error) {
	for _, side := range []struct{ one, other *snapshot.Side }{{before, after}, {after, before}} {
		if n := len(side.other.Labels); !side.one.Kind.Compiled() && n > 1 {
			return nil, nil, fmt.Errorf("%s is one host and %s has %d: choose one with --host: %s", side.one.Name, side.other.Name, n, side.other.LabelList())
		}
	}
	pairs := pairsOf(before, after)
	reports, perPair, errs := make([]*Report, len(pairs)), make([]hcl.Diagnostics, len(pairs)), make([]error, len(pairs))
	known := &knownReports{byKey: map[pairKey]*knownReport{}}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range pairs {
		group.Go(func() error {
			reports[i], perPair[i], errs[i] = known.compare(p, opts)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	diags := diag.Unique(slices.Concat(perPair...))
	if err := firstError(errs); err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	return reports, diags, nil
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// pair is two hosts that are compared, by their indexes in Labels; -1 for a host that the side does not have.
type pair struct {
	before, after *snapshot.Side
	old, now      int
}

// pairsOf returns the hosts of after with those of the same label, then those that only before has. Two single
// hosts are a pair whatever their labels are.
func pairsOf(before, after *snapshot.Side) []pair {
	if len(before.Labels) == 1 && len(after.Labels) == 1 {
		return []pair{{before, after, 0, 0}}
	}
	at := map[string]int{}
	for i, label := range before.Labels {
		at[label] = i
	}
	var out []pair
	for i, label := range after.Labels {
		old, ok := at[label]
		if !ok {
			old = -1
		}
		delete(at, label)
		out = append(out, pair{before, after, old, i})
	}
	for i, label := range before.Labels {
		if _, removed := at[label]; removed {
			out = append(out, pair{before, after, i, -1})
		}
	}
	return out
}

// label is that of the new host, or else of the old one.
func (p pair) label() string {
	if p.now >= 0 && (p.after.Labels[p.now] != "" || p.old < 0) {
		return p.after.Labels[p.now]
	}
	return p.before.Labels[p.old]
}

// knownReports are the reports of hosts of which others may be copies: those of a fleet often differ only in
// their labels. It is safe for concurrent use.
type knownReports struct {
	mu    sync.Mutex
	byKey map[pairKey]*knownReport
}

type pairKey struct {
	old, now       snapshot.Key
	hasOld, hasNow bool
}

type knownReport struct {
	once   sync.Once
	report *Report
	diags  hcl.Diagnostics
	err    error
}

func (k *knownReports) compare(p pair, opts Options) (*Report, hcl.Diagnostics, error) {
	var key pairKey
	var old, now snapshot.Unread
	var err error
	if key.hasOld = p.old >= 0; key.hasOld {
		if old, err = p.before.Open(p.old); err != nil {
			return nil, nil, err
		}
	}
	if key.hasNow = p.now >= 0; key.hasNow {
		if now, err = p.after.Open(p.now); err != nil {
			return nil, nil, err
		}
	}
	key.old, key.now = old.Key, now.Key
	if unknown := (snapshot.Key{}); key.hasOld && key.old == unknown || key.hasNow && key.now == unknown {
		return p.compare(old, now, opts)
	}
	k.mu.Lock()
	known := k.byKey[key]
	if known == nil {
		known = &knownReport{}
		k.byKey[key] = known
	}
	k.mu.Unlock()
	known.once.Do(func() { known.report, known.diags, known.err = p.compare(old, now, opts) })
	if known.report == nil {
		return nil, known.diags, known.err
	}
	return known.report.of(p.label(), old.Declared, now.Declared), known.diags, known.err
}

// of returns the report of another host, whose rules for blocks that the policy does not have are at its own host
// block.
func (r *Report) of(label string, old, now hcl.Range) *Report {
	at := func(rules []Rule, place hcl.Range) []Rule {
		rules = slices.Clone(rules)
		for i, rule := range rules {
			if rule.MissingIn != "" {
				rules[i].Place = place
			}
		}
		return rules
	}
	out := *r
	out.Host = label
	for _, changes := range []*[]Change{&out.Changes, &out.SameReach} {
		*changes = slices.Clone(*changes)
		for i, c := range *changes {
			(*changes)[i].OldRules, (*changes)[i].NewRules = at(c.OldRules, old), at(c.NewRules, now)
		}
	}
	return &out
}

// compare reads the hosts of the pair and compares them.
func (p pair) compare(unreadOld, unreadNow snapshot.Unread, opts Options) (*Report, hcl.Diagnostics, error) {
	var old, now *snapshot.Host
	var ofOld, ofNow hcl.Diagnostics
	snapshot.ProveBoth(unreadOld, unreadNow)
	var group errgroup.Group
	if unreadOld.Read != nil {
		group.Go(func() (err error) {
			old, ofOld, err = unreadOld.Read()
			return err
		})
	}
	var err error
	if unreadNow.Read != nil {
		now, ofNow, err = unreadNow.Read()
	}
	err = cmp.Or(group.Wait(), err)
	diags := slices.Concat(ofOld, ofNow)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	note := ""
	switch {
	case old == nil:
		old, note = noRules(now, p.before.Name), "the host is new: it is compared with a host without rules"
	case now == nil:
		now, note = noRules(old, p.after.Name), "the host was removed: it is compared with a host without rules"
	}
	r, err := Compare(old, now, opts)
	if err != nil {
		return nil, diags, err
	}
	if note != "" {
		r.Notes = append([]string{note}, r.Notes...)
	}
	if len(p.before.Labels) == 1 && len(p.after.Labels) == 1 {
		r.Facts = append(factsOf(old, now), factsOf(now, old)...)
	}
	return r, diags, nil
}

// factsOf are the facts about the interfaces of a live host: those of the other side, if that is
// compiled, or else of its own rules.
func factsOf(host, other *snapshot.Host) []facts.Fact {
	switch {
	case host.Kind != snapshot.Live:
		return nil
	case other.Kind.Compiled():
		return facts.Network(other, host)
	}
	return facts.Network(host, host)
}

// noRules is a host like another, without rules.
func noRules(like *snapshot.Host, name string) *snapshot.Host {
	s := &snapshot.Host{Name: name, Label: like.Label, Kind: like.Kind, Target: like.Target, Rules: map[ir.Family]*iptables.Ruleset{}}
	for _, f := range like.Families() { // of iptables, with which a host without rules is the same as with nft
		s.Rules[f] = iptables.NewRuleset(iptables.Family(f))
	}
	return s
}
