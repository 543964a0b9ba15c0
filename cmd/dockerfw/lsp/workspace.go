package lsp

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/files"
)

// workspace is the disk, with the documents that an editor has open in place of the files.
// All methods may be called at the same time.
type workspace struct {
	mu   sync.Mutex
	open map[string]*document // by path
}

func newWorkspace() *workspace { return &workspace{open: map[string]*document{}} }

func (w *workspace) set(d *document) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[d.path] = d
}

func (w *workspace) close(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, path)
}

// document returns an open document, or the file on the disk; nil if there is none.
func (w *workspace) document(path string) *document {
	if d := w.opened(path); d != nil {
		return d
	}
	text, err := files.Read(files.Disk, path)
	if err != nil {
		return nil
	}
	return newDocument(path, 0, text)
}

func (w *workspace) opened(path string) *document {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[path]
}

// openIn returns the paths of the open documents of a policy.
func (w *workspace) openIn(policy string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for path := range w.open {
		if path == policy || filepath.Dir(path) == policy {
			out = append(out, path)
		}
	}
	return out
}

// The workspace is the tree that policies are compiled from.

func (w *workspace) Stat(path string) (fs.FileInfo, error) {
	if d := w.opened(path); d != nil {
		return d.info(), nil
	}
	return files.Disk.Stat(path)
}

// ReadDir returns what is on the disk: a document that was never saved is in no directory.
func (w *workspace) ReadDir(path string) ([]fs.DirEntry, error) { return files.Disk.ReadDir(path) }

func (w *workspace) Open(path string) (fs.File, error) {
	if d := w.opened(path); d != nil {
		return d.file(), nil
	}
	return files.Disk.Open(path)
}

func (w *workspace) OpenRoot(dir string) (files.Root, error) {
	root, err := files.Disk.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return workspaceRoot{root, w, dir}, nil
}

// workspaceRoot opens documents only by names that the root itself permits.
type workspaceRoot struct {
	files.Root
	workspace *workspace
	dir       string
}

func (r workspaceRoot) Open(name string) (fs.File, error) {
	f, err := r.Root.Open(name)
	if err != nil {
		return nil, err
	}
	if d := r.workspace.opened(filepath.Join(r.dir, name)); d != nil {
		f.Close()
		return d.file(), nil
	}
	return f, nil
}

// A document is a regular file.

func (d *document) info() fs.FileInfo { return documentInfo{d} }

func (d *document) file() fs.File { return documentFile{bytes.NewReader(d.text), d} }

type documentFile struct {
	*bytes.Reader
	document *document
}

func (f documentFile) Stat() (fs.FileInfo, error) { return f.document.info(), nil }
func (documentFile) Close() error                 { return nil }

type documentInfo struct{ document *document }

func (i documentInfo) Name() string     { return filepath.Base(i.document.path) }
func (i documentInfo) Size() int64      { return int64(len(i.document.text)) }
func (documentInfo) Mode() fs.FileMode  { return 0o644 }
func (documentInfo) ModTime() time.Time { return time.Time{} }
func (documentInfo) IsDir() bool        { return false }
func (documentInfo) Sys() any           { return nil }

// policyOf returns the policy that a file belongs to: its directory, as the commands read
// one, or the file alone if the directory contains several policies. It does if two of its
// files have a host block with the same label, or both have one without.
func (w *workspace) policyOf(path string) string {
	dir := filepath.Dir(path)
	var all []*hcl.File
	others := false
	for _, name := range w.policyFiles(dir) {
		if d := w.document(name); d != nil {
			if file := parser.ParseIncomplete(d.text, name); file != nil && !strings.HasSuffix(name, ".json") {
				all = append(all, file)
			}
		}
		others = others || name != path
	}
	if !others || parser.SameHost(all) {
		return path
	}
	return dir
}

// policyFiles returns the paths of the policy files in a directory, in the order in which
// they are read.
func (w *workspace) policyFiles(dir string) []string {
	entries, err := w.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if parser.IsPolicyFile(e.Name()) && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// filesOf returns the paths of the files of a policy.
func (w *workspace) filesOf(policy string) []string {
	if parser.IsPolicyFile(policy) {
		return []string{policy}
	}
	return w.policyFiles(policy)
}

// parsed returns the files of a policy in HCL's own syntax, by path, as far as they can be
// parsed while somebody types.
func (w *workspace) parsed(policy string) map[string]*hcl.File {
	out := map[string]*hcl.File{}
	for _, path := range w.filesOf(policy) {
		if strings.HasSuffix(path, ".json") {
			continue
		}
		if d := w.document(path); d != nil {
			if file := parser.ParseIncomplete(d.text, path); file != nil {
				out[path] = file
			}
		}
	}
	return out
}
