package folder

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// inMountNamespace runs the rest of the test as root in a new mount namespace, where file
// systems can be mounted on dir. It returns child = false in the parent process.
func inMountNamespace(t *testing.T) (dir string, child bool) {
	t.Helper()
	if dir := os.Getenv(childDir); dir != "" {
		return dir, true
	}
	if os.Geteuid() != 0 {
		testenv.SkipOrFail(t, "root is required to mount a small file system in a mount namespace")
	}
	command := childCommand(t, t.Name(), childDir+"="+t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		t.Errorf("%v:\n%s", err, out)
	case err != nil:
		testenv.SkipOrFail(t, fmt.Sprintf("cannot create a mount namespace: %v", err))
	case strings.Contains(string(out), "--- SKIP"):
		testenv.SkipOrFail(t, string(out))
	}
	return "", false
}

// mountTmpfs mounts an empty tmpfs on dir.
func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		testenv.SkipOrFail(t, fmt.Sprintf("cannot mount a tmpfs: %v", err))
	}
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

// The disk is full at each step of a write in turn.
func TestAFullDiskLeavesTheOldFolderUnchanged(t *testing.T) {
	dir, child := inMountNamespace(t)
	if !child {
		return
	}
	for _, c := range []struct {
		limit string
		write func(f Contents, dir string) error
	}{
		{"nr_blocks", inMemory},
		{"nr_inodes", inMemory},
		{"nr_blocks", func(f Contents, dir string) error { return writePrinted(t, f, dir) }},
	} {
		limit, failed, wrote := c.limit, 0, 0
		for n := 12; n < 64 && wrote < 3; n++ {
			mountTmpfs(t, dir, "size=1m")
			folder := filepath.Join(dir, "compiled")
			before, after := generation(t, 0), generation(t, 1)
			write(t, before, folder)
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, fmt.Sprintf("%s=%d", limit, n)); err != nil {
				unmount(t, dir)
				continue // fewer than are in use
			}
			want := texts(after)
			if err := c.write(after, folder); err != nil {
				failed++
				want = texts(before)
				if !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("%s=%d: %v", limit, n, err)
				}
			} else {
				wrote++
			}
			if diff := cmp.Diff(want, onDisk(t, folder)); diff != "" {
				t.Errorf("%s=%d (-want +got):\n%s", limit, n, diff)
			}
			requireEntries(t, dir, "compiled")
			unmount(t, dir)
		}
		if failed < 5 || wrote == 0 {
			t.Errorf("%s: %d writes failed and %d succeeded: the limits have no effect", limit, failed, wrote)
		}
	}
}

func inMemory(f Contents, dir string) error {
	_, err := f.Write(dir)
	return err
}

// writePrinted writes files that are printed as those too large for memory.
func writePrinted(t *testing.T, f Contents, dir string) error {
	t.Helper()
	w := newWriter(t, dir)
	defer w.Close()
	for _, path := range slices.Sorted(maps.Keys(f)) {
		printed, _ := large(t, string(f[path]))
		if err := w.AddFile(path, printed); err != nil {
			return err
		}
	}
	_, err := w.Commit()
	return err
}

func TestAMountPointIsAnError(t *testing.T) {
	dir, child := inMountNamespace(t)
	if !child {
		return
	}
	mountTmpfs(t, dir, "size=1m")
	defer unmount(t, dir)
	_, err := generation(t, 0).Write(dir)
	if err == nil || !strings.Contains(err.Error(), "is a mount point") {
		t.Errorf("writing to a mount point: %v", err)
	}
	requireEntries(t, dir)
}
