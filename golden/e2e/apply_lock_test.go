//go:build linux

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

func TestConcurrentRunsWaitForEachOther(t *testing.T) {
	onBackends(t, func(h *target) {
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

func TestAHeldXtablesLockIsWaitedForAndReported(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.Legacy)
	h.withPolicy("clients")
	path := strings.TrimSpace(h.MustRun("sh", "-c", "echo $XTABLES_LOCKFILE"))
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	h.refuses(deployPolicy(t, "a jump"), 1, nil, "holding the xtables lock", "nothing was changed")
}

func TestAHeldLockIsReportedAfterAMinute(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	b := deployPolicy(t, "a jump")
	lock, err := os.OpenFile(h.path("run/lock"), os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	before := h.saved()
	out := make(chan outcome)
	go func() {
		text, err := exec.Command("nsenter", append([]string{"--net=/run/netns/" + h.Name, "--"}, h.command("apply", b.dir)...)...).CombinedOutput()
		o := outcome{text: string(text)}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			o.code = exit.ExitCode()
		}
		out <- o
	}()
	h.expect(<-out, 1, "waiting for another dockerfw …", "another dockerfw has held the lock "+h.path("run/lock")+" for a minute", "nothing was changed")
	h.requireUnchanged(before)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	h.succeeds(b, nil, "loaded")
}
