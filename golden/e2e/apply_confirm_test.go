//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
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

// waitForRollback waits until nothing waits for confirmation and the process that rolled back has
// ended.
func (h *target) waitForRollback() {
	h.t.Helper()
	eventually(h.t, "no change waits for confirmation", func() bool { return !h.pending() && len(h.timers()) == 0 })
}

// notYet are options for a change that is not confirmed: its time is over when the test calls
// expire, on a machine of any speed.
var notYet = []string{"--confirm", "99999"}

// expire makes the time to confirm end now.
func (h *target) expire() {
	h.t.Helper()
	path := h.path("run/pending/change.json")
	var change map[string]any
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &change)
	}
	if _, ok := change["deadline"]; err != nil || !ok {
		h.t.Fatalf("%s: %v: %s", path, err, text)
	}
	change["deadline"] = time.Now()
	if text, err = json.Marshal(change); err == nil {
		err = errors.Join(os.WriteFile(path+".expired", text, 0o600), os.Rename(path+".expired", path))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// timers are the processes of this host that roll back unless a change is confirmed.
func (h *target) timers() (pids []int) {
	h.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, dir := range dirs {
		// A process may end meanwhile.
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !strings.Contains(string(command), "rollback\x00--"+apply.ExpireFlag) {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err == nil && strings.Contains(string(environment), "DOCKERFW_RUN="+h.path("run")+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestAnUnconfirmedChangeIsRolledBack(t *testing.T) {
	onBackends(t, func(h *target) {
		old := h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "single addresses")
		before := h.saved()
		h.succeeds(b, notYet, "loaded", "rolling back in 99999 seconds", "dockerfw confirm")
		if !h.pending() {
			h.t.Fatal("no change waits for confirmation")
		}
		h.expect(h.apply(deployPolicy(h.t, "a jump")), 1, "waits for confirmation", "dockerfw confirm", "dockerfw rollback", "nothing was changed")
		h.expire()
		h.waitForRollback()
		h.requireUnchanged(before)
		h.requireLoaded(old)
		h.leavesAlone(h.confirm, 1, "no change waits for confirmation")
	})
}

func TestAnUnconfirmedChangeIsRolledBackAfterItsTime(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	const seconds = 3
	start := time.Now()
	h.succeeds(deployPolicy(t, "a jump"), []string{"--confirm", fmt.Sprint(seconds)}, "rolling back in 3 seconds")
	h.waitForRollback()
	if took := time.Since(start); took < seconds*time.Second {
		t.Errorf("it was rolled back after %s", took)
	}
	h.requireLoaded(old)
	if text := readOr(t, h.path("run/confirm.log"), ""); !strings.Contains(text, "not confirmed in time: rolling back") || !strings.Contains(text, "rolled back to the previous rules and sets") {
		t.Errorf("confirm.log: %q", text)
	}
}

// Before the engine runs for the first time, rules may be loaded into tables that it does not use.
func TestAChangeInTheOtherTablesIsRolledBackThere(t *testing.T) {
	onBackends(t, func(h *target) {
		other := otherBackend(h.backend)
		h.setDefault(other)
		p := deployPolicy(h.t, "a jump")
		h.succeeds(p, append([]string{"--backend", string(other)}, notYet...), "loaded")
		h.addDockerChains(h.backend)
		h.expire()
		h.waitForRollback()
		for _, f := range []int{4, 6} {
			for _, table := range []string{"filter", "security"} {
				if text := h.IPTablesSave(other, f, table); strings.Contains(text, "DOCKERFW") {
					h.t.Errorf("IPv%d rules remain:\n%s", f, text)
				}
			}
		}
		h.succeeds(p, nil, "loaded")
		h.requireLoaded(p)
	})
}

func TestAConfirmedChangeStaysAndRollbackIsImmediate(t *testing.T) {
	onBackends(t, func(h *target) {
		old := h.withPolicy("clients")
		b := deployPolicy(h.t, "a jump")
		h.succeeds(b, notYet, "loaded")
		h.expect(h.rollback(), 0, "rolled back to the previous rules and sets")
		h.requireLoaded(old)
		h.succeeds(b, notYet, "loaded")
		// The process for the change before notices within a second that it is over.
		eventually(h.t, "one process waits to roll back", func() bool { return len(h.timers()) == 1 })
		h.expect(h.confirm(), 0, "confirmed")
		eventually(h.t, "no process waits to roll back", func() bool { return len(h.timers()) == 0 })
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
	command := h.command("apply", b.dir, notYet[0], notYet[1])
	h.MustRun(real, "-qec", strings.Join(command, " "), "/dev/null")
	if !h.pending() {
		t.Fatal("no change waits for confirmation")
	}
	h.expire()
	h.waitForRollback()
	h.requireLoaded(old)
}

func TestBootAfterAnUnconfirmedChangeLoadsThePreviousRules(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	b := deployPolicy(t, "a jump")
	h.succeeds(b, notYet, "loaded")
	h.reboot()
	h.expect(h.boot(b), 0, "was never confirmed", "loaded "+h.path("state"))
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
		h.expect(h.remove(), 0, "removed: no dockerfw rules remain")
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
	h.succeeds(deployPolicy(t, "a jump"), notYet, "loaded")
	if err := os.WriteFile(h.path("pending"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.expire()
	eventually(t, "the first attempt fails", func() bool { _, err := os.Stat(h.path("refused")); return err == nil })
	if err := os.Remove(h.path("pending")); err != nil {
		t.Fatal(err)
	}
	h.waitForRollback()
	h.requireLoaded(old)
}

// A restart of firewalld restarts the service too.
func TestAChangeThatABootReplacedCannotBeConfirmed(t *testing.T) {
	onBackends(t, func(h *target) {
		old := h.withPolicy("clients")
		b := deployPolicy(h.t, "a jump")
		h.succeeds(b, notYet, "loaded")
		h.expect(h.boot(old), 0, "loaded")
		h.leavesAlone(h.confirm, 1, "no change waits for confirmation")
		h.requireLoaded(old)
	})
}

func TestRollbackKeepsTheJumpThatAnEngineUses(t *testing.T) {
	onBackends(t, func(h *target) {
		p := deployPolicy(h.t, "clients")
		h.succeeds(p, notYet, "loaded")
		if err := h.IPTablesRestore(h.backend, 4, strings.Replace(dockersChains, "-A FORWARD -j DOCKER-USER\n", "", 1)); err != nil {
			h.t.Fatal(err)
		}
		h.expect(h.rollback(), 0, "rolled back to the previous rules and sets")
		if text := h.IPTablesSave(h.backend, 4, "filter"); !strings.Contains(text, "-A FORWARD -j DOCKER-USER\n") || strings.Contains(text, "dockerfw") {
			h.t.Errorf("the jump is missing, or dockerfw rules remain:\n%s", text)
		}
	})
}

func TestBootAfterAnUnconfirmedFirstInstallationReportsIt(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	p := deployPolicy(t, "clients")
	h.succeeds(p, notYet, "loaded")
	h.reboot()
	for range 2 {
		h.expect(h.boot(p), 0, "was never confirmed, but nothing was loaded before", "loaded "+p.dir)
		h.requireLoaded(p)
	}
}

func TestUnmanagedSetsSurviveARollback(t *testing.T) {
	onBackends(t, func(h *target) {
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
		h.succeeds(list("ipset.clients, ipset.theirs"), notYet, "loaded")
		h.expect(h.rollback(), 0, "rolled back to the previous rules and sets")
		h.requireUnchanged(before)

		// A restart of the service replaces it as well.
		h.succeeds(list("ipset.clients, ipset.theirs"), notYet, "loaded")
		h.expect(h.boot(old), 0, "loaded")
		h.requireUnchanged(before)
	})
}

func TestSetsOfARolledBackFirstInstallationAreNotForeign(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	p := deployPolicy(t, "clients")
	before := h.saved()
	h.succeeds(p, notYet, "loaded")
	h.expect(h.boot(p), 0, "loaded")
	h.expect(h.rollback(), 0, "rolled back to the previous rules and sets")
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
	partly := fault{n: 1, when: "before", pattern: "ip6tables*-restore -w*"}
	if _, killed := newCalls(h).killAt(partly, func() outcome { return h.apply(b, notYet...) }); !killed || !h.pending() {
		t.Fatal("it was not killed while a change waits for confirmation")
	}
	h.expect(h.confirm(), 1, "loaded only in part", "dockerfw rollback")
	h.expect(h.rollback(), 0, "rolled back to the previous rules and sets")
	h.requireLoaded(old)
}

// A rollback that failed may have restored one family only.
func TestAChangeThatTheHostNoLongerHasCannotBeConfirmed(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old, b := h.withPolicy("clients"), deployPolicy(t, "a jump")
	h.succeeds(b, notYet, "loaded ")
	if err := h.IPTables(h.backend, 6, "-F", "DOCKERFW"); err != nil {
		t.Fatal(err)
	}
	h.expect(h.confirm(), 1, "the host no longer has what was loaded (IPv6 DOCKERFW: replace the rules)", "dockerfw rollback", "nothing was changed")
	if !h.pending() {
		t.Error("the change no longer waits for confirmation")
	}
	h.expect(h.rollback(), 0, "rolled back to the previous rules and sets")
	h.requireLoaded(old)
}

// failOnce makes one load of rules of each family fail, by its number.
func (h *target) failOnce(calls map[int]int) {
	h.t.Helper()
	for family, n := range calls {
		count := h.path(fmt.Sprint("calls", family))
		h.wrap(h.backend.Tool(family, "-restore"), fmt.Sprintf(`[ "$1" = -w ] || exec "$real" "$@"
echo >>%q
[ $(/bin/grep -c "" %[1]q) != %d ] || exit 1
exec "$real" "$@"`, count, n))
	}
}

func TestAnImmediateRollbackThatFailsNamesTheCommand(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"clients", ""} {
		h := newTarget(t, lab.NFT)
		again := "dockerfw remove"
		if name != "" {
			again = "dockerfw apply " + h.withPolicy(name).dir
		}
		h.failOnce(map[int]int{6: 1, 4: 2})
		h.expect(h.apply(deployPolicy(t, "a jump")), 3, "the rollback failed", "when the cause is fixed, run: "+again)
	}
}

func TestAnImmediateRollbackThatFailsIsRetried(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	// Loading fails for IPv6, then the rollback fails for IPv4, once each.
	h.failOnce(map[int]int{6: 1, 4: 2})
	h.expect(h.apply(deployPolicy(t, "a jump"), notYet...), 3, "the rollback failed", "retried in 99999 seconds")
	h.expire()
	h.waitForRollback()
	h.requireLoaded(old)
}
