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
	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	emitted "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/emit/nftables"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// OfResult returns the hosts of a policy that was compiled. They are read from the compiled text, like
// folders.
func OfResult(name string, result *driver.Result) (*Fleet, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	fleet := &Fleet{Name: name, Kind: Policy, Sources: result.Sources}
	for _, compiled := range result.Hosts {
		h, more := ofCompiled(name, compiled, result.Sources, nil)
		diags = append(diags, more...)
		fleet.Hosts = append(fleet.Hosts, h)
	}
	return fleet, diags
}

// ofCompiled returns a host of the policy name. lines may be nil.
func ofCompiled(name string, compiled driver.Host, sources map[string][]byte, lines *driver.Lines) (*Host, hcl.Diagnostics) {
	h := newHost(name, Policy)
	h.Sources = sources
	if compiled.NFT != nil {
		h.Origins = originsOfTable(compiled.NFT)
	} else {
		h.Origins = origins(compiled.Tables)
	}
	for key, o := range h.Origins {
		o.Range = compiled.Place(o)
		h.Origins[key] = o
	}
	h.Implicit = implicit(h.Origins, compiled.Declared())
	content := map[string][]byte{}
	for _, f := range compiled.Files {
		content[f.Name] = f.Content
	}
	diags, err := h.readCompiled(content, func(file string) string { return file }, lines)
	if err != nil {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error()})
	}
	return h, diags
}

func origins(t *emitted.Tables) map[RuleKey]ir.Origin {
	if t == nil {
		return map[RuleKey]ir.Origin{} // of a host with target nftables
	}
	size := 0
	merged := map[string][]ir.Origin{}
	for _, s := range t.Sets {
		merged[s.Name] = s.Rules
		size += len(s.Rules)
	}
	for _, p := range t.Programs {
		for _, c := range p.Chains {
			size += len(c.Rules)
		}
	}
	out := make(map[RuleKey]ir.Origin, size)
	for _, p := range t.Programs {
		for _, c := range p.Chains {
			for _, r := range c.Rules {
				out[RuleKey{c.Name, r.ID}] = r.Origin
				if !r.ID.Merged() {
					continue
				}
				for _, m := range r.Matches {
					if m, isSet := m.(emitted.SetMatch); isSet {
						for _, o := range merged[m.Set] {
							out[RuleKey{c.Name, ir.RuleID{Phase: r.ID.Phase, Name: o.Name}}] = o
						}
					}
				}
			}
		}
	}
	return out
}

func originsOfTable(t *nftables.Tables) map[RuleKey]ir.Origin {
	out := map[RuleKey]ir.Origin{}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			out[RuleKey{c.Name, r.ID}] = r.Origin
		}
	}
	return out
}

// implicit are the rules of default and established that are compiled without such a block:
// the parser gives them the position of the host block.
func implicit(origins map[RuleKey]ir.Origin, host hcl.Range) map[RuleKey]bool {
	out := map[RuleKey]bool{}
	for key, o := range origins {
		if (o.Block == "default" || o.Block == "established") && o.Range == host {
			out[key] = true
		}
	}
	return out
}

// OpenFiles returns the host of a compiled folder whose files have been read: their contents by
// name. path is the folder, for messages.
func OpenFiles(path string, contents map[string][]byte) (*Host, hcl.Diagnostics, error) {
	h := newHost(path, Folder)
	diags, err := h.readCompiled(contents, func(file string) string { return filepath.Join(path, file) }, nil)
	return h, diags, err
}

// openFolders finds a compiled folder, or the folders in it of the hosts of a fleet.
func openFolders(tree files.Tree, name string, hosts []string) (*Side, error) {
	dirs := []string{name}
	if !isCompiled(tree, name) {
		entries, err := tree.ReadDir(name)
		if err != nil {
			return nil, err
		}
		dirs = nil
		for _, e := range entries {
			if dir := filepath.Join(name, e.Name()); isCompiled(tree, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	out := &Side{Name: name, Kind: Folder}
	var all, chosen []string
	for _, dir := range dirs {
		text, err := files.Read(tree, filepath.Join(dir, folder.ManifestFile))
		if err != nil {
			return nil, err
		}
		manifest, err := folder.ParseManifest(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		all = append(all, manifest.Host)
		if len(hosts) == 0 || slices.Contains(hosts, manifest.Host) {
			out.Labels, chosen = append(out.Labels, manifest.Host), append(chosen, dir)
		}
	}
	for _, host := range hosts {
		if host != "" && slices.Contains(all, host) {
			continue
		}
		if slices.Equal(all, []string{""}) {
			return nil, fmt.Errorf("%s is for a host without a label: omit --host", name)
		}
		return nil, fmt.Errorf("%s has no folder for host %q. %s", name, host, suggest.FromList(host, all, "It has", "host"))
	}
	out.open = func(i int) (Unread, error) {
		return Unread{Read: func() (*Host, hcl.Diagnostics, error) { return openFolder(tree, chosen[i]) }}, nil
	}
	return out, nil
}

// openFolder reads the compiled folder of one host.
func openFolder(tree files.Tree, dir string) (*Host, hcl.Diagnostics, error) {
	content := map[string][]byte{}
	for _, f := range []string{folder.ManifestFile, folder.SetsFile, folder.RulesFile4, folder.RulesFile6, folder.RulesRemoval4, folder.RulesRemoval6, folder.NFTFile} {
		text, err := files.Read(tree, filepath.Join(dir, f))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if err == nil {
			content[f] = text
		}
	}
	h := newHost(dir, Folder)
	diags, err := h.readCompiled(content, func(file string) string { return filepath.Join(dir, file) }, nil)
	if err != nil {
		return nil, diags, fmt.Errorf("%s: %w", dir, err)
	}
	return h, diags, nil
}

// readCompiled loads the files of a compiled folder onto a simulated host without rules. known may be nil.
func (h *Host) readCompiled(content map[string][]byte, display func(string) string, known *driver.Lines) (hcl.Diagnostics, error) {
	manifest, err := folder.ParseManifest(content[folder.ManifestFile])
	if err != nil {
		return nil, err
	}
	h.Label, h.External, h.Container, h.Internal = manifest.Host, manifest.External, manifest.Container, manifest.Internal
	for _, set := range manifest.Sets {
		if !set.Managed {
			h.Unmanaged[set.Name] = true
		}
	}
	switch manifest.Target {
	case "":
	case ir.TargetNFTables.String():
		return h.readCompiledTable(manifest, content, display)
	default:
		return nil, fmt.Errorf("%s: unknown target %q; this version of dockerfw knows iptables and nftables", folder.ManifestFile, manifest.Target)
	}
	var diags hcl.Diagnostics
	sets, more := iptables.ParseSets(bytes.NewReader(content[folder.SetsFile]), display(folder.SetsFile))
	diags = append(diags, more...)
	if !more.HasErrors() {
		diags = append(diags, h.Sets.Load(sets)...)
	}
	empty := newHost("", Saved)
	for _, one := range []struct {
		family        ir.Family
		load, removal string
	}{{ir.IPv4, folder.RulesFile4, folder.RulesRemoval4}, {ir.IPv6, folder.RulesFile6, folder.RulesRemoval6}} {
		text, ok := content[one.load]
		if !ok {
			continue
		}
		file, more := known.ParseRules(bytes.NewReader(text), display(one.load))
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		h.restore[one.family] = file
		if err := h.readChains(one.family, manifest.Chains, content[one.removal]); err != nil {
			return diags, err
		}
		rules, _, err := h.rulesLoadedOnto(empty, one.family)
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
// chains of the filter table belong to dockerfw alone. The manifest does not have the chain that
// install = "jump" leads from; the removal file deletes the jump there.
func (h *Host) readChains(f ir.Family, chains []folder.ChainReport, removal []byte) error {
	var names []string
	for _, c := range chains {
		if c.Family != f.String() || c.Table != "" {
			continue
		}
		names = append(names, c.Name)
		install, ok := installOf(c.Install)
		if !ok {
			return fmt.Errorf("%s: unknown install %q", folder.ManifestFile, c.Install)
		}
		h.Install = install
	}
	if len(names) == 0 {
		return fmt.Errorf("%s lists no chains of %s", folder.ManifestFile, words.Family(f))
	}
	h.Own[f] = names
	switch h.Install {
	case ir.InstallReplace:
		h.Target = names[0]
	case ir.InstallInsert:
		h.Target, h.Own[f] = names[0], names[1:]
	case ir.InstallJump:
		h.Target = jumpTarget(removal)
	}
	return nil
}

func installOf(text string) (ir.Install, bool) {
	for _, i := range []ir.Install{ir.InstallReplace, ir.InstallJump, ir.InstallInsert} {
		if i.String() == text {
			return i, true
		}
	}
	return 0, false
}

// jumpTarget is the chain of the filter table whose jump to identity.OwnPrefix a removal file
// deletes.
func jumpTarget(removal []byte) string {
	file, _ := iptables.ParseRules(bytes.NewReader(removal), "")
	for _, b := range file.Blocks {
		if b.Table != "filter" {
			continue
		}
		for _, c := range b.Commands {
			if c.Op == iptables.Delete && c.Rule != nil && identity.JumpsTo(c.Rule, identity.OwnPrefix) {
				return c.Chain
			}
		}
	}
	return "DOCKER-USER"
}
