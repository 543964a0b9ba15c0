package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A run that a signal ends leaves the old folder or the new one, no temporary files,
// and the process ends with that signal.
func TestSignalsLeaveNothingBehind(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var fleet strings.Builder
	for i := range 60 {
		fmt.Fprintf(&fleet, "host \"web%d\" {\n  external_interfaces = [\"eth0\"]\n}\n", i)
	}
	parent, temporary := t.TempDir(), t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.hcl")
	ended := map[string]int{}
	random := rand.New(rand.NewPCG(1, 24))
	runs := 24
	if testing.Short() {
		runs = 9
		t.Log("-short: 9 runs instead of 24")
	}
	for i := range runs {
		// Each run has other files to write.
		text := fmt.Sprintf("%saccept \"a\" {\n  protocol        = \"tcp\"\n  published_ports = [%d]\n}\n", &fleet, 1000+i)
		if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "compile", policy, "-o", filepath.Join(parent, "compiled"), "-q")
		cmd.Args[0] = "dockerfw" // by this name the test is the program; see TestMain
		cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[i%3]
		// The signal arrives while the program writes, if it is still running.
		writing := filepath.Join(parent, ".compiled.new-*")
		for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
			if found, _ := filepath.Glob(writing); len(found) > 0 {
				break
			}
			if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
				break
			}
			time.Sleep(200 * time.Microsecond) // the program needs the processor too
		}
		time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
		_ = cmd.Process.Signal(stop) // the process may have ended
		err := cmd.Wait()
		var exit *exec.ExitError
		switch {
		case err == nil:
			ended["by itself"]++
		case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == stop:
			ended["by the signal"]++
		default:
			t.Errorf("%v: %v", stop, err)
		}
		for dir, want := range map[string]string{parent: "[compiled]", temporary: "[]"} {
			if found, err := os.ReadDir(dir); err != nil || len(found) > 0 && fmt.Sprint(names(found)) != want {
				t.Errorf("%v left %v, %v", stop, names(found), err)
			}
		}
	}
	if ended["by the signal"] == 0 {
		t.Errorf("no run was interrupted: %v", ended)
	}
}

func names(entries []os.DirEntry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
