//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// calls counts the tools that dockerfw runs, and can make one of these runs fail, or kill
// dockerfw there.
type calls struct {
	*target
	dir string // a folder with a file for each call, and the file "at" for the wrappers
	bin string // the PATH with the wrappers
	// made is how many calls the last run made.
	made int
}

// fault is what happens at the n-th call, from 1, of those that match a pattern of sh, such as
// "ipset restore*".
type fault struct {
	n       int
	when    string // before or after the tool has run
	action  string // fail, or the signal that dockerfw gets
	pattern string
}

// failure is what a tool prints that is made to fail.
const failure = "failed on purpose"

const callWrapper = `#!/bin/sh
real=%q calls=%q call="%s $*"
[ -e "$calls/at" ] || exec "$real" "$@"
read -r at when action pattern <"$calls/at"
case $call in $pattern) ;; *) exec "$real" "$@" ;; esac
set -C
n=1
until echo "$call" >"$calls/$n"; do n=$((n + 1)); done 2>/dev/null
[ $n = "$at" ] || exec "$real" "$@"
[ $when = before ] || "$real" "$@"
[ $action = fail ] || kill -s $action "$PPID"
[ $action = fail ] || [ $action = KILL ] || { [ $when = after ] || exec "$real" "$@"; exit 0; }
echo "` + failure + `" >&2
exit 1
`

// newCalls wraps all tools of a host, for the runs with a fault.
func newCalls(h *target) *calls {
	h.t.Helper()
	c := &calls{target: h, dir: h.path("calls"), bin: h.path("bin-calls")}
	// The links of setDefault, which lead to wrappers here.
	err := exec.Command("cp", "-a", h.path("bin"), c.bin).Run()
	names := []string{"ipset", "nft"}
	for _, tool := range []string{"iptables", "ip6tables"} {
		for _, kind := range []string{"-nft", "-legacy"} {
			for _, suffix := range []string{"", "-save", "-restore"} {
				names = append(names, tool+kind+suffix)
			}
		}
	}
	for _, name := range names {
		path := filepath.Join(c.bin, name)
		text := fmt.Sprintf(callWrapper, h.path("bin/"+name), c.dir, name)
		err = errors.Join(err, os.Remove(path), os.WriteFile(path, []byte(text), 0o755))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// with runs dockerfw with a fault and returns the calls of tools, each with its arguments. hit
// reports whether there were enough calls for the fault.
func (c *calls) with(f fault, run func() outcome) (out outcome, made []string, hit bool) {
	c.t.Helper()
	if f.pattern == "" {
		f.pattern = "*"
	}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "at"), fmt.Appendf(nil, "%d %s %s %s\n", f.n, f.when, f.action, f.pattern), 0o600); err != nil {
		c.t.Fatal(err)
	}
	env := c.env
	c.env = append(slices.Clone(env), "PATH="+c.bin)
	out = run()
	c.env = env
	c.waitForTools()
	for n := 1; ; n++ {
		text := readOr(c.t, filepath.Join(c.dir, strconv.Itoa(n)), "")
		if text == "" {
			break
		}
		made = append(made, strings.TrimSpace(text))
	}
	if err := os.RemoveAll(c.dir); err != nil {
		c.t.Fatal(err)
	}
	c.made = len(made)
	return out, made, len(made) >= f.n
}

// waitForTools waits until the tools have ended that a killed run has started. They keep its lock.
func (c *calls) waitForTools() {
	c.t.Helper()
	lock, err := os.Open(c.path("run/lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	} else if err != nil {
		c.t.Fatal(err)
	}
	defer lock.Close()
	eventually(c.t, "no tool of a killed run is left", func() bool {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			c.t.Fatal(err)
		}
		return err == nil
	})
}

// count runs dockerfw without a fault and returns the calls of tools.
func (c *calls) count(run func() outcome) (outcome, []string) {
	c.t.Helper()
	out, made, _ := c.with(fault{n: 1 << 20, when: "before", action: "fail"}, run)
	return out, made
}

// kill runs dockerfw and kills it before or after a call. It returns the call, and false if the
// run ended by itself, because it has fewer calls.
func (c *calls) kill(n int, when string, run func() outcome) (call string, killed bool) {
	c.t.Helper()
	return c.killAt(fault{n: n, when: when}, run)
}

func (c *calls) killAt(f fault, run func() outcome) (call string, killed bool) {
	c.t.Helper()
	f.action = "KILL"
	out, made, hit := c.with(f, run)
	if !hit {
		return "", false
	}
	if out.code != -1 {
		c.t.Fatalf("killed %s call %d (%s), it exited with %d:\n%s", f.when, f.n, made[f.n-1], out.code, out.text)
	}
	return made[f.n-1], true
}

// each runs a test for the calls of a run, before and after the tool, until it returns false because
// a run has no such call. A soak takes every call, other runs one of step; a test that runs in several
// variants, numbered from 0, takes other calls in each, and before the tool other ones than after it.
// It returns how many calls a run makes, and how many faults were tested.
func (c *calls) each(step, variant int, test func(n int, when string) bool) (most, tested int) {
	c.t.Helper()
	if testenv.Soak() {
		step = 1
	} else {
		c.t.Logf("only every %dth call has a fault; a soak tests all", step)
	}
	for i, when := range []string{"before", "after"} {
		n := 1 + (variant+i*(step/2))%step
		for test(n, when) {
			if c.t.Failed() {
				c.t.FailNow()
			}
			n += step
			tested++
		}
		most = max(most, c.made)
	}
	if tested == 0 {
		c.t.Error("no call had a fault")
	}
	return most, tested
}

// onBackend is the variant of a test that differs in the backend alone.
func onBackend(b lab.Backend) int { return slices.Index(lab.Backends, b) }

// otherBackend is the other kind of iptables.
func otherBackend(b lab.Backend) lab.Backend {
	if b == lab.NFT {
		return lab.Legacy
	}
	return lab.NFT
}
