package golden

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// program is dockerfw, built once for all tests that run it, because linking it takes longer than most of them.
var program struct {
	sync.Once
	dir string
	err error
}

// TestMain removes what builtProgram has built.
func TestMain(m *testing.M) {
	code := m.Run()
	if program.dir != "" {
		_ = os.RemoveAll(program.dir)
	}
	os.Exit(code)
}

// builtProgram returns the folder that dockerfw is built into.
func builtProgram(t *testing.T) string {
	t.Helper()
	program.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "dockerfw-golden"); program.err != nil {
			return
		}
		if out, err := exec.Command("go", "build", "-o", filepath.Join(program.dir, "dockerfw"), "../cmd/dockerfw").CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.dir
}

// runShell runs a command in a directory as a person would type it, and returns what it
// prints on both outputs and its exit code.
func runShell(t *testing.T, dir, command string, env []string, wrap ...string) (string, int) {
	t.Helper()
	args := append(append([]string{}, wrap...), "sh", "-c", command)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return string(out), failed.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", command, err)
	}
	return string(out), 0
}

// writeFiles writes files under a directory, by their paths in it.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// docsEnvironment is the environment of the commands of a document: the program built into
// bin comes first in PATH, and nothing of the caller's git or terminal shows in the output.
func docsEnvironment(bin, home string) []string {
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C", "NO_COLOR=1", "GIT_CONFIG_NOSYSTEM=1"}
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "TMPDIR=") {
			env = append(env, e)
		}
	}
	return env
}
