package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// LiveName is what stands for the host this runs on.
const LiveName = "live"

// Opened is what a name stands for: the states of one host or of a fleet.
type Opened struct {
	// Name is the name it was opened by.
	Name   string
	Kind   Kind
	States []*State
	// Sources hold the bytes of a policy's files, to print diagnostics with.
	Sources map[string][]byte
	// Note is what a user should know of how it was read, a line each; "" for nothing.
	Note string
}

// Open reads what name stands for:
//
//   - "live": the host this runs on;
//   - a policy: a file *.hcl or *.hcl.json, or a directory with such files;
//   - a compiled folder, of one host or of a fleet: it has a manifest.json;
//   - what a host saved: a file of iptables-save, ip6tables-save or ipset save,
//     several of them with commas between, or a directory of them.
//
// Diagnostics are about what the files say; an error says that there is no answer
// for other reasons.
func Open(name string, opts driver.Options) (*Opened, hcl.Diagnostics, error) {
	if name == LiveName {
		if _, err := os.Stat(name); err == nil {
			return nil, nil, fmt.Errorf("%q means this host, and there is a file of that name: write ./%s for the file", name, name)
		}
		return live()
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
		out, diags := openPolicy(name, opts)
		return out, diags, nil
	case Folder:
		return openFolders(opts.Tree, name, opts.Hosts)
	}
	if _, err := opts.Tree.Stat(name); err == nil {
		return openDump(opts.Tree, []string{name}, name) // a comma may be part of its name
	}
	return openDump(opts.Tree, strings.Split(name, ","), name)
}

// kindOf tells by names alone what a path is.
func kindOf(tree files.Tree, name string) (Kind, error) {
	if strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json") {
		return Policy, nil
	}
	info, err := tree.Stat(name)
	switch {
	case err != nil && strings.Contains(name, ",") && errors.Is(err, fs.ErrNotExist):
		return Dump, nil
	case err != nil:
		return 0, err
	case !info.IsDir():
		return Dump, nil
	}
	entries, err := tree.ReadDir(name)
	if err != nil {
		return 0, err
	}
	has := func(match func(entry string) bool) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return match(e.Name()) })
	}
	switch {
	case has(func(entry string) bool { return entry == emit.ManifestFile }):
		return Folder, nil
	case has(func(entry string) bool {
		return strings.HasSuffix(entry, ".hcl") || strings.HasSuffix(entry, ".hcl.json")
	}):
		return Policy, nil
	case has(func(entry string) bool { return isCompiled(tree, filepath.Join(name, entry)) }):
		return Folder, nil
	}
	return Dump, nil
}

// isCompiled reports whether a directory is the compiled folder of one host.
func isCompiled(tree files.Tree, dir string) bool {
	_, err := tree.Stat(filepath.Join(dir, emit.ManifestFile))
	return err == nil
}

func openPolicy(name string, opts driver.Options) (*Opened, hcl.Diagnostics) {
	result, diags := driver.Policy(name, opts)
	out := &Opened{Name: name, Kind: Policy, Sources: result.Sources}
	for _, h := range result.Hosts {
		s := newState(name, Policy)
		s.Host, s.Sources = h.Ruleset.Host, result.Sources
		s.External, s.Container = values(h.Policy.Host.ExternalInterfaces), values(h.Policy.Host.ContainerInterfaces)
		s.Origins = map[RuleName]ir.Origin{}
		for _, p := range h.Ruleset.Programs {
			for _, c := range p.Chains {
				for _, r := range c.Rules {
					s.Origins[RuleName{c.Name, r.Comment()}] = r.Origin
				}
			}
		}
		content := map[string][]byte{}
		for _, f := range h.Files {
			content[f.Name] = f.Content
		}
		more, err := s.compiled(content, func(file string) string { return file })
		diags = append(diags, more...)
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error()})
		}
		out.States = append(out.States, s)
	}
	return out, diags
}

func values(list []parser.At[string]) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Value)
	}
	return out
}

// openFolders reads a compiled folder, or the folders of a fleet's hosts in it.
func openFolders(tree files.Tree, name string, hosts []string) (*Opened, hcl.Diagnostics, error) {
	dirs := []string{name}
	if !isCompiled(tree, name) {
		entries, err := tree.ReadDir(name)
		if err != nil {
			return nil, nil, err
		}
		dirs = nil
		for _, e := range entries {
			if dir := filepath.Join(name, e.Name()); isCompiled(tree, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	out := &Opened{Name: name, Kind: Folder}
	var diags hcl.Diagnostics
	var all []string
	for _, dir := range dirs {
		content := map[string][]byte{}
		for _, f := range []string{emit.ManifestFile, emit.SetsFile, emit.RulesFile4, emit.RulesFile6, emit.RulesRemoval4, emit.RulesRemoval6} {
			text, err := files.Read(tree, filepath.Join(dir, f))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, nil, err
			}
			if err == nil {
				content[f] = text
			}
		}
		s := newState(dir, Folder)
		more, err := s.compiled(content, func(file string) string { return filepath.Join(dir, file) })
		diags = append(diags, more...)
		if err != nil {
			return nil, diags, fmt.Errorf("%s: %w", dir, err)
		}
		all = append(all, s.Host)
		if len(hosts) == 0 || slices.Contains(hosts, s.Host) {
			out.States = append(out.States, s)
		}
	}
	for _, host := range hosts {
		if host != "" && slices.Contains(all, host) {
			continue
		}
		if slices.Equal(all, []string{""}) {
			return nil, diags, fmt.Errorf("%s is of a host without a label: leave --host out", name)
		}
		return nil, diags, fmt.Errorf("%s has no folder of host %q. %s", name, host, parser.NearestOf(host, all, "It has", "host"))
	}
	return out, diags, nil
}

func newState(name string, kind Kind) *State {
	return &State{
		Name: name, Kind: kind,
		Rules: map[ir.Family]*iptables.Ruleset{}, Sets: &iptables.Sets{},
		Own: map[ir.Family][]string{}, Unmanaged: map[string]bool{},
		rules: map[ir.Family]*iptables.RulesFile{},
	}
}

// compiled loads the files of a compiled folder into an imagined host that has
// nothing else.
func (s *State) compiled(content map[string][]byte, display func(string) string) (hcl.Diagnostics, error) {
	manifest, err := emit.ParseManifest(content[emit.ManifestFile])
	if err != nil {
		return nil, err
	}
	s.Host = manifest.Host
	for _, set := range manifest.Sets {
		if !set.Managed {
			s.Unmanaged[set.Name] = true
		}
	}
	var diags hcl.Diagnostics
	sets, more := iptables.ParseSets(bytes.NewReader(content[emit.SetsFile]), display(emit.SetsFile))
	diags = append(diags, more...)
	if !more.HasErrors() {
		diags = append(diags, s.Sets.Load(sets)...)
	}
	empty := newState("", Dump)
	for _, one := range []struct {
		family        ir.Family
		load, removal string
	}{{ir.IPv4, emit.RulesFile4, emit.RulesRemoval4}, {ir.IPv6, emit.RulesFile6, emit.RulesRemoval6}} {
		text, ok := content[one.load]
		if !ok {
			continue
		}
		file, more := iptables.ParseRules(bytes.NewReader(text), display(one.load))
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		s.rules[one.family] = file
		s.whereTo(one.family, file, content[one.removal])
		rules, err := s.applyRules(empty, one.family)
		if err != nil {
			return diags, err
		}
		s.Rules[one.family] = rules
	}
	if len(s.Rules) == 0 && !diags.HasErrors() {
		return diags, errors.New("it holds no rules of either family")
	}
	return diags, nil
}

// whereTo finds out how and into which chain the rules of a family go: the chains
// a file declares are ours, and what a jump leads from stands in the removal file.
func (s *State) whereTo(f ir.Family, file *iptables.RulesFile, removal []byte) {
	for _, b := range file.Blocks {
		for _, c := range b.Commands {
			switch {
			case c.Op == iptables.Declare && !slices.Contains(s.Own[f], c.Chain):
				s.Own[f] = append(s.Own[f], c.Chain)
			case c.Op == iptables.Insert:
				s.Install, s.Target = ir.Insert, c.Chain
			}
		}
	}
	if s.Install == ir.Insert {
		return
	}
	for _, own := range s.Own[f] {
		if !ownChain(own) {
			s.Install, s.Target = ir.Replace, own
			return
		}
	}
	s.Install, s.Target = ir.Jump, "DOCKER-USER"
	back, _ := iptables.ParseRules(bytes.NewReader(removal), "")
	for _, b := range back.Blocks {
		for _, c := range b.Commands {
			if c.Op == iptables.Delete && c.Rule != nil && jumpsTo(c.Rule, OwnPrefix) {
				s.Target = c.Chain
			}
		}
	}
}
