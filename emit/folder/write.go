package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dockerfw/dockerfw/parser/files"
)

// Write replaces the contents of the folder dir with f, all or nothing: it fills a new folder
// beside dir and exchanges the two in one step, so that neither a full disk nor a crash
// leaves a mixture. Unchanged files keep their inode and times. Files of an earlier compile
// that are not in f are removed; any other file in dir is an error, and nothing is written.
//
// Write also removes what killed runs left beside dir. It returns the differences that it
// found.
func (f Contents) Write(dir string) ([]Change, error) {
	return f.WriteContext(context.Background(), dir)
}

// WriteContext is like Write, but stops when the context is done: it then returns the cause
// and has changed nothing.
func (f Contents) WriteContext(ctx context.Context, dir string) ([]Change, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if err := checkCurrentDirectory(dir); err != nil {
		return nil, err
	}
	changes, err := f.compare(dir)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if c.Kind == "extra" && !isCompiledFile(dir, c.Path) {
			return nil, fmt.Errorf("%s was not written by dockerfw: the output folder is replaced as a whole, so it must contain only compiled files. Use a separate folder with -o", filepath.Join(dir, c.Path))
		}
	}
	if _, err := os.Lstat(dir); err == nil {
		removeLeftovers(dir, f.isCompiledName)
	} // Without dir a leftover may be the only copy: keep it until the new folder is in place.
	if len(changes) == 0 {
		return nil, nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	fresh, locked, err := createFolderBeside(dir)
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
	removeLeftovers(dir, f.isCompiledName)
	return changes, syncDir(parent)
}

// checkCurrentDirectory returns an error if dir is or contains the current directory.
func checkCurrentDirectory(dir string) error {
	here, err := os.Getwd()
	if err == nil {
		here, err = filepath.EvalSymlinks(here)
	}
	if err != nil {
		return nil // the current directory no longer exists
	}
	what := "is the current directory"
	if here != dir {
		rel, err := filepath.Rel(dir, here)
		if err != nil || !filepath.IsLocal(rel) {
			return nil
		}
		what = "contains the current directory"
	}
	return fmt.Errorf("%s %s: the output folder is replaced as a whole, and a shell in it would stay in the deleted folder. Use a separate folder with -o", dir, what)
}

// fill writes f into the folder fresh, with hard links to the unchanged files of old. Modes
// and, if root writes, owners are those in old.
func (f Contents) fill(ctx context.Context, fresh, old string) error {
	// One sync of the file system instead of one for each file: for 1,000 hosts the files
	// alone took half a minute.
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
			// The parent, which lists it, must be synced, too.
			for ; len(dir) >= len(fresh) && !dirs[dir]; dir = filepath.Dir(dir) {
				dirs[dir] = true
			}
		}
		// Link first, then read: another compile may replace the files of old in between.
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

// copyAttributes sets the mode of to as that of from, if from exists. If root writes, it also
// sets owner and group, those of folder for a new file: a folder that a user compiled still
// belongs to that user after root compiled it.
func copyAttributes(from, folder, to string) error {
	info, err := os.Stat(from)
	known := err == nil
	if !known {
		if info, err = os.Stat(folder); err != nil {
			return nil
		}
	}
	if uid, gid, ok := owner(info); ok && os.Geteuid() == 0 {
		_ = os.Lchown(to, uid, gid) // some file systems have no owners
	}
	if !known {
		return nil
	}
	return os.Chmod(to, info.Mode()&(fs.ModePerm|fs.ModeSetgid|fs.ModeSticky))
}

// writeFile creates a file and, with sync, waits until its content is on disk.
func writeFile(path string, content []byte, sync bool) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if sync && err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncDir waits until the entries of a folder are on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync folders.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// exchange swaps the folders fresh and dir, or renames fresh if dir does not exist.
func exchange(fresh, dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(fresh, dir)
	}
	err := swapNames(fresh, dir)
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s is a mount point, which cannot be replaced as a whole. Use a folder inside it with -o, such as %s", dir, filepath.Join(dir, "compiled"))
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// The file system cannot exchange: two renames, and the old folder is kept until the
	// second has succeeded.
	old := fresh + ".old"
	if f, err := os.Open(dir); err == nil {
		defer f.Close()
		_ = lock(f) // so that no other run removes it as a leftover
	}
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}
