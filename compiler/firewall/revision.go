package firewall

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/build"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// OpenAt opens what stood at a path in a revision of the git repository that holds
// it. Places are shown as REV:PATH. The work tree and the index stay as they are.
func OpenAt(revision, path string, opts build.Options) (*Opened, hcl.Diagnostics, error) {
	dir, base := path, "."
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		dir, base = filepath.Split(path)
	}
	if dir == "" {
		dir = "."
	}
	if revision == "" || strings.HasPrefix(revision, "-") {
		return nil, nil, fmt.Errorf("%q is not a revision", revision)
	}
	prefix, err := git(dir, nil, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, nil, err
	}
	tree := revision + "^{tree}"
	inside := filepath.FromSlash(strings.TrimSuffix(prefix, "/"))
	if !opts.AllowOutside {
		// A policy reads nothing outside its directory: what is not needed is left out.
		tree, inside = revision+":"+prefix, ""
	}
	temporary, err := os.MkdirTemp("", "dockerfw-base-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(temporary)
	index := []string{"GIT_INDEX_FILE=" + filepath.Join(temporary, "index")}
	files := filepath.Join(temporary, "tree")
	if _, err := git(dir, index, "read-tree", tree); err != nil {
		return nil, nil, err
	}
	top, err := git(dir, nil, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, nil, err
	}
	// From the top: below it, only what lies under the folder would be written.
	if _, err := git(top, index, "checkout-index", "--all", "--prefix="+files+"/"); err != nil {
		return nil, nil, err
	}
	old := filepath.Join(files, inside, base)
	if _, err := os.Stat(old); err != nil {
		return nil, nil, fmt.Errorf("%s is not in %s: name its folder, or the policy it was before", path, revision)
	}
	out, diags, err := Open(old, opts)
	if err != nil {
		return nil, diags, fmt.Errorf("%s at %s: %s", path, revision, strings.ReplaceAll(err.Error(), old, path))
	}
	rename := func(name string) string {
		if rest, ok := strings.CutPrefix(name, filepath.Join(files, inside)+"/"); ok {
			return revision + ":" + filepath.Join(dir, rest)
		}
		return name
	}
	out.rename(rename)
	renameAll(diags, rename)
	for _, s := range out.States {
		s.Name = revision + ":" + path
	}
	return out, diags, nil
}

// git runs a command in a directory and returns the line it prints.
func git(dir string, env []string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		if why := strings.TrimSpace(stderr.String()); why != "" {
			return "", fmt.Errorf("git: %s", why)
		}
		return "", fmt.Errorf("git: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
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
	}
}
