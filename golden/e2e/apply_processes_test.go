//go:build linux

package e2e

import (
	"fmt"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// mostProcesses bounds how many processes a run starts.
const mostProcesses = 25

func TestARunStartsFewProcesses(t *testing.T) {
	t.Parallel()
	for _, backend := range lab.Backends {
		for i, options := range [][]string{nil, notYet} {
			t.Run(fmt.Sprint(backend, options), func(t *testing.T) {
				t.Parallel()
				h := newTarget(t, backend)
				h.addDockerChains(backend)
				if options != nil {
					// iptables is of the kind that Docker does not use: a first load is rehearsed with both.
					h.setDefault(otherBackend(backend))
				}
				c := newCalls(h)
				folders := deployPolicies(t)
				least, most, sum, runs := 1<<20, 0, 0, 0
				before := "nothing"
				for _, i := range partOfPairs(t, len(folders), 4, 2*onBackend(backend)+i) {
					p := folders[i]
					if p.name == "single addresses" || before == "single addresses" {
						// The unmanaged set must have the type that the other policy declares.
						for _, set := range []string{"clients", "clients-v6"} {
							_, _, _ = h.Run("ipset", "destroy", set)
						}
					}
					if before == "single addresses" && p.name == "an unmanaged set" {
						h.expect(h.remove(), 0)
					}
					args := append([]string{"--force"}, options...)
					out, made := c.count(func() outcome { return h.apply(p, args...) })
					h.expect(out, 0, "loaded ")
					n := len(made)
					if options != nil {
						n++ // the process that waits
						h.expect(h.confirm(), 0)
					}
					if n > mostProcesses {
						t.Errorf("from %q to %q: %d processes: %q", before, p.name, n, made)
					}
					least, most, sum, runs = min(least, n), max(most, n), sum+n, runs+1
					before = p.name
				}
				t.Logf("%d to %d processes, %.1f on average of %d runs", least, most, float64(sum)/float64(runs), runs)
				p := folders[0]
				h.succeeds(p, []string{"--force"})
				for what, run := range map[string]func() outcome{
					"a run without changes": func() outcome { return h.apply(p) },
					"a dry run":             func() outcome { return h.apply(p, "--dry-run") },
					"boot":                  func() outcome { return h.boot(p) },
				} {
					out, made := c.count(run)
					h.expect(out, 0)
					t.Logf("%s: %d processes", what, len(made))
					if len(made) > mostProcesses {
						t.Errorf("%s starts %d processes: %q", what, len(made), made)
					}
				}
			})
		}
	}
}
