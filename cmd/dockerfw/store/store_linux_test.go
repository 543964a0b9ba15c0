package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

func TestAnEmptyStore(t *testing.T) {
	l := lock(t, privateDir(t))
	if files, path, ok, err := l.Good(); files != nil || path != "" || ok || err != nil {
		t.Errorf("the good copy: %v, %s, %v, %v", files, path, ok, err)
	}
	if p, err := l.Pending(); p != nil || err != nil {
		t.Errorf("the pending change: %v, %v", p, err)
	}
	if c, err := l.Waiting(); c != nil || err != nil {
		t.Errorf("the change that waits: %v, %v", c, err)
	}
	if v, err := l.InForce(); v != nil || err != nil {
		t.Errorf("the version in force: %v, %v", v, err)
	}
	if err := errors.Join(l.Drop(), l.Completed(), l.ClearUnconfirmed(), l.ClearSnapshot(), l.SetNames(Made, nil), l.Forget()); err != nil {
		t.Errorf("removing what does not exist: %v", err)
	}
}

func TestAPendingChange(t *testing.T) {
	l := lock(t, privateDir(t))
	want := pendingChange(t, "a")
	if err := l.Begin(want); err != nil {
		t.Fatal(err)
	}
	want.Partial = true
	for _, step := range []func() error{nil, l.Completed} {
		if step != nil {
			if err := step(); err != nil {
				t.Fatal(err)
			}
			want.Partial = false
		}
		got, err := l.Pending()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Error(diff)
		}
		waiting, err := l.Waiting()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want.Change, waiting); diff != "" {
			t.Error(diff)
		}
	}
	if err := l.Begin(pendingChange(t, "b")); err == nil || err.Error() != "another change waits for confirmation" {
		t.Errorf("a second change: %v", err)
	}
	if err := l.Drop(); err != nil {
		t.Fatal(err)
	}
	b := pendingChange(t, "b")
	delete(b.Files, folder.ManifestFile)
	if err := l.Begin(b); err == nil {
		t.Error("a folder without a manifest waits for confirmation, and could not be read")
	}
	if err := l.Keep(b.Files); err == nil {
		t.Error("a folder without a manifest was kept")
	}
}

func TestNamesAreThoseOfSets(t *testing.T) {
	l := lock(t, privateDir(t))
	for _, name := range []string{"", "a b", "a\n", "\ta"} {
		if err := l.SetNames(Made, []string{"good", name}); err == nil {
			t.Errorf("%q was recorded", name)
		}
	}
	if names, err := l.Names(Made); names != nil || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	if err := l.SetBackend("nftables"); err == nil {
		t.Error("an unknown backend was recorded")
	}
}

// What apply.sh of earlier versions left is read.
func TestTheStateOfApplySh(t *testing.T) {
	dir := privateDir(t)
	s := open(t, dir)
	files := compiled(t, "a")
	digest := folder.Digest(files[folder.ManifestFile])
	id := "folder-" + digest[:16]
	old := map[string][]byte{
		"run/made":                []byte("web\nbackup\n"),
		"run/theirs":              []byte("clients\n"),
		"run/work.123/save4":      []byte("*filter\n"),
		"run/made.part":           []byte("we"),
		"state/good":              []byte(id + "\n"),
		"state/backend":           []byte("legacy\n"),
		"state/unconfirmed":       []byte(digest + "  -\n"),
		"state/" + id + "/extra":  []byte("not in the manifest"),
		"state/probe/apply.sh":    nil,
		"state/folder-0.part/all": nil,
	}
	for name, content := range files {
		old["state/"+id+"/"+name] = content
	}
	for name, content := range old {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := lock(t, dir)
	made, err := l.Names(Made)
	if diff := cmp.Diff([]string{"backup", "web"}, made); diff != "" || err != nil {
		t.Errorf("made: %v\n%s", err, diff)
	}
	if names, err := l.Names(Unmanaged); strings.Join(names, " ") != "clients" || err != nil {
		t.Errorf("theirs: %v, %v", names, err)
	}
	if backend, err := l.Backend(); backend != "legacy" || err != nil {
		t.Errorf("backend: %q, %v", backend, err)
	}
	if got, err := l.Unconfirmed(); got != digest || err != nil {
		t.Errorf("unconfirmed: %q, %v", got, err)
	}
	got, path, ok, err := l.Good()
	if diff := cmp.Diff(files, got); diff != "" || path != filepath.Join(s.State, id) || !ok || err != nil {
		t.Errorf("good: %s, %v, %v\n%s", path, ok, err, diff)
	}
	for name, want := range map[string]string{"run": "lock made theirs", "state": "backend " + id + " good unconfirmed"} {
		var names []string
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s contains %s, want %s", name, got, want)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.Run, "pending", "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pending(); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a pending change without its record: %v", err)
	}
	write(t, filepath.Join(s.Run, "pending", "apply.sh"), "")
	want := fmt.Sprintf("run %[1]s/apply.sh --keep or %[1]s/apply.sh --rollback", filepath.Join(s.Run, "pending"))
	if _, err := s.Pending(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a pending change of apply.sh: %v", err)
	}
}

func TestDamagedRecords(t *testing.T) {
	l := lock(t, privateDir(t))
	for path, text := range map[string]string{
		filepath.Join(l.Run, inForceFile): `{"folder": "/etc`,
		filepath.Join(l.State, "good"):    "../../etc\n",
		filepath.Join(l.State, "backend"): "nf",
	} {
		write(t, path, text)
	}
	if v, err := l.InForce(); v != nil || err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("the version in force: %v, %v", v, err)
	}
	if _, path, ok, err := l.Good(); path != "" || ok || err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("the good copy: %s, %v, %v", path, ok, err)
	}
	if backend, err := l.Backend(); backend != "" || err != nil {
		t.Errorf("the backend: %q, %v", backend, err)
	}
	if err := errors.Join(l.Keep(compiled(t, "a")), l.SetInForce(InForce{Folder: "/a"})); err != nil {
		t.Error(err)
	}
	if _, _, ok, err := l.Good(); !ok || err != nil {
		t.Errorf("the copy after a damaged one: %v, %v", ok, err)
	}
}

// A file system without fallocate(2) is filled instead.
func TestOccupy(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "space"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1<<17 + 5
	if err := occupy(f, size); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil || info.Size() != size || info.Sys().(*syscall.Stat_t).Blocks*512 < size {
		t.Errorf("%+v, %v", info, err)
	}
}

// The file system of one directory is small: Room finds that before anything is written, and what
// fails later leaves the state before.
func TestAFullDisk(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		if os.Geteuid() != 0 {
			testenv.SkipOrFail(t, "root is required to mount a small file system in a mount namespace")
		}
		child := childCommand(t, privateDir(t))
		child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := child.CombinedOutput()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			t.Errorf("%v:\n%s", err, out)
		case err != nil:
			testenv.SkipOrFail(t, fmt.Sprintf("cannot create a mount namespace: %v", err))
		case strings.Contains(string(out), "--- SKIP"):
			testenv.SkipOrFail(t, string(out))
		}
		return
	}
	s := open(t, dir)
	for _, c := range []struct{ dir, options string }{
		{s.Run, "size=256k,mode=0700"},
		{s.State, "size=256k,mode=0700"},
		{s.State, "nr_inodes=20,mode=0700"},
	} {
		if err := syscall.Mount("tmpfs", c.dir, "tmpfs", 0, c.options); err != nil {
			testenv.SkipOrFail(t, fmt.Sprintf("cannot mount a tmpfs: %v", err))
		}
		l, err := open(t, dir).Lock(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Keep(compiled(t, "a")), l.SetNames(Made, []string{"a"})); err != nil {
			t.Fatal(err)
		}
		before := observed(t, l.Store)
		inodes := strings.Contains(c.options, "nr_inodes")
		if err := l.Room(100_000); (err != nil) != inodes {
			t.Errorf("%s: space for 100 kB: %v", c.options, err)
		}
		var w *WriteError
		err = l.Room(300_000)
		if !errors.As(err, &w) || w.Dir != c.dir || err.Error() != "cannot write to "+c.dir+": no space left on device" {
			t.Errorf("%s: space for 300 kB: %v", c.options, err)
		}
		if diff := cmp.Diff(before, observed(t, l.Store)); diff != "" {
			t.Errorf("%s: %s", c.options, diff)
		}
		large := pendingChange(t, "b")
		large.Old = make([]byte, 300_000)
		if err := l.Begin(large); (err != nil) != (c.dir == l.Run) {
			t.Errorf("%s: begin: %v", c.options, err)
		}
		if c.dir == l.State && !inodes {
			if err := l.Keep(map[string][]byte{folder.ManifestFile: make([]byte, 300_000)}); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("keep: %v", err)
			}
		}
		if err := l.Drop(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, observed(t, l.Store)); diff != "" {
			t.Errorf("%s, afterwards: %s", c.options, diff)
		}
		requireComplete(t, c.options, dir)
		l.Unlock()
		if err := syscall.Mount("", c.dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		l, err = open(t, dir).Lock(0, nil)
		if err == nil {
			err = l.Room(1)
			l.Unlock()
		}
		if err == nil || err.Error() != "cannot write to "+c.dir+": read-only file system" {
			t.Errorf("%s: mounted read-only: %v", c.options, err)
		}
		if err := syscall.Unmount(c.dir, syscall.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
}
