//go:build !linux

package store

import (
	"errors"
	"io/fs"
	"os"
)

// Rules are loaded on Linux only.
const supported = false

func owner(fs.FileInfo) int { return -1 }

func openNoFollow(string, int, fs.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }

func tryFlock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func unlock(*os.File) error { return errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

func freeFiles(string) uint64 { return 0 }
