//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// commandLimit bounds every command run in a namespace.
const commandLimit = 3 * time.Minute

// Namespace is a network namespace.
type Namespace struct {
	Name string

	t     testing.TB
	path  string   // of the namespace, for setns
	enter []string // nsenter's flags; none if the network namespace is all that differs
	lock  string   // XTABLES_LOCKFILE, as a command sees it
}

var namespaceCount atomic.Int64

// NewNamespace makes an empty namespace with its loopback up.
// It is deleted when the test ends.
func NewNamespace(t testing.TB, prefix string) *Namespace {
	t.Helper()
	Require(t, "ip", "nsenter")
	name := fmt.Sprintf("%s-%d-%d", prefix, os.Getpid(), namespaceCount.Add(1))
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add %s: %v: %s", name, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("ip netns delete %s: %v: %s", name, err, out)
		}
	})
	path := "/run/netns/" + name
	ns := &Namespace{
		Name: name,
		t:    t,
		path: path,
		// The legacy tools take one lock for the whole machine by default.
		lock: filepath.Join(t.TempDir(), "xtables.lock"),
	}
	ns.MustRun("ip", "link", "set", "lo", "up")
	return ns
}

// Run runs a command in the namespace, for commandLimit at most. The error
// contains the command and its stderr.
func (ns *Namespace) Run(args ...string) (stdout, stderr string, err error) {
	return ns.Input("", args...)
}

// MustRun is Run for commands that have to succeed; it returns their stdout.
func (ns *Namespace) MustRun(args ...string) string {
	ns.t.Helper()
	stdout, _, err := ns.Run(args...)
	if err != nil {
		ns.t.Fatal(err)
	}
	return stdout
}

// Input is Run with text as the stdin of the command.
func (ns *Namespace) Input(stdin string, args ...string) (stdout, stderr string, err error) {
	return ns.InputEnv(stdin, nil, args...)
}

// InputEnv is Input with more variables of the environment, "NAME=VALUE".
func (ns *Namespace) InputEnv(stdin string, env []string, args ...string) (stdout, stderr string, err error) {
	env = append([]string{"XTABLES_LOCKFILE=" + ns.lock}, env...)
	if ns.enter == nil {
		// A process begins in the namespace of the thread that starts it: nsenter would be one more
		// program for each of the thousands of commands of a test.
		stdout, stderr, err = runBounded(func(cmd *exec.Cmd) error { return ns.Within(cmd.Start) }, stdin, env, args...)
	} else {
		stdout, stderr, err = runBounded((*exec.Cmd).Start, stdin, env, ns.command(args...)...)
	}
	if err != nil {
		err = fmt.Errorf("%s: %s: %w: %s", ns.Name, strings.Join(args, " "), err, strings.TrimSpace(stderr))
	}
	return stdout, stderr, err
}

func (ns *Namespace) command(args ...string) []string {
	enter := ns.enter
	if enter == nil {
		enter = []string{"--net=" + ns.path}
	}
	// nsenter and not ip netns exec, which mounts a /sys without the cgroups.
	return slices.Concat([]string{"nsenter"}, enter, []string{"--"}, args)
}

func runBounded(start func(*exec.Cmd) error, stdin string, env []string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 10 * time.Second // for a grandchild that keeps the pipes open
	if err = start(cmd); err == nil {
		err = cmd.Wait()
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("not finished after %s: %w", commandLimit, err)
	}
	return out.String(), errs.String(), err
}

// Sysctl sets a network sysctl, such as "net.ipv4.ip_forward".
func (ns *Namespace) Sysctl(name, value string) {
	ns.t.Helper()
	if err := ns.setSysctl(name, value); err != nil {
		ns.t.Fatalf("%s: sysctl %s=%s: %v", ns.Name, name, value, err)
	}
}

func (ns *Namespace) setSysctl(name, value string) error {
	return ns.Within(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
	})
}

// Within calls f on a thread that is in the namespace. Sockets belong to the
// namespace of the thread that makes them, so f may only make them in its own
// goroutine; afterwards any goroutine can use them.
func (ns *Namespace) Within(f func() error) error {
	done := make(chan error)
	go func() {
		done <- func() error {
			runtime.LockOSThread()
			home, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer home.Close()
			there, err := os.Open(ns.path)
			if err != nil {
				return err
			}
			defer there.Close()
			if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("setns %s: %w", ns.path, err)
			}
			err = f()
			// A thread that could not return stays locked, so that it ends with
			// this goroutine.
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				return fmt.Errorf("setns back: %w", back)
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	return <-done
}
