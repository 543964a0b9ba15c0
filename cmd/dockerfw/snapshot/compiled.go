package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// openPolicy compiles a policy. Its hosts are read from the compiled text, like folders.
func openPolicy(name string, opts driver.Options) (*Fleet, hcl.Diagnostics) {
	result, diags := driver.Policy(name, opts)
	fleet := &Fleet{Name: name, Kind: Policy, Sources: result.Sources}
	for _, compiled := range result.Hosts {
		h := newHost(name, Policy)
		h.Sources = result.Sources
		h.External, h.Container = values(compiled.Policy.Host.ExternalInterfaces), values(compiled.Policy.Host.ContainerInterfaces)
		h.Origins = origins(compiled.Ruleset)
		content := map[string][]byte{}
		for _, f := range compiled.Files {
			content[f.Name] = f.Content
		}
		more, err := h.readCompiled(content, func(file string) string { return file })
		diags = append(diags, more...)
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error()})
		}
		fleet.Hosts = append(fleet.Hosts, h)
	}
	return fleet, diags
}

func origins(rs *ir.Ruleset) map[RuleKey]ir.Origin {
	out := map[RuleKey]ir.Origin{}
	for _, p := range rs.Programs {
		for _, c := range p.Chains {
			for _, r := range c.Rules {
				if id, ok := parseComment(r.Comment()); ok {
					out[RuleKey{c.Name, id}] = r.Origin
				}
			}
		}
	}
	return out
}

func values(list []parser.At[string]) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Value)
	}
	return out
}

// openFolders reads a compiled folder, or the folders in it of the hosts of a fleet.
func openFolders(tree files.Tree, name string, hosts []string) (*Fleet, hcl.Diagnostics, error) {
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
	out := &Fleet{Name: name, Kind: Folder}
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
		h := newHost(dir, Folder)
		more, err := h.readCompiled(content, func(file string) string { return filepath.Join(dir, file) })
		diags = append(diags, more...)
		if err != nil {
			return nil, diags, fmt.Errorf("%s: %w", dir, err)
		}
		all = append(all, h.Label)
		if len(hosts) == 0 || slices.Contains(hosts, h.Label) {
			out.Hosts = append(out.Hosts, h)
		}
	}
	for _, host := range hosts {
		if host != "" && slices.Contains(all, host) {
			continue
		}
		if slices.Equal(all, []string{""}) {
			return nil, diags, fmt.Errorf("%s is for a host without a label: omit --host", name)
		}
		return nil, diags, fmt.Errorf("%s has no folder for host %q. %s", name, host, parser.NearestOf(host, all, "It has", "host"))
	}
	return out, diags, nil
}

// readCompiled loads the files of a compiled folder onto a simulated host without rules.
func (h *Host) readCompiled(content map[string][]byte, display func(string) string) (hcl.Diagnostics, error) {
	manifest, err := emit.ParseManifest(content[emit.ManifestFile])
	if err != nil {
		return nil, err
	}
	h.Label = manifest.Host
	for _, set := range manifest.Sets {
		if !set.Managed {
			h.Unmanaged[set.Name] = true
		}
	}
	var diags hcl.Diagnostics
	sets, more := iptables.ParseSets(bytes.NewReader(content[emit.SetsFile]), display(emit.SetsFile))
	diags = append(diags, more...)
	if !more.HasErrors() {
		diags = append(diags, h.Sets.Load(sets)...)
	}
	empty := newHost("", Saved)
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
		h.restore[one.family] = file
		if err := h.readChains(one.family, manifest.Chains, content[one.removal]); err != nil {
			return diags, err
		}
		rules, err := h.rulesLoadedOnto(empty, one.family)
		if err != nil {
			return diags, err
		}
		h.Rules[one.family] = rules
	}
	if len(h.Rules) == 0 && !diags.HasErrors() {
		return diags, errors.New("it has no rules of either family")
	}
	return diags, nil
}

// readChains takes from the manifest how the rules of a family are installed, and which
// chains belong to dockerfw alone. The manifest does not have the chain that
// install = "jump" leads from; the removal file deletes the jump there.
func (h *Host) readChains(f ir.Family, chains []emit.ChainReport, removal []byte) error {
	var names []string
	for _, c := range chains {
		if c.Family != f.String() {
			continue
		}
		names = append(names, c.Name)
		install, ok := installOf(c.Install)
		if !ok {
			return fmt.Errorf("%s: unknown install %q", emit.ManifestFile, c.Install)
		}
		h.Install = install
	}
	if len(names) == 0 {
		return fmt.Errorf("%s lists no chains of %s", emit.ManifestFile, FamilyText(f))
	}
	h.Own[f] = names
	switch h.Install {
	case ir.Replace:
		h.Target = names[0]
	case ir.Insert:
		h.Target, h.Own[f] = names[0], names[1:]
	case ir.Jump:
		h.Target = jumpTarget(removal)
	}
	return nil
}

func installOf(text string) (ir.Install, bool) {
	for _, i := range []ir.Install{ir.Replace, ir.Jump, ir.Insert} {
		if i.String() == text {
			return i, true
		}
	}
	return 0, false
}

// jumpTarget is the chain whose jump to OwnPrefix a removal file deletes.
func jumpTarget(removal []byte) string {
	file, _ := iptables.ParseRules(bytes.NewReader(removal), "")
	for _, b := range file.Blocks {
		for _, c := range b.Commands {
			if c.Op == iptables.Delete && c.Rule != nil && jumpsTo(c.Rule, OwnPrefix) {
				return c.Chain
			}
		}
	}
	return "DOCKER-USER"
}
