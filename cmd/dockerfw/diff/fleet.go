package diff

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Fleet compares the hosts of two sides, paired by their labels. A host that only one side
// has is compared with a host without rules.
func Fleet(before, after *snapshot.Opened, opts Options) ([]*Report, error) {
	for _, side := range []struct{ one, other *snapshot.Opened }{{before, after}, {after, before}} {
		if !side.one.Kind.Compiled() && len(side.other.States) > 1 {
			return nil, fmt.Errorf("%s is one host and %s has %d: choose one with --host", side.one.States[0].Name, side.other.States[0].Name, len(side.other.States))
		}
	}
	if len(before.States) == 1 && len(after.States) == 1 {
		r, err := Compare(before.States[0], after.States[0], opts)
		return []*Report{r}, err
	}
	var out []*Report
	add := func(a, b *snapshot.State, note string) error {
		r, err := Compare(a, b, opts)
		if err != nil {
			return err
		}
		if note != "" {
			r.Notes = append([]string{note}, r.Notes...)
		}
		out = append(out, r)
		return nil
	}
	find := func(states []*snapshot.State, host string) *snapshot.State {
		if i := slices.IndexFunc(states, func(s *snapshot.State) bool { return s.Host == host }); i >= 0 {
			return states[i]
		}
		return nil
	}
	for _, now := range after.States {
		old, note := find(before.States, now.Host), ""
		if old == nil {
			old, note = noRules(now, before.States[0].Name), "the host is new: it is compared with a host without rules"
		}
		if err := add(old, now, note); err != nil {
			return nil, err
		}
	}
	for _, old := range before.States {
		if find(after.States, old.Host) == nil {
			if err := add(old, noRules(old, after.States[0].Name), "the host was removed: it is compared with a host without rules"); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// noRules is a host like another, without rules.
func noRules(like *snapshot.State, name string) *snapshot.State {
	s := &snapshot.State{Name: name, Host: like.Host, Kind: like.Kind, Target: like.Target, Rules: map[ir.Family]*iptables.Ruleset{}}
	for _, f := range like.Families() {
		s.Rules[f] = iptables.NewRuleset(iptables.Family(f))
	}
	return s
}
