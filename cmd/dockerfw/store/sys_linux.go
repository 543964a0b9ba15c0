package store

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// owner returns the user that a file belongs to.
func owner(info fs.FileInfo) int {
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// openNoFollow opens a file, and fails on a symbolic link. It does not wait for the other end of a
// pipe.
func openNoFollow(path string, flags int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, mode)
}

// tryFlock locks an open file until it is closed, and reports whether it could; see flock(2).
func tryFlock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	return true, nil
}

// unlock ends the lock of an open file, also if other processes have it open.
func unlock(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	return nil
}

// allocate reserves space for a file on its disk. It returns errors.ErrUnsupported for a file system
// that cannot, such as NFS.
func allocate(f *os.File, bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, bytes)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return errors.ErrUnsupported
		default:
			return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}

// freeFiles is how many more files the file system of a directory can have; 0 if it does not tell, as
// btrfs, which has no limit, and some network file systems.
func freeFiles(dir string) uint64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil || s.Ffree > s.Files {
		return 0
	}
	return s.Ffree
}
