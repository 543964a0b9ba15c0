package remote

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeSSH makes a shell script the program ssh. It writes its arguments to the file args.
func fakeSSH(t *testing.T, script string) (args string) {
	t.Helper()
	bin := t.TempDir()
	args = filepath.Join(bin, "args")
	executable(t, filepath.Join(bin, "ssh"), "printf '%s\\n' \"$@\" >"+args+"\n"+script)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return args
}

func executable(t *testing.T, path, script string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

var web1 = Address{User: "root", Host: "web1", Port: 2222}

// The host may have any POSIX shell, and its programs may print anything.
func TestEveryProgramsOutputComesBackUnchanged(t *testing.T) {
	const output = "\n0123456789abcdef0123456789 end\n\x00\r\n\x1b[31m  no newline at the end"
	for _, shell := range []string{"sh", "dash", "bash", "busybox sh"} {
		t.Run(shell, func(t *testing.T) {
			words := strings.Fields(shell)
			path, err := exec.LookPath(words[0])
			if err != nil {
				t.Skip(shell, "is not installed")
			}
			there := t.TempDir()
			if err := os.WriteFile(filepath.Join(there, "output"), []byte(output), 0o600); err != nil {
				t.Fatal(err)
			}
			executable(t, filepath.Join(there, "save"), "cat "+there+"/output; printf 'one\\ntwo\\n' >&2; exit 3")
			executable(t, filepath.Join(there, "reader"), "cat; echo \"$#: $2\"")
			args := fakeSSH(t, "echo 'Welcome!'; printf 'a banner' >&2; PATH="+there+":$PATH exec "+path+" "+strings.Join(words[1:], " "))
			got, err := web1.Ask(t.Context(), "ask save\nask reader 1 'a  b'\n[ -z '' ] && ask save -t filter\nask no-such-program-anywhere x")
			if err != nil {
				t.Fatal(err)
			}
			want := Answers{
				"save":                       {Installed: true, Output: []byte(output), Errors: "one\ntwo", Exit: 3},
				"save -t filter":             {Installed: true, Output: []byte(output), Errors: "one\ntwo", Exit: 3},
				"reader 1 a  b":              {Installed: true, Output: []byte("2: a  b\n")},
				"no-such-program-anywhere x": {Output: []byte{}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if text, _ := os.ReadFile(args); string(text) != "-T\n-l\nroot\n-p\n2222\n--\nweb1\nsh\n" {
				t.Errorf("the arguments are %q", text)
			}
		})
	}
}

func TestErrorsShowWhatSSHReported(t *testing.T) {
	for _, c := range []struct{ name, ssh, want string }{
		{"refused", `printf 'ssh: connect to host web1 port 22: Connection refused\r\n' >&2; exit 255`, "ssh: connect to host web1 port 22: Connection refused"},
		{"no key", `printf 'Only for staff\r\nroot@web1: Permission denied (publickey).\r\n' >&2; exit 255`, "ssh: Only for staff\nroot@web1: Permission denied (publickey)."},
		{"silent", "exit 255", "ssh: exit status 255"},
		{"no sh", "echo 'bash: sh: command not found' >&2; exit 127", "sh: bash: sh: command not found (exit status 127)"},
		{"killed", "kill -9 $$", "ssh: signal: killed"},
		{"nothing", "cat >/dev/null", "the output is not complete"},
		{"no access", "echo Banner >&2; echo 'This account is not available.'; exit 1", "sh: Banner\nThis account is not available. (exit status 1)"},
		{"another program", "echo 'Hello'", "the output is not complete: Hello"},
		{"cut off", "sh | sed '/^[^ ]* end$/d'", "the output is not complete"},
		{"a frame is missing", "sh | sed '/^[^ ]* errors$/d'", "the output is not complete"},
		{"a frame is wrong", "sh | sed 's/status 0$/status x/'", "the output is not complete"},
		{"twice", "sed 's/^ask true$/ask true; ask true/' | sh", "the output is not complete"},
		{"ends badly", "sh; exit 255", "ssh: exit status 255"},
		{"too much", "sh; exec yes", "the output has more than 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakeSSH(t, c.ssh)
			got, err := web1.ask(t.Context(), "ask true", 1<<20)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, %v; want %q", got, err, c.want)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := web1.Ask(t.Context(), "ask true"); err == nil || err.Error() != "the program ssh is not installed here" {
		t.Errorf("without ssh: %v", err)
	}
}

// Messages of ssh without end do not fill the memory.
func TestMessagesOfSSHAreCutOff(t *testing.T) {
	fakeSSH(t, "head -c 1000000 /dev/zero | tr '\\0' e >&2; exit 255")
	if _, err := web1.Ask(t.Context(), "ask true"); err == nil || len(err.Error()) > maxErrors+10 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

// A signal ends an ssh that waits, and with it the program.
func TestCancellingEndsSSH(t *testing.T) {
	fakeSSH(t, "exec sleep 60")
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(stopped) })
	start := time.Now()
	if _, err := web1.Ask(ctx, "ask true"); !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// The process that ControlPersist leaves in the background may keep standard error open.
func TestAProcessInTheBackgroundDoesNotDelayTheAnswer(t *testing.T) {
	fakeSSH(t, "sleep 20 >/dev/null & exec sh")
	start := time.Now()
	got, err := web1.Ask(t.Context(), "ask true")
	if err != nil || !got["true"].Installed {
		t.Errorf("got %v, %v", got, err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}
