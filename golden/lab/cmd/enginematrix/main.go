// Command enginematrix runs the Docker tests on the engines of several Debian
// releases and writes the results into a Markdown file, after its marker line:
//
//	enginematrix [-cache DIR] [-mirror URL] [-lock FILE] FILE
//
// In: the tests of golden/e2e and golden/lab, and the releases in the table below. Out: the
// part of FILE after its marker line, and an exit code. It knows no test by name.
//
// It needs root, debootstrap and the network for the first run; the releases'
// root directories stay in the cache. It runs in the module's top directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A release is a Debian release with the engine that it is tested for. If a release
// that still changes has another engine, the run fails: a person should look at it.
type release struct {
	suite  string
	engine string // major.minor
}

var releases = []release{
	{"bookworm", "20.10"},
	{"trixie", "26.1"},
	{"forky", "28.5"},
}

// packages contain the tests with engines.
var packages = []string{"golden/e2e", "golden/lab"}

// testLimit bounds all tests of a package on one engine.
const testLimit = 15 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "enginematrix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("enginematrix", flag.ContinueOnError)
	cache := flags.String("cache", "", "keep the root directories in `DIR` (default: dockerfw/engines in the user's cache)")
	mirror := flags.String("mirror", "", "the Debian mirror's `URL` (default: debootstrap's)")
	lock := flags.String("lock", "", "hold a lock on `FILE` during the tests of each engine")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("the Markdown file to write is missing")
	}
	if *cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		*cache = filepath.Join(base, "dockerfw", "engines")
	}
	tests, err := engineTests()
	if err != nil {
		return err
	}
	var table matrix
	var failed error
	for _, r := range releases {
		root, err := engineRoot(ctx, *cache, *mirror, r)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "enginematrix: tests on", r.suite)
		events, err := runTests(ctx, root, *lock, tests)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", r.suite, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := table.add(r.suite, events); err != nil {
			return fmt.Errorf("%s: %w", r.suite, err)
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	// Only the number, without the name of the build.
	text := table.markdown(regexp.MustCompile(`^[\d.]+`).FindString(string(kernel)))
	return errors.Join(failed, replaceAfterMarker(flags.Arg(0), text))
}

var (
	startsEngine = regexp.MustCompile(`\b(StartEngine|NewEngine|onEngines|onHosts)\(`)
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// engineTests lists the tests in files that start engines.
func engineTests() ([]string, error) {
	var tests []string
	for _, dir := range packages {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if startsEngine.Match(source) {
				for _, match := range testFunction.FindAllSubmatch(source, -1) {
					tests = append(tests, string(match[1]))
				}
			}
		}
	}
	if len(tests) == 0 {
		return nil, fmt.Errorf("no tests in %s: run the command in the top directory of the module", strings.Join(packages, ", "))
	}
	return tests, nil
}

// runTests runs the tests with the engine and the tools of a root directory, and
// returns the output of go test -json, also if tests fail.
func runTests(ctx context.Context, root, lock string, tests []string) ([]byte, error) {
	command := []string{
		"go", "test", "-json", "-count=1", "-p=1", "-parallel=4", "-timeout", testLimit.String(),
		"-run", "^(" + strings.Join(tests, "|") + ")$",
	}
	for _, dir := range packages {
		command = append(command, "./"+dir)
	}
	if lock != "" {
		command = slices.Concat([]string{"flock", lock}, command)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	// CI=true: a missing tool fails a test instead of skipping it.
	cmd.Env = append(os.Environ(), "CI=true", "DOCKERFW_ENGINE_ROOT="+root)
	cmd.Stderr = os.Stderr
	return cmd.Output()
}

// engineRoot returns the root directory of a release, which it creates if necessary.
func engineRoot(ctx context.Context, cache, mirror string, r release) (string, error) {
	root := filepath.Join(cache, r.suite)
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		if err := bootstrap(ctx, root, mirror, r.suite); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	version, err := exec.Command("chroot", root, "dockerd", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s: dockerd: %w; remove the directory to create it again", root, err)
	}
	if !strings.Contains(string(version), " "+r.engine+".") {
		return "", fmt.Errorf("%s: the engine is %s, want %s", root, strings.TrimSpace(string(version)), r.engine)
	}
	return root, nil
}

// bootstrap creates a root directory under a temporary name and renames it when complete.
func bootstrap(ctx context.Context, root, mirror, suite string) error {
	cache := filepath.Dir(root)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(cache, suite+".unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	if err := os.Chmod(unfinished, 0o755); err != nil { // other users than root run programs in it
		return err
	}
	fmt.Fprintln(os.Stderr, "enginematrix: creating", root)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	// In namespaces, so that its processes and mounts always end with it. The script is
	// given because debootstrap may not know the newest releases.
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"debootstrap", "--variant=minbase", "--include=docker.io,iptables,ipset,nftables",
		suite, unfinished, mirror, "sid")
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		out = out[max(0, len(out)-2000):]
		return fmt.Errorf("debootstrap %s: %w: %s", suite, errors.Join(ctx.Err(), err), out)
	}
	return os.Rename(unfinished, root)
}
