package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dockerfw/dockerfw/parser/files"
)

// Contents is what a compile puts into its output directory: files by their path
// below it, such as "iptables.restore" or "web1/iptables.restore".
type Contents map[string][]byte

// Change is a difference between a folder on disk and what it should hold.
type Change struct {
	Path string
	// Kind is "missing", "changed" or "extra".
	Kind string
}

// Compare returns how the directory dir differs from f, by path.
func (f Contents) Compare(dir string) ([]Change, error) {
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

func (f Contents) compare(dir string) ([]Change, error) {
	var out []Change
	for path, content := range f {
		have, err := files.Read(files.Disk, filepath.Join(dir, path))
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
// that hold nothing. What is deeper than a compile writes is not looked at: of dir's
// folders' folders the names are enough, and below them may be a whole disk.
func (f Contents) extra(dir string) ([]string, error) {
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
		if _, ours := f[rel]; !ours {
			out = append(out, rel)
		}
		return nil
	})
	return out, err
}

// KeepOtherHosts adds the compiled folders of hosts that dir has and f has not, so
// that they stay as they are when only some hosts are compiled.
func (f Contents) KeepOtherHosts(dir string) error {
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
		if f[path], err = files.Read(files.Disk, filepath.Join(dir, path)); err != nil {
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
// What killed runs left beside dir is removed. It returns what changed.
func (f Contents) Write(dir string) ([]Change, error) {
	return f.WriteContext(context.Background(), dir)
}

// WriteContext is Write that stops when the context is done, with its cause as the
// error, and with nothing changed.
func (f Contents) WriteContext(ctx context.Context, dir string) ([]Change, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if err := notAround(dir); err != nil {
		return nil, err
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
	if _, err := os.Lstat(dir); err == nil {
		removeLeftovers(dir, f.isOurs)
	} // Otherwise one of them may be all there is until the new one is in place.
	if len(changes) == 0 {
		return nil, nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	fresh, locked, err := makeBeside(dir)
	if err != nil {
		return nil, err
	}
	defer locked.Close()
	// After the exchange this is the old directory.
	defer os.RemoveAll(fresh)
	if err := f.fill(ctx, fresh, dir); err != nil {
		return nil, err
	}
	if err := exchange(fresh, dir); err != nil {
		return nil, err
	}
	removeLeftovers(dir, f.isOurs)
	return changes, syncDir(parent)
}

// notAround refuses a folder that the current directory is, or is in.
func notAround(dir string) error {
	here, err := os.Getwd()
	if err == nil {
		here, err = filepath.EvalSymlinks(here)
	}
	if err != nil {
		return nil // there is no current directory that a shell could be in
	}
	what := "is the current directory"
	if here != dir {
		rel, err := filepath.Rel(dir, here)
		if err != nil || !filepath.IsLocal(rel) {
			return nil
		}
		what = "holds the current directory"
	}
	return fmt.Errorf("%s %s: the output folder is replaced as a whole, and a shell in it would be left behind. Name a folder of its own with -o", dir, what)
}

// fill writes f into the directory fresh, linking what old has already. Modes
// and, if root writes, owners stay as they are in old.
func (f Contents) fill(ctx context.Context, fresh, old string) error {
	// One sync of the file system instead of thousands: a fleet of 1,000 hosts took
	// half a minute for its files alone.
	bulk := len(f) > 64 && canSyncAll
	dirs := map[string]bool{}
	for path, content := range f {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
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
			have, err := files.Read(files.Disk, target)
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
		if err := copyAttributes(source, old, target); err != nil {
			return err
		}
	}
	for dir := range dirs {
		if err := copyAttributes(filepath.Join(old, strings.TrimPrefix(dir, fresh)), old, dir); err != nil {
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

// copyAttributes gives to the mode of from, if there is such a file. If root writes,
// it also gives it the owner and group: a folder that a user compiled stays that
// user's when root compiles it once. What is new in a folder gets the folder's.
func copyAttributes(from, folder, to string) error {
	info, err := os.Stat(from)
	known := err == nil
	if !known {
		if info, err = os.Stat(folder); err != nil {
			return nil
		}
	}
	if uid, gid, ok := owner(info); ok && os.Geteuid() == 0 {
		_ = os.Lchown(to, uid, gid) // some file systems know no owners
	}
	if !known {
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
	if f, err := os.Open(dir); err == nil {
		defer f.Close()
		_ = lock(f) // so that no other run takes it for a leftover
	}
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
	if info, err := os.Lstat(full); err != nil || !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return false
	}
	text, err := files.Read(files.Disk, filepath.Join(filepath.Dir(full), ManifestFile))
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

// ReplaceFile gives the file at path new content in one step, keeping its mode, and
// its owner if root writes. A
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
	if err := files.Check(path, info); err != nil {
		return err
	}
	removeLeftovers(path, nil)
	name, f, err := beside(path, func(name string) (*os.File, error) {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	})
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if uid, gid, ok := owner(info); ok && os.Geteuid() == 0 {
		_ = f.Chown(uid, gid) // some file systems know no owners
	}
	if err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync()); err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(err, f.Close())
}
