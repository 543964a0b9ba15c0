//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Require skips the test unless it runs as root, may make namespaces and finds
// the tools. With CI=true in the environment it fails instead: there the lab
// is meant to be complete, and a silent skip would hide that it is not.
func Require(t testing.TB, tools ...string) {
	t.Helper()
	if missing := missing(tools); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("the network lab cannot run, and CI=true forbids to skip: " + missing)
		}
		t.Skip("the network lab cannot run: " + missing)
	}
}

func missing(tools []string) string {
	if os.Geteuid() != 0 {
		return "it needs root"
	}
	var absent []string
	for _, tool := range append([]string{"unshare"}, tools...) {
		if _, err := exec.LookPath(tool); err != nil {
			absent = append(absent, tool)
		}
	}
	if len(absent) > 0 {
		return "not installed: " + strings.Join(absent, ", ")
	}
	// Root in a container often lacks CAP_SYS_ADMIN.
	if out, err := exec.Command("unshare", "--net", "--mount", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("no namespaces may be made here: %s", strings.TrimSpace(string(out)))
	}
	return ""
}
