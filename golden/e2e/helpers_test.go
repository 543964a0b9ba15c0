//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binary is the program under test, built once for all tests; TestMain removes it.
var binary struct {
	once sync.Once
	dir  string
	err  error
}

// dockerfwBinary is the path of the program, built without cgo, so that it runs in the root
// directories of other distributions as well.
func dockerfwBinary(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "dockerfw-e2e"); binary.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(binary.dir, "dockerfw"), "github.com/dockerfw/dockerfw/cmd/dockerfw")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return filepath.Join(binary.dir, "dockerfw")
}

// readOr reads a file; a missing one has the fallback's text.
func readOr(t *testing.T, path, fallback string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return fallback
	} else if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
