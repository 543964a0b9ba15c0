package revision

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// kept are the variables of git that a user sets for a machine. All others are removed: in a
// git hook GIT_DIR, GIT_INDEX_FILE or GIT_OBJECT_DIRECTORY would make git read another
// repository.
var kept = map[string]bool{
	// Where safe.directory is set.
	"GIT_CONFIG_GLOBAL": true, "GIT_CONFIG_SYSTEM": true, "GIT_CONFIG_NOSYSTEM": true,
	// Permits finding a repository above a mount point.
	"GIT_DISCOVERY_ACROSS_FILESYSTEM": true,
}

// environment is the environment of git, made from that of this process.
func environment(own []string) []string {
	env := []string{
		// failed compares messages.
		"LC_ALL=C",
		// A revision has what was committed, and nothing is fetched.
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_GRAFT_FILE=" + os.DevNull,
		// The second is for git before 2.44, which does not know the first: no protocol is permitted.
		"GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none",
		"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0",
	}
	for _, v := range own {
		name, _, _ := strings.Cut(v, "=")
		if (strings.HasPrefix(name, "GIT_") && !kept[name]) || name == "LC_ALL" || name == "LANGUAGE" {
			continue
		}
		env = append(env, v)
	}
	return env
}

// command is git in a directory. The commands used here neither read the index nor write
// files, so git has no reason to run hooks, filters, textconv or fsmonitor; they are disabled
// all the same, for future versions of git.
func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", append([]string{
		"-C", dir, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.warnAmbiguousRefs=true",
	}, args...)...)
	cmd.Env = environment(os.Environ())
	return cmd
}

// gitError is what git printed when it failed.
type gitError struct{ text string }

func (e *gitError) Error() string { return "git: " + e.text }

var errNoGit = errors.New("git is needed to read a revision, and it is not on the PATH: install it, or compare two folders with dockerfw diff OLD NEW")

// output runs git and returns what it prints, without the last newline, and its
// warnings.
func output(dir string, args ...string) (text, warnings string, err error) {
	cmd := command(dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	warnings = strings.TrimSpace(stderr.String())
	switch {
	case errors.Is(err, exec.ErrNotFound):
		err = errNoGit
	case err != nil && warnings != "":
		err = &gitError{warnings}
	case err != nil:
		err = fmt.Errorf("git: %w", err)
	}
	return strings.TrimSuffix(string(out), "\n"), warnings, err
}

// failed reports whether git failed and its message contains text.
func failed(err error, text string) bool {
	var e *gitError
	return errors.As(err, &e) && strings.Contains(e.text, text)
}

// objects reads objects of a repository by their names, with one git cat-file.
type objects struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	broken error
}

func openObjects(dir string) (*objects, error) {
	o := &objects{cmd: command(dir, "cat-file", "--batch")}
	o.cmd.Stderr = &o.stderr
	var err error
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.out = bufio.NewReader(out)
	return o, o.cmd.Start()
}

// maxObject is the largest file that is read, into memory.
const maxObject = 256 << 20

var (
	errMissing = errors.New("git has no such object")
	errTooBig  = fmt.Errorf("it has more than %d MiB", maxObject>>20)
)

// get returns the bytes of an object.
func (o *objects) get(id string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return nil, o.broken
	}
	content, err := o.request(id)
	if err != nil && !errors.Is(err, errMissing) && !errors.Is(err, errTooBig) {
		// git has ended: its message explains more than the end of its output.
		_ = o.in.Close()
		_ = o.cmd.Wait()
		if text := strings.TrimSpace(o.stderr.String()); text != "" {
			err = &gitError{text}
		}
		if failed(err, "could not fetch") || failed(err, "lazy fetching") {
			err = errMissing
		}
		o.broken = err
	}
	return content, err
}

func (o *objects) request(id string) ([]byte, error) {
	if _, err := fmt.Fprintln(o.in, id); err != nil {
		return nil, err
	}
	line, err := o.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	// NAME TYPE SIZE, or NAME missing; see git-cat-file(1), "BATCH OUTPUT".
	fields := strings.Fields(line)
	if len(fields) == 2 && fields[1] == "missing" {
		return nil, errMissing
	}
	if len(fields) != 3 {
		return nil, fmt.Errorf("git cat-file printed %q", line)
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("git cat-file printed %q", line)
	}
	if size > maxObject {
		if _, err := io.CopyN(io.Discard, o.out, size+1); err != nil {
			return nil, err
		}
		return nil, errTooBig
	}
	content := make([]byte, size+1) // with the newline that follows
	if _, err := io.ReadFull(o.out, content); err != nil {
		return nil, err
	}
	return content[:size], nil
}

func (o *objects) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken == nil {
		o.broken = errors.New("closed")
		_ = o.in.Close()
		_ = o.cmd.Wait()
	}
}
