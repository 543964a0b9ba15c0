package parser

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/dockerfw/dockerfw/parser/files"
)

// Dir is the directory of a policy. Paths in policies are relative to it and, unless
// allowOutside is set, must stay inside it, symbolic links included.
type Dir struct {
	path         string
	tree         files.Tree
	root         files.Root
	allowOutside bool

	mu      sync.Mutex
	digests map[string]string
}

// Open opens a file that a policy refers to. Its digest is that of what is read until it
// is closed.
func (d *Dir) Open(name string) (fs.File, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	return &digestedFile{File: f, dir: d, name: filepath.ToSlash(filepath.Clean(name)), sum: sha256.New()}, nil
}

func (d *Dir) open(name string) (fs.File, error) {
	if d.allowOutside {
		if !filepath.IsAbs(name) {
			name = filepath.Join(d.path, name)
		}
		return d.tree.Open(name)
	}
	if filepath.IsAbs(name) || !filepath.IsLocal(name) {
		return nil, errOutside
	}
	f, err := d.root.Open(name)
	if err != nil && files.Reason(err) == escapes {
		return nil, errLinkOutside // the name alone does not leave it
	}
	return f, err
}

var (
	errOutside     = errors.New("the path leaves the policy's directory; --allow-outside permits that")
	errLinkOutside = errors.New("the symbolic link leaves the policy's directory; --allow-outside permits that")
)

// escapes is the text of an error of os.Root that package os does not export.
const escapes = "path escapes from parent"

type digestedFile struct {
	fs.File
	dir  *Dir
	name string
	sum  hash.Hash
}

func (f *digestedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.sum.Write(p[:n])
	return n, err
}

func (f *digestedFile) Close() error {
	f.dir.mu.Lock()
	f.dir.digests[f.name] = hex.EncodeToString(f.sum.Sum(nil))
	f.dir.mu.Unlock()
	return f.File.Close()
}

// Display is the name of a file of the policy in diagnostics: its path from the current
// directory.
func (d *Dir) Display(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.path, name)
}
