package emit

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// swapNames exchanges two paths in one step; see rename(2), RENAME_EXCHANGE. Some
// file systems (NFS, some overlays) do not have it: errors.ErrUnsupported.
func swapNames(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EXDEV):
		return errors.ErrUnsupported
	}
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}

const canSyncAll = true

// syncAll waits until the disk has all of the file system that dir is on.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
