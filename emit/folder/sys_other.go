//go:build !linux

package folder

import (
	"errors"
	"io/fs"
	"os"
)

// swapNames is supported on Linux only.
func swapNames(a, b string) error { return errors.ErrUnsupported }

const canSyncAll = false

func syncAll(string) error { return errors.ErrUnsupported }

func lock(*os.File) error { return errors.ErrUnsupported }

func openNoFollow(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func owner(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
