//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// Require skips the test unless it runs as root, can create namespaces and finds
// the tools. In CI it fails the test instead.
func Require(t testing.TB, tools ...string) {
	t.Helper()
	if missing := missing(tools); missing != "" {
		testenv.SkipOrFail(t, "the network lab cannot run: "+missing)
	}
}

func missing(tools []string) string {
	if os.Geteuid() != 0 {
		return "root is required"
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
		return fmt.Sprintf("namespaces cannot be created: %s", strings.TrimSpace(string(out)))
	}
	return ""
}
