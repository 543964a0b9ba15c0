package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dockerfw/dockerfw/parser/files"
)

// Contents are the files of an output folder by their path below it, such as
// "iptables.restore" or "web1/iptables.restore".
type Contents map[string][]byte

// has reports whether a path is in f.
func (f Contents) has(path string) bool {
	_, ok := f[path]
	return ok
}

// Change is a difference between a folder on disk and its new contents.
type Change struct {
	Path string
	// Kind is "missing", "changed" or "extra".
	Kind string
}

// changed is the kind of a file with other content.
const changed = "changed"

// Compare returns the differences between the folder dir and f, sorted by path.
func (f Contents) Compare(dir string) ([]Change, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	return f.compare(dir)
}

// resolve returns the absolute path of a folder with symbolic links resolved, so that their
// target is read and replaced, not the link. The folder need not exist yet.
func resolve(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return "", fmt.Errorf("%s is a symbolic link to a folder that does not exist", dir)
		}
		return filepath.Abs(dir)
	case err != nil:
		return "", err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder", dir)
	}
	return filepath.Abs(real)
}

// compare returns the differences between the resolved folder dir and f, sorted by path.
func (f Contents) compare(dir string) ([]Change, error) {
	var out []Change
	for path, content := range f {
		kind, err := compareFile(dir, path, File{Content: content})
		if err != nil {
			return nil, err
		}
		if kind != "" {
			out = append(out, Change{path, kind})
		}
	}
	extra, err := extra(dir, f.has)
	if err != nil {
		return nil, err
	}
	return sorted(out, extra), nil
}

// compareFile returns the kind of the change that makes f of a file below dir, or "" if it has
// that content.
func compareFile(dir, path string, f File) (kind string, err error) {
	same, err := ofFile(filepath.Join(dir, path), f.is)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return "missing", nil
	case err != nil:
		return "", err
	case !same:
		return changed, nil
	}
	return "", nil
}

// ofFile returns what same returns of the content of a file.
func ofFile(path string, same func(content io.Reader) (bool, error)) (bool, error) {
	f, err := files.Disk.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return same(f)
}

// sorted adds changes for extra files, and sorts all of them by path.
func sorted(changes []Change, extra []string) []Change {
	for _, path := range extra {
		changes = append(changes, Change{path, "extra"})
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes
}

// extra returns the files below dir that are not expected, and its empty folders. A compile
// writes at most one level of folders: deeper ones, which may contain a whole disk, are
// returned by name and not read.
func extra(dir string, expected func(path string) bool) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == dir && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || path == dir {
			return err
		}
		if d.IsDir() && strings.Contains(rel, string(filepath.Separator)) {
			out = append(out, rel+string(filepath.Separator))
			return fs.SkipDir
		}
		if d.IsDir() {
			if inside, err := os.ReadDir(path); err != nil || len(inside) > 0 {
				return err
			}
			rel += string(filepath.Separator)
		}
		if !expected(rel) {
			out = append(out, rel)
		}
		return nil
	})
	return out, err
}

// KeepOtherHosts adds the compiled folders in dir of hosts that are not in f, so that Write
// leaves them unchanged when only some hosts are compiled.
func (f Contents) KeepOtherHosts(dir string) error {
	dir, err := resolve(dir)
	if err != nil {
		return err
	}
	hosts := map[string]bool{}
	for path := range f {
		hosts[filepath.Dir(path)] = true
	}
	extra, err := extra(dir, f.has)
	if err != nil {
		return err
	}
	compiled := earlier{dir: dir}
	for _, path := range extra {
		if host := filepath.Dir(path); host == "." || hosts[host] || !compiled.has(path) {
			continue
		}
		if f[path], err = files.Read(files.Disk, filepath.Join(dir, path)); err != nil {
			return err
		}
	}
	return nil
}

// earlier are the files in an output folder that earlier compiles wrote.
type earlier struct {
	dir string
	// manifest is that of the folder that was asked about last, nil without a valid one: it is asked about its
	// files one after the other.
	manifest *Manifest
	folder   string
	known    bool
}

// has reports whether an earlier compile wrote a file: it is a manifest, or the manifest in the same folder
// lists it.
func (e *earlier) has(path string) bool {
	if info, err := os.Lstat(filepath.Join(e.dir, path)); err != nil || !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return false
	}
	m, name := e.manifestOf(filepath.Dir(path)), filepath.Base(path)
	return m != nil && (name == ManifestFile || slices.ContainsFunc(m.Files, func(f Input) bool { return f.Name == name }))
}

func (e *earlier) manifestOf(folder string) *Manifest {
	if e.known && e.folder == folder {
		return e.manifest
	}
	e.manifest, e.folder, e.known = nil, folder, true
	if text, err := files.Read(files.Disk, filepath.Join(e.dir, folder, ManifestFile)); err == nil {
		if m, err := ParseManifest(text); err == nil {
			e.manifest = m
		}
	}
	return e.manifest
}
