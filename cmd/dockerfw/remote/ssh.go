package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// maxOutput bounds what a host sends. The largest sets and rules that are read elsewhere
// (parser/budget: 2,000,000 entries, 200,000 rules) are half as large.
const maxOutput = 256 << 20

// maxErrors bounds what is kept of the messages of ssh.
const maxErrors = 16 << 10

// Ask runs a POSIX script on a host, with one ssh. In the script, ask PROGRAM ARGUMENT... runs
// a program, whose standard input is empty. If ctx is cancelled, ssh is ended, and the error is
// the cause.
func (a Address) Ask(ctx context.Context, script string) (Answers, error) {
	return a.ask(ctx, script, maxOutput)
}

func (a Address) ask(ctx context.Context, script string, most int) (Answers, error) {
	token := rand.Text()
	cmd := exec.CommandContext(ctx, "ssh", a.arguments()...)
	cmd.Stdin = strings.NewReader(program(token, script))
	stdout, stderr := &limited{max: most, fail: true}, &limited{max: maxErrors}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// ssh turns the echo of the terminal on again when SIGTERM ends it at the prompt for a password.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	// The process of ControlPersist may keep standard error open after ssh has ended.
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	reported := message(stderr.text.Bytes())
	if output := stdout.text.Bytes(); !bytes.Contains(output, []byte(token)) {
		// The shell of an account without access prints why on standard output.
		reported = strings.TrimSpace(reported + "\n" + message(output[:min(len(output), maxErrors)]))
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("the program ssh is not installed here")
	case stdout.full:
		return nil, fmt.Errorf("the output has more than %d MiB", most>>20)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, failure(err, reported)
	}
	out, err := read(stdout.text.Bytes(), token)
	if err != nil && reported != "" {
		err = fmt.Errorf("%w: %s", err, reported)
	}
	return out, err
}

// failure is the error of an ssh that did not end with status 0: its own status is 255, any
// other one is that of sh on the host.
func failure(err error, reported string) error {
	var exit *exec.ExitError
	switch {
	case reported == "":
		return fmt.Errorf("ssh: %w", err)
	case errors.As(err, &exit) && exit.ExitCode() != 255:
		return fmt.Errorf("sh: %s (%w)", reported, err)
	}
	// Most messages of ssh begin with its name.
	return fmt.Errorf("ssh: %s", strings.TrimPrefix(reported, "ssh: "))
}

// message is what ssh or a shell printed. The lines of ssh end with CR LF.
func message(text []byte) string {
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
}

var errFull = errors.New("too long")

// limited keeps the first bytes that are written to it. It has no other methods of a buffer:
// io.Copy would prefer ReadFrom, which has no limit.
type limited struct {
	text bytes.Buffer
	max  int
	// fail: more is an error, which closes the pipe.
	fail, full bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := min(len(p), l.max-l.text.Len())
	l.text.Write(p[:room])
	if room == len(p) {
		return room, nil
	}
	l.full = true
	if l.fail {
		return room, errFull
	}
	return len(p), nil
}
