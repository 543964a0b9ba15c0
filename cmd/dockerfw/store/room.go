package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// roomFiles is more than the number of files that a run writes to a directory: a file system may
// have space for bytes and none for files.
const roomFiles = 32

// Room checks that both directories have space for the files of a run with so many bytes in all, so
// that a full disk is an error before anything is changed. The error is a [*WriteError].
func (l *Lock) Room(bytes int64) error {
	for _, dir := range []string{l.Run, l.State} {
		probe := filepath.Join(dir, "room"+part)
		err := l.disk.remove(probe)
		if err == nil {
			err = l.probe(probe, bytes)
		}
		if err := cannotWrite(dir, errors.Join(err, l.disk.remove(probe))); err != nil {
			return err
		}
	}
	return nil
}

// probe creates a folder with files and space. No more than one file is created where the file system
// tells that it can have enough: ext4 takes milliseconds for them if others have just been removed.
func (l *Lock) probe(dir string, bytes int64) error {
	if err := l.disk.mkdir(dir); err != nil {
		return err
	}
	files := roomFiles
	if l.disk.freeFiles(dir) >= roomFiles {
		files = 0
	}
	for i := range files {
		f, err := l.disk.createEmpty(filepath.Join(dir, fmt.Sprint(i)))
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return err
		}
	}
	f, err := l.disk.createEmpty(filepath.Join(dir, "space"))
	if err != nil {
		return err
	}
	err = allocate(f, bytes)
	if errors.Is(err, errors.ErrUnsupported) {
		err = occupy(f, bytes)
	}
	return errors.Join(err, f.Close())
}

// occupy writes bytes that no file system compresses to nothing, and waits until they are on disk.
func occupy(f *os.File, bytes int64) error {
	block := make([]byte, 1<<16)
	random := uint64(1)
	for bytes > 0 {
		for i := range block {
			random = random*6364136223846793005 + 1442695040888963407
			block[i] = byte(random >> 56)
		}
		n, err := f.Write(block[:min(int64(len(block)), bytes)])
		if err != nil {
			return err
		}
		bytes -= int64(n)
	}
	return f.Sync()
}
