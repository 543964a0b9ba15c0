//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// Each random policy is loaded into a kernel, so that rapid's default of 100 would take too
// long. -rapid.checks on the command line overrides this; make soak uses it.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
	// The heap of these tests is small, so that the garbage collector would run most of the time, on cores
	// that the engines and tools need. So is that of the programs in Go that they start a thousand times.
	debug.SetGCPercent(400)
	if err := os.Setenv("GOGC", "400"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, remove := range []func() error{lab.RemoveProgram, removeRelease} {
		if err := remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
