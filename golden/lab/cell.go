//go:build linux

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A cell contains an engine: separate process and mount namespaces besides the
// network namespace of the host. When its first process ends, the kernel ends
// all others and removes all mounts, so that nothing of an engine remains. The
// first process ends when its stdin closes, hence also when the test process
// is killed.
type cell struct {
	*Namespace
	init  *exec.Cmd
	stdin io.Closer
	root  string // the cell's root directory, seen from outside
}

// cellMount is a tmpfs in the cell for all files of the engine.
const cellMount = "/mnt"

// Arguments: the root directory ("" or one with another distribution in it),
// and the lock file that the legacy tools of the namespace use.
// A new /run hides the host's containerd, systemd, D-Bus and xtables.lock; a new /sys shows
// the devices of the network namespace, but needs the cgroups mounted again. The engine
// remounts its root directory, which therefore has to be a mount. The shell waits for cat
// and meanwhile reaps orphaned processes.
const cellScript = `
set -e
root=$1 lock=$2
mount --make-rprivate /
[ -z "$root" ] || mount --bind "$root" "$root"
mount -t tmpfs tmpfs "$root/mnt"
mkdir "$root/mnt/cgroup" "$root/mnt/bin"
touch "$root/mnt/xtables.lock"
touch "$lock"
mount --bind "$lock" "$root/mnt/xtables.lock"
mount --rbind /sys/fs/cgroup "$root/mnt/cgroup"
mount -t sysfs sysfs "$root/sys"
mount --rbind "$root/mnt/cgroup" "$root/sys/fs/cgroup"
umount --lazy "$root/mnt/cgroup"
[ -z "$root" ] || mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
cd "${root:-/}"
exec chroot "${root:-/}" sh -c 'echo ready; cat'
`

func newCell(t testing.TB, host *Namespace, root string) *cell {
	t.Helper()
	args := host.command("sh", "-c", cellScript, "sh", root, host.lock)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("engine cell: %v", err)
	}
	c := &cell{init: cmd, stdin: stdin, root: fmt.Sprintf("/proc/%d/root", cmd.Process.Pid)}
	t.Cleanup(c.end)
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		c.end()
		t.Fatalf("engine cell: %s", strings.TrimSpace(stderr.String()))
	}
	pid := fmt.Sprint(cmd.Process.Pid)
	c.Namespace = &Namespace{
		Name:  host.Name + "/engine",
		t:     t,
		path:  host.path,
		enter: []string{"--target=" + pid, "--net", "--pid", "--mount", "--root", "--wd"},
		lock:  cellMount + "/xtables.lock",
	}
	return c
}

// end may be called again; it returns when all processes of the cell have ended.
func (c *cell) end() {
	_ = c.stdin.Close()
	killer := time.AfterFunc(5*time.Second, func() { _ = c.init.Process.Kill() })
	_ = c.init.Wait()
	killer.Stop()
}

// file returns the path of a file under cellMount as seen from outside.
func (c *cell) file(name string) string {
	return filepath.Join(c.root, cellMount, name)
}

// removeCgroups removes the control groups of killed containers, in the
// hierarchy of version 2 or in those of version 1.
func removeCgroups(name string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		var failed error
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			tops, _ := filepath.Glob(pattern + name)
			for _, top := range tops {
				failed = errors.Join(failed, removeDirs(top))
			}
		}
		// A killed process may stay in its group for a moment.
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func removeDirs(top string) error {
	var dirs []string
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := os.Remove(dirs[i]); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
