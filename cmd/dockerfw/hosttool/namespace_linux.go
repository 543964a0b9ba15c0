package hosttool

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// Namespace is a new network namespace, without rules, sets or interfaces but a loopback that is
// down. Tools that it runs cannot change this host. Its Output can be called concurrently.
type Namespace struct {
	runner *Runner
	jobs   chan func() // run on the thread that is in the namespace
	ended  chan struct{}
	lock   *os.File
}

// NewNamespace returns a new network namespace. It starts no process: a thread of this process enters
// the namespace, and so do the tools that it starts. The namespace ends with Close or with
// the process. The error wraps [ErrNamespace]: containers and security modules may refuse it.
func (r *Runner) NewNamespace() (*Namespace, error) {
	lock, err := memoryFile("xtables.lock")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNamespace, err)
	}
	n := &Namespace{runner: r, jobs: make(chan func()), ended: make(chan struct{}), lock: lock}
	entered := make(chan error)
	go onSeparateThread(func() {
		defer close(n.ended)
		err := unix.Unshare(unix.CLONE_NEWNET)
		entered <- err
		if err != nil {
			return
		}
		for job := range n.jobs {
			job()
		}
	})
	if err := <-entered; err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: %w", ErrNamespace, err)
	}
	return n, nil
}

// onSeparateThread runs f on a thread that runs nothing else and ends with f. It is not the main
// thread: /proc/self and /proc/net are about the namespace of that one.
func onSeparateThread(f func()) {
	runtime.LockOSThread() // never unlocked on the thread of f: the runtime ends it with the goroutine
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	// While this goroutine has the main thread, another one runs elsewhere.
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(locked)
		f()
	}()
	<-locked
	runtime.UnlockOSThread()
}

// Output is [Runner.Output] in the namespace. The tools have a lock of their own there: a lock that
// another process holds on this host does not matter.
func (n *Namespace) Output(ctx context.Context, stdin []byte, tool string, args ...string) ([]byte, error) {
	var wait func() ([]byte, error)
	started := make(chan struct{})
	n.jobs <- func() {
		defer close(started)
		wait = n.runner.start(ctx, stdin, func(cmd *exec.Cmd) {
			// The tool opens it again by this path, so that there is no file to remove later.
			cmd.ExtraFiles = append([]*os.File{n.lock}, cmd.ExtraFiles...) // 3
			cmd.Env = append(slices.Clip(cmd.Env), lockVariable+"=/proc/self/fd/3")
		}, tool, args...)
	}
	<-started
	return wait()
}

// Close ends the namespace.
func (n *Namespace) Close() error {
	close(n.jobs)
	<-n.ended
	return n.lock.Close()
}
