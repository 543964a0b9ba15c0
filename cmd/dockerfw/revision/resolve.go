package revision

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Modes of tree entries; see gitdatamodel(7).
const (
	modeTree      = "40000"
	modeLink      = "120000"
	modeSubmodule = "160000"
)

// entry is a file, directory or link of a tree object.
type entry struct{ mode, name, id string }

func (e entry) fileMode() fs.FileMode {
	switch e.mode {
	case modeTree, modeSubmodule:
		return fs.ModeDir | 0o755
	case modeLink:
		return fs.ModeSymlink | 0o777
	case "100755":
		return 0o755
	}
	return 0o644
}

// parseTree reads a tree object: MODE, a space, the name, NUL and the raw object
// name, as often as there are entries.
func parseTree(text []byte, idLength int) ([]entry, error) {
	var out []entry
	for len(text) > 0 {
		head, rest, ok := bytes.Cut(text, []byte{0})
		mode, name, good := strings.Cut(string(head), " ")
		if !ok || !good || len(rest) < idLength {
			return nil, errors.New("git has a damaged tree object: run git fsck")
		}
		// Names that git refuses to check out lead nowhere.
		if name != "." && name != ".." && name != "" && !strings.Contains(name, "/") {
			out = append(out, entry{mode, name, hex.EncodeToString(rest[:idLength])})
		}
		text = rest[idLength:]
	}
	// git sorts directories as if their names ended in a slash.
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// place is what a path in the revision leads to: the directories from the top down, and the
// last entry.
type place struct {
	dirs []entry
	last entry
}

func (p place) path() string {
	var names []string
	for _, d := range p.dirs[1:] {
		names = append(names, d.name)
	}
	return strings.Join(append(names, p.last.name), "/")
}

// leaves is the error of a path that leads out of the repository, to path on disk.
type leaves struct{ disk string }

func (e *leaves) Error() string {
	return "it is a symbolic link to " + e.disk + ", outside the repository; --allow-outside permits reading that from the disk"
}

// submodule is the error of a path that leads into one.
type submodule struct{ path string }

func (e *submodule) Error() string { return e.path + " is a submodule" }

var (
	errEscapes = errors.New("path escapes from parent") // the words of os.Root
	errLoop    = errors.New("too many levels of symbolic links")
	errNotDir  = errors.New("not a directory")
)

// resolve follows a path with slashes from a directory, symbolic links included. The first
// floor directories cannot be left.
func (t *Tree) resolve(from []entry, name string, floor int) (place, error) {
	dirs := slices.Clone(from)
	pending := strings.Split(name, "/")
	for links := 0; len(pending) > 0; {
		part := pending[0]
		pending = pending[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			switch {
			case len(dirs) > max(floor, 1):
				dirs = dirs[:len(dirs)-1]
			case floor > 0:
				return place{}, errEscapes
			default:
				return place{}, &leaves{filepath.Join(append([]string{t.top, ".."}, pending...)...)}
			}
			continue
		}
		entries, err := t.entries(dirs[len(dirs)-1].id)
		if err != nil {
			return place{}, err
		}
		i := slices.IndexFunc(entries, func(e entry) bool { return e.name == part })
		if i < 0 {
			return place{}, notThere{t.revision}
		}
		switch e := entries[i]; e.mode {
		case modeTree:
			dirs = append(dirs, e)
		case modeSubmodule:
			return place{}, &submodule{place{dirs, e}.path()}
		case modeLink:
			if links++; links > 40 {
				return place{}, errLoop
			}
			text, err := t.objects.get(e.id)
			if err != nil {
				return place{}, err
			}
			target := string(text)
			if path.IsAbs(target) {
				if floor > 0 {
					return place{}, errEscapes
				}
				inside, ok := t.below(target)
				if !ok {
					return place{}, &leaves{filepath.Join(append([]string{target}, pending...)...)}
				}
				dirs, target = dirs[:1], inside
			}
			pending = append(strings.Split(target, "/"), pending...)
		default:
			if len(pending) > 0 {
				return place{}, errNotDir
			}
			return place{dirs, e}, nil
		}
	}
	last := dirs[len(dirs)-1]
	return place{dirs, last}, nil
}

// below returns a path on disk as one with slashes from the repository's top.
func (t *Tree) below(disk string) (string, bool) {
	rel, err := filepath.Rel(t.top, disk)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// entries returns what a directory of the revision has.
func (t *Tree) entries(id string) ([]entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.known[id]; ok {
		return known, nil
	}
	text, err := t.objects.get(id)
	if err != nil {
		return nil, err
	}
	out, err := parseTree(text, len(id)/2)
	if err == nil {
		t.known[id] = out
	}
	return out, err
}

// notThere is the error of a path that does not exist in a revision.
type notThere struct{ revision string }

func (e notThere) Error() string { return "it does not exist in " + e.revision }

func (notThere) Is(target error) bool { return target == fs.ErrNotExist }

// info describes a file of the revision. Other entries have the size 0.
type info struct {
	name string
	mode fs.FileMode
	size int64
}

func (i info) Name() string               { return i.name }
func (i info) Size() int64                { return i.size }
func (i info) Mode() fs.FileMode          { return i.mode }
func (i info) ModTime() time.Time         { return time.Time{} }
func (i info) IsDir() bool                { return i.mode.IsDir() }
func (i info) Sys() any                   { return nil }
func (i info) Type() fs.FileMode          { return i.mode.Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }

// file is a file of the revision, held in memory.
type file struct {
	*bytes.Reader
	info info
}

func (f file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f file) Close() error               { return nil }
