package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser/files"
)

// LiveName is the name of the host that this runs on.
const LiveName = "live"

// Fleet is what a name refers to: one host, or all hosts of a policy or a folder.
type Fleet struct {
	// Name is the name that the user gave.
	Name  string
	Kind  Kind
	Hosts []*Host
	// Sources are the bytes of a policy's files, to print diagnostics with.
	Sources map[string][]byte
	// Note is what a user should know about how it was read, in lines; "" for nothing.
	Note string
}

// Labels lists the labels of the hosts, the first ones of many.
func (f *Fleet) Labels() string {
	var labels []string
	for _, h := range f.Hosts {
		labels = append(labels, h.Label)
	}
	return words.List(labels, shownLabels)
}

// shownLabels is how many labels of a large fleet are listed.
const shownLabels = 10

// Open reads what a name refers to:
//
//   - "live": the host that this runs on;
//   - ssh://[user@]host[:port]: a host that ssh connects to, see [OpenRemote];
//   - a policy: a file *.hcl or *.hcl.json, or a directory with such files;
//   - a compiled folder, of one host or of a fleet: it has a manifest.json;
//   - what a host saved: a file of iptables-save, ip6tables-save or ipset save,
//     several of them with commas between, or a directory of them.
//
// Diagnostics are about the text of the files; an error is any other reason.
func Open(name string, opts driver.Options) (*Fleet, hcl.Diagnostics, error) {
	return OpenFor(nil, name, opts)
}

// OpenFor is Open for a comparison with a compiled host, which may be nil: see LiveOptions.Compiled.
func OpenFor(compiled *Host, name string, opts driver.Options) (*Fleet, hcl.Diagnostics, error) {
	if name == LiveName {
		if _, err := os.Stat(name); err == nil {
			return nil, nil, fmt.Errorf("%q is the name of this host, and a file has that name too: write ./%s for the file", name, name)
		}
		return ReadLive(func() Tools { return LocalTools{} }, LiveOptions{Compiled: []*Host{compiled}})
	}
	if IsRemote(name) {
		return OpenRemote(context.Background(), name)
	}
	if opts.Tree == nil {
		opts.Tree = files.Disk
	}
	kind, err := kindOf(opts.Tree, name)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case Policy:
		side, diags := openPolicy(name, opts)
		out, more, err := side.all()
		return out, append(diags, more...), err
	case Folder:
		side, err := openFolders(opts.Tree, name, opts.Hosts)
		if err != nil {
			return nil, nil, err
		}
		return side.all()
	}
	if _, err := opts.Tree.Stat(name); err == nil {
		return openSaved(opts.Tree, []string{name}, name) // a comma may be part of its name
	}
	return openSaved(opts.Tree, strings.Split(name, ","), name)
}

// kindOf returns what a path is, by names only.
func kindOf(tree files.Tree, name string) (Kind, error) {
	if strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json") {
		return Policy, nil
	}
	info, err := tree.Stat(name)
	switch {
	case err != nil && strings.Contains(name, ",") && errors.Is(err, fs.ErrNotExist):
		return Saved, nil
	case err != nil:
		return 0, err
	case !info.IsDir():
		return Saved, nil
	}
	entries, err := tree.ReadDir(name)
	if err != nil {
		return 0, err
	}
	has := func(match func(entry string) bool) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return match(e.Name()) })
	}
	switch {
	case has(func(entry string) bool { return entry == folder.ManifestFile }):
		return Folder, nil
	case has(func(entry string) bool {
		return strings.HasSuffix(entry, ".hcl") || strings.HasSuffix(entry, ".hcl.json")
	}):
		return Policy, nil
	case has(func(entry string) bool { return isCompiled(tree, filepath.Join(name, entry)) }):
		return Folder, nil
	}
	return Saved, nil
}

// isCompiled reports whether a directory is the compiled folder of one host.
func isCompiled(tree files.Tree, dir string) bool {
	_, err := tree.Stat(filepath.Join(dir, folder.ManifestFile))
	return err == nil
}
