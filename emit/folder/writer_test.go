package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// add adds files to a writer, in the order of their paths.
func add(t *testing.T, w *Writer, f Contents) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(f)) {
		if err := w.Add(path, f[path]); err != nil {
			t.Fatal(err)
		}
	}
}

func newWriter(t *testing.T, dir string) *Writer {
	t.Helper()
	w, err := NewWriter(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Whatever was added, without Commit the folder is as before, and nothing is left beside it.
func TestAClosedWriterChangesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	w := newWriter(t, dir)
	add(t, w, compiled(t, map[string]string{"web1/iptables.restore": "a\n"}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	requireEntries(t, parent)

	before := compiled(t, map[string]string{"web1/iptables.restore": "a\n", "web2/iptables.restore": "b\n"})
	write(t, before, dir)
	w = newWriter(t, dir)
	add(t, w, compiled(t, map[string]string{"web1/iptables.restore": "a\n", "web2/iptables.restore": "changed\n"}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	requireEntries(t, parent, "compiled")
	if diff := cmp.Diff(texts(before), onDisk(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// So that a folder on a read-only file system can be found up to date.
func TestNothingIsWrittenBeforeTheFirstChange(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	f := compiled(t, map[string]string{"a/iptables.restore": "a\n", "b/iptables.restore": "b\n"})
	write(t, f, dir)
	w := newWriter(t, dir)
	defer w.Close()
	add(t, w, f)
	requireEntries(t, parent, "compiled")
	if changes, err := w.Commit(); changes != nil || err != nil {
		t.Errorf("%v, %v", changes, err)
	}
	requireEntries(t, parent, "compiled")
}

// Files that were found unchanged before the new folder exists are linked into it, and copied
// if that is not possible.
func TestFilesBeforeTheFirstChangeAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	write(t, compiled(t, map[string]string{"a/iptables.restore": "a\n", "b/iptables.restore": "b\n"}), dir)
	before, err := os.Stat(filepath.Join(dir, "a", "iptables.restore"))
	if err != nil {
		t.Fatal(err)
	}
	next := compiled(t, map[string]string{"a/iptables.restore": "a\n", "b/iptables.restore": "new\n"})
	write(t, next, dir)
	after, err := os.Stat(filepath.Join(dir, "a", "iptables.restore"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("an unchanged file was written again: %v", err)
	}

	w := newWriter(t, dir)
	defer w.Close()
	if err := w.Add("a/iptables.restore", []byte("a\n")); err != nil {
		t.Fatal(err)
	}
	// Another program changes it before the new folder exists.
	writeText(t, filepath.Join(dir, "a", "iptables.restore"), "foreign\n")
	err = w.Add("b/iptables.restore", []byte("newer\n"))
	if err == nil || !strings.Contains(err.Error(), "another program changed") {
		t.Errorf("the error is %v", err)
	}
}

func TestFilesCanBeAddedAtTheSameTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	for generation := range 3 {
		text := map[string]string{}
		for i := range 40 {
			// A third changes in each generation.
			text[fmt.Sprintf("web%d/iptables.restore", i)] = fmt.Sprintf("%d\n", (i+generation)/3)
		}
		f := compiled(t, text)
		w := newWriter(t, dir)
		var group sync.WaitGroup
		for path, content := range f {
			group.Go(func() {
				if err := w.Add(path, content); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if _, err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(texts(f), onDisk(t, dir)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

func TestACancelledWriterStops(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	why := errors.New("cancelled by the test")
	ctx, cancel := context.WithCancelCause(context.Background())
	w, err := NewWriter(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	add(t, w, Contents{"iptables.restore": []byte("a\n")})
	cancel(why)
	if err := w.Add("ipset.restore", nil); !errors.Is(err, why) {
		t.Errorf("Add returns %v", err)
	}
	if _, err := w.Commit(); !errors.Is(err, why) {
		t.Errorf("Commit returns %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder exists: %v", err)
	}
	requireEntries(t, parent)
}
