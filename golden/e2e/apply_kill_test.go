//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// requireOneOf fails the test unless the host treats the packets of each family as one of the
// states does.
func (h *target) requireOneOf(what string, states ...*snapshot.Host) {
	h.t.Helper()
	families := map[string]bool{"IPv4": false, "IPv6": false}
	for _, s := range states {
		for f, same := range h.sameVerdicts(s) {
			families[words.Family(f)] = families[words.Family(f)] || same
		}
	}
	for f, same := range families {
		if !same {
			h.t.Errorf("%s: the %s rules are neither the old nor the new ones:\n%s", what, f, h.saved())
		}
	}
}

// onKilledPairs runs a test for each change from one policy to another whose kills differ, in
// both directions, on both backends: as variants that are numbered from 0.
func onKilledPairs(t *testing.T, test func(h *calls, variant int, from, to *deployed)) {
	t.Parallel()
	for i, pair := range [][2]string{
		{"a list of sets", "a shorter list"},
		{"single addresses", "other clients, rechecked"},
		{"a jump", "a closed host"},
		{"inserted", "egress, without IPv6"},
		{"a list of sets", "single addresses"},
	} {
		for _, backend := range lab.Backends {
			t.Run(fmt.Sprintf("%s, %s, %s", backend, pair[0], pair[1]), func(t *testing.T) {
				t.Parallel()
				from, to := deployPolicy(t, pair[0]), deployPolicy(t, pair[1])
				h := newTarget(t, backend)
				h.addDockerChains(backend)
				h.succeeds(from, nil)
				c := newCalls(h)
				variant := 4*i + 2*onBackend(backend)
				test(c, variant, from, to)
				h.succeeds(to, nil)
				test(c, variant+1, to, from)
			})
		}
	}
}

func TestAKilledRunLeavesTheOldOrTheNewPolicyAndTheNextRunRepairs(t *testing.T) {
	onKilledPairs(t, func(h *calls, variant int, from, to *deployed) {
		other := deployPolicy(h.t, "a jump")
		if from.name == other.name || to.name == other.name {
			other = deployPolicy(h.t, "a list of sets")
		}
		states := []*snapshot.Host{from.state(h.t), to.state(h.t)}
		most, _ := h.each(7, variant, func(n int, when string) bool {
			call, killed := h.kill(n, when, func() outcome { return h.apply(to) })
			if !killed {
				return false
			}
			what := fmt.Sprintf("from %q to %q, killed %s call %d (%s)", from.name, to.name, when, n, call)
			h.requireOneOf(what, states...)
			// The run after a killed run may be killed too, also when it loads the old policy.
			if n%2 == 0 {
				again := []*deployed{to, from}[n/2%2]
				if call, killed := h.kill(n/2+2, when, func() outcome { return h.apply(again) }); killed {
					h.requireOneOf(what+", then "+call, states...)
				}
			}
			next := []*deployed{to, from, other}[n%3]
			h.succeeds(next, nil)
			h.requireLoaded(next)
			if next != from {
				h.succeeds(from, nil)
			}
			if h.t.Failed() {
				h.t.Fatal(what)
			}
			return true
		})
		h.t.Logf("from %q to %q: %d calls", from.name, to.name, most)
		if most < 12 {
			h.t.Errorf("from %q to %q there were only %d calls", from.name, to.name, most)
		}
	})
}

func TestAKilledRunWithConfirmIsRolledBack(t *testing.T) {
	onBackends(t, func(h *target) {
		c := newCalls(h)
		old, b := h.withPolicy("a list of sets"), deployPolicy(h.t, "single addresses")
		states := []*snapshot.Host{old.state(h.t), b.state(h.t)}
		loaded := 0
		c.each(3, onBackend(h.backend), func(n int, when string) bool {
			call, killed := c.kill(n, when, func() outcome { return h.apply(b, notYet...) })
			if !killed {
				h.expect(h.rollback(), 0)
				return false
			}
			what := fmt.Sprintf("killed %s call %d (%s)", when, n, call)
			h.requireOneOf(what, states...)
			if h.sameVerdicts(states[1])[ir.IPv4] {
				loaded++
				if !h.pending() {
					h.t.Error(what + ": the new rules are loaded and no change waits for confirmation")
				}
			}
			switch {
			case h.pending() && n%2 == 0:
				h.expect(h.rollback(), 0, "rolled back")
			case h.pending():
				if len(h.timers()) == 0 {
					h.t.Errorf("%s: no process waits to roll back", what)
				}
				h.expire()
				h.waitForRollback()
			default:
				h.succeeds(old, nil)
			}
			h.requireLoaded(old)
			if h.t.Failed() {
				h.t.Fatal(what)
			}
			return true
		})
		if loaded == 0 {
			h.t.Error("no run was killed while the new rules were loaded")
		}
	})
}

func TestAKilledFirstInstallationLeavesNoRulesOrThePolicy(t *testing.T) {
	onBackends(t, func(h *target) {
		c := newCalls(h)
		h.addDockerChains(h.backend)
		p := deployPolicy(h.t, "clients")
		bare := h.state()
		c.each(3, onBackend(h.backend), func(n int, when string) bool {
			call, killed := c.kill(n, when, func() outcome { return h.apply(p) })
			if !killed {
				h.expect(h.remove(), 0)
				return false
			}
			what := fmt.Sprintf("killed %s call %d (%s)", when, n, call)
			bare := *bare
			h.requireOneOf(what, &bare, p.state(h.t))
			if n%2 == 0 {
				h.succeeds(p, nil)
				h.requireLoaded(p)
			}
			h.expect(h.remove(), 0)
			if sets := h.setNames(); len(sets) > 0 {
				h.t.Errorf("after %s and dockerfw remove there are sets: %s", what, sets)
			}
			return true
		})
	})
}

func TestAKilledRemovalLeavesThePolicyOrNoRulesAndTheNextCompletesIt(t *testing.T) {
	onBackends(t, func(h *target) {
		c := newCalls(h)
		h.addDockerChains(h.backend)
		bare := h.state()
		p := deployPolicy(h.t, "a list of sets")
		h.succeeds(p, nil)
		c.each(3, onBackend(h.backend), func(n int, when string) bool {
			call, killed := c.kill(n, when, h.remove)
			if !killed {
				h.succeeds(p, nil)
				return false
			}
			what := fmt.Sprintf("killed %s call %d (%s)", when, n, call)
			bare := *bare
			h.requireOneOf(what, &bare, p.state(h.t))
			if n%2 == 0 {
				h.expect(h.remove(), 0, "no dockerfw rules") // the killed run may have removed all
				if sets := h.setNames(); len(sets) > 0 {
					h.t.Errorf("after %s and dockerfw remove there are sets: %s", what, sets)
				}
			}
			h.succeeds(p, nil)
			h.requireLoaded(p)
			return true
		})
	})
}

func TestAKilledBootLeavesNoRulesOrThePolicyAndTheNextLoads(t *testing.T) {
	onBackends(t, func(h *target) {
		c := newCalls(h)
		p := deployPolicy(h.t, "a list of sets")
		h.succeeds(p, nil)
		h.reboot()
		bare := h.state()
		c.each(3, onBackend(h.backend), func(n int, when string) bool {
			call, killed := c.kill(n, when, func() outcome { return h.boot(p) })
			if !killed {
				h.reboot()
				return false
			}
			what := fmt.Sprintf("killed %s call %d (%s)", when, n, call)
			bare := *bare
			h.requireOneOf(what, &bare, p.state(h.t))
			h.expect(h.boot(p), 0, "loaded "+p.dir)
			h.requireLoaded(p)
			h.reboot()
			return true
		})
	})
}

// Ctrl-C, a lost terminal and systemd end a run that has changed nothing yet; others complete.
func TestASignalEndsOnlyARunThatHasChangedNothing(t *testing.T) {
	notIgnored(t, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	onBackends(t, func(h *target) {
		old := h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "a shorter list")
		c := newCalls(h)
		for i, signal := range []string{"INT", "TERM", "HUP"} {
			ended, completed, step := 0, 0, 3
			if testenv.Soak() {
				step = 1
			} else {
				h.t.Logf("SIG%s at every %drd call; a soak tests all", signal, step)
			}
			for n := 1 + (i+onBackend(h.backend))%step; ; n += step {
				before := h.saved()
				out, made, hit := c.with(fault{n: n, when: "before", action: signal}, func() outcome { return h.apply(b) })
				if !hit {
					h.succeeds(old, nil)
					break
				}
				if out.code == 0 {
					completed++
					h.requireLoaded(b)
					h.succeeds(old, nil)
				} else {
					ended++
					h.requireUnchanged(before)
					if completed > 0 {
						h.t.Errorf("SIG%s at call %d (%s) ended the run after signals before it did not", signal, n, made[n-1])
					}
				}
				if h.t.Failed() {
					h.t.Fatalf("SIG%s at call %d (%s): %s", signal, n, made[n-1], out.text)
				}
			}
			if ended == 0 || completed*step < 5 {
				h.t.Errorf("SIG%s ended %d runs, and %d completed", signal, ended, completed)
			}
		}
	})
}

// notIgnored makes programs start with the default action of signals, also where this process
// ignores them: a shell starts it so in the background, and nohup does.
func notIgnored(t *testing.T, signals ...os.Signal) {
	for _, s := range signals {
		if signal.Ignored(s) {
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, s)
			t.Cleanup(func() { signal.Stop(caught) })
		}
	}
}

// A tool continues when dockerfw is killed: the next run must not read the host meanwhile.
func TestTheNextRunWaitsForATool(t *testing.T) {
	onBackends(t, func(h *target) {
		h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "a shorter list")
		// Not the call in the namespace where the sets are tested, which has a lock of its own.
		h.wrap("ipset", fmt.Sprintf(`[ "$1" = restore ] && [ ! -e %q ] && [ "$XTABLES_LOCKFILE" != /proc/self/fd/3 ] || exec "$real" "$@"
: >%[1]q
kill -9 "$PPID"
/bin/sleep 1
"$real" "$@"
: >%q`, h.path("killed"), h.path("ended")))
		if out := h.apply(b); out.code != -1 {
			h.t.Fatalf("it was not killed: %d\n%s", out.code, out.text)
		}
		h.succeeds(b, nil, "loaded")
		if _, err := os.Stat(h.path("ended")); err != nil {
			h.t.Error("it did not wait:", err)
		}
		h.requireLoaded(b)
	})
}
