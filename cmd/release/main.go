// Command release builds what a release consists of: the program for each platform, Debian and RPM
// packages, lists of their components, and checksums.
//
// In: the commit that is checked out. Out: files in a folder, the same bytes from the same commit and
// the same version of Go, wherever and whenever it runs. It signs and uploads nothing.
//
// It runs the go command and the program itself, which prints its manual pages and completions. The
// packages are written here: the tree of modules of the usual tool for it has a hundred, a git
// implementation and template engines among them, to write two archives.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

func main() {
	only := flag.String("platforms", "", "build only for these `platforms`, such as linux/amd64,linux/arm64")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: release [-platforms LIST] FOLDER")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *only); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

// platform is one that the program is built for. Packages are for Linux.
type platform struct{ system, arch string }

var platforms = []platform{
	{"linux", "amd64"},
	{"linux", "arm64"},
	{"darwin", "amd64"},
	{"darwin", "arm64"},
	{"windows", "amd64"},
	{"windows", "arm64"},
}

// release is what all files of a release have in common.
type release struct {
	dir     string
	version string // such as 0.1.0, or 0.1.0~20260304.0123456789ab of a commit without its tag
	commit  string
	time    time.Time // of the commit, in UTC
}

func run(dir, only string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	r, err := describe(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	for _, p := range chosen {
		if err := r.build(p); err != nil {
			return err
		}
	}
	c, err := r.contents()
	if err != nil {
		return err
	}
	for _, p := range chosen {
		if p.system == "linux" {
			if err := r.packages(p, c); err != nil {
				return err
			}
		}
	}
	return r.checksums()
}

// choose returns the platforms in a list, or all of them for an empty one.
func choose(list string) ([]platform, error) {
	if list == "" {
		return platforms, nil
	}
	var out []platform
	for name := range strings.SplitSeq(list, ",") {
		system, arch, _ := strings.Cut(name, "/")
		p := platform{system, arch}
		if !slices.Contains(platforms, p) {
			return nil, fmt.Errorf("unknown platform %q", name)
		}
		out = append(out, p)
	}
	return out, nil
}

// describe reads the commit. The error is about changes that are not committed, which nobody could
// build again.
func describe(dir string) (*release, error) {
	changes, err := output("git", "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changes != "" {
		return nil, fmt.Errorf("there are changes that are not committed:\n%s", changes)
	}
	shown, err := output("git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return nil, err
	}
	commit, seconds, _ := strings.Cut(shown, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, err
	}
	tags, err := output("git", "tag", "--points-at", "HEAD")
	if err != nil {
		return nil, err
	}
	r := &release{dir: dir, version: driver.Version, commit: commit, time: time.Unix(unix, 0).UTC()}
	if !slices.Contains(strings.Fields(tags), "v"+r.version) {
		// Sorts before the release, for dpkg and for rpm.
		r.version += r.time.Format("~20060102150405.") + commit[:12]
	}
	return r, nil
}

// path is that of a file of the release. Names of files have no "~", which some hosts replace.
func (r *release) path(name string) string { return filepath.Join(r.dir, name) }

func (r *release) name(p platform) string {
	name := "dockerfw_" + r.fileVersion() + "_" + p.system + "_" + p.arch
	if p.system == "windows" {
		name += ".exe"
	}
	return name
}

func (r *release) fileVersion() string { return strings.ReplaceAll(r.version, "~", "-") }

// build builds the program for a platform, and lists its components.
func (r *release) build(p platform) error {
	file := r.path(r.name(p))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", file, "./cmd/dockerfw")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off", "GOOS="+p.system, "GOARCH="+p.arch,
		"GOAMD64=v1", "GOARM64=v8.0", "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.time.Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s/%s: %w\n%s", p.system, p.arch, err, out)
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.revision"] != r.commit || settings["vcs.modified"] != "false" {
		return fmt.Errorf("%s does not contain the commit %s, but %q, modified %q: build in a clone with a .git directory, which a git worktree does not have", file, r.commit, settings["vcs.revision"], settings["vcs.modified"])
	}
	text, err := r.components(info, filepath.Base(file))
	if err != nil {
		return err
	}
	return os.WriteFile(file+".cdx.json", text, 0o644)
}

// native is the program for this machine.
func (r *release) native() (string, error) {
	p := platform{runtime.GOOS, runtime.GOARCH}
	if !slices.Contains(platforms, p) {
		return "", fmt.Errorf("a release is not built for this machine, %s/%s, whose program would print the manual pages", p.system, p.arch)
	}
	return filepath.Abs(r.path(r.name(p)))
}

// checksums writes SHA256SUMS, as sha256sum reads it.
func (r *release) checksums() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, e := range entries {
		text, err := os.ReadFile(r.path(e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(text), e.Name())
	}
	return os.WriteFile(r.path("SHA256SUMS"), sums.Bytes(), 0o644)
}

// output is what a command prints, without the newline at its end.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, exit.Stderr)
	}
	return strings.TrimRight(string(out), "\n"), err
}
