package environment_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"

	_ "github.com/dockerfw/dockerfw/cmd/dockerfw/environment"
)

// The library reads the variable when it is initialized, and panics when it opens a socket.
func TestTheVariablesOfLibrariesAreRemovedBeforeTheyAreRead(t *testing.T) {
	if os.Getenv("DOCKERFW_TEST_CHILD") != "" {
		if conn, err := netlink.Dial(0, nil); err == nil {
			_ = conn.Close()
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", t.Name())
	cmd.Env = append(os.Environ(), "DOCKERFW_TEST_CHILD=1", "NLDEBUG=level=nonsense")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "nl:") {
		t.Errorf("%v\n%s", err, out)
	}
}
