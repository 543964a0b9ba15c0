package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Change is a change that waits for confirmation.
type Change struct {
	// Folder is the path that it was loaded from, and Digest the SHA-256 of its manifest.
	Folder string `json:"folder"`
	Digest string `json:"digest"`
	// Backend is "nft" or "legacy".
	Backend string `json:"backend"`
	// Token is a random text: the process that waits rolls back this change and no other.
	Token string `json:"token"`
	// Deadline is when it is rolled back, by the clock of the host.
	Deadline time.Time `json:"deadline"`
	// Partial is true until it has been loaded completely.
	Partial bool `json:"-"`
}

// Pending is a change that waits for confirmation, with everything needed to undo or to keep it.
type Pending struct {
	Change
	// Old and New are the versions before and after the change.
	Old, New []byte
	// Files are the compiled folder.
	Files map[string][]byte
}

// Names within the directory of a pending change.
const (
	changeFile    = "change.json"
	oldFile       = "old"
	newFile       = "new"
	partialFile   = "partial"
	pendingFolder = "folder"
)

func (s *Store) pending() string { return filepath.Join(s.Run, "pending") }

// Begin records a change before anything is loaded, in one step. It is partial until
// [Lock.Completed]. A change that is pending already is an error.
func (l *Lock) Begin(p Pending) error {
	if _, err := os.Lstat(l.pending()); err == nil {
		return errors.New("another change waits for confirmation")
	}
	if p.Files[folder.ManifestFile] == nil {
		return errors.New("a folder without " + folder.ManifestFile + " cannot wait for confirmation")
	}
	text, err := formatJSON(p.Change)
	if err != nil {
		return err
	}
	contents := map[string][]byte{changeFile: text, oldFile: p.Old, newFile: p.New, partialFile: nil}
	for name, content := range p.Files {
		contents[pendingFolder+"/"+name] = content
	}
	if err := l.disk.folderPart(l.pending(), contents); err != nil {
		return cannotWrite(l.Run, err)
	}
	if err := l.disk.rename(l.pending()+part, l.pending()); err != nil {
		return cannotWrite(l.Run, errors.Join(err, l.disk.remove(l.pending()+part)))
	}
	return cannotWrite(l.Run, l.disk.sync(l.Run))
}

// Completed records that the pending change was loaded completely.
func (l *Lock) Completed() error {
	return cannotWrite(l.Run, l.disk.remove(filepath.Join(l.pending(), partialFile)))
}

// Extend gives the pending change another deadline.
func (l *Lock) Extend(deadline time.Time) error {
	c, err := l.Waiting()
	if err != nil || c == nil {
		return err
	}
	c.Deadline = deadline
	text, err := formatJSON(c)
	if err != nil {
		return err
	}
	return cannotWrite(l.Run, l.disk.replace(filepath.Join(l.pending(), changeFile), text))
}

// Drop removes the pending change, if there is one, in one step.
func (l *Lock) Drop() error {
	err := l.disk.remove(l.pending() + part)
	if err == nil {
		err = l.disk.rename(l.pending(), l.pending()+part)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = l.disk.remove(l.pending() + part)
	}
	return cannotWrite(l.Run, err)
}

// Waiting returns the change that waits for confirmation without its content, nil if there is none.
// It can be called without the lock.
func (s *Store) Waiting() (*Change, error) {
	c := &Change{}
	found, err := readJSON(filepath.Join(s.pending(), changeFile), c)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, s.withoutChange()
	}
	if _, err := os.Lstat(filepath.Join(s.pending(), partialFile)); err == nil {
		c.Partial = true
	}
	return c, nil
}

// withoutChange returns the error about a directory pending that has no change.json, nil if there is
// no such directory.
func (s *Store) withoutChange() error {
	dir := s.pending()
	if _, err := os.Lstat(filepath.Join(dir, "apply.sh")); err == nil {
		return fmt.Errorf("a change that apply.sh of an earlier version loaded waits for confirmation: run %[1]s/apply.sh --keep or %[1]s/apply.sh --rollback", dir)
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%s has no %s: it is damaged", dir, changeFile)
}

// Pending returns the change that waits for confirmation, nil if there is none. Without the lock it
// may be dropped while it is read, which is an error.
func (s *Store) Pending() (*Pending, error) {
	c, err := s.Waiting()
	if c == nil || err != nil {
		return nil, err
	}
	p := &Pending{Change: *c}
	if p.Old, err = files.Read(files.Disk, filepath.Join(s.pending(), oldFile)); err != nil {
		return nil, err
	}
	if p.New, err = files.Read(files.Disk, filepath.Join(s.pending(), newFile)); err != nil {
		return nil, err
	}
	if p.Files, _, err = ReadFolder(filepath.Join(s.pending(), pendingFolder), s.owner); err != nil {
		return nil, err
	}
	return p, nil
}

func (s *Store) snapshot() string { return filepath.Join(s.Run, "snapshot") }

// SetSnapshot keeps a serialized version that a rollback failed to restore, and returns the path of
// its file. It replaces that of an earlier run.
func (l *Lock) SetSnapshot(version []byte) (string, error) {
	return l.snapshot(), cannotWrite(l.Run, l.disk.replace(l.snapshot(), version))
}

// ClearSnapshot removes what [Lock.SetSnapshot] has kept.
func (l *Lock) ClearSnapshot() error {
	return cannotWrite(l.Run, l.disk.remove(l.snapshot()))
}
