package store

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// calls returns the calls of the disk that a change makes, with the names of the files.
func calls(t *testing.T, l *Lock, change func() error) (made []string) {
	t.Helper()
	l.disk.before = func(call, path string) error {
		made = append(made, call+" "+filepath.Base(path))
		return nil
	}
	defer func() { l.disk.before = nil }()
	if err := change(); err != nil {
		t.Fatal(err)
	}
	return made
}

func TestARecordWithTheSameContentStays(t *testing.T) {
	l := lock(t, privateDir(t))
	in := InForce{Folder: "/a", Since: time.Unix(1, 5).UTC()}
	if err := l.SetInForce(in); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(l.Run, inForceFile)
	before := inode(t, path)
	// It is flushed all the same: the run that wrote it may have been killed before it did that.
	got := calls(t, l, func() error { return l.SetInForce(in) })
	if want := []string{"fsync inforce.json", "fsync run"}; !slices.Equal(got, want) || inode(t, path) != before {
		t.Errorf("the same content: %q", got)
	}
	in.Folder = "/b"
	got = calls(t, l, func() error { return l.SetInForce(in) })
	want := []string{"create inforce.json.part", "write inforce.json.part", "fsync inforce.json.part", "rename inforce.json.part", "fsync run"}
	if now, err := l.InForce(); !slices.Equal(got, want) || err != nil || now.Folder != "/b" {
		t.Errorf("other content: %q, %v", got, err)
	}
}

func TestAnEmptyRecordIsNotAMissingOne(t *testing.T) {
	l := lock(t, privateDir(t))
	path := filepath.Join(l.Run, "empty")
	for range 2 {
		if err := l.disk.replace(path, nil); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != 0 {
			t.Errorf("%v", err)
		}
	}
}

// All files of a copy are on disk, and then its directories, before it gets its name; that is on disk
// before the record that leads to it.
func TestACopyIsOnDiskBeforeWhatLeadsToIt(t *testing.T) {
	l := lock(t, privateDir(t))
	files := compiled(t, "a")
	got := calls(t, l, func() error { return l.Keep(files) })
	var want []string
	names := sortedNames(files)
	_, path, _, _ := l.Good()
	name := filepath.Base(path)
	want = append(want, "mkdir "+name+part)
	for _, file := range names {
		want = append(want, "create "+file, "write "+file)
	}
	for _, file := range names {
		want = append(want, "fsync "+file)
	}
	want = append(want, "fsync "+name+part, "rename "+name+part, "fsync state",
		"create good.part", "write good.part", "fsync good.part", "rename good.part", "fsync state")
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Where the file system does not tell how many files it can have, they are created.
func TestTheTestOfFreeSpaceCreatesFilesOnlyWhereItHasTo(t *testing.T) {
	for _, uncounted := range []bool{false, true} {
		l := lock(t, privateDir(t))
		l.disk.uncounted = uncounted
		want := 2 // the file with the space, in both directories
		if uncounted || freeFiles(l.Run) < roomFiles {
			want += 2 * roomFiles
		}
		created := 0
		for _, call := range calls(t, l, func() error { return l.Room(1000) }) {
			if len(call) > 7 && call[:7] == "create " {
				created++
			}
		}
		if created != want {
			t.Errorf("uncounted %v: %d files were created, want %d", uncounted, created, want)
		}
		for _, dir := range []string{l.Run, l.State} {
			if _, err := os.Stat(filepath.Join(dir, "room"+part)); !os.IsNotExist(err) {
				t.Errorf("uncounted %v: the test is left: %v", uncounted, err)
			}
		}
	}
}

func TestFreeFilesThatAreUnknown(t *testing.T) {
	// proc has no limit, and a directory that does not exist no file system.
	for _, dir := range []string{"/proc", filepath.Join(t.TempDir(), "missing")} {
		if n := freeFiles(dir); n != 0 {
			t.Errorf("%s: %d", dir, n)
		}
	}
}
