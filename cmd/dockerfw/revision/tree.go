package revision

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Tree is the files of a revision, by the paths they have on disk.
type Tree struct {
	revision string
	// top of the work tree, without symbolic links.
	top string
	// dir is the directory given to Open, absolute, links unresolved; prefix is its path
	// below top, with slashes.
	dir, prefix string
	// outside permits reading files outside the repository, from the disk.
	outside bool
	root    entry
	objects *objects

	mu    sync.Mutex
	known map[string][]entry
	read  map[string]bool
}

// Open opens a revision of the repository of dir, a directory on disk. Paths that lead out of
// the repository are errors; with outside they are read from the disk, as they are now.
func Open(revision, dir string, outside bool) (*Tree, error) {
	if revision == "" || strings.HasPrefix(revision, "-") || strings.ContainsAny(revision, "\x00\n") {
		return nil, notOne(revision)
	}
	t := &Tree{revision: revision, outside: outside, known: map[string][]entry{}, read: map[string]bool{}}
	var err error
	if t.top, _, err = output(dir, "rev-parse", "--show-toplevel"); err != nil {
		return nil, explainNoWorkTree(dir, err)
	}
	// Not from git rev-parse --show-prefix, which is empty if git regards the folder as the top.
	if t.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(t.dir)
	if err != nil {
		return nil, err
	}
	var inside bool
	if t.prefix, inside = t.below(real); !inside {
		return nil, fmt.Errorf("%s is not in the work tree of its git repository, %s: give a path in the work tree", dir, t.top)
	}
	id, warnings, err := output(dir, "rev-parse", "--verify", revision+"^{tree}")
	switch {
	case err != nil:
		return nil, explainNoRevision(dir, revision, err)
	case strings.Trim(id, "0123456789abcdef") != "" || id == "":
		return nil, notOne(revision)
	case strings.Contains(warnings, "is ambiguous"):
		return nil, fmt.Errorf("%q is ambiguous, a branch and a tag for example: write refs/heads/… or refs/tags/…", revision)
	}
	t.root = entry{mode: modeTree, id: id}
	t.objects, err = openObjects(dir)
	return t, err
}

// Close ends the reading.
func (t *Tree) Close() { t.objects.close() }

// Read reports whether a file of this name was opened in the revision, not on disk.
func (t *Tree) Read(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read[name]
}

// locate returns the path below the top of a path on disk. A path below the directory given to
// Open is below it in the revision too, whatever symbolic links exist now.
func (t *Tree) locate(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(t.dir, abs); err == nil && filepath.IsLocal(rel) {
		return path.Join(t.prefix, filepath.ToSlash(rel)), nil
	}
	real := abs
	for dir, rest := filepath.Dir(abs), filepath.Base(abs); ; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if found, err := filepath.EvalSymlinks(dir); err == nil {
			real = filepath.Join(found, rest)
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if inside, ok := t.below(real); ok {
		return inside, nil
	}
	return "", &leaves{abs}
}

// find returns where a path leads, or an error with advice.
func (t *Tree) find(name string) (place, error) {
	where, err := t.locate(name)
	var p place
	if err == nil {
		p, err = t.resolve([]entry{t.root}, where, 0)
	}
	return p, t.explain(name, err)
}

func (t *Tree) explain(name string, err error) error {
	var module *submodule
	switch {
	case err == nil:
		return nil
	case errors.As(err, &module):
		err = fmt.Errorf("%s is a submodule; its files are not in %s. %s", module.path, t.revision, t.checkout(name, true))
	case errors.Is(err, errMissing):
		err = fmt.Errorf("this partial clone lacks it. Fetch it: git -C %s archive -o %s %s", shell.Word(t.top), os.DevNull, shell.Word(t.revision))
	}
	return &fs.PathError{Op: "open", Path: name, Err: err}
}

// checkout is the advice to check the revision out.
func (t *Tree) checkout(name string, submodules bool) string {
	text := fmt.Sprintf("Compare with a checkout: git worktree add --detach ../base %s", shell.Word(t.revision))
	if submodules {
		text += " && git -C ../base submodule update --init"
	}
	return text + ", and run dockerfw diff with the two paths"
}

func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	p, err := t.find(name)
	var out *leaves
	switch {
	case errors.As(err, &out) && t.outside:
		return files.Disk.Stat(out.disk)
	case err != nil:
		return nil, err
	}
	return info{name: filepath.Base(name), mode: p.last.fileMode()}, nil
}

func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := t.find(name)
	var leads *leaves
	switch {
	case errors.As(err, &leads) && t.outside:
		return files.Disk.ReadDir(leads.disk)
	case err == nil && p.last.mode != modeTree:
		err = t.explain(name, errNotDir)
	}
	if err != nil {
		return nil, err
	}
	entries, err := t.entries(p.last.id)
	var out []fs.DirEntry
	for _, e := range entries {
		out = append(out, info{name: e.name, mode: e.fileMode()})
	}
	return out, t.explain(name, err)
}

func (t *Tree) Open(name string) (fs.File, error) {
	p, err := t.find(name)
	var out *leaves
	switch {
	case errors.As(err, &out) && t.outside:
		return files.Disk.Open(out.disk)
	case err != nil:
		return nil, err
	}
	return t.open(name, name, p)
}

// open reads the file at a place. It is called name in errors, and shown in diagnostics.
func (t *Tree) open(name, shown string, p place) (fs.File, error) {
	i := info{name: filepath.Base(name), mode: p.last.fileMode()}
	if err := files.Check(name, i); err != nil {
		return nil, err
	}
	content, err := t.objects.get(p.last.id)
	if err != nil {
		return nil, t.explain(name, err)
	}
	for prefix, program := range map[string]string{"version https://git-lfs.github.com/spec/": "Git LFS", "\x00GITCRYPT\x00": "git-crypt"} {
		if bytes.HasPrefix(content, []byte(prefix)) {
			return nil, t.explain(name, fmt.Errorf("its content is stored by %s, and dockerfw runs no git filters. %s", program, t.checkout(name, false)))
		}
	}
	t.mu.Lock()
	t.read[shown] = true
	t.mu.Unlock()
	i.size = int64(len(content))
	return file{bytes.NewReader(content), i}, nil
}

// OpenRoot returns a directory of the revision.
func (t *Tree) OpenRoot(dir string) (files.Root, error) {
	p, err := t.find(dir)
	if err == nil && p.last.mode != modeTree {
		err = t.explain(dir, errNotDir)
	}
	if err != nil {
		return nil, err
	}
	return root{t, dir, p.dirs}, nil
}

type root struct {
	tree *Tree
	dir  string
	dirs []entry
}

func (r root) Open(name string) (fs.File, error) {
	p, err := r.tree.resolve(r.dirs, filepath.ToSlash(name), len(r.dirs))
	if err != nil {
		return nil, r.tree.explain(name, err)
	}
	return r.tree.open(name, filepath.Join(r.dir, name), p)
}

func (root) Close() error { return nil }
