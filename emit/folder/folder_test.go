package folder

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// compiled is a folder as compile writes it: files and the manifest that lists them.
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

// onDisk reads all files below dir.
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

func texts(f Contents) map[string]string {
	out := map[string]string{}
	for path, content := range f {
		out[path] = string(content)
	}
	return out
}

func write(t testing.TB, f Contents, dir string) []Change {
	t.Helper()
	changes, err := f.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(texts(f), onDisk(t, dir)); diff != "" {
		t.Fatalf("the folder is not what was written (-want +got):\n%s", diff)
	}
	return changes
}

// noRubbish checks that nothing but names is left in dir.
func noRubbish(t testing.TB, dir string, names ...string) {
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
		t.Errorf("what is beside the folder (-want +got):\n%s", diff)
	}
}

func TestWriteMakesTheFolderAndItsParents(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "deep", "compiled")
	f := compiled(t, map[string]string{"iptables.restore": "a\n"})
	got := write(t, f, dir)
	want := []Change{{"iptables.restore", "missing"}, {"manifest.json", "missing"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	noRubbish(t, filepath.Join(parent, "deep"), "compiled")
}

func TestWriteKeepsWhatStaysTheSame(t *testing.T) {
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
		t.Errorf("a file that did not change was written again: %v, %v", before.ModTime(), after.ModTime())
	}
	if changes := write(t, next, dir); changes != nil {
		t.Errorf("writing the same twice changed %v", changes)
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

func TestWriteTakesAwayWhatAnEarlierCompileWrote(t *testing.T) {
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
		t.Errorf("the folder of a host that is gone is still there: %v", err)
	}
}

func TestWriteRefusesWhatIsNotItsOwn(t *testing.T) {
	f := compiled(t, map[string]string{"iptables.restore": "new\n"})
	for _, c := range []struct {
		name string
		set  func(t *testing.T, dir string)
		want string
	}{
		{"a file of somebody else", func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "notes.txt"), "mine")
		}, "notes.txt is not dockerfw's"},
		{"a hidden file", func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, ".gitignore"), "*")
		}, ".gitignore is not dockerfw's"},
		{"a file in a folder of somebody else", func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "sub", "file"), "mine")
		}, "file is not dockerfw's"},
		{"an empty folder of somebody else", func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
				t.Fatal(err)
			}
		}, "sub is not dockerfw's"},
		{"a name of ours that no manifest lists", func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "ip6tables.restore"), "mine")
		}, "ip6tables.restore is not dockerfw's"},
		{"a manifest of something else", func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "sub", "manifest.json"), `{"name": "web app"}`)
		}, "manifest.json is not dockerfw's"},
		{"a symbolic link to a folder", func(t *testing.T, dir string) {
			link(t, t.TempDir(), filepath.Join(dir, "link"))
		}, "link is not dockerfw's"},
		{"a folder in the place of a file", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "iptables.restore")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(path, "file"), "mine")
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
				t.Errorf("the folder was touched:\n%s", diff)
			}
			noRubbish(t, parent, "compiled")
		})
	}
}

func put(t testing.TB, path, text string) {
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

func TestWriteRefusesPlacesThatCannotBeReplaced(t *testing.T) {
	f := compiled(t, map[string]string{"iptables.restore": "a\n"})
	parent := t.TempDir()
	put(t, filepath.Join(parent, "file"), "mine")
	link(t, filepath.Join(parent, "nowhere"), filepath.Join(parent, "dangling"))
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
		{"..", "holds the current directory"},
		{parent, "holds the current directory"},
		{"/", "/ holds the current directory"},
	} {
		if _, err := f.Write(c.dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Write(%q): %v; want an error with %q", c.dir, err, c.want)
		}
	}
	noRubbish(t, parent, "dangling", "file", "here")
	noRubbish(t, here)
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
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if diff := cmp.Diff(texts(next), onDisk(t, dir)); diff != "" {
		t.Error(diff)
	}
	if changes, err := next.Compare(alias); err != nil || changes != nil {
		t.Errorf("Compare through the link: %v, %v", changes, err)
	}
	noRubbish(t, parent, "alias", "real")
}

func TestWriteReplacesLinkedFilesWithoutWritingThroughThem(t *testing.T) {
	parent := t.TempDir()
	dir, outside := filepath.Join(parent, "compiled"), filepath.Join(parent, "outside")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	put(t, outside, "theirs\n")
	path := filepath.Join(dir, "iptables.restore")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	link(t, outside, path)
	write(t, compiled(t, map[string]string{"iptables.restore": "b\n"}), dir)
	if text, err := os.ReadFile(outside); err != nil || string(text) != "theirs\n" {
		t.Errorf("the file outside now holds %q, %v", text, err)
	}
}

// A run that was killed leaves its hidden folder behind.
func TestWriteIsNotDisturbedByLeftovers(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	put(t, filepath.Join(parent, ".compiled.new-KILLED", "iptables.restore"), "half")
	put(t, filepath.Join(parent, ".compiled.new-KILLED.old", "iptables.restore"), "half")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	write(t, compiled(t, map[string]string{"iptables.restore": "b\n"}), dir)
}

func TestCompareReadsWithoutWriting(t *testing.T) {
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
	noRubbish(t, parent)

	write(t, f, dir)
	put(t, filepath.Join(dir, "iptables.restore"), "edited\n")
	put(t, filepath.Join(dir, "notes"), "mine\n")
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

// generation is a folder all of whose files say which one it is, but for one that
// never changes.
func generation(t testing.TB, n int) Contents {
	files := map[string]string{"same": "same\n"}
	for i := range 8 {
		files[fmt.Sprintf("web%d/file%d", i%2, i)] = fmt.Sprintf("generation %d\n", n) + strings.Repeat("x", 5000*n%7000)
	}
	return compiled(t, files)
}

// observe reads the folder as it is at one moment: through one open directory. It
// returns -1 when the folder was replaced and taken away while it was read.
func observe(dir string, generations []Contents) (int, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	found := -1
	for path := range generations[0] {
		text, err := root.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			now, err := os.Stat(dir)
			if err != nil {
				return 0, err
			}
			opened, err := root.Stat(".")
			if err == nil && os.SameFile(now, opened) {
				return 0, fmt.Errorf("%s is missing from the folder that stands", path)
			}
			return -1, nil
		}
		if err != nil {
			return 0, err
		}
		if path == "same" {
			continue
		}
		n := slices.IndexFunc(generations, func(f Contents) bool { return bytes.Equal(f[path], text) })
		switch {
		case n < 0:
			return 0, fmt.Errorf("%s is of no generation: %.40q", path, text)
		case found >= 0 && n != found && filepath.Base(path) != ManifestFile:
			return 0, fmt.Errorf("a mixture: %s is of generation %d, others of %d", path, n, found)
		case filepath.Base(path) != ManifestFile:
			found = n
		}
	}
	return found, nil
}

func TestReadersSeeOneGenerationWhateverWritersDo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	var generations []Contents
	for n := range 4 {
		generations = append(generations, generation(t, n))
	}
	write(t, generations[0], dir)
	deadline := time.Now().Add(700 * time.Millisecond)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for n := range 3 {
		writers.Go(func() {
			for i := n; time.Now().Before(deadline); i++ {
				// A reader and another writer may take a host's folder away under
				// the comparison; that is an error, and not a mixture.
				if _, err := generations[i%len(generations)].Write(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("writer: %v", err)
				}
			}
		})
	}
	seen := make([]int, 2)
	for n := range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				g, err := observe(dir, generations)
				if err != nil {
					t.Errorf("reader: %v", err)
					return
				}
				if g >= 0 {
					seen[n]++
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if seen[0] == 0 || seen[1] == 0 {
		t.Errorf("the readers saw the folder whole %v times", seen)
	}
	if _, err := observe(dir, generations); err != nil {
		t.Error(err)
	}
	noRubbish(t, filepath.Dir(dir), "compiled")
}

// childDir is the variable that makes a test run as the child it starts.
const childDir = "DOCKERFW_TEST_DIR"

// childCommand runs one test of this binary in a process of its own.
func childCommand(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^"+test+"$", "-test.v")
	child.Env = append(os.Environ(), env...)
	return child
}

// startChild starts such a process and waits for its line "ready".
func startChild(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	child := childCommand(t, test, env...)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			return child
		}
	}
	t.Fatalf("the child ended: %v", child.Wait())
	return nil
}

func TestAKilledWriterLeavesOneGeneration(t *testing.T) {
	generations := []Contents{generation(t, 0), generation(t, 1)}
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Println("ready")
		for i := 0; ; i++ {
			if _, err := generations[i%2].Write(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "compiled")
	write(t, generations[0], dir)
	seen := map[int]int{}
	random := rand.New(rand.NewPCG(1, 25))
	for range 25 {
		child := startChild(t, "TestAKilledWriterLeavesOneGeneration", childDir+"="+dir)
		time.Sleep(time.Duration(random.IntN(8000)) * time.Microsecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed
		n, err := observe(dir, generations)
		if err != nil {
			t.Fatal(err)
		}
		seen[n]++
	}
	if _, gone := seen[-1]; gone {
		t.Errorf("the folder was gone after a kill: %v", seen)
	}
	// What the killed ones left goes with a later one.
	write(t, generations[1], dir)
	noRubbish(t, filepath.Dir(dir), "compiled")
}

func TestReplaceFileKeepsModeAndLink(t *testing.T) {
	parent := t.TempDir()
	path, alias := filepath.Join(parent, "policy.hcl"), filepath.Join(parent, "alias.hcl")
	put(t, path, "old")
	link(t, "policy.hcl", alias)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(alias, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "new" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q, mode %v", text, info.Mode())
	}
	noRubbish(t, parent, "alias.hcl", "policy.hcl")
	if err := ReplaceFile(filepath.Join(parent, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("replacing what is not there: %v", err)
	}
}
