//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// program is dockerfw as it was built in this process, in a directory of its own.
var program struct {
	sync.Once
	dir string
	err error
}

// Program returns the path of dockerfw, which the first call builds: with the same compiler and
// sources as the tests, and statically linked, so that it also runs in the root directory of
// another distribution. Its packages are compiled with the flags of a release, so that a test that
// builds one compiles none of them again. [RemoveProgram] removes it.
func Program(t testing.TB) string {
	t.Helper()
	program.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "dockerfw-program"); program.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-o", program.dir+"/", "github.com/dockerfw/dockerfw/cmd/dockerfw")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return filepath.Join(program.dir, "dockerfw")
}

// RemoveProgram removes what [Program] has built. TestMain calls it after the tests.
func RemoveProgram() error {
	if program.dir == "" {
		return nil
	}
	return os.RemoveAll(program.dir)
}
