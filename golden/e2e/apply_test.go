//go:build linux

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// dockersChains are the chains and rules of an engine that matter here.
const dockersChains = `*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`

// addDockerChains adds the chains and rules of an engine.
func (h *target) addDockerChains(backend lab.Backend) {
	h.t.Helper()
	for _, f := range []int{4, 6} {
		if err := h.IPTablesRestore(backend, f, dockersChains); err != nil {
			h.t.Fatal(err)
		}
	}
}

// onBackends runs a test with a host on each backend.
func onBackends(t *testing.T, test func(h *target)) {
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			test(newTarget(t, backend))
		})
	}
}

// selection is which numbered cases run on a backend, counted from 1: all of them in a soak,
// otherwise one of step, and different ones on the other backend. It logs what is left out.
func selection(t *testing.T, step int, b lab.Backend) (first, every int) {
	t.Helper()
	if testenv.Soak() {
		return 1, 1
	}
	first = 1 + slices.Index(lab.Backends, b)
	t.Logf("%s: only every %dth case runs, from case %d on; a soak runs all", b, step, first)
	return first, step
}

// selected returns the cases that run on a backend, as selection chooses them.
func selected[T any](t *testing.T, step int, b lab.Backend, cases []T) (out []T) {
	t.Helper()
	first, every := selection(t, step, b)
	for n := first; n <= len(cases); n += every {
		out = append(out, cases[n-1])
	}
	return out
}

// everyPair returns a circular path over n nodes with each ordered pair of different nodes
// exactly once (an Eulerian circuit).
func everyPair(n int) []int {
	out, done := []int{0}, map[[2]int]bool{}
	var visit func(at int)
	visit = func(at int) {
		for to := range n {
			if to != at && !done[[2]int{at, to}] {
				done[[2]int{at, to}] = true
				visit(to)
				out = append(out, at)
			}
		}
	}
	visit(0)
	slices.Reverse(out)
	return out
}

// partOfPairs returns one of several parts of the path of everyPair, numbered from 0: together they have
// each pair. In a soak each part is the whole path.
func partOfPairs(t *testing.T, n, parts, part int) []int {
	t.Helper()
	path := everyPair(n)
	if testenv.Soak() {
		return path
	}
	pairs := len(path) - 1
	t.Logf("part %d of %d of the %d pairs of policies; a soak runs all", part+1, parts, pairs)
	return path[part*pairs/parts : (part+1)*pairs/parts+1]
}

func TestEachPolicyReplacesEachOther(t *testing.T) {
	onBackends(t, func(h *target) {
		h.addDockerChains(h.backend)
		folders := deployPolicies(h.t)
		path := partOfPairs(h.t, len(folders), len(lab.Backends), onBackend(h.backend))
		before := ""
		for _, i := range path {
			p := folders[i]
			if h.backend == lab.Legacy {
				// Without the copy of the last folder, the rules show which sets are ours.
				if err := os.RemoveAll(h.path("state")); err != nil {
					h.t.Fatal(err)
				}
			}
			var options []string
			if before == "an unmanaged set" {
				// The set of that policy is foreign for the next one.
				h.refuses(p, 1, nil, "exists and was not created by dockerfw", "--force", "nothing was changed")
				options = []string{"--force"}
			}
			if before == "single addresses" && p.name == "an unmanaged set" {
				// The unmanaged set must have the type that the policy declares.
				h.refuses(p, 1, nil, "unmanaged set clients is a hash:ip family inet on this host, but the policy declares a hash:net family inet")
				h.succeeds(deployPolicy(h.t, "clients"), nil, "loaded ")
			}
			h.succeeds(p, options, "loaded ")
			h.requireLoaded(p)
			if h.t.Failed() {
				h.t.Fatalf("after loading %q over %q", p.name, before)
			}
			if before == "an unmanaged set" {
				// Destroy the unmanaged sets, which nothing uses any more.
				for _, set := range []string{"clients", "clients-v6"} {
					_, _, _ = h.Run("ipset", "destroy", set)
				}
			}
			before = p.name
		}
	})
}

// withoutReturn removes the RETURN that engines up to 26 append to DOCKER-USER. It has no effect
// there, and replacing the chain deletes it.
func withoutReturn(saved string) string {
	return strings.ReplaceAll(saved, "-A DOCKER-USER -j RETURN\n", "")
}

func TestAFirstInstallationLoadsAndASecondChangesNothing(t *testing.T) {
	onBackends(t, func(h *target) {
		type installation struct {
			policy string
			docker bool // its chains exist
		}
		for _, i := range []installation{
			{"clients", false},
			{"a list of sets", false},
			{"a jump", false},
			{"inserted", false},
			{"inserted", true},
			{"a jump", true},
			{"a list of sets", true},
			{"clients", true},
		} {
			p := deployPolicy(h.t, i.policy)
			if i.docker {
				h.addDockerChains(h.backend)
			}
			before := h.saved()
			h.refuses(p, 0, []string{"--dry-run"}, "would change:")
			h.succeeds(p, nil, "loaded ")
			h.requireLoaded(p)
			loaded := h.saved()
			h.succeeds(p, nil, "nothing to do")
			h.succeeds(p, []string{"--dry-run"}, "nothing to do")
			h.requireUnchanged(loaded)
			h.expect(h.remove(), 0, "removed: no dockerfw rules remain")
			if !i.docker {
				// An empty DOCKER-USER with its jump may stay.
				for _, f := range []int{4, 6} {
					_ = h.IPTables(h.backend, f, "-D", "FORWARD", "-j", "DOCKER-USER")
					_ = h.IPTables(h.backend, f, "-X", "DOCKER-USER")
				}
			}
			if after := h.saved(); withoutReturn(after) != withoutReturn(before) {
				h.t.Errorf("the host was\n%s\nand is\n%s", before, after)
			}
			h.requireNoLeftovers()
			if h.t.Failed() {
				h.t.Fatalf("with %+v", i)
			}
		}
	})
}
