package hosttool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// script writes a tool into a directory.
func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// runnerWith returns a runner with one tool of the given text ahead of the usual ones.
func runnerWith(t *testing.T, name, text string) *Runner {
	t.Helper()
	dir := t.TempDir()
	script(t, dir, name, text)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return New()
}

func TestToolsAreLookedUpInAbsoluteDirectories(t *testing.T) {
	here, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	t.Chdir(here)
	script(t, here, "only-here", "")
	script(t, second, "tool", "")
	if err := os.WriteFile(filepath.Join(first, "tool"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(first, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", strings.Join([]string{"", ".", "relative", first, second, first}, ":"))
	r := New()
	if want := []string{first, second, "/usr/sbin", "/sbin"}; !slices.Equal(r.dirs, want) {
		t.Errorf("directories %q, want %q", r.dirs, want)
	}
	if path, err := r.Find("tool"); path != filepath.Join(second, "tool") || err != nil {
		t.Errorf("tool: %s, %v; a file that is not executable is no tool", path, err)
	}
	for _, missing := range []string{"only-here", "folder"} {
		if path, err := r.Find(missing); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: %s, %v", missing, path, err)
		}
	}
}

func TestAMissingToolIsAnErrorWithItsPackage(t *testing.T) {
	r := &Runner{dirs: []string{t.TempDir()}}
	for tool, want := range map[string]string{
		"ip6tables-nft-restore": "ip6tables-nft-restore is not installed (on Debian: apt-get install iptables)",
		"ipset":                 "ipset is not installed (on Debian: apt-get install ipset)",
		"made-up":               "made-up is not installed",
	} {
		_, err := r.Output(t.Context(), nil, tool, "list")
		var failed *Error
		if !errors.Is(err, exec.ErrNotFound) || !errors.As(err, &failed) || err.Error() != want {
			t.Errorf("%s: %v, want %s", tool, err, want)
		}
	}
	if r.Started() != 0 {
		t.Errorf("%d processes were started", r.Started())
	}
}

func TestAToolGetsOnlyDocumentedVariables(t *testing.T) {
	for _, name := range []string{"XTABLES_LIBDIR", "IPSET_MODULES", "LD_LIBRARY_PATH", "LANG"} {
		t.Setenv(name, "/nowhere")
	}
	t.Setenv("PATH", "/usr/bin:/bin")
	for lock, want := range map[string]string{
		"":       "PATH=/usr/bin:/bin:/usr/sbin:/sbin\nLC_ALL=C\n",
		"/a/b.c": "PATH=/usr/bin:/bin:/usr/sbin:/sbin\nLC_ALL=C\nXTABLES_LOCKFILE=/a/b.c\n",
	} {
		t.Setenv(lockVariable, lock)
		out, err := New().Output(t.Context(), nil, "env")
		if err != nil || string(out) != want {
			t.Errorf("%v\ngot:\n%swant:\n%s", err, out, want)
		}
	}
}

func TestStandardInput(t *testing.T) {
	large := bytes.Repeat([]byte("add clients 192.0.2.0/24\n"), 1_000_000)
	r := New()
	for _, c := range []struct {
		name  string
		stdin []byte
	}{{"none", nil}, {"empty", []byte{}}, {"large", large}} {
		out, err := r.Output(t.Context(), c.stdin, "cat")
		if err != nil || !bytes.Equal(out, c.stdin) {
			t.Errorf("%s: %d bytes, %v; want %d", c.name, len(out), err, len(c.stdin))
		}
	}
	// A tool that does not read its input is no error.
	if _, err := r.Output(t.Context(), large, "true"); err != nil {
		t.Error(err)
	}
	out, err := r.Output(t.Context(), nil, "readlink", "/proc/self/fd/0")
	if err != nil || string(out) != "/dev/null\n" {
		t.Errorf("standard input without one: %s, %v", out, err)
	}
	if r.Started() != 5 {
		t.Errorf("%d processes were started, want 5", r.Started())
	}
}

func TestAFailureHasWhatTheToolPrinted(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a message", "echo out; echo 'ipset v7.17: Set cannot be created' >&2; exit 2", "ipset restore -exist: ipset v7.17: Set cannot be created (exit status 2)"},
		{"no message", "exit 3", "ipset restore -exist: exit status 3"},
		{"a signal", "kill -9 $$", "ipset restore -exist: signal: killed"},
		{"many lines", "seq 1 1000 >&2; exit 1", "ipset restore -exist: 1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n… (exit status 1)"},
		{"a long line", "i=0; while [ $i -lt 100 ]; do printf 'ééééééééééééééééééééééééé' >&2; i=$((i+1)); done; exit 1", "ipset restore -exist: " + strings.Repeat("é", 1000) + "… (exit status 1)"},
	} {
		out, err := runnerWith(t, "ipset", c.text).Output(t.Context(), nil, "ipset", "restore", "-exist")
		var exit *exec.ExitError
		if out != nil || err == nil || err.Error() != c.want || !errors.As(err, &exit) {
			t.Errorf("%s: %q, %v; want %s", c.name, out, err, c.want)
		}
	}
	// What a tool prints without failing is not part of its output.
	out, err := runnerWith(t, "ipset", "echo out; echo warning >&2").Output(t.Context(), nil, "ipset")
	if err != nil || string(out) != "out\n" {
		t.Errorf("a warning: %q, %v", out, err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	l := &limited{max: 10}
	if _, err := io.Copy(l, strings.NewReader("0123456789")); err != nil || l.exceeded {
		t.Errorf("%v", err)
	}
	if _, err := l.Write([]byte("x")); err == nil || !l.exceeded || l.String() != "0123456789" {
		t.Errorf("%v, %q", err, l.String())
	}
}

func TestAToolEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := New().Output(ctx, nil, "sleep", "60")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

func TestAToolHasItsOwnProcessGroup(t *testing.T) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(own), ") ")
	out, err := New().Output(t.Context(), nil, "cut", "-d", " ", "-f", "1,5", "/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.Fields(string(out))
	if len(ids) != 2 || ids[0] != ids[1] || ids[1] == strings.Fields(fields)[2] {
		t.Errorf("the tool has the process and group %v; the group of the test is %s", ids, strings.Fields(fields)[2])
	}
}

// childDir is the variable that makes a test run as its own child process.
const childDir = "DOCKERFW_TEST_DIR"

func TestAToolHasItsCompleteInputWhenItsParentIsKilled(t *testing.T) {
	input := bytes.Repeat([]byte("destroy clients-new\n"), 100_000)
	if dir := os.Getenv(childDir); dir != "" {
		_, err := New().Output(t.Context(), input, "tool", dir)
		t.Fatalf("the tool ended: %v", err)
	}
	tools, dir := t.TempDir(), t.TempDir()
	script(t, tools, "tool", `echo >"$1/started"; while [ ! -e "$1/killed" ]; do sleep 0.01; done; cat >"$1/part"; mv "$1/part" "$1/read"`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childDir+"="+dir, "PATH="+tools+":"+os.Getenv("PATH"))
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(dir, "started"))
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if err := os.WriteFile(filepath.Join(dir, "killed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(dir, "read"))
	got, err := os.ReadFile(filepath.Join(dir, "read"))
	if err != nil || !bytes.Equal(got, input) {
		t.Errorf("the tool read %d bytes of %d: %v", len(got), len(input), err)
	}
}

// waitFor waits until a file exists.
func waitFor(t *testing.T, path string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal(fmt.Errorf("%s was not created", path))
		}
	}
}
