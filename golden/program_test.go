package golden

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildProgram builds dockerfw into a folder that the test deletes, and returns that folder.
func buildProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "dockerfw"), "../cmd/dockerfw").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
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
