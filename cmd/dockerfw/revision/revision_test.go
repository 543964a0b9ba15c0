package revision

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/files"
)

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false"}, args...)...)
	cmd.Env = environment(os.Environ())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// repository is one commit with files and links, whose work tree is then emptied.
func repository(t *testing.T, format string, texts, links map[string]string) string {
	t.Helper()
	top := filepath.Join(t.TempDir(), "re\npo ")
	if err := os.Mkdir(top, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, top, "init", "-q", "--object-format="+format)
	for path, text := range texts {
		put(t, filepath.Join(top, path), text)
	}
	for path, to := range links {
		if err := os.Symlink(to, filepath.Join(top, path)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, top, "add", "-A")
	git(t, top, "commit", "-q", "-m", "one")
	for path := range texts {
		put(t, filepath.Join(top, path), "changed since")
	}
	return top
}

func read(tree files.Tree, path string) string {
	text, err := files.Read(tree, path)
	if err != nil {
		return "error: " + files.Reason(err)
	}
	return string(text)
}

func TestTreeHasTheCommittedFiles(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, outside, "of the disk")
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			top := repository(t, format, map[string]string{
				"net/a b\nc": "odd\n", "net/list": "one\n", "top": "above\n", "-x/y": "dash\n", "net.d/z": "sorted\n",
			}, map[string]string{
				"net/up": "../top", "net/same": "list", "dir": "net", "net/self": "self", "net/out": outside,
				"net/far": "../../../" + filepath.Base(filepath.Dir(outside)) + "/outside", "net/gone": "none",
			})
			tree, err := Open("HEAD", filepath.Join(top, "net"), false)
			if err != nil {
				t.Fatal(err)
			}
			defer tree.Close()
			root, err := tree.OpenRoot(filepath.Join(top, "net"))
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]string{
				"net/a b\nc": "odd\n", "net/list": "one\n", "top": "above\n", "-x/y": "dash\n", "net.d/z": "sorted\n",
				"net/up": "above\n", "net/same": "one\n", "dir/list": "one\n", "dir/../top": "above\n",
				"net":           "error: it is a directory, not a regular file",
				"net/none":      "error: it does not exist in HEAD",
				"net/gone":      "error: it does not exist in HEAD",
				"net/self":      "error: too many levels of symbolic links",
				"net/list/deep": "error: not a directory",
				"net/out":       "error: it is a symbolic link to " + outside + ", outside the repository; --allow-outside permits reading that from the disk",
			} {
				if got := read(tree, top+"/"+path); got != want {
					t.Errorf("%q: %q, want %q", path, got, want)
				}
			}
			for name, want := range map[string]string{
				"list": "one\n", "./x/../same": "error: it does not exist in HEAD", "same": "one\n",
				"up": "error: path escapes from parent", "out": "error: path escapes from parent", "far": "error: path escapes from parent",
				"../top": "error: path escapes from parent", "none": "error: it does not exist in HEAD",
			} {
				if got := read(inRoot{root}, name); got != want {
					t.Errorf("%q in the root: %q, want %q", name, got, want)
				}
			}
			entries, err := tree.ReadDir(filepath.Join(top, "dir"))
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if want := []string{"a b\nc", "far", "gone", "list", "out", "same", "self", "up"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("entries %q, %v", names, err)
			}
			if !tree.Read(filepath.Join(top, "net", "list")) || tree.Read(filepath.Join(top, "net", "none")) {
				t.Error("what was read is not known")
			}
			if _, err := tree.Stat(filepath.Join(top, "none")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a path that is not there: %v", err)
			}

			free, err := Open("HEAD", filepath.Join(top, "net"), true)
			if err != nil {
				t.Fatal(err)
			}
			defer free.Close()
			for _, path := range []string{outside, filepath.Join(top, "net/out"), filepath.Join(top, "..", "..", "..", filepath.Base(filepath.Dir(outside)), "outside")} {
				if got := read(free, path); got != "of the disk" && !strings.HasPrefix(got, "error: no such file") {
					t.Errorf("%s: %q", path, got)
				}
			}
			if got := read(free, outside); got != "of the disk" {
				t.Errorf("a file outside: %q", got)
			}
			if free.Read(outside) {
				t.Error("a file of the disk is shown as one of the revision")
			}
		})
	}
}

// inRoot reads in a root as in a tree.
type inRoot struct{ files.Root }

func (r inRoot) Stat(string) (fs.FileInfo, error)      { return nil, fs.ErrInvalid }
func (r inRoot) ReadDir(string) ([]fs.DirEntry, error) { return nil, fs.ErrInvalid }
func (r inRoot) OpenRoot(string) (files.Root, error)   { return nil, fs.ErrInvalid }
func (r inRoot) Open(name string) (fs.File, error)     { return r.Root.Open(name) }

func TestEnvironmentIsOurs(t *testing.T) {
	env := environment([]string{"PATH=/bin", "GIT_DIR=/x", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_GLOBAL=/home/g", "LC_ALL=de_DE", "GITHUB_SHA=1", "GIT_NO_REPLACE_OBJECTS="})
	for _, want := range []string{"PATH=/bin", "GIT_CONFIG_GLOBAL=/home/g", "GITHUB_SHA=1", "LC_ALL=C", "GIT_NO_REPLACE_OBJECTS=1"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, bad := range []string{"GIT_DIR=/x", "GIT_CONFIG_COUNT=1", "LC_ALL=de_DE", "GIT_NO_REPLACE_OBJECTS="} {
		if slices.Contains(env, bad) {
			t.Errorf("%s is kept", bad)
		}
	}
}

func TestDamagedTreesAreErrors(t *testing.T) {
	id := strings.Repeat("i", 20)
	for _, text := range []string{"100644", "100644 name", "100644 name\x00short", "\x00" + id, "100644 a\x00" + id + "x"} {
		if got, err := parseTree([]byte(text), 20); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	got, err := parseTree([]byte("100644 ..\x00"+id+"100644 a/b\x00"+id+"40000 c\x00"+id+"100644 a\x00"+id), 20)
	if err != nil || len(got) != 2 || got[0].name != "a" || got[1].name != "c" {
		t.Errorf("%v, %v", got, err)
	}
}
