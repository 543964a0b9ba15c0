package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/revision"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// OpenSideAt is OpenSide for what a path was at a revision of its git repository. Positions have the
// form REV:PATH. Nothing is written, neither to the repository nor to disk.
func OpenSideAt(rev, path string, opts driver.Options) (_ *Side, _ hcl.Diagnostics, err error) {
	if path == LiveName {
		return nil, nil, fmt.Errorf("%q is this host, which has no git revisions: give a path", path)
	}
	if IsRemote(path) {
		return nil, nil, fmt.Errorf("%q is a host, which has no git revisions: give a path", path)
	}
	// Of several files, separated by commas, the first one determines the repository.
	dir, _, _ := strings.Cut(path, ",")
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		dir = path
	} else {
		dir = filepath.Dir(dir)
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, nil, err
	}
	tree, err := revision.Open(rev, dir, opts.AllowOutside)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			tree.Close()
		}
	}()
	if _, err := tree.Stat(path); errors.Is(err, fs.ErrNotExist) && !strings.Contains(path, ",") {
		return nil, nil, fmt.Errorf("%s does not exist in %s. If it is new, there is nothing to compare it with. If it was renamed, give the folder that has both, or write the old file to disk (git show %[2]s:OLD_PATH > old.hcl) and run: dockerfw diff old.hcl %[1]s", path, rev)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s at %s: %s", path, rev, files.Reason(err))
	}
	opts.Tree = tree
	out, diags, err := OpenSide(path, opts)
	if err != nil {
		return nil, diags, fmt.Errorf("at %s: %w", rev, err)
	}
	rename := func(name string) string {
		if tree.Read(name) {
			return rev + ":" + name
		}
		return name
	}
	renameAll(diags, rename)
	return out.at(rev, path, rename, tree.Close), diags, nil
}

// at returns the side with other names of files in positions. Closing it closes the tree as well.
func (s *Side) at(rev, path string, rename func(string) string, closeTree func()) *Side {
	out := &Side{Name: s.Name, Kind: s.Kind, Labels: s.Labels, Note: s.Note}
	if s.Sources != nil {
		out.Sources = map[string][]byte{}
	}
	for file, text := range s.Sources {
		out.Sources[rename(file)] = text
	}
	out.open = func(i int) (Unread, error) {
		unread, err := s.open(i)
		if err != nil {
			return unread, fmt.Errorf("at %s: %w", rev, err)
		}
		declared := unread.Declared
		declared.Filename = rename(declared.Filename)
		return Unread{unread.Key, declared, func() (*Host, hcl.Diagnostics, error) {
			h, diags, err := unread.Read()
			renameAll(diags, rename)
			if err != nil {
				return nil, diags, fmt.Errorf("at %s: %w", rev, err)
			}
			if h != nil {
				h.rename(rename)
				h.Name, h.Sources = rev+":"+path, out.Sources
			}
			return h, diags, nil
		}, unread.unproved}, nil
	}
	out.close = func() {
		s.Close()
		closeTree()
	}
	return out
}

// rename changes the names of files in positions.
func (h *Host) rename(name func(string) string) {
	for key, origin := range h.Origins {
		origin.Range.Filename = name(origin.Range.Filename)
		h.Origins[key] = origin
	}
	for _, rules := range h.Rules {
		if rules == nil {
			continue
		}
		for _, t := range rules.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					r.Range.Filename = name(r.Range.Filename)
				}
			}
		}
	}
}

func renameAll(diags hcl.Diagnostics, name func(string) string) {
	for _, d := range diags {
		for _, rng := range []*hcl.Range{d.Subject, d.Context} {
			if rng != nil {
				rng.Filename = name(rng.Filename)
			}
		}
		related := diag.InfoOf(d).Related
		for i := range related {
			related[i].Range.Filename = name(related[i].Range.Filename)
		}
	}
}
