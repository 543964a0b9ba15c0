package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changes are all changes of a store, with what has been done before.
var changes = []struct {
	name   string
	before func(t *testing.T, l *Lock) error
	change func(t *testing.T, l *Lock) error
	// parts are those that change; each may be the old or the new one if several do.
	parts []string
}{
	{
		"names", func(t *testing.T, l *Lock) error { return l.SetNames(Made, []string{"old", "both"}) },
		func(t *testing.T, l *Lock) error { return l.SetNames(Made, []string{"new", "both", "new"}) },
		[]string{"made"},
	},
	{
		"no names", func(t *testing.T, l *Lock) error { return l.SetNames(UnmanagedNext, []string{"old"}) },
		func(t *testing.T, l *Lock) error { return l.SetNames(UnmanagedNext, nil) },
		[]string{"theirs.next"},
	},
	{
		"backend", func(t *testing.T, l *Lock) error { return l.SetBackend("nft") },
		func(t *testing.T, l *Lock) error { return l.SetBackend("legacy") },
		[]string{"backend"},
	},
	{
		"unconfirmed", func(t *testing.T, l *Lock) error { return nil },
		func(t *testing.T, l *Lock) error { return l.SetUnconfirmed("abc") },
		[]string{"unconfirmed"},
	},
	{
		"confirmed", func(t *testing.T, l *Lock) error { return l.SetUnconfirmed("abc") },
		func(t *testing.T, l *Lock) error { return l.ClearUnconfirmed() },
		[]string{"unconfirmed"},
	},
	{
		"in force", func(t *testing.T, l *Lock) error { return l.SetInForce(InForce{Folder: "/a"}) },
		func(t *testing.T, l *Lock) error {
			return l.SetInForce(InForce{Folder: "/b", Policy: []string{"policy.hcl"}, Since: time.Unix(1, 5).UTC()})
		},
		[]string{"in force"},
	},
	{
		"first copy", func(t *testing.T, l *Lock) error { return nil },
		func(t *testing.T, l *Lock) error { return l.Keep(compiled(t, "a")) },
		[]string{"good"},
	},
	{
		"next copy", func(t *testing.T, l *Lock) error { return l.Keep(compiled(t, "a")) },
		func(t *testing.T, l *Lock) error { return l.Keep(compiled(t, "b")) },
		[]string{"good"},
	},
	{
		"begin", func(t *testing.T, l *Lock) error { return l.SetNames(Made, []string{"old"}) },
		func(t *testing.T, l *Lock) error { return l.Begin(pendingChange(t, "a")) },
		[]string{"pending", "partial"},
	},
	{
		"completed", func(t *testing.T, l *Lock) error { return l.Begin(pendingChange(t, "a")) },
		func(t *testing.T, l *Lock) error { return l.Completed() },
		[]string{"partial"},
	},
	{
		"drop", func(t *testing.T, l *Lock) error { return l.Begin(pendingChange(t, "a")) },
		func(t *testing.T, l *Lock) error { return l.Drop() },
		[]string{"pending", "partial"},
	},
	{
		"snapshot", func(t *testing.T, l *Lock) error { _, err := l.SetSnapshot([]byte("old")); return err },
		func(t *testing.T, l *Lock) error { _, err := l.SetSnapshot([]byte("new")); return err },
		[]string{"snapshot"},
	},
	{
		"no snapshot", func(t *testing.T, l *Lock) error { _, err := l.SetSnapshot([]byte("old")); return err },
		func(t *testing.T, l *Lock) error { return l.ClearSnapshot() },
		[]string{"snapshot"},
	},
	{
		"room", func(t *testing.T, l *Lock) error { return l.Keep(compiled(t, "a")) },
		func(t *testing.T, l *Lock) error { return l.Room(100_000) },
		nil,
	},
	{
		"forget",
		func(t *testing.T, l *Lock) error {
			return errors.Join(l.Keep(compiled(t, "a")), l.Begin(pendingChange(t, "a")), l.SetBackend("nft"), l.SetUnconfirmed("abc"),
				l.SetNames(Made, []string{"set"}), l.SetNames(Unmanaged, []string{"set"}), l.SetInForce(InForce{Folder: "/a"}))
		},
		func(t *testing.T, l *Lock) error { return l.Forget() },
		[]string{"good", "pending", "partial", "backend", "unconfirmed", "theirs", "in force"},
	},
}

// Every change is interrupted before each of its system calls: the call fails because the disk is
// full or read-only, or it and all later ones are never made because the process is killed. Each
// part is the old or the new one, also for a reader without the lock, and the next run leaves
// nothing incomplete and makes the change.
func TestAnInterruptedChangeLeavesTheOldOrTheNewState(t *testing.T) {
	for _, c := range changes {
		for _, kill := range []bool{false, true} {
			calls, failed := 0, 0
			for n := 1; ; n++ {
				dir := privateDir(t)
				l := lock(t, dir)
				if err := c.before(t, l); err != nil {
					t.Fatal(err)
				}
				before := observed(t, l.Store)
				calls = 0
				l.disk.before = func(call, path string) error {
					if calls++; calls == n || kill && calls > n {
						return syscall.ENOSPC
					}
					return nil
				}
				err := c.change(t, l)
				l.disk.before = nil
				name := fmt.Sprintf("%s, kill %v, call %d", c.name, kill, n)
				if calls < n {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					break
				}
				if err != nil {
					failed++
					var w *WriteError
					if !errors.As(err, &w) || !errors.Is(err, syscall.ENOSPC) || err.Error()[:15] != "cannot write to" {
						t.Errorf("%s: %v", name, err)
					}
				}
				interrupted := observed(t, l.Store)
				if err := l.Unlock(); err != nil {
					t.Fatal(err)
				}
				l = lock(t, dir)
				if diff := cmp.Diff(interrupted, observed(t, l.Store)); diff != "" {
					t.Errorf("%s: locking it again changed the state:\n%s", name, diff)
				}
				requireComplete(t, name, dir)
				if err := c.change(t, l); err != nil && (c.name != "begin" || interrupted["pending"] == "null") {
					t.Errorf("%s: again: %v", name, err)
				}
				after := observed(t, l.Store)
				requireEither(t, name, c.parts, before, interrupted, after)
				if err := l.Unlock(); err != nil {
					t.Fatal(err)
				}
			}
			if failed == 0 {
				t.Errorf("%s: none of %d calls failed", c.name, calls)
			}
		}
	}
}

// requireEither checks that each part is the old or the new one, that the parts that do not
// change did not, and that the others did in the end.
func requireEither(t *testing.T, name string, parts []string, before, interrupted, after map[string]string) {
	t.Helper()
	changing := map[string]bool{}
	for _, part := range parts {
		changing[part] = true
		if before[part] == after[part] {
			t.Errorf("%s: %s did not change: %s", name, part, after[part])
		}
	}
	for part := range after {
		if !changing[part] && before[part] != after[part] {
			t.Errorf("%s: %s changed from %s to %s", name, part, before[part], after[part])
		}
	}
	for part, got := range interrupted {
		if got != before[part] && got != after[part] {
			t.Errorf("%s: %s is %s, was %s, would be %s", name, part, got, before[part], after[part])
		}
	}
}

// requireComplete checks that a store has no incomplete files, and nobody else can read it.
func requireComplete(t *testing.T, name, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, part) {
			t.Errorf("%s: %s still exists", name, path)
		}
		if info.Mode().Perm()&0o077 != 0 || info.Mode().IsRegular() && info.Mode().Perm() != fileMode {
			t.Errorf("%s: %s has mode %v", name, path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A copy with the right manifest is replaced if its files are damaged, and other copies are
// removed.
func TestADamagedCopyIsReplaced(t *testing.T) {
	for _, damage := range []string{"changed", "missing"} {
		dir := privateDir(t)
		l := lock(t, dir)
		if err := l.Keep(compiled(t, "a")); err != nil {
			t.Fatal(err)
		}
		_, path, ok, err := l.Good()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		file := filepath.Join(path, "iptables.restore")
		if damage == "missing" {
			err = os.Remove(file)
		} else {
			err = os.WriteFile(file, []byte("*filter\n"), fileMode)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, damaged, ok, err := l.Good(); ok || err == nil || damaged != path || !strings.Contains(err.Error(), "was changed after it was compiled: iptables.restore") {
			t.Errorf("%s: %v, %v", damage, ok, err)
		}
		if err := l.Keep(compiled(t, "a")); err != nil {
			t.Fatal(err)
		}
		files, again, ok, err := l.Good()
		if diff := cmp.Diff(compiled(t, "a"), files); diff != "" || again != path || !ok || err != nil {
			t.Errorf("%s: %s, %v, %v:\n%s", damage, again, ok, err, diff)
		}
		// What is undamaged is not written again.
		before := inode(t, path)
		if err := l.Keep(compiled(t, "a")); err != nil || inode(t, path) != before {
			t.Errorf("%s: an undamaged copy was written again, %v", damage, err)
		}
		l.Unlock()
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
