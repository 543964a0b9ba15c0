package diff

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// ChainChange is how the lines of a chain differ, as canonical text.
type ChainChange struct {
	Family                ir.Family
	Chain                 string
	Added, Removed, Moved []string
}

// rules compares the text of the chains that packets pass, line by line. What changes for
// packets is in compare.go.
func (c *comparison) rules(f ir.Family) {
	if c.otherTargets() {
		return
	}
	for _, name := range c.chains[f] {
		old, now := lines(c.before, f, name), lines(c.after, f, name)
		// Not a part of the text of all rules, which it would keep in memory.
		change := ChainChange{Family: f, Chain: strings.Clone(name)}
		change.Added, change.Removed, change.Moved = compareLines(old, now)
		if len(change.Added)+len(change.Removed)+len(change.Moved) > 0 {
			c.report.Rules = append(c.report.Rules, change)
		}
	}
}

// lines are the rules of a chain, without the RETURN that Docker adds at its end, and of a base chain of
// nft first where packets enter it.
func lines(s *snapshot.Host, f ir.Family, name string) []string {
	var out []string
	if c := s.Table().Chain(name); c != nil && c.Hook != "" {
		out = append(out, c.HookText())
	}
	for i, r := range s.ChainRules(f, name) {
		if r.IPTables == nil || !identity.IsDockerReturn(s.Filter(f).Chain(name), i) {
			out = append(out, r.Text())
		}
	}
	return out
}

// compareLines returns the lines that were added and removed, and of the others the fewest
// that must move.
func compareLines(old, now []string) (added, removed, moved []string) {
	places := map[string][]int{}
	for i, l := range old {
		places[l] = append(places[l], i)
	}
	// The positions before, in the order of now.
	var from []int
	for _, l := range now {
		if at := places[l]; len(at) > 0 {
			from = append(from, at[0])
			places[l] = at[1:]
		} else {
			added = append(added, l)
		}
	}
	var gone []int
	for _, at := range places {
		gone = append(gone, at...)
	}
	slices.Sort(gone)
	for _, i := range gone {
		removed = append(removed, old[i])
	}
	stays := longestRise(from)
	for k, i := range from {
		if !stays[k] {
			moved = append(moved, old[i])
		}
	}
	return added, removed, moved
}

// longestRise marks a longest increasing subsequence of distinct numbers.
func longestRise(numbers []int) []bool {
	var ends []int // index of the smallest end of a rise of each length
	before := make([]int, len(numbers))
	for k, n := range numbers {
		at, _ := slices.BinarySearchFunc(ends, n, func(i, n int) int { return numbers[i] - n })
		before[k] = -1
		if at > 0 {
			before[k] = ends[at-1]
		}
		if at == len(ends) {
			ends = append(ends, k)
		} else {
			ends[at] = k
		}
	}
	in := make([]bool, len(numbers))
	if len(ends) > 0 {
		for k := ends[len(ends)-1]; k >= 0; k = before[k] {
			in[k] = true
		}
	}
	return in
}
