package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dockerfw/dockerfw/parser/files"
)

// PutFile writes a file in one step: a new one with mode 0644 less the umask, or as [ReplaceFile] does.
// The name of the unfinished file begins with a period and does not end as path does.
func PutFile(path string, content []byte) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return ReplaceFile(path, content)
	}
	removeLeftovers(path, nil)
	name, f, err := createBeside(path, func(name string) (*os.File, error) {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	})
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(err, f.Close())
}

// ReplaceFile replaces the content of a file in one step. The file keeps its mode and, if
// root writes, its owner. If path is a symbolic link, its target is replaced.
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
	name, f, err := createBeside(path, func(name string) (*os.File, error) {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	})
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if uid, gid, ok := owner(info); ok && os.Geteuid() == 0 {
		_ = f.Chown(uid, gid) // some file systems have no owners
	}
	if err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync()); err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(err, f.Close())
}
