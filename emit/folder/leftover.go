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

// What is new is written beside what it replaces, as ".NAME.new-" and 26 random
// letters, on the same file system and hidden. A run that is killed leaves that
// behind, and the next one removes it. Whether its run is still alive shows in a
// lock, which the kernel releases with the process.

var errLocked = errors.New("another process has locked it")

// beside makes something new beside path and locks it until it is closed; create
// makes and opens it, and fails with fs.ErrExist if the name is taken.
func beside(path string, create func(name string) (*os.File, error)) (string, *os.File, error) {
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
		// Another run took it for a leftover before it was locked, and removes it.
		f.Close()
	}
}

// makeBeside makes an empty folder beside dir.
func makeBeside(dir string) (string, *os.File, error) {
	return beside(dir, func(name string) (*os.File, error) {
		// Unlike os.MkdirTemp this leaves it to the umask who may read.
		if err := os.Mkdir(name, 0o777); err != nil {
			return nil, err
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fs.ErrExist // removed as a leftover: another name
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

// removeLeftovers removes what killed runs left beside path. What is not surely
// that stays: other names, other owners, folders with a file that no compile
// writes, and what a run that is alive has locked. So does what cannot be locked
// on its file system. It reports nothing: the leftovers of others are no reason to fail.
func removeLeftovers(path string, ours func(file string) bool) {
	pattern := regexp.MustCompile(`^\.` + regexp.QuoteMeta(filepath.Base(path)) + `\.new-[A-Z2-7]{26}(\.old)?$`)
	parent := filepath.Dir(path)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		if pattern.MatchString(e.Name()) && (e.IsDir() && ours != nil || e.Type().IsRegular() && ours == nil) {
			removeLeftover(filepath.Join(parent, e.Name()), ours)
		}
	}
}

func removeLeftover(path string, ours func(file string) bool) {
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
	if info.IsDir() && !holdsOnly(path, ours, 1) {
		return
	}
	_ = os.RemoveAll(path)
}

// holdsOnly reports whether a folder has no files but ours, and folders of such down
// to a depth.
func holdsOnly(dir string, ours func(file string) bool, depth int) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		if e.IsDir() {
			return depth == 0 || !holdsOnly(filepath.Join(dir, e.Name()), ours, depth-1)
		}
		return !ours(e.Name())
	})
}

// isOurs reports whether a compile may have written a file of this name.
func (f Contents) isOurs(name string) bool {
	switch name {
	case SetsFile, RulesFile4, RulesFile6, SetsRemoval, RulesRemoval4, RulesRemoval6, ApplyScript, RemoveScript, BootService, ManifestFile:
		return true
	}
	for path := range f {
		if filepath.Base(path) == name {
			return true
		}
	}
	return false
}
