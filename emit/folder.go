package emit

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Folder is what a compile puts into its output directory: files by their path
// below it, such as "iptables.restore" or "web1/iptables.restore".
type Folder map[string][]byte

// Change is a difference between a folder on disk and what it should hold.
type Change struct {
	Path string
	// Kind is "missing", "changed" or "extra".
	Kind string
}

// Compare returns how the directory dir differs from f, by path.
func (f Folder) Compare(dir string) ([]Change, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	return f.compare(dir)
}

// resolve follows symbolic links, so that the folder they lead to is the one that
// is read and replaced. A folder that is not there yet is as it is named.
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

func (f Folder) compare(dir string) ([]Change, error) {
	var out []Change
	for path, content := range f {
		have, err := os.ReadFile(filepath.Join(dir, path))
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
			out = append(out, Change{path, "missing"})
		case err != nil:
			return nil, err
		case !bytes.Equal(have, content):
			out = append(out, Change{path, "changed"})
		}
	}
	extra, err := f.extra(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range extra {
		out = append(out, Change{path, "extra"})
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// extra lists the files below dir that f does not have, and the folders there
// that hold nothing.
func (f Folder) extra(dir string) ([]string, error) {
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
		if d.IsDir() {
			if inside, err := os.ReadDir(path); err != nil || len(inside) > 0 {
				return err
			}
			rel += string(filepath.Separator)
		}
		if _, ours := f[rel]; !ours {
			out = append(out, rel)
		}
		return nil
	})
	return out, err
}

// KeepOtherHosts adds the compiled folders of hosts that dir has and f has not, so
// that they stay as they are when only some hosts are compiled.
func (f Folder) KeepOtherHosts(dir string) error {
	dir, err := resolve(dir)
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for path := range f {
		ours[filepath.Dir(path)] = true
	}
	extra, err := f.extra(dir)
	if err != nil {
		return err
	}
	for _, path := range extra {
		if host := filepath.Dir(path); host == "." || ours[host] || !isCompiledFile(dir, path) {
			continue
		}
		if f[path], err = os.ReadFile(filepath.Join(dir, path)); err != nil {
			return err
		}
	}
	return nil
}

// Write makes the directory dir hold exactly f, all or nothing: a new directory is
// filled beside it and takes its place in one step, so that neither a full disk
// nor a crash leaves a mixture. Files that stay as they are keep their inode and
// their times. Files of others in dir are an error, and nothing is written; files
// that an earlier compile left there and f does not have go away.
//
// It returns what changed.
func (f Folder) Write(dir string) ([]Change, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if here, err := os.Getwd(); err == nil && here == dir {
		return nil, fmt.Errorf("%s is the current directory: the output folder is replaced as a whole, and a shell in it would be left behind. Name a folder of its own with -o", dir)
	}
	changes, err := f.compare(dir)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if c.Kind == "extra" && !isCompiledFile(dir, c.Path) {
			return nil, fmt.Errorf("%s is not dockerfw's: the output folder is replaced as a whole, so it must hold nothing else. Name a folder of its own with -o", filepath.Join(dir, c.Path))
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	fresh, err := makeBeside(dir)
	if err != nil {
		return nil, err
	}
	// After the exchange this is the old directory.
	defer os.RemoveAll(fresh)
	if err := f.fill(fresh, dir); err != nil {
		return nil, err
	}
	if err := exchange(fresh, dir); err != nil {
		return nil, err
	}
	return changes, syncDir(parent)
}

// makeBeside makes an empty folder beside dir, on the same file system. It is
// hidden, and what a killed run leaves of it disturbs no later one.
func makeBeside(dir string) (string, error) {
	for {
		name := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".new-"+rand.Text())
		// Unlike os.MkdirTemp this leaves it to the umask who may read.
		if err := os.Mkdir(name, 0o777); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

// fill writes f into the directory fresh, linking what old has already. Modes stay
// as they are in old.
func (f Folder) fill(fresh, old string) error {
	// One sync of the file system instead of thousands: a fleet of 1,000 hosts took
	// half a minute for its files alone.
	bulk := len(f) > 64 && canSyncAll
	dirs := map[string]bool{}
	for path, content := range f {
		target, source := filepath.Join(fresh, path), filepath.Join(old, path)
		if dir := filepath.Dir(target); !dirs[dir] {
			if err := os.MkdirAll(dir, 0o777); err != nil {
				return err
			}
			// A new folder's name is in the one above.
			for ; len(dir) >= len(fresh) && !dirs[dir]; dir = filepath.Dir(dir) {
				dirs[dir] = true
			}
		}
		// Linked first and then read: what old holds may change in between, when
		// another compile writes to the same folder.
		if os.Link(source, target) == nil {
			have, err := os.ReadFile(target)
			if info, statErr := os.Lstat(target); statErr == nil && info.Mode().IsRegular() && err == nil && bytes.Equal(have, content) {
				continue
			}
			if err := os.Remove(target); err != nil {
				return err
			}
		}
		if err := writeFile(target, content, !bulk); err != nil {
			return err
		}
		if err := copyMode(source, target); err != nil {
			return err
		}
	}
	for dir := range dirs {
		if err := copyMode(filepath.Join(old, strings.TrimPrefix(dir, fresh)), dir); err != nil {
			return err
		}
		if bulk {
			continue
		}
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	if bulk {
		return syncAll(fresh)
	}
	return nil
}

// copyMode gives to the mode of from, if there is such a file.
func copyMode(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return nil
	}
	return os.Chmod(to, info.Mode()&(fs.ModePerm|fs.ModeSetgid|fs.ModeSticky))
}

// writeFile makes a new file and, if sync, waits until the disk has its content.
func writeFile(path string, content []byte, sync bool) error {
	mode := fs.FileMode(0o644)
	if executable(path) {
		mode = 0o755
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if sync && err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync directories; there the exchange is as safe
	// as they make it.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// exchange puts fresh in the place of dir, and dir in the place of fresh.
func exchange(fresh, dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(fresh, dir)
	}
	err := swapNames(fresh, dir)
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s is a mount point, which cannot be replaced as a whole: name a folder inside it with -o, such as %s", dir, filepath.Join(dir, "compiled"))
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// Without the exchange: two renames, with the old directory kept until the
	// new one stands.
	old := fresh + ".old"
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}

// isCompiledFile reports whether a file is one that an earlier compile wrote: its
// name is one of ours and the manifest beside it lists it.
func isCompiledFile(dir, path string) bool {
	full := filepath.Join(dir, path)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(full), ManifestFile))
	if err != nil {
		return false
	}
	m, err := ParseManifest(text)
	if err != nil {
		return false
	}
	name := filepath.Base(path)
	return name == ManifestFile || slices.ContainsFunc(m.Files, func(f Input) bool { return f.Name == name })
}

// ReplaceFile gives the file at path new content in one step, keeping its mode. A
// symbolic link stays, and what it points at is replaced.
func ReplaceFile(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
