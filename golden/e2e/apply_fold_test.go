//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	rules "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// manyRules is a policy with two rows of rules that are folded, for n ports.
func manyRules(host string, n int, more string) string {
	return fmt.Sprintf(`
host {
  external_interfaces = ["eth0"]
  %s
}
ipset "office" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.office]
}
deny "abuse" {
  for_each        = { for n in range(1, %[2]d) : "p${n}" => n }
  protocol        = ["tcp", "udp"]
  published_ports = [1000 + 2 * each.value]
  source          = ["10.0.${each.value}.0/24", "2001:db8:1:${each.value}::/64"]
  action          = "reject"
}
accept "tenant" {
  for_each        = { for n in range(1, %[2]d) : "p${n}" => n }
  protocol        = "tcp"
  published_ports = [1000 + 2 * each.value]
  source          = ["10.1.${each.value}.0/24", "2001:db8:2:${each.value}::/64", ipset.known]
  expires         = "2037-12-31"
}
accept "backup" {
  for_each        = { for n in range(1, %[2]d) : "p${n}" => n }
  protocol        = "tcp"
  published_ports = [1000 + 2 * each.value]
  source          = ["10.2.0.${each.value}", "2001:db8:3::${each.value}", "10.3.0.0/16"]
  expires         = "2037-12-31"
}
%[3]s`, host, n+1, more)
}

const manyDestinations = `
egress {
  accept "mirror" {
    for_each        = { for n in range(1, 13) : "p${n}" => n }
    protocol        = "tcp"
    container_ports = [2000 + each.value]
    destination     = ["198.51.100.${each.value}"]
  }
  default { action = "drop" }
}
`

// compileManyRules compiles a policy whose rules are folded, unless the options say not to.
func compileManyRules(t *testing.T, name, text string, fold rules.Options) *deployed {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{Fold: fold})
	if diags.HasErrors() {
		t.Fatal(name, diags)
	}
	p := &deployed{name, filepath.Join(dir, "compiled")}
	if _, err := result.Folder().Write(p.dir); err != nil {
		t.Fatal(err)
	}
	files := readOr(t, filepath.Join(p.dir, "iptables.restore"), "")
	if folded := strings.Contains(files, "-g DOCKERFW-1-"); folded == fold.NoFold {
		t.Fatalf("%s: folded: %t", name, folded)
	}
	return p
}

var foldFew = rules.Options{FoldAbove: 4}

func foldedPolicies(t *testing.T) []*deployed {
	t.Helper()
	jump, insert := `install = "jump"`, `install = "insert"`
	return []*deployed{
		compileManyRules(t, "folded", manyRules("", 12, ""), foldFew),
		compileManyRules(t, "not folded", manyRules("", 12, ""), rules.Options{NoFold: true}),
		compileManyRules(t, "other ports", manyRules("", 9, ""), foldFew),
		compileManyRules(t, "folded with a jump", manyRules(jump, 12, manyDestinations), foldFew),
		compileManyRules(t, "inserted", manyRules(insert, 7, manyDestinations), foldFew),
		deployPolicy(t, "clients"),
	}
}

func TestFoldedPoliciesReplaceAndRemoveEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	onBackends(t, func(h *target) {
		h.addDockerChains(h.backend)
		folders := foldedPolicies(h.t)
		for n, i := range partOfPairs(h.t, len(folders), len(lab.Backends), onBackend(h.backend)) {
			p := folders[i]
			if n%4 == 3 {
				h.expect(h.remove(), 0)
				if sets := h.setNames(); len(sets) > 0 {
					h.t.Errorf("before %q, dockerfw remove left %s", p.name, sets)
				}
			}
			h.succeeds(p, nil, "loaded ")
			h.requireLoaded(p)
			if h.t.Failed() {
				h.t.Fatalf("after loading %q", p.name)
			}
		}
		last, p := folders[3], folders[0]
		h.succeeds(last, nil)
		h.succeeds(p, notYet)
		h.expect(h.rollback(), 0, "rolled back")
		h.requireLoaded(last)
		h.reboot()
		h.expect(h.boot(p), 0, "loaded ")
		h.requireLoaded(p)
	})
}

func TestAKilledRunLeavesTheOldOrTheNewFoldedRules(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	onBackends(t, func(h *target) {
		h.addDockerChains(h.backend)
		folders := foldedPolicies(h.t)
		for variant, pair := range [][2]*deployed{{folders[1], folders[0]}, {folders[0], folders[2]}, {folders[3], folders[5]}} {
			from, to := pair[0], pair[1]
			h.succeeds(from, nil)
			c := newCalls(h)
			states := []*snapshot.Host{from.state(h.t), to.state(h.t)}
			killed := 0
			c.each(7, 2*variant+onBackend(h.backend), func(n int, when string) bool {
				call, hit := c.kill(n, when, func() outcome { return h.apply(to) })
				if !hit {
					return false
				}
				killed++
				what := fmt.Sprintf("from %q to %q, killed %s call %d (%s)", from.name, to.name, when, n, call)
				h.requireOneOf(what, states...)
				h.succeeds(to, nil)
				h.requireLoaded(to)
				h.succeeds(from, nil)
				h.requireLoaded(from)
				if h.t.Failed() {
					h.t.Fatal(what)
				}
				return true
			})
			if killed == 0 {
				h.t.Errorf("from %q to %q no run was killed", from.name, to.name)
			}
			if err := os.RemoveAll(c.bin); err != nil {
				h.t.Fatal(err)
			}
		}
	})
}

// Only nf_tables has a limit.
func TestTooManyLevelsOfChainsAreAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	text := "*filter\n:DOCKER-USER - [0:0]\n:foreign1 - [0:0]\n-A FORWARD -j foreign1\n"
	for i := 1; i < 14; i++ {
		next := fmt.Sprintf("foreign%d", i+1)
		if i == 13 {
			next = "DOCKER-USER"
		}
		if i < 13 {
			text += ":" + next + " - [0:0]\n"
		}
		text += fmt.Sprintf("-A foreign%d -j %s\n", i, next)
	}
	for _, f := range []int{4, 6} {
		if err := h.IPTablesRestore(lab.NFT, f, text+"COMMIT\n"); err != nil {
			t.Fatal(err)
		}
	}
	p := foldedPolicies(t)
	h.refuses(p[0], 1, nil, "Too many links", "the kernel accepts 16 levels of chains", "--no-fold", "nothing was changed")
	h.succeeds(p[1], nil)
}
