package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dockerfw/dockerfw/parser/files"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	// part ends the names of what is not complete yet.
	part = ".part"
)

// disk makes all changes on disk. Each system call that changes something is announced to before,
// if it is set, and not made if that returns an error: tests fail a run and kill it at each call.
type disk struct {
	before func(call, path string) error
	fast   bool // do not wait for the disk, in tests
	// uncounted: no file system tells how many files it can have, in tests.
	uncounted bool
}

func (d *disk) freeFiles(dir string) uint64 {
	if d.uncounted {
		return 0
	}
	return freeFiles(dir)
}

func (d *disk) announce(call, path string) error {
	if d.before == nil {
		return nil
	}
	if err := d.before(call, path); err != nil {
		return &fs.PathError{Op: call, Path: path, Err: err}
	}
	return nil
}

func (d *disk) mkdir(path string) error {
	if err := d.announce("mkdir", path); err != nil {
		return err
	}
	return os.Mkdir(path, dirMode)
}

func (d *disk) rename(from, to string) error {
	if err := d.announce("rename", from); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// remove removes a file or a folder with its content, if it exists.
func (d *disk) remove(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := d.remove(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := d.announce("remove", path); err != nil {
		return err
	}
	return os.Remove(path)
}

// create writes a new file, on disk when it returns.
func (d *disk) create(path string, content []byte) error {
	if err := d.createUnflushed(path, content); err != nil {
		return err
	}
	return d.sync(path)
}

// createUnflushed writes a new file, which may not be on disk when it returns.
func (d *disk) createUnflushed(path string, content []byte) error {
	f, err := d.createEmpty(path)
	if err != nil {
		return err
	}
	return errors.Join(d.write(f, content), f.Close())
}

func (d *disk) createEmpty(path string) (*os.File, error) {
	if err := d.announce("create", path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
}

func (d *disk) write(f *os.File, content []byte) error {
	if err := d.announce("write", f.Name()); err != nil {
		_, _ = f.Write(content[:len(content)/2]) // as a full disk does
		return err
	}
	_, err := f.Write(content)
	return err
}

func (d *disk) flush(f *os.File) error {
	if err := d.announce("fsync", f.Name()); err != nil || d.fast {
		return err
	}
	return f.Sync()
}

// sync waits until a file, or the entries of a directory, are on disk.
func (d *disk) sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.flush(f)
}

// replace writes a file in one step. A file with this content stays, as on each load of the version in
// force; whoever wrote it may have been killed before it was on disk.
func (d *disk) replace(path string, content []byte) error {
	if have, err := read(path); err == nil && have != nil && bytes.Equal(have, content) {
		return errors.Join(d.sync(path), d.sync(filepath.Dir(path)))
	}
	err := d.remove(path + part)
	if err == nil {
		err = d.create(path+part, content)
	}
	if err == nil {
		err = d.rename(path+part, path)
	}
	if err != nil {
		return errors.Join(err, d.remove(path+part))
	}
	return d.sync(filepath.Dir(path))
}

// folderPart writes a folder with files and subfolders, whose names are slash-separated in the
// keys, as path.part. It is on disk when folderPart returns.
func (d *disk) folderPart(path string, contents map[string][]byte) error {
	if err := d.fill(path+part, contents); err != nil {
		return errors.Join(err, d.remove(path+part))
	}
	return nil
}

func (d *disk) fill(dir string, contents map[string][]byte) error {
	if err := d.remove(dir); err != nil {
		return err
	}
	dirs, written := []string{dir}, []string{}
	if err := d.mkdir(dir); err != nil {
		return err
	}
	for _, name := range sortedNames(contents) {
		target := filepath.Join(dir, filepath.FromSlash(name))
		if sub := filepath.Dir(target); !slices.Contains(dirs, sub) {
			if err := d.mkdir(sub); err != nil {
				return err
			}
			dirs = append(dirs, sub)
		}
		if err := d.createUnflushed(target, contents[name]); err != nil {
			return err
		}
		written = append(written, target)
	}
	// A file system that keeps a journal writes it once for all of them, at the first one.
	for _, path := range append(written, dirs...) {
		if err := d.sync(path); err != nil {
			return err
		}
	}
	return nil
}

// read returns the content of a file of a store, nil if it does not exist.
func read(path string) ([]byte, error) {
	text, err := files.Read(files.Disk, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && text == nil {
		text = []byte{}
	}
	return text, err
}

// WriteError is the error of a directory that cannot be written, because the disk is full or
// mounted read-only, or the directory is not accessible.
type WriteError struct {
	Dir string
	Err error
}

func (e *WriteError) Error() string {
	reason := files.Reason(e.Err)
	if link := (*os.LinkError)(nil); errors.As(e.Err, &link) {
		reason = link.Err.Error()
	}
	return "cannot write to " + e.Dir + ": " + reason
}

func (e *WriteError) Unwrap() error { return e.Err }

// cannotWrite returns a [WriteError], nil if err is nil.
func cannotWrite(dir string, err error) error {
	if err == nil {
		return nil
	}
	return &WriteError{dir, err}
}
