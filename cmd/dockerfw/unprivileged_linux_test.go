package main

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// unprivileged CODE COMMAND ARGUMENT...: the command has this exit code, without any rights. It runs in
// a user namespace in which no user is root, and in a network namespace of its own: whoever runs
// the tests, and whatever a script gets wrong, it cannot change the rules of this host.
func unprivileged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: unprivileged CODE COMMAND ARGUMENT...")
	}
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if found, err := exec.LookPath(filepath.Join(dir, args[1])); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		ts.Fatalf("%s is not on the PATH", args[1])
	}
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "DOCKERFW_RUN=" + ts.MkAbs("run"), "DOCKERFW_STATE=" + ts.MkAbs("state")}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET}
	code := 0
	if err := cmd.Run(); err != nil {
		var ok bool
		if code, ok = exitCode(err); !ok {
			ts.Fatalf("a user namespace is required: %v", err)
		}
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s: exit code %d, not %s", args[1], code, args[0])
	}
}
