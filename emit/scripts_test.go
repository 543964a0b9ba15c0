package emit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// requireTool skips the test if a tool is not installed; in CI it fails instead.
func requireTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
}

// writeScripts writes the scripts of a compiled folder, and returns the paths of the shell
// scripts.
func writeScripts(t *testing.T) (shell []string) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range Scripts() {
		path := filepath.Join(dir, f.Name)
		if err := os.WriteFile(path, f.Content, 0o600); err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) == ".sh" {
			shell = append(shell, path)
		}
	}
	return shell
}

func TestShellcheckAcceptsTheScripts(t *testing.T) {
	requireTool(t, "shellcheck")
	if out, err := exec.Command("shellcheck", append([]string{"--shell=sh"}, writeScripts(t)...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDashAndBusyboxAcceptTheScripts(t *testing.T) {
	for _, shell := range []string{"dash", "busybox sh"} {
		words := strings.Fields(shell)
		t.Run(shell, func(t *testing.T) {
			requireTool(t, words[0])
			for _, path := range writeScripts(t) {
				if out, err := exec.Command(words[0], append(words[1:], "-n", path)...).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", filepath.Base(path), err, out)
				}
			}
			apply := writeScripts(t)[0]
			out, err := exec.Command(words[0], append(words[1:], apply, "--help")...).CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "apply.sh [OPTION]") {
				t.Errorf("--help: %v\n%s", err, out)
			}
			out, err = exec.Command(words[0], append(words[1:], apply, "--confirm", "soon")...).CombinedOutput()
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "a number of seconds") {
				t.Errorf("--confirm soon: %v\n%s", err, out)
			}
		})
	}
}
