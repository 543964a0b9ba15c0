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
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// OpenAt opens what stood at a path in a revision of the git repository that holds
// it. Places are shown as REV:PATH. Nothing is written: not to the repository, and
// not to disk.
func OpenAt(rev, path string, opts driver.Options) (*Opened, hcl.Diagnostics, error) {
	if path == LiveName {
		return nil, nil, fmt.Errorf("%q means this host, which has no git revisions: name a path", path)
	}
	// Of several files with commas between, the first one tells the repository.
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
	defer tree.Close()
	if _, err := tree.Stat(path); errors.Is(err, fs.ErrNotExist) && !strings.Contains(path, ",") {
		return nil, nil, fmt.Errorf("%s is not in %s. If it is new, there is nothing to compare it with; if it was renamed, name the folder that holds both, or write the old file to disk (git show %[2]s:OLD_PATH > old.hcl) and name both: dockerfw diff old.hcl %[1]s", path, rev)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s at %s: %s", path, rev, files.Reason(err))
	}
	opts.Tree = tree
	out, diags, err := Open(path, opts)
	if err != nil {
		return nil, diags, fmt.Errorf("at %s: %w", rev, err)
	}
	rename := func(name string) string {
		if tree.Read(name) {
			return rev + ":" + name
		}
		return name
	}
	out.rename(rename)
	renameAll(diags, rename)
	for _, s := range out.States {
		s.Name = rev + ":" + path
	}
	return out, diags, nil
}

// rename changes the names that files are shown by.
func (o *Opened) rename(name func(string) string) {
	sources := make(map[string][]byte, len(o.Sources))
	for file, text := range o.Sources {
		sources[name(file)] = text
	}
	if o.Sources != nil {
		o.Sources = sources
	}
	for _, s := range o.States {
		s.Sources = o.Sources
		for key, origin := range s.Origins {
			origin.Range.Filename = name(origin.Range.Filename)
			s.Origins[key] = origin
		}
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			if s.Rules[f] == nil {
				continue
			}
			for _, t := range s.Rules[f].Tables {
				for _, c := range t.Chains {
					for _, r := range c.Rules {
						r.Range.Filename = name(r.Range.Filename)
					}
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
