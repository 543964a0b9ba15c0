package folder

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dockerfw/dockerfw/parser/files"
)

// Writer replaces the contents of a folder, all or nothing: it fills a new folder beside it,
// file by file, and Commit exchanges the two in one step, so that neither a full disk nor a
// crash leaves a mixture. Unchanged files keep their inode and times. Files of an earlier
// compile that were not added are removed; any other file in the folder is an error, and
// nothing is changed.
//
// Commit also removes what killed runs left beside the folder. The new folder is created at
// the first change: before that, nothing is written.
type Writer struct {
	ctx context.Context
	dir string

	mu sync.Mutex
	// paths are the files that were added, and names their names without folders.
	paths, names map[string]bool
	changes      []Change
	// kept are unchanged files before there is a new folder to link them into.
	kept []keptFile
	// fresh is the new folder, "" before the first change; locked is the open folder.
	fresh  string
	locked *os.File
	dirs   map[string]bool // folders in fresh, and fresh itself
	// written are the new files in fresh, which are not on disk yet.
	written []string
}

type keptFile struct {
	path   string
	digest [sha256.Size]byte
}

// NewWriter returns a writer of the folder dir. When the context is done, the methods return
// its cause. The caller must call Close.
func NewWriter(ctx context.Context, dir string) (*Writer, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if err := checkCurrentDirectory(dir); err != nil {
		return nil, err
	}
	return &Writer{ctx: ctx, dir: dir, paths: map[string]bool{}, names: map[string]bool{}, dirs: map[string]bool{}}, nil
}

// Add adds a file with a path below the folder. It is safe for concurrent use.
func (w *Writer) Add(path string, content []byte) error {
	return w.AddFile(path, File{Content: content})
}

// AddFile is Add with a file that may be too large for memory. Its name is not used.
func (w *Writer) AddFile(path string, f File) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	kind, err := compareFile(w.dir, path, f)
	if err != nil {
		return err
	}
	target, err := w.note(path, kind, f)
	if err != nil || target == "" {
		return err
	}
	if kind == "" {
		linked, err := linkFile(filepath.Join(w.dir, path), target, f.is)
		if linked || err != nil {
			return err
		}
	}
	if err := w.write(path, target, f); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = append(w.written, target)
	return nil
}

// note records a file, and returns where to write or link it: "" if that is not known yet,
// because nothing has changed so far.
func (w *Writer) note(path, kind string, f File) (target string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paths[path], w.names[filepath.Base(path)] = true, true
	if kind == "" && w.fresh == "" {
		w.kept = append(w.kept, keptFile{path, f.sum()})
		return "", nil
	}
	if kind != "" {
		w.changes = append(w.changes, Change{path, kind})
	}
	if err := w.create(); err != nil {
		return "", err
	}
	return w.target(path)
}

// create creates the new folder, with links to the files that are known to be unchanged.
func (w *Writer) create() error {
	if w.fresh != "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(w.dir), 0o777); err != nil {
		return err
	}
	var err error
	if w.fresh, w.locked, err = createFolderBeside(w.dir); err != nil {
		return err
	}
	w.dirs[w.fresh] = true
	for _, k := range w.kept {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if err := w.keep(k); err != nil {
			return err
		}
	}
	w.kept = nil
	return nil
}

var errChangedMeanwhile = errors.New("another program changed the file at the same time; run the command again")

// keep links a file that was unchanged when it was added into the new folder, or copies it on
// a file system without links.
func (w *Writer) keep(k keptFile) error {
	target, err := w.target(k.path)
	if err != nil {
		return err
	}
	source := filepath.Join(w.dir, k.path)
	same := func(have io.Reader) (bool, error) { return hasDigest(have, k.digest) }
	linked, err := linkFile(source, target, same)
	if linked || err != nil {
		return err
	}
	content, err := files.Read(files.Disk, source)
	if err != nil {
		return err
	}
	if sha256.Sum256(content) != k.digest {
		return fmt.Errorf("%s: %w", source, errChangedMeanwhile)
	}
	w.written = append(w.written, target)
	return w.write(k.path, target, File{Content: content})
}

// target returns the place of a file in the new folder, whose folder it creates.
func (w *Writer) target(path string) (string, error) {
	target := filepath.Join(w.fresh, path)
	dir := filepath.Dir(target)
	if !w.dirs[dir] {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return "", err
		}
		// The parent, which lists it, must be synced, too.
		for ; len(dir) >= len(w.fresh) && !w.dirs[dir]; dir = filepath.Dir(dir) {
			w.dirs[dir] = true
		}
	}
	return target, nil
}

// write writes a file of the new folder. Its mode and, if root writes, its owner are those of
// the old one.
func (w *Writer) write(path, target string, f File) error {
	if err := writeFile(target, f); err != nil {
		return err
	}
	return copyAttributes(filepath.Join(w.dir, path), w.dir, target)
}

// linkFile makes target a hard link to source, if that works and the content is the same.
func linkFile(source, target string, same func(content io.Reader) (bool, error)) (linked bool, err error) {
	if os.Link(source, target) != nil {
		return false, nil
	}
	// Link first, then read: another compile may replace the file in between.
	if info, err := os.Lstat(target); err == nil && info.Mode().IsRegular() {
		if ok, err := ofFile(target, same); err == nil && ok {
			return true, nil
		}
	}
	return false, os.Remove(target)
}

// Commit exchanges the folder for the new one, and returns the differences that there were,
// sorted by path. Without any it changes nothing. No file may be added at the same time.
func (w *Writer) Commit() ([]Change, error) {
	if w.ctx.Err() != nil {
		return nil, context.Cause(w.ctx)
	}
	extra, err := extra(w.dir, func(path string) bool { return w.paths[path] })
	if err != nil {
		return nil, err
	}
	old := earlier{dir: w.dir}
	for _, path := range extra {
		if !old.has(path) {
			return nil, fmt.Errorf("%s was not written by dockerfw: the output folder is replaced as a whole, so it must contain only compiled files. Use a separate folder with -o", filepath.Join(w.dir, path))
		}
	}
	compiled := func(name string) bool { return isCompiledName(name, w.names) }
	if _, err := os.Lstat(w.dir); err == nil {
		removeLeftovers(w.dir, compiled)
	} // Without dir a leftover may be the only copy: keep it until the new folder is in place.
	changes := sorted(w.changes, extra)
	if len(changes) == 0 {
		return nil, nil
	}
	w.mu.Lock()
	err = w.create()
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := w.sync(); err != nil {
		return nil, err
	}
	if err := exchange(w.fresh, w.dir); err != nil {
		return nil, err
	}
	removeLeftovers(w.dir, compiled)
	return changes, syncDir(filepath.Dir(w.dir))
}

// sync gives the folders their attributes and waits until all is on disk.
func (w *Writer) sync() error {
	for dir := range w.dirs {
		if err := copyAttributes(filepath.Join(w.dir, strings.TrimPrefix(dir, w.fresh)), w.dir, dir); err != nil {
			return err
		}
	}
	// One sync of the file system instead of one for each file: for 1,000 hosts the files
	// alone took half a minute.
	if len(w.paths) > 64 && canSyncAll {
		return syncAll(w.fresh)
	}
	for _, path := range w.written {
		if err := syncFile(path); err != nil {
			return err
		}
	}
	for dir := range w.dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// Close removes the new folder unless it was committed; then it removes the old one.
func (w *Writer) Close() error {
	if w.fresh == "" {
		return nil
	}
	return errors.Join(os.RemoveAll(w.fresh), w.locked.Close())
}
