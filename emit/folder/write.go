package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Write replaces the contents of the folder dir with f, as [Writer] does. It returns the
// differences that it found.
func (f Contents) Write(dir string) ([]Change, error) {
	return f.WriteContext(context.Background(), dir)
}

// WriteContext is like Write, but stops when the context is done: it then returns the cause
// and has changed nothing.
func (f Contents) WriteContext(ctx context.Context, dir string) ([]Change, error) {
	w, err := NewWriter(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	for _, path := range slices.Sorted(maps.Keys(f)) {
		if err := w.Add(path, f[path]); err != nil {
			return nil, err
		}
	}
	return w.Commit()
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

// writeFile creates a file.
func writeFile(path string, f File) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = f.write(file)
	return errors.Join(err, file.Close())
}

// syncFile waits until the content of a file is on disk.
func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
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
