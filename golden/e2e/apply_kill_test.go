//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// killer ends apply.sh by kill -9 at a call of a tool.
type killer struct {
	*target
	calls string // a folder with a file for each call, and the file "at" for the wrappers
}

// changing are the tools that change something: a kill before or after any other tool has the
// same result as one of these. A soak includes the others as well.
var changing = []string{"cp", "ipset", "mkdir", "mv", "rm", "touch"}

const killWrapper = `
tool=%q calls=%q
case $tool:$1 in ipset:list | ipset:save) exec "$real" "$@" ;; esac
[ -e "$calls/at" ] || exec "$real" "$@"
read -r at when pid <"$calls/at"
set -C
n=1
until true >"$calls/$n"; do n=$((n + 1)); done 2>/dev/null
[ $n = "$at" ] || exec "$real" "$@"
[ $when = before ] || "$real" "$@"
kill -9 "$pid"
exit 1`

func newKiller(h *target) *killer {
	k := &killer{h, h.path("calls")}
	tools := changing
	if testenv.Soak() {
		tools = append(tools, "awk", "cat", "comm", "cut", "dirname", "flock", "grep", "head", "sed", "sha256sum", "sort", "sync", "tr", "unshare")
	}
	for _, family := range []int{4, 6} {
		tools = append(tools, h.backend.Tool(family, "-restore"))
	}
	for _, tool := range tools {
		h.wrap(tool, fmt.Sprintf(killWrapper, tool, k.calls))
	}
	return k
}

// killAt runs apply.sh and kills it before or after its n-th call. It returns false if the run
// ended by itself. Processes that the killed shell has started continue, as on a host.
func (k *killer) killAt(p *deployed, n int, when string, args ...string) (killed bool) {
	k.t.Helper()
	if err := os.Mkdir(k.calls, 0o755); err != nil {
		k.t.Fatal(err)
	}
	k.prefix = []string{"sh", "-c", fmt.Sprintf(`echo %d %s $$ >%s/at; exec "$@"`, n, when, k.calls), "sh"}
	out := k.apply(p, args...)
	k.prefix = nil
	if err := os.RemoveAll(k.calls); err != nil {
		k.t.Fatal(err)
	}
	if _, err := os.Stat(k.path("run/lock")); err == nil {
		k.MustRun("flock", "-w", "10", k.path("run/lock"), "true")
	}
	if out.code == 0 {
		return false
	}
	if out.code != -1 {
		k.t.Fatalf("killed %s call %d, it exited with %d:\n%s", when, n, out.code, out.text)
	}
	return true
}

// requireOneOf fails the test unless the host treats the packets of each family as one of the
// states does.
func (k *killer) requireOneOf(what string, states ...*snapshot.Host) {
	k.t.Helper()
	families := map[string]bool{"IPv4": false, "IPv6": false}
	for _, s := range states {
		for f, same := range k.sameVerdicts(s) {
			families[words.Family(f)] = families[words.Family(f)] || same
		}
	}
	for f, same := range families {
		if !same {
			k.t.Errorf("%s: the %s rules are neither the old nor the new ones:\n%s", what, f, k.saved())
		}
	}
}

// onKilledBackends runs a series of kills on both backends: at all calls in a soak, otherwise
// at some, which differ by backend.
func onKilledBackends(t *testing.T, inTest map[lab.Backend][]string, series func(k *killer, when string, first, step int)) {
	t.Parallel()
	for _, backend := range lab.Backends {
		whens := inTest[backend]
		if testenv.Soak() {
			whens = []string{"before", "after"}
		}
		first, step := selection(t, 23, backend)
		for _, when := range whens {
			t.Run(string(backend)+" "+when, func(t *testing.T) {
				t.Parallel()
				series(newKiller(newTarget(t, backend)), when, first, step)
			})
		}
	}
}

func TestAKilledRunLeavesTheOldOrTheNewPolicyAndTheNextRunRepairs(t *testing.T) {
	onKilledBackends(t, map[lab.Backend][]string{lab.NFT: {"before"}, lab.Legacy: {"after"}}, func(k *killer, when string, first, step int) {
		k.addDockerChains(k.backend)
		from, to, other := deployPolicy(k.t, "a list of sets"), deployPolicy(k.t, "a shorter list"), deployPolicy(k.t, "a jump")
		k.succeeds(from, nil)
		n := first
		for ; k.killAt(to, n, when); n += step {
			what := fmt.Sprintf("from %q to %q, killed %s call %d", from.name, to.name, when, n)
			k.requireOneOf(what, from.state(k.t), to.state(k.t))
			// The run after a killed run may be killed too.
			if n%2 == 0 && k.killAt(to, n/2+1, when) {
				k.requireOneOf(what+" and another", from.state(k.t), to.state(k.t))
			}
			next := to
			if n%5 == 0 {
				next = other
			}
			k.succeeds(next, nil)
			k.requireLoaded(next)
			if next == other {
				k.succeeds(to, nil)
			}
			if k.t.Failed() {
				k.t.Fatal(what)
			}
			from, to = to, from
		}
		k.t.Logf("about %d calls", n)
		if n < 20 {
			k.t.Errorf("there were only %d calls", n)
		}
	})
}

// Two calls test the files of the two tables; the third call changes the rules.
func TestAKilledRunWithConfirmIsRolledBack(t *testing.T) {
	onOneBackend(t, lab.Legacy, func(h *target) {
		old, b := h.withPolicy("a list of sets"), deployPolicy(h.t, "single addresses")
		k := &killer{h, h.path("calls")}
		restore := h.backend.Tool(4, "-restore")
		h.wrap(restore, fmt.Sprintf(killWrapper, restore, k.calls))
		h.stopTime()
		if !k.killAt(b, 3, "after", "--confirm", "30") {
			h.t.Fatal("it was not killed")
		}
		if !k.sameVerdicts(b.state(h.t))[ir.IPv4] {
			h.t.Error("the new rules were not loaded when it was killed")
		}
		h.startTime()
		h.waitForRollback()
		h.requireLoaded(old)
	})
}

func TestAKilledFirstInstallationLeavesNoRulesOrThePolicy(t *testing.T) {
	onKilledBackends(t, map[lab.Backend][]string{lab.NFT: {"after"}, lab.Legacy: {"before"}}, func(k *killer, when string, first, step int) {
		k.addDockerChains(k.backend)
		p := deployPolicy(k.t, "clients")
		bare := k.state()
		n := first
		for ; k.killAt(p, n, when); n += step {
			what := fmt.Sprintf("killed %s call %d", when, n)
			bare := *bare
			k.requireOneOf(what, &bare, p.state(k.t))
			if n%2 == 0 {
				k.succeeds(p, nil)
				k.requireLoaded(p)
			}
			k.expect(k.script(filepath.Join(p.dir, "remove.sh")), 0)
			if sets := k.setNames(); len(sets) > 0 {
				k.t.Errorf("after %s and remove.sh there are sets: %s", what, sets)
			}
			if k.t.Failed() {
				k.t.Fatal(what)
			}
		}
		k.t.Logf("about %d calls", n)
	})
}
