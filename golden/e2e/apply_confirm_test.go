//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// eventually waits until a condition holds that a background process establishes.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("this did not happen within two minutes: " + what)
		}
	}
}

func (h *target) pending() bool {
	_, err := os.Stat(h.path("run/pending"))
	return err == nil
}

// waitForRollback waits until nothing waits for confirmation and the run that rolled back has
// ended.
func (h *target) waitForRollback() {
	h.t.Helper()
	eventually(h.t, "no change waits for confirmation", func() bool { return !h.pending() })
	h.MustRun("flock", h.path("run/lock"), "true")
}

// stopTime makes each sleep of the scripts last until startTime is called, and no longer after
// that: a test decides when the time to confirm is over, on a machine of any speed.
func (h *target) stopTime() {
	h.t.Helper()
	// A process that outlives the test ends with the test's directory.
	h.wrap("sleep", fmt.Sprintf(`while [ -d %q ] && [ ! -e %q ]; do "$real" 0.02; done; exec "$real" 0.02`, h.dir, h.path("time-passes")))
}

func (h *target) startTime() {
	h.t.Helper()
	if err := os.WriteFile(h.path("time-passes"), nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// confirmationTimers counts the processes that roll back unless a change is confirmed.
func (h *target) confirmationTimers() (n int) {
	h.t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, file := range commands {
		// A process may end meanwhile.
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), h.path("run/pending/apply.sh")) {
			n++
		}
	}
	return n
}

func TestAnUnconfirmedChangeIsRolledBack(t *testing.T) {
	onOneBackend(t, lab.NFT, func(h *target) {
		old := h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "single addresses")
		before := h.saved()
		h.stopTime()
		h.succeeds(b, []string{"--confirm", "30"}, "loaded", "rolling back in 30 seconds", "--keep")
		if !h.pending() {
			h.t.Fatal("no change waits for confirmation")
		}
		h.expect(h.apply(deployPolicy(h.t, "a jump")), 1, "waits for confirmation", "--keep", "--rollback", "nothing was changed")
		h.startTime()
		h.waitForRollback()
		h.requireUnchanged(before)
		h.requireLoaded(old)
		h.refuses(b, 1, []string{"--keep"}, "no change waits for confirmation")
	})
}

func TestAConfirmedChangeStaysAndRollbackIsImmediate(t *testing.T) {
	onOneBackend(t, lab.Legacy, func(h *target) {
		old := h.withPolicy("clients")
		b := deployPolicy(h.t, "a jump")
		h.succeeds(b, []string{"--confirm", "300"}, "loaded")
		h.succeeds(b, []string{"--rollback"}, "rolled back to the previous rules and sets")
		h.requireLoaded(old)
		h.stopTime()
		h.succeeds(b, []string{"--confirm", "30"}, "loaded")
		if h.confirmationTimers() == 0 {
			h.t.Error("no process waits to roll back")
		}
		h.succeeds(b, []string{"--keep"}, "kept")
		h.startTime()
		eventually(h.t, "no process waits to roll back", func() bool { return h.confirmationTimers() == 0 })
		h.requireLoaded(b)
	})
}

func TestRollbackHappensAfterTheSessionIsLost(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	b := deployPolicy(t, "a jump")
	// script(1) makes a session with a terminal, which hangs up when it ends.
	lab.Require(t, "script")
	real, err := exec.LookPath("script")
	if err != nil {
		t.Fatal(err)
	}
	h.stopTime()
	h.MustRun("env", "PATH="+h.path("bin"), h.env[1], h.env[2], real, "-qec",
		"sh "+filepath.Join(b.dir, "apply.sh")+" --confirm 30", "/dev/null")
	if !h.pending() {
		t.Fatal("no change waits for confirmation")
	}
	h.startTime()
	h.waitForRollback()
	h.requireLoaded(old)
}

func TestBootAfterAnUnconfirmedChangeLoadsThePreviousRules(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	b := deployPolicy(t, "a jump")
	h.succeeds(b, []string{"--confirm", "300"}, "loaded")
	h.reboot()
	h.succeeds(b, []string{"--boot"}, "was never confirmed", "loaded "+h.path("state"))
	h.requireLoaded(old)
}

// reboot deletes what a host loses in a reboot.
func (h *target) reboot() {
	h.t.Helper()
	h.flush(h.backend)
	h.MustRun("ipset", "flush")
	h.MustRun("ipset", "destroy")
	if err := os.RemoveAll(h.path("run")); err != nil {
		h.t.Fatal(err)
	}
}

func (h *target) flush(backend lab.Backend) {
	h.t.Helper()
	for _, f := range []int{4, 6} {
		for _, table := range []string{"filter", "security"} {
			if err := h.IPTablesRestore(backend, f, "*"+table+"\n-F\n-X\nCOMMIT\n"); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

func TestConcurrentRunsWaitForEachOther(t *testing.T) {
	onOneBackend(t, lab.Legacy, func(h *target) {
		h.addDockerChains(h.backend)
		both := []*deployed{deployPolicy(h.t, "a list of sets"), deployPolicy(h.t, "single addresses")}
		for range 5 {
			var wait sync.WaitGroup
			outcomes := make([]outcome, len(both))
			for i, p := range both {
				wait.Go(func() { outcomes[i] = h.apply(p) })
			}
			wait.Wait()
			for _, o := range outcomes {
				h.expect(o, 0)
			}
			last := both[0]
			if r := h.differences(last.state(h.t)); r.Different() {
				last = both[1]
			}
			h.requireLoaded(last)
			if h.t.Failed() {
				h.t.FailNow()
			}
		}
	})
}

// addFail2ban adds the chains and sets of fail2ban and CrowdSec, and foreign sets with the
// suffixes that dockerfw uses.
func (h *target) addFail2ban() {
	h.t.Helper()
	sets := "create f2b hash:ip\nadd f2b 192.0.2.66\ncreate crowdsec-blacklists hash:net timeout 0\nadd crowdsec-blacklists 203.0.113.128/25\n" +
		"create foreign-alt hash:net\ncreate foreign-new hash:net\nadd foreign-alt 10.0.0.0/8\n"
	rules := "*filter\n:f2b-docker - [0:0]\n:CROWDSEC_CHAIN - [0:0]\n:foreign - [0:0]\n" +
		"-I DOCKER-USER 1 -m set --match-set crowdsec-blacklists src -j DROP\n-I DOCKER-USER 1 -j f2b-docker\n" +
		"-A f2b-docker -m set --match-set f2b src -j REJECT --reject-with icmp-port-unreachable\n-A f2b-docker -j RETURN\nCOMMIT\n"
	if err := h.IPSetRestore(sets); err != nil {
		h.t.Fatal(err)
	}
	if err := h.IPTablesRestore(h.backend, 4, rules); err != nil {
		h.t.Fatal(err)
	}
}

func TestForeignRulesSurviveAJumpAndAreReplacedOnlyWithForce(t *testing.T) {
	onBackends(t, func(h *target) {
		h.addDockerChains(h.backend)
		h.addFail2ban()
		before := h.saved()
		jump := deployPolicy(h.t, "a jump")
		h.succeeds(jump, nil, "loaded")
		h.requireLoaded(jump)
		h.succeeds(jump, nil, "nothing to do")
		h.expect(h.script(filepath.Join(jump.dir, "remove.sh")), 0, "removed: no dockerfw rules remain")
		h.requireUnchanged(before)

		p := deployPolicy(h.t, "clients")
		h.refuses(p, 1, nil, "-A DOCKER-USER -j f2b-docker", "--match-set crowdsec-blacklists src -j DROP", `install = "jump"`, "--force", "nothing was changed")
		h.succeeds(p, []string{"--force"}, "loaded")
		h.requireLoaded(p)
		for _, s := range []string{"f2b", "crowdsec-blacklists", "foreign-alt", "foreign-new"} {
			h.MustRun("ipset", "list", s)
		}
	})
}

func TestRollbackIsRetriedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	h.wrap("iptables-nft-restore", `[ ! -e `+h.path("pending")+` ] && exec "$real" "$@"; echo refused >>`+h.path("refused")+`; exit 1`)
	h.stopTime()
	h.succeeds(deployPolicy(t, "a jump"), []string{"--confirm", "30"}, "loaded")
	if err := os.WriteFile(h.path("pending"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.startTime()
	eventually(t, "the first attempt fails", func() bool { _, err := os.Stat(h.path("refused")); return err == nil })
	if err := os.Remove(h.path("pending")); err != nil {
		t.Fatal(err)
	}
	h.waitForRollback()
	h.requireLoaded(old)
}

// A restart of firewalld restarts the service too.
func TestAChangeThatABootReplacedCannotBeConfirmed(t *testing.T) {
	onOneBackend(t, lab.Legacy, func(h *target) {
		old := h.withPolicy("clients")
		b := deployPolicy(h.t, "a jump")
		h.succeeds(b, []string{"--confirm", "300"}, "loaded")
		h.succeeds(old, []string{"--boot"}, "loaded")
		h.refuses(b, 1, []string{"--keep"}, "no change waits for confirmation")
		h.requireLoaded(old)
	})
}

func TestRollbackKeepsTheJumpThatAnEngineUses(t *testing.T) {
	onBackends(t, func(h *target) {
		p := deployPolicy(h.t, "clients")
		h.succeeds(p, []string{"--confirm", "300"}, "loaded")
		if err := h.IPTablesRestore(h.backend, 4, strings.Replace(dockersChains, "-A FORWARD -j DOCKER-USER\n", "", 1)); err != nil {
			h.t.Fatal(err)
		}
		h.succeeds(p, []string{"--rollback"}, "rolled back to the previous rules and sets")
		if text := h.IPTablesSave(h.backend, 4, "filter"); !strings.Contains(text, "-A FORWARD -j DOCKER-USER\n") || strings.Contains(text, "dockerfw") {
			h.t.Errorf("the jump is missing, or dockerfw rules remain:\n%s", text)
		}
	})
}

func TestBootAfterAnUnconfirmedFirstInstallationReportsIt(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	p := deployPolicy(t, "clients")
	h.succeeds(p, []string{"--confirm", "300"}, "loaded")
	h.reboot()
	for range 2 {
		h.succeeds(p, []string{"--boot"}, "was never confirmed, but nothing was loaded before", "loaded "+p.dir)
		h.requireLoaded(p)
	}
}

func TestUnmanagedSetsSurviveARollback(t *testing.T) {
	onOneBackend(t, lab.NFT, func(h *target) {
		list := func(members string) *deployed {
			return compileFolder(h.t, members, `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10"] }
ipset "theirs" { managed = false }
ipset "all" {
  type    = "list:set"
  members = [`+members+`]
}
default { allow = [ipset.all] }
`)
		}
		h.addDockerChains(h.backend)
		if err := h.IPSetRestore("create theirs hash:net\nadd theirs 203.0.113.0/24\ncreate theirs-v6 hash:net family inet6\n"); err != nil {
			h.t.Fatal(err)
		}
		old := list("ipset.clients")
		h.unmanaged["theirs"], h.unmanaged["theirs-v6"] = true, true
		h.succeeds(old, nil, "loaded")
		before := h.saved()
		h.succeeds(list("ipset.clients, ipset.theirs"), []string{"--confirm", "300"}, "loaded")
		h.succeeds(old, []string{"--rollback"}, "rolled back to the previous rules and sets")
		h.requireUnchanged(before)

		// A restart of the service replaces it as well.
		h.succeeds(list("ipset.clients, ipset.theirs"), []string{"--confirm", "300"}, "loaded")
		h.succeeds(old, []string{"--boot"}, "loaded")
		h.requireUnchanged(before)
	})
}

func TestSetsOfARolledBackFirstInstallationAreNotForeign(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	p := deployPolicy(t, "clients")
	before := h.saved()
	h.succeeds(p, []string{"--confirm", "300"}, "loaded")
	h.succeeds(p, []string{"--boot"}, "loaded")
	h.succeeds(p, []string{"--rollback"}, "rolled back to the previous rules and sets")
	if withoutReturn(h.saved()) != withoutReturn(before) {
		t.Errorf("the host was\n%s\nand is\n%s", before, h.saved())
	}
	h.succeeds(p, nil, "loaded")
	h.requireLoaded(p)
}

func TestAPartlyLoadedChangeCannotBeConfirmed(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old, b := h.withPolicy("clients"), deployPolicy(t, "a jump")
	k := &killer{h, h.path("calls")}
	restore := h.backend.Tool(6, "-restore")
	h.wrap(restore, fmt.Sprintf(killWrapper, restore, k.calls))
	// The first two calls test the files of the two tables.
	if !k.killAt(b, 3, "before", "--confirm", "300") || !h.pending() {
		t.Fatal("it was not killed while a change waits for confirmation")
	}
	h.expect(h.apply(b, "--keep"), 1, "loaded only in part", "--rollback")
	h.succeeds(b, []string{"--rollback"}, "rolled back to the previous rules and sets")
	h.requireLoaded(old)
}

func TestAnImmediateRollbackThatFailsIsRetried(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	// Loading fails for IPv6, then the rollback fails for IPv4, once each.
	for family, n := range map[int]int{6: 3, 4: 4} {
		h.wrap(h.backend.Tool(family, "-restore"), fmt.Sprintf(`echo >>%q; [ $(grep -c "" %[1]q) != %d ] || exit 1; exec "$real" "$@"`, h.path(fmt.Sprint("calls", family)), n))
	}
	h.expect(h.apply(deployPolicy(t, "a jump"), "--confirm", "2"), 3, "the rollback failed", "retried in 2 seconds")
	h.waitForRollback()
	h.requireLoaded(old)
}
