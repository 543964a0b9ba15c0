package snapshot

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
	"github.com/dockerfw/dockerfw/parser/saved"
)

// openSaved reads the saved rules and sets of a host. The content of a file determines what
// it is, not its name.
func openSaved(tree files.Tree, paths []string, name string) (*Fleet, hcl.Diagnostics, error) {
	r := savedReader{host: newHost(name, Saved), from: map[saved.Content]string{}}
	if len(paths) == 1 {
		if info, err := tree.Stat(paths[0]); err == nil && info.IsDir() {
			r.folder = true
			if paths, err = filesIn(tree, paths[0]); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, path := range paths {
		text, err := files.Read(tree, path)
		if err != nil {
			return nil, nil, err
		}
		if err := r.read(path, text); err != nil {
			return nil, nil, err
		}
	}
	if len(r.host.Rules) == 0 && (r.host.NFTables() || r.host.Docker(ir.IPv4).Native || r.host.Docker(ir.IPv6).Native) {
		// Neither a host of target nftables nor Docker's nftables backend needs iptables.
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			r.host.Rules[f] = iptables.NewRuleset(iptables.Family(f))
		}
	}
	if len(r.host.Rules) == 0 && !r.diags.HasErrors() {
		if sets := r.from[saved.Sets]; sets != "" {
			return nil, r.diags, fmt.Errorf("%s has sets, but no output of iptables-save or ip6tables-save. Give the rules too: rules.v4,%s", name, sets)
		}
		if r.host.NFT != nil {
			return nil, r.diags, fmt.Errorf("%s is the output of nft list ruleset without %s: give the output of iptables-save and ip6tables-save, too", name, TableTitle)
		}
		return nil, r.diags, fmt.Errorf("%s has no output of iptables-save or ip6tables-save", name)
	}
	if err := r.host.checkNFT(); err != nil {
		return nil, r.diags, err
	}
	return &Fleet{Name: name, Kind: Saved, Hosts: []*Host{r.host}, Note: strings.Join(r.notes, "\n")}, r.diags, nil
}

// savedReader reads the files of one host.
type savedReader struct {
	host *Host
	// folder: the user gave a directory; other files in it are skipped with a note.
	folder bool
	// from are the files that hold each kind of content.
	from  map[saved.Content]string
	notes []string
	diags hcl.Diagnostics
}

func (r *savedReader) read(path string, text []byte) error {
	if m := incompatible.FindSubmatch(text); m != nil {
		return fmt.Errorf("%s: %s It has rules of nft, which iptables-save does not print", path, m[1])
	}
	if nft.IsText(text) || nft.IsJSON(text) {
		if err := r.claim(nftTables, path); err != nil {
			return err
		}
		r.diags = append(r.diags, r.host.addNFT(text, path)...)
		return nil
	}
	file, diags, err := saved.Read(path, text)
	switch {
	case err != nil && r.folder:
		return fmt.Errorf("%w. Or give the files of the directory to read, separated by commas", err)
	case err != nil:
		return err
	}
	r.diags = append(r.diags, diags...)
	if len(file.Parts) == 0 && !diags.HasErrors() {
		return r.skip(path, text)
	}
	r.notes = append(r.notes, file.Notes...)
	if m := printedBy.FindSubmatch(text); m != nil {
		r.host.savedBy = Legacy
		if len(m[1]) > 0 {
			r.host.savedBy = NFT
		}
	}
	for _, part := range file.Parts {
		if err := r.claim(part.Holds, path); err != nil {
			return err
		}
		diags := r.host.add(part, path)
		file.Relocate(part, diags)
		r.diags = append(r.diags, diags...)
	}
	return nil
}

// claim refuses a second file with the same kind of content.
func (r *savedReader) claim(content saved.Content, path string) error {
	if r.from[content] != "" {
		return fmt.Errorf("%s and %s both hold %s: give only one of them", r.from[content], path, content)
	}
	r.from[content] = path
	return nil
}

// skip passes over a file without saved rules, such as a README in a directory.
func (r *savedReader) skip(path string, text []byte) error {
	switch {
	case r.folder:
		r.notes = append(r.notes, fmt.Sprintf("%s was not read: it is not the output of iptables-save, ip6tables-save or ipset save.", path))
		return nil
	case len(bytes.TrimSpace(text)) == 0:
		return fmt.Errorf("%s is empty, and its name does not tell what it is: rename it to rules.v4, rules.v6 or sets", path)
	}
	return fmt.Errorf("%s is neither a policy nor the output of iptables-save, ip6tables-save, ipset save or nft list ruleset", path)
}

// filesIn lists the files of a directory in lexical order; links count as what they lead to.
func filesIn(tree files.Tree, dir string) ([]string, error) {
	inside, err := tree.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range inside {
		path := filepath.Join(dir, f.Name())
		if info, err := tree.Stat(path); err != nil || info.Mode().IsRegular() {
			out = append(out, path) // an error is reported when the file is read
		}
	}
	return out, nil
}

// nftTables is the output of nft list ruleset, as text or as JSON.
const nftTables = saved.Content("nft tables")

// addNFT reads the tables of nft.
func (h *Host) addNFT(text []byte, path string) hcl.Diagnostics {
	if !nft.IsJSON(text) {
		read, diags := nft.ParseText(text, path)
		h.NFT = read
		return diags
	}
	read, err := nft.Parse(text)
	if err != nil {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "nft tables cannot be read", Detail: err.Error(), Subject: &hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}}}
	}
	h.NFT = read
	return nil
}

// add loads a part of a saved file.
func (h *Host) add(part saved.Part, path string) hcl.Diagnostics {
	if part.Holds == saved.Sets {
		file, diags := iptables.ParseSets(strings.NewReader(part.Text), path)
		if diags.HasErrors() {
			return diags
		}
		return append(diags, h.Sets.Load(file)...)
	}
	f := ir.IPv4
	if part.Holds == saved.Rules6 {
		f = ir.IPv6
	}
	file, diags := part.ParseRules(path)
	if diags.HasErrors() {
		return diags
	}
	rules := iptables.NewRuleset(iptables.Family(f))
	diags = append(diags, rules.Load(file)...)
	h.Rules[f] = rules
	return diags
}

// printedBy is the comment before saved rules, which has the kind of iptables.
var printedBy = regexp.MustCompile(`(?m)^# Generated by ip6?tables(?:-nft|-legacy)?-save [^\n]*?(\(nf_tables\))?(?: on [^\n]*)?\r?$`)

// incompatible is what iptables-nft-save prints instead of the rules of a table that it cannot
// represent; it exits with 0 all the same.
var incompatible = regexp.MustCompile(`(?m)^# (Table .(?:filter|security|nat|mangle|raw). is incompatible.*)$`)
