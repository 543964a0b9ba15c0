// Package files opens the files of a command line or a policy.
//
// In: paths. Out: regular files, from the disk or from another [Tree], such as a revision
// of a git repository. It never blocks and never reads endlessly: a pipe, a device, a
// socket or a directory is an error. It does not interpret the files.
package files

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Tree resolves paths. Paths are those of the operating system, absolute
// or relative to the current directory, and symbolic links are followed.
type Tree interface {
	Stat(path string) (fs.FileInfo, error)
	// ReadDir returns the entries of a directory in lexical order.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Open opens a regular file, and nothing else: see [Irregular].
	Open(path string) (fs.File, error)
	OpenRoot(dir string) (Root, error)
}

// Root is a directory that neither paths nor symbolic links can leave.
type Root interface {
	// Open opens a regular file by its name relative to the directory.
	Open(name string) (fs.File, error)
	Close() error
}

// Irregular is the error about a file that is not a regular one.
type Irregular struct {
	Path string
	Mode fs.FileMode
}

func (e *Irregular) Error() string { return e.Path + " is " + e.what() }

func (e *Irregular) what() string {
	switch {
	case e.Mode.IsDir():
		return "a directory, not a regular file"
	case e.Mode&fs.ModeNamedPipe != 0:
		return "a pipe (FIFO), not a regular file; save the text to a file and use that"
	case e.Mode&fs.ModeSocket != 0:
		return "a socket, not a regular file"
	case e.Mode&fs.ModeDevice != 0:
		return "a device, not a regular file"
	}
	return "not a regular file"
}

// Check returns the error about a file that is not regular.
func Check(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &Irregular{path, info.Mode()}
	}
	return nil
}

// Reason is the text of an error without the path, for messages that contain it already.
func Reason(err error) string {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	if irregular := (*Irregular)(nil); errors.As(err, &irregular) {
		return "it is " + irregular.what()
	}
	return err.Error()
}

// Read returns the bytes of a regular file.
func Read(t Tree, path string) ([]byte, error) {
	f, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Size() < maxPresized {
		b.Grow(int(info.Size()) + bytes.MinRead)
	}
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}

// maxPresized is the size in bytes up to which the size of a file is believed before it has
// been read.
const maxPresized = 1 << 30

// Disk is the file system.
var Disk Tree = disk{}

type disk struct{}

func (disk) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

func (disk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

func (disk) Open(path string) (fs.File, error) {
	return open(path, os.Stat, os.OpenFile)
}

func (disk) OpenRoot(dir string) (Root, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return diskRoot{r}, nil
}

type diskRoot struct{ *os.Root }

func (r diskRoot) Open(name string) (fs.File, error) {
	return open(name, r.Stat, r.OpenFile)
}

// open checks what the file is first, because opening a device may have effects, and again
// when it is open, because it may have been replaced. O_NONBLOCK prevents that opening a
// pipe waits for a writer.
func open(path string, stat func(string) (fs.FileInfo, error), openFile func(string, int, fs.FileMode) (*os.File, error)) (fs.File, error) {
	info, err := stat(path)
	if err == nil {
		err = Check(path, info)
	}
	if err != nil {
		return nil, err
	}
	f, err := openFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = Check(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
