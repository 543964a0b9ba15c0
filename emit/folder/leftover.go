package folder

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// A new file or folder is written beside the one that it replaces, on the same file system,
// under the hidden name ".NAME.new-" and 26 random letters. If the run is killed, the next
// run removes it. A running process holds a lock on it, which the kernel releases when the
// process ends.

var errLocked = errors.New("locked by another process")

// createBeside creates a file or folder beside path and locks it until it is closed; create
// creates and opens it, and returns fs.ErrExist if the name is in use.
func createBeside(path string, create func(name string) (*os.File, error)) (string, *os.File, error) {
	for {
		name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new-"+rand.Text())
		f, err := create(name)
		switch {
		case errors.Is(err, fs.ErrExist):
			continue
		case err != nil:
			return "", nil, err
		case !errors.Is(lock(f), errLocked) && isAt(f, name):
			return name, f, nil
		}
		// Before it was locked, another run considered it a leftover and removes it.
		f.Close()
	}
}

// createFolderBeside creates an empty folder beside dir.
func createFolderBeside(dir string) (string, *os.File, error) {
	return createBeside(dir, func(name string) (*os.File, error) {
		// Not os.MkdirTemp, whose mode is 0700: the umask determines who may read it.
		if err := os.Mkdir(name, 0o777); err != nil {
			return nil, err
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fs.ErrExist // removed as a leftover: try another name
		}
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
		return f, err
	})
}

// isAt reports whether an open file is the one at path.
func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, now)
}

// removeLeftovers removes what killed runs left beside path: folders if compiled is set,
// otherwise files. It keeps other names, other owners, folders with a file name that is not
// compiled, and what is locked or cannot be locked on its file system. Errors are ignored:
// a leftover is no reason to fail.
func removeLeftovers(path string, compiled func(name string) bool) {
	pattern := regexp.MustCompile(`^\.` + regexp.QuoteMeta(filepath.Base(path)) + `\.new-[A-Z2-7]{26}(\.old)?$`)
	parent := filepath.Dir(path)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		if pattern.MatchString(e.Name()) && (e.IsDir() && compiled != nil || e.Type().IsRegular() && compiled == nil) {
			removeLeftover(filepath.Join(parent, e.Name()), compiled)
		}
	}
}

// removeLeftover removes one file or folder if it is a leftover.
func removeLeftover(path string, compiled func(name string) bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return
	}
	if uid, _, ok := owner(info); !ok || uid != os.Geteuid() {
		return
	}
	f, err := openNoFollow(path)
	if err != nil {
		return
	}
	defer f.Close()
	if lock(f) != nil || !isAt(f, path) {
		return
	}
	if info.IsDir() && !containsOnly(path, compiled, 1) {
		return
	}
	_ = os.RemoveAll(path)
}

// containsOnly reports whether all files in a folder and its subfolders have compiled names,
// and the subfolders are at most depth levels deep.
func containsOnly(dir string, compiled func(name string) bool, depth int) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		if e.IsDir() {
			return depth == 0 || !containsOnly(filepath.Join(dir, e.Name()), compiled, depth-1)
		}
		return !compiled(e.Name())
	})
}

// isCompiledName reports whether a compile may have written a file of this name: it is a
// name that dockerfw uses, or one of those being written.
func isCompiledName(name string, written map[string]bool) bool {
	switch name {
	case SetsFile, RulesFile4, RulesFile6, SetsRemoval, RulesRemoval4, RulesRemoval6, ManifestFile:
		return true
	case "apply.sh", "remove.sh", "dockerfw.service": // of earlier versions
		return true
	}
	return written[name]
}
