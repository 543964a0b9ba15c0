package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Lock is a store that this process has locked: no other dockerfw, and no apply.sh of an earlier
// version, changes it or loads rules meanwhile.
type Lock struct {
	*Store
	file *os.File
}

// lockInterval is the time between attempts to get the lock.
const lockInterval = 100 * time.Millisecond

// HeldError is the error of a lock that another process has held for the time Waited.
type HeldError struct {
	Path   string
	Waited time.Duration
}

func (e *HeldError) Error() string {
	switch e.Waited {
	case 0:
		return "another dockerfw has the lock " + e.Path
	case time.Minute:
		return "another dockerfw has held the lock " + e.Path + " for a minute"
	}
	return fmt.Sprintf("another dockerfw has held the lock %s for %s", e.Path, e.Waited)
}

// noticeable is after which time a person wonders what a run waits for.
const noticeable = time.Second

// Lock waits at most the given time for the lock, without limit if it is negative. After a second it
// calls waiting once, unless that is nil. Then it removes
// what killed runs have left. The error is a [*HeldError] if another process has the lock.
// Processes that this one starts do not inherit it, unless they are given its File.
func (s *Store) Lock(wait time.Duration, waiting func()) (*Lock, error) {
	path := filepath.Join(s.Run, "lock")
	for begin := time.Now(); ; time.Sleep(lockInterval) {
		f, err := s.tryLock(path)
		if err != nil {
			return nil, err
		}
		if f != nil {
			l := &Lock{s, f}
			if err := l.removeLeftovers(); err != nil {
				l.Unlock()
				return nil, err
			}
			return l, nil
		}
		waited := time.Since(begin)
		if wait >= 0 && waited >= wait {
			return nil, &HeldError{path, wait}
		}
		if waited >= noticeable && waiting != nil {
			waiting()
			waiting = nil
		}
	}
}

// tryLock returns the locked file, nil if another process has the lock or the file was replaced
// meanwhile: its lock would exclude nobody.
func (s *Store) tryLock(path string) (*os.File, error) {
	// Somebody may have removed the directory since it was opened.
	if err := s.ensure(s.Run); err != nil {
		return nil, err
	}
	f, err := openNoFollow(path, os.O_RDWR|os.O_CREATE, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, cannotWrite(s.Run, err)
	}
	locked, err := tryFlock(f)
	if locked && isAt(f, path) {
		return f, nil
	}
	f.Close()
	return nil, err
}

// isAt reports whether an open file is the one at path.
func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, now)
}

// Unlock ends the lock; l must not be used any more. The file stays: removing it would let two
// processes have the lock.
func (l *Lock) Unlock() error { return errors.Join(unlock(l.file), l.file.Close()) }

// File is the open file of the lock. A process that inherits it keeps the lock if this one is
// killed.
func (l *Lock) File() *os.File { return l.file }

// removeLeftovers removes what runs that were killed have not completed.
func (l *Lock) removeLeftovers() error {
	for _, dir := range []string{l.Run, l.State} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			// apply.sh of earlier versions: its work files and its test of free space.
			if strings.HasSuffix(name, part) || strings.HasPrefix(name, "work.") || name == "probe" {
				if err := l.disk.remove(filepath.Join(dir, name)); err != nil {
					return cannotWrite(dir, err)
				}
			}
		}
	}
	return nil
}
