// Package testenv reads the environment variables of the tests. No other package does, so
// that docs/contributing/testing.md can list them all.
//
// In: the environment. Out: settings, and skips that CI turns into failures.
package testenv

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// CI reports whether the tests run in CI (CI=true), where every tool is present.
func CI() bool { return os.Getenv("CI") == "true" }

// SkipOrFail skips the test because something is missing. In CI it fails the test instead:
// a skip there would hide that a test never runs.
func SkipOrFail(t testing.TB, missing string) {
	t.Helper()
	if CI() {
		t.Fatalf("%s (with CI=true a test that cannot run fails)", missing)
	}
	t.Skip(missing)
}

// Soak reports whether all cases of every table run (DOCKERFW_SOAK=1, as make soak sets it).
// Without it, the tests that would take hours run a fixed part of their cases and log which.
func Soak() bool { return os.Getenv("DOCKERFW_SOAK") != "" }

// Reloads is how often the reload test loads a policy on each backend (DOCKERFW_RELOADS).
func Reloads(t testing.TB) int {
	t.Helper()
	text := os.Getenv("DOCKERFW_RELOADS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("DOCKERFW_RELOADS=%s: want a number of reloads, 1 or more", text)
	}
	return n
}

// Growth reports whether the benchmarks of whole processes also run their largest sizes
// (DOCKERFW_GROWTH=1, as make performance sets it), which take minutes and 3 GB of memory.
func Growth() bool { return os.Getenv("DOCKERFW_GROWTH") != "" }

// Dockerd is the dockerd to test with (DOCKERFW_DOCKERD); "" for the installed one.
func Dockerd() string { return os.Getenv("DOCKERFW_DOCKERD") }

// EngineRoot is the root directory of another distribution, whose engine and tools are used
// (DOCKERFW_ENGINE_ROOT, as make e2e-matrix sets it); "" for this machine's.
func EngineRoot() string { return os.Getenv("DOCKERFW_ENGINE_ROOT") }

// Firewalls is the directory of the unpacked Debian packages of other firewalls
// (DOCKERFW_FIREWALLS); by default the one that make test-packages writes.
func Firewalls() string { return directory("DOCKERFW_FIREWALLS", "firewalls", "root") }

// Peers is the directory of the unpacked Debian packages of the programs that benchmarks compare
// with (DOCKERFW_PEERS); by default the one that make peers writes.
func Peers() string { return directory("DOCKERFW_PEERS", "peers", "root") }

// Debian is the root directory of a small Debian, in which the package is installed (DOCKERFW_DEBIAN); by
// default the one that make debian creates.
func Debian() string { return directory("DOCKERFW_DEBIAN", "debian") }

// directory returns the value of a variable, or the path in the cache of dockerfw.
func directory(variable string, path ...string) string {
	if dir := os.Getenv(variable); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(append([]string{cache, "dockerfw"}, path...)...)
}

// Artifacts is a directory for what tests make for people to look at, such as screenshots
// (DOCKERFW_ARTIFACTS); "" for a temporary one.
func Artifacts() string { return os.Getenv("DOCKERFW_ARTIFACTS") }
