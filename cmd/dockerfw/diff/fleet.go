package diff

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Fleet compares the hosts of two sides, paired by their labels. A host that only one side
// has is compared with a host without rules.
func Fleet(before, after *snapshot.Fleet, opts Options) ([]*Report, error) {
	for _, side := range []struct{ one, other *snapshot.Fleet }{{before, after}, {after, before}} {
		if !side.one.Kind.Compiled() && len(side.other.Hosts) > 1 {
			return nil, fmt.Errorf("%s is one host and %s has %d: choose one with --host: %s", side.one.Hosts[0].Name, side.other.Hosts[0].Name, len(side.other.Hosts), side.other.Labels())
		}
	}
	if len(before.Hosts) == 1 && len(after.Hosts) == 1 {
		r, err := Compare(before.Hosts[0], after.Hosts[0], opts)
		if err != nil {
			return nil, err
		}
		r.Facts = append(factsOf(before.Hosts[0], after.Hosts[0]), factsOf(after.Hosts[0], before.Hosts[0])...)
		return []*Report{r}, nil
	}
	var out []*Report
	add := func(a, b *snapshot.Host, note string) error {
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
	find := func(states []*snapshot.Host, host string) *snapshot.Host {
		if i := slices.IndexFunc(states, func(s *snapshot.Host) bool { return s.Label == host }); i >= 0 {
			return states[i]
		}
		return nil
	}
	for _, now := range after.Hosts {
		old, note := find(before.Hosts, now.Label), ""
		if old == nil {
			old, note = noRules(now, before.Hosts[0].Name), "the host is new: it is compared with a host without rules"
		}
		if err := add(old, now, note); err != nil {
			return nil, err
		}
	}
	for _, old := range before.Hosts {
		if find(after.Hosts, old.Label) == nil {
			if err := add(old, noRules(old, after.Hosts[0].Name), "the host was removed: it is compared with a host without rules"); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
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
