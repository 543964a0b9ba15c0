package hosttool

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// maxOutput bounds what is read from a tool, in bytes. The output of ipset save with a million
// entries has 25 MB.
const maxOutput = 1 << 30

// waitDelay is how long a tool's output is read after the tool has ended, because a process that it
// started (modprobe) may still have the pipe open.
const waitDelay = 10 * time.Second

// lockVariable is the variable with the path of the lock of the legacy tools; see iptables(8).
const lockVariable = "XTABLES_LOCKFILE"

// Runner runs tools in the network namespace of this process. Its methods can be called
// concurrently.
type Runner struct {
	dirs    []string // where tools are looked up
	env     []string
	started atomic.Int64
	held    *os.File
}

// Hold makes tools keep a file open, such as that of a lock: it remains locked until they have
// ended, also if this process is killed meanwhile.
func (r *Runner) Hold(f *os.File) { r.held = f }

// New returns a runner with the PATH and the XTABLES_LOCKFILE of this process. /usr/sbin and /sbin
// are added to a PATH without them, such as that of su without -. Directories that are not absolute
// paths are ignored: what is in the current directory must not run as root.
func New() *Runner {
	r := &Runner{}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if filepath.IsAbs(dir) && !slices.Contains(r.dirs, dir) {
			r.dirs = append(r.dirs, dir)
		}
	}
	r.env = []string{"PATH=" + strings.Join(r.dirs, string(filepath.ListSeparator)), "LC_ALL=C"}
	if file := os.Getenv(lockVariable); file != "" {
		r.env = append(r.env, lockVariable+"="+file)
	}
	return r
}

// Started returns how many processes this runner and its namespaces have started.
func (r *Runner) Started() int { return int(r.started.Load()) }

// Find returns the path of a tool. Its error is an [*Error] that wraps exec.ErrNotFound.
func (r *Runner) Find(tool string) (string, error) {
	for _, dir := range r.dirs {
		path := filepath.Join(dir, tool)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &Error{Tool: tool, Err: fmt.Errorf("%w in %s", exec.ErrNotFound, strings.Join(r.dirs, string(filepath.ListSeparator)))}
}

// Output runs a tool and returns what it prints on standard output, at most 1 GiB. Its standard input
// is stdin; if that is nil, /dev/null. The tool is killed when ctx is done. The error is an
// [*Error].
func (r *Runner) Output(ctx context.Context, stdin []byte, tool string, args ...string) ([]byte, error) {
	return r.start(ctx, stdin, nil, tool, args...)()
}

// start starts a tool, after a change of the command, and returns a function that waits for it.
func (r *Runner) start(ctx context.Context, stdin []byte, change func(*exec.Cmd), tool string, args ...string) func() ([]byte, error) {
	fails := func(err error) func() ([]byte, error) { return func() ([]byte, error) { return nil, err } }
	path, err := r.Find(tool)
	if err != nil {
		return fails(err)
	}
	failed := &Error{Tool: tool, Args: args}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Args[0] = tool // xtables-nft-multi is called by several names
	cmd.Env = r.env
	cmd.WaitDelay = waitDelay
	stdout, stderr := &limited{max: maxOutput}, &truncated{max: 2 * maxErrorBytes}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	detach(cmd)
	if stdin != nil {
		input, err := inputFile(stdin)
		if err != nil {
			failed.Err = err
			return fails(failed)
		}
		defer input.Close() // the tool has it once it is started
		cmd.Stdin = input
	}
	if r.held != nil {
		cmd.ExtraFiles = []*os.File{r.held}
	}
	if change != nil {
		change(cmd)
	}
	if failed.Err = cmd.Start(); failed.Err != nil {
		return fails(failed)
	}
	r.started.Add(1)
	return func() ([]byte, error) {
		if failed.Err = cmd.Wait(); failed.Err != nil {
			if ctx.Err() != nil {
				failed.Err = fmt.Errorf("%w: %w", context.Cause(ctx), failed.Err)
			}
			if stdout.exceeded {
				failed.Err = errTooMuchOutput
			}
			failed.Stderr = beginning(stderr.Bytes())
			return nil, failed
		}
		return stdout.Bytes(), nil
	}
}

var errTooMuchOutput = fmt.Errorf("printed more than %d MiB", maxOutput>>20)

// limited is a buffer that fails when it is full.
type limited struct {
	bytes.Buffer
	max      int
	exceeded bool
}

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.max {
		l.exceeded = true
		return 0, errTooMuchOutput
	}
	return l.Buffer.Write(p)
}

// truncated is a buffer of the first bytes that are written.
type truncated struct {
	bytes.Buffer
	max int
}

func (t *truncated) Write(p []byte) (int, error) {
	t.Buffer.Write(p[:min(len(p), t.max-t.Len())])
	return len(p), nil
}
