package facts

import (
	"slices"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// ExpiredName is the name of the facts about rules that have expired.
const ExpiredName = "expired"

// Expired reports the blocks of a compiled policy whose expires was before a moment: the kernel no
// longer matches their rules.
func Expired(want *snapshot.Host, now time.Time) []Fact {
	var out []Fact
	for _, f := range want.Families() {
		for _, end := range want.Ends(f) {
			if now.Before(end.At) {
				continue
			}
			if fact := expired(identity.Block(end.ID), end.At); !slices.Contains(out, fact) {
				out = append(out, fact)
			}
		}
		t := want.Filter(f)
		if t == nil {
			continue
		}
		for _, r := range dockerfwRules(t) {
			last, ends := lastSecond(r)
			if _, ofBlock := identity.IDOf(r); !ends || !ofBlock || now.Before(last.Add(time.Second)) {
				continue
			}
			fact := expired(identity.BlockName(r), last.Add(time.Second))
			if !slices.Contains(out, fact) {
				out = append(out, fact)
			}
		}
	}
	return out
}

func expired(block string, end time.Time) Fact {
	return New(ExpiredName, Warning, "%s has expired: it ended at %s and no longer matches any packet. Remove the rule from the policy, or set a new date, and compile it again", block, end.Format(time.RFC3339))
}

// lastSecond is the last second in which a rule matches, in UTC; false for a rule without an end.
func lastSecond(r *iptables.Rule) (time.Time, bool) {
	for i := range r.Matches {
		if o := r.Matches[i].Option("--datestop"); o != nil {
			last, err := time.ParseInLocation("2006-01-02T15:04:05", o.Value(), time.UTC)
			return last, err == nil
		}
	}
	return time.Time{}, false
}
