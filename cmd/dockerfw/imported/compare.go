package imported

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// compare compiles a policy and compares it with the hand-made rules, over all packets that are
// forwarded. What INPUT protection adds is not part of it; protects reports whether it adds something.
func compare(host *snapshot.Host, name string, text []byte, lists map[string][]byte, families []ir.Family) (report *diff.Report, protects bool, err error) {
	tree := memory{name: text}
	for list, content := range lists {
		tree[path.Join(path.Dir(filepath.ToSlash(name)), list)] = content
	}
	result, diags := driver.Policy(name, driver.Options{Tree: tree})
	if diags.HasErrors() {
		return nil, false, fmt.Errorf("internal error: the policy does not compile: %w", diags)
	}
	fleet, diags := snapshot.OfResult(name, result)
	if diags.HasErrors() {
		return nil, false, fmt.Errorf("internal error: the policy cannot be read: %w", diags)
	}
	after := fleet.Hosts[0]
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if host.Rules[f] == nil || !slices.Contains(families, f) {
			delete(after.Rules, f) // there is nothing to compare it with
		}
	}
	comparedHost := *host
	comparedHost.Rules = map[ir.Family]*iptables.Ruleset{}
	for f, rules := range host.Rules {
		comparedHost.Rules[f] = withoutTables(rules)
	}
	for f, rules := range after.Rules {
		after.Rules[f] = withoutTables(rules)
	}
	if report, err = diff.Compare(&comparedHost, after, diff.Options{Full: true}); err != nil {
		return nil, false, err
	}
	protects = slices.ContainsFunc(report.Changes, func(c diff.Change) bool { return c.Path == diff.ToProxy || len(c.Proxy) > 0 })
	report.Changes = forwarded(report.Changes)
	report.SameReach = forwarded(report.SameReach)
	report.Sets, report.Rules, report.Foreign, report.Notes, report.Facts = nil, nil, nil, nil, nil
	report.Effect = diff.None
	for _, c := range report.Changes {
		report.Effect = joinedEffect(report.Effect, c.Effect)
	}
	return report, protects, nil
}

// tableOptions say where and how long a limit keeps its counts, which no policy sets: two limits are
// compared by their numbers.
var tableOptions = []string{"--hashlimit-name", "--hashlimit-htable-size", "--hashlimit-htable-max", "--hashlimit-htable-expire", "--hashlimit-htable-gcinterval"}

// withoutTables is the filter table with limits that have only their numbers.
func withoutTables(rules *iptables.Ruleset) *iptables.Ruleset {
	out := rules.Clone()
	for _, t := range out.Tables {
		for _, c := range t.Chains {
			for i, r := range c.Rules {
				if !slices.ContainsFunc(r.Matches, func(m iptables.Match) bool { return m.Name == "hashlimit" }) {
					continue
				}
				one := *r
				one.Matches = slices.Clone(r.Matches)
				for k := range one.Matches {
					one.Matches[k].Options = slices.DeleteFunc(slices.Clone(one.Matches[k].Options), func(o iptables.Option) bool { return slices.Contains(tableOptions, o.Name) })
				}
				c.Rules[i] = &one
			}
		}
	}
	return out
}

func joinedEffect(a, b diff.Effect) diff.Effect {
	return diff.Total([]*diff.Report{{Effect: a}, {Effect: b}})
}

// forwarded are the changes for packets that Docker forwards.
func forwarded(changes []diff.Change) []diff.Change {
	var out []diff.Change
	for _, c := range changes {
		if c.Path == diff.Forwarded {
			c.Proxy, c.StillOpen = nil, ""
			out = append(out, c)
		}
	}
	return out
}

// memory is a tree of files that are not written yet, by their paths with slashes.
type memory map[string][]byte

// Stat implements files.Tree.
func (m memory) Stat(name string) (fs.FileInfo, error) {
	text, ok := m[path.Clean(filepath.ToSlash(name))]
	if !ok {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return info{path.Base(name), int64(len(text))}, nil
}

// ReadDir implements files.Tree: a policy is given by the name of its file.
func (m memory) ReadDir(name string) ([]fs.DirEntry, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Open implements files.Tree.
func (m memory) Open(name string) (fs.File, error) {
	i, err := m.Stat(name)
	if err != nil {
		return nil, err
	}
	return file{bytes.NewReader(m[path.Clean(filepath.ToSlash(name))]), i}, nil
}

// OpenRoot implements files.Tree.
func (m memory) OpenRoot(dir string) (files.Root, error) { return root{m, dir}, nil }

type root struct {
	tree memory
	dir  string
}

func (r root) Open(name string) (fs.File, error) { return r.tree.Open(path.Join(r.dir, name)) }
func (r root) Close() error                      { return nil }

type file struct {
	io.Reader
	info fs.FileInfo
}

func (f file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f file) Close() error               { return nil }

type info struct {
	name string
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
