package folder

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// compiled returns the contents of an output folder: files, and the manifests that list them.
func compiled(t testing.TB, files map[string]string) Contents {
	t.Helper()
	folder := Contents{}
	listed := map[string][]Input{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		folder[path] = []byte(files[path])
		dir, name := filepath.Split(path)
		listed[dir] = append(listed[dir], Input{name, Digest([]byte(files[path]))})
	}
	for dir, list := range listed {
		m, err := (&Manifest{Format: ManifestFormat, Files: list}).File()
		if err != nil {
			t.Fatal(err)
		}
		folder[dir+m.Name] = m.Content
	}
	return folder
}

// onDisk returns the text of all files below dir, by path.
func onDisk(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if !d.Type().IsRegular() {
			out[rel] = d.Type().String()
			return nil
		}
		text, err := os.ReadFile(path)
		out[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// texts returns the contents in the form of onDisk.
func texts(f Contents) map[string]string {
	out := map[string]string{}
	for path, content := range f {
		out[path] = string(content)
	}
	return out
}

// write calls Write and checks that dir has the contents f.
func write(t testing.TB, f Contents, dir string) []Change {
	t.Helper()
	changes, err := f.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(texts(f), onDisk(t, dir)); diff != "" {
		t.Fatalf("the folder differs from what was written (-want +got):\n%s", diff)
	}
	return changes
}

// requireEntries checks that dir has exactly the entries names.
func requireEntries(t testing.TB, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if diff := cmp.Diff(names, have); diff != "" {
		t.Errorf("entries of %s (-want +got):\n%s", dir, diff)
	}
}

func TestWriteCreatesTheFolderAndItsParents(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "deep", "compiled")
	f := compiled(t, map[string]string{"iptables.restore": "a\n"})
	got := write(t, f, dir)
	want := []Change{{"iptables.restore", "missing"}, {"manifest.json", "missing"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	requireEntries(t, filepath.Join(parent, "deep"), "compiled")
}

func TestWriteKeepsUnchangedFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	write(t, compiled(t, map[string]string{"iptables.restore": "same\n", "ipset.restore": "old\n"}), dir)
	path := filepath.Join(dir, "iptables.restore")
	long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	next := compiled(t, map[string]string{"iptables.restore": "same\n", "ipset.restore": "new\n"})
	want := []Change{{"ipset.restore", "changed"}, {"manifest.json", "changed"}}
	if diff := cmp.Diff(want, write(t, next, dir)); diff != "" {
		t.Error(diff)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || !after.ModTime().Equal(long) {
		t.Errorf("an unchanged file was written again: %v, %v", before.ModTime(), after.ModTime())
	}
	if changes := write(t, next, dir); changes != nil {
		t.Errorf("writing the same contents again changed %v", changes)
	}
}

func TestWriteKeepsModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	write(t, compiled(t, map[string]string{"web1/iptables.restore": "a\n"}), dir)
	modes := map[string]fs.FileMode{
		"":                      fs.ModeDir | fs.ModeSetgid | 0o750,
		"web1":                  fs.ModeDir | 0o700,
		"web1/iptables.restore": 0o640,
	}
	for path, mode := range modes {
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(t, compiled(t, map[string]string{"web1/iptables.restore": "b\n", "web2/iptables.restore": "c\n"}), dir)
	for path, mode := range modes {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%q has mode %v, had %v", path, info.Mode(), mode)
		}
	}
}

func TestWriteRemovesFilesOfAnEarlierCompile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n", "ip6tables.restore": "b\n", "web1/ipset.restore": "c\n"}), dir)
	got := write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	want := []Change{
		{"ip6tables.restore", "extra"},
		{"manifest.json", "changed"},
		{"web1/ipset.restore", "extra"},
		{"web1/manifest.json", "extra"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "web1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a removed host still exists: %v", err)
	}
}

func TestForeignFilesInTheFolderAreErrors(t *testing.T) {
	f := compiled(t, map[string]string{"iptables.restore": "new\n"})
	for _, c := range []struct {
		name string
		set  func(t *testing.T, dir string)
		want string
	}{
		{"a foreign file", func(t *testing.T, dir string) {
			writeText(t, filepath.Join(dir, "notes.txt"), "foreign")
		}, "notes.txt was not written by dockerfw"},
		{"a hidden file", func(t *testing.T, dir string) {
			writeText(t, filepath.Join(dir, ".gitignore"), "*")
		}, ".gitignore was not written by dockerfw"},
		{"a file in a foreign folder", func(t *testing.T, dir string) {
			writeText(t, filepath.Join(dir, "sub", "file"), "foreign")
		}, "file was not written by dockerfw"},
		{"an empty foreign folder", func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
				t.Fatal(err)
			}
		}, "sub was not written by dockerfw"},
		{"a compiled name that no manifest lists", func(t *testing.T, dir string) {
			writeText(t, filepath.Join(dir, "ip6tables.restore"), "foreign")
		}, "ip6tables.restore was not written by dockerfw"},
		{"a manifest of another program", func(t *testing.T, dir string) {
			writeText(t, filepath.Join(dir, "sub", "manifest.json"), `{"name": "web app"}`)
		}, "manifest.json was not written by dockerfw"},
		{"a symbolic link to a folder", func(t *testing.T, dir string) {
			link(t, t.TempDir(), filepath.Join(dir, "link"))
		}, "link was not written by dockerfw"},
		{"a folder with the name of a compiled file", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "iptables.restore")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			writeText(t, filepath.Join(path, "file"), "foreign")
		}, "is a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "compiled")
			write(t, compiled(t, map[string]string{"iptables.restore": "old\n"}), dir)
			c.set(t, dir)
			before := onDisk(t, dir)
			changes, err := f.Write(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Write: %v, %v; want an error with %q", changes, err, c.want)
			}
			if diff := cmp.Diff(before, onDisk(t, dir)); diff != "" {
				t.Errorf("the folder was changed:\n%s", diff)
			}
			requireEntries(t, parent, "compiled")
		})
	}
}

// writeText writes a file, and creates its folder.
func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func TestPathsThatCannotBeReplacedAreErrors(t *testing.T) {
	f := compiled(t, map[string]string{"iptables.restore": "a\n"})
	parent := t.TempDir()
	writeText(t, filepath.Join(parent, "file"), "foreign")
	link(t, filepath.Join(parent, "missing"), filepath.Join(parent, "dangling"))
	here := filepath.Join(parent, "here")
	if err := os.Mkdir(here, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	for _, c := range []struct{ dir, want string }{
		{filepath.Join(parent, "file"), "is not a folder"},
		{filepath.Join(parent, "file", "compiled"), "not a directory"},
		{filepath.Join(parent, "dangling"), "symbolic link to a folder that does not exist"},
		{".", "is the current directory"},
		{here, "is the current directory"},
		{"..", "contains the current directory"},
		{parent, "contains the current directory"},
		{"/", "/ contains the current directory"},
	} {
		if _, err := f.Write(c.dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Write(%q): %v; want an error with %q", c.dir, err, c.want)
		}
	}
	requireEntries(t, parent, "dangling", "file", "here")
	requireEntries(t, here)
}

func TestWriteFollowsASymbolicLink(t *testing.T) {
	parent := t.TempDir()
	dir, alias := filepath.Join(parent, "real"), filepath.Join(parent, "alias")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	link(t, "real", alias)
	next := compiled(t, map[string]string{"iptables.restore": "b\n"})
	if _, err := next.Write(alias); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(alias); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link no longer exists: %v, %v", info, err)
	}
	if diff := cmp.Diff(texts(next), onDisk(t, dir)); diff != "" {
		t.Error(diff)
	}
	if changes, err := next.Compare(alias); err != nil || changes != nil {
		t.Errorf("Compare through the link: %v, %v", changes, err)
	}
	requireEntries(t, parent, "alias", "real")
}

func TestWriteReplacesLinkedFilesWithoutWritingThroughThem(t *testing.T) {
	parent := t.TempDir()
	dir, outside := filepath.Join(parent, "compiled"), filepath.Join(parent, "outside")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	writeText(t, outside, "foreign\n")
	path := filepath.Join(dir, "iptables.restore")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	link(t, outside, path)
	write(t, compiled(t, map[string]string{"iptables.restore": "b\n"}), dir)
	if text, err := os.ReadFile(outside); err != nil || string(text) != "foreign\n" {
		t.Errorf("the file outside is now %q, %v", text, err)
	}
}

func TestWriteSucceedsBesideLeftovers(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	writeText(t, filepath.Join(parent, ".compiled.new-KILLED", "iptables.restore"), "partial")
	writeText(t, filepath.Join(parent, ".compiled.new-KILLED.old", "iptables.restore"), "partial")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	write(t, compiled(t, map[string]string{"iptables.restore": "b\n"}), dir)
}

func TestCompareReturnsChangesAndWritesNothing(t *testing.T) {
	f := compiled(t, map[string]string{"iptables.restore": "a\n", "web1/ipset.restore": "b\n"})
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	got, err := f.Compare(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{
		{"iptables.restore", "missing"},
		{"manifest.json", "missing"},
		{"web1/ipset.restore", "missing"},
		{"web1/manifest.json", "missing"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	requireEntries(t, parent)

	write(t, f, dir)
	writeText(t, filepath.Join(dir, "iptables.restore"), "edited\n")
	writeText(t, filepath.Join(dir, "notes"), "foreign\n")
	if err := os.MkdirAll(filepath.Join(dir, "web2"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "web1/ipset.restore")); err != nil {
		t.Fatal(err)
	}
	got, err = f.Compare(dir)
	if err != nil {
		t.Fatal(err)
	}
	want = []Change{{"iptables.restore", "changed"}, {"notes", "extra"}, {"web1/ipset.restore", "missing"}, {"web2/", "extra"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
