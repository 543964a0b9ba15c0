package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dockerfw/dockerfw/emit/folder"
)

// copyName is the name of a copy of a compiled folder.
var copyName = regexp.MustCompile(`^folder-[0-9a-f]{16}$`)

// IsCopy reports whether a path is that of a copy, which a later load deletes.
func IsCopy(path string) bool { return copyName.MatchString(filepath.Base(path)) }

// Keep makes the files of a compiled folder the last good copy, in one step; then it removes other
// copies. They need a manifest.
func (l *Lock) Keep(contents map[string][]byte) error {
	manifest, ok := contents[folder.ManifestFile]
	if !ok {
		return errors.New("a folder without " + folder.ManifestFile + " cannot be kept")
	}
	name := "folder-" + folder.Digest(manifest)[:16]
	return cannotWrite(l.State, l.keep(name, contents))
}

func (l *Lock) keep(name string, contents map[string][]byte) error {
	dir := filepath.Join(l.State, name)
	if !containsFiles(dir, contents) {
		if err := l.disk.folderPart(dir, contents); err != nil {
			return err
		}
		// A copy with this manifest and other files is damaged: loading it would fail.
		if err := l.disk.remove(dir); err != nil {
			return err
		}
		if err := l.disk.rename(dir+part, dir); err != nil {
			return err
		}
		if err := l.disk.sync(l.State); err != nil {
			return err
		}
	}
	good := filepath.Join(l.State, "good")
	if have, err := read(good); err != nil || strings.TrimSpace(string(have)) != name {
		if err := l.disk.replace(good, []byte(name+"\n")); err != nil {
			return err
		}
	}
	return l.removeCopies(name)
}

// containsFiles reports whether a folder has all these files.
func containsFiles(dir string, contents map[string][]byte) bool {
	for name, content := range contents {
		if have, err := read(filepath.Join(dir, name)); err != nil || have == nil || !bytes.Equal(have, content) {
			return false
		}
	}
	return true
}

// removeCopies removes all copies but one.
func (l *Lock) removeCopies(but string) error {
	entries, err := os.ReadDir(l.State)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if copyName.MatchString(e.Name()) && e.Name() != but {
			err = errors.Join(err, l.disk.remove(filepath.Join(l.State, e.Name())))
		}
	}
	return err
}

// Good returns the files of the last good copy and its path; ok is false if there is none. If it is
// damaged, there is an error, and the path.
func (s *Store) Good() (contents map[string][]byte, path string, ok bool, err error) {
	text, err := read(filepath.Join(s.State, "good"))
	if text == nil || err != nil {
		return nil, "", false, err
	}
	name := strings.TrimSpace(string(text))
	if !copyName.MatchString(name) {
		return nil, "", false, fmt.Errorf("%s is damaged", filepath.Join(s.State, "good"))
	}
	path = filepath.Join(s.State, name)
	contents, _, err = ReadFolder(path, s.owner)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s was removed", path)
	}
	return contents, path, err == nil, err
}
