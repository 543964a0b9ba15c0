package report

import (
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// sampleEntries is how many entries of a set are shown.
const sampleEntries = 5

// setsOf are the sets of the new side, and those that the old side alone has.
func setsOf(sides []*snapshot.Host) []Set {
	now := sides[len(sides)-1]
	names := now.OwnSets().Names()
	if len(sides) > 1 {
		names = append(slices.Clone(names), sides[0].OwnSets().Names()...)
	}
	slices.Sort(names)
	var out []Set
	for _, name := range slices.Compact(names) {
		s := now.OwnSets().Set(name)
		one := Set{Name: name, Managed: !now.Unmanaged[name], Unknown: now.Unmanaged[name] && now.Kind.Compiled()}
		if s != nil {
			one.Type, one.Entries = s.Type, s.Len()
			for e := range s.Entries() {
				if len(one.Sample) == sampleEntries {
					break
				}
				one.Sample = append(one.Sample, s.EntryText(e))
			}
		}
		if len(sides) > 1 && !one.Unknown {
			old := sides[0].OwnSets().Set(name)
			if s == nil {
				one.Type = old.Type
			}
			one.Added, one.Removed = missing(s, old), missing(old, s)
		}
		out = append(out, one)
	}
	return out
}

// missing counts the entries of a set that another one does not have, as they are written.
func missing(s, from *iptables.Set) int {
	if s == nil {
		return 0
	}
	if from == nil {
		return s.Len()
	}
	n := 0
	for e := range s.Entries() {
		if !from.HasSame(e) {
			n++
		}
	}
	return n
}
