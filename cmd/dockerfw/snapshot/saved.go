package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// openDump reads what a host saved. Each file says itself what it is; in a directory,
// one that is nothing of the kind, such as a README, is passed over with a note.
func openDump(tree files.Tree, paths []string, name string) (*Opened, hcl.Diagnostics, error) {
	folder := false
	if len(paths) == 1 {
		if info, err := tree.Stat(paths[0]); err == nil && info.IsDir() {
			folder = true
			if paths, err = filesIn(tree, paths[0]); err != nil {
				return nil, nil, err
			}
		}
	}
	s := newState(name, Dump)
	var diags hcl.Diagnostics
	var notes []string
	from := map[saved.Content]string{}
	for _, path := range paths {
		text, err := files.Read(tree, path)
		if err != nil {
			return nil, nil, err
		}
		if m := incompatible.FindSubmatch(text); m != nil {
			return nil, nil, fmt.Errorf("%s: %s There are rules of nft in it that iptables cannot print", path, m[1])
		}
		if nft.IsText(text) {
			return nil, nil, fmt.Errorf("%s is what nft list ruleset prints, and only its JSON is read: save nft -j list ruleset instead", path)
		}
		if nft.IsJSON(text) {
			if from[nftTables] != "" {
				return nil, nil, fmt.Errorf("%s and %s both hold %s: name the one that counts", from[nftTables], path, nftTables)
			}
			from[nftTables] = path
			diags = append(diags, s.addNFT(text, path)...)
			continue
		}
		file, more, err := saved.Read(path, text)
		if err != nil && folder {
			return nil, nil, fmt.Errorf("%w. Or name the files of the directory that count, with commas between", err)
		} else if err != nil {
			return nil, nil, err
		}
		diags = append(diags, more...)
		if len(file.Parts) == 0 && !more.HasErrors() {
			if folder {
				notes = append(notes, fmt.Sprintf("%s was not read: it is nothing that iptables-save, ip6tables-save or ipset save print.", path))
				continue
			}
			if len(bytes.TrimSpace(text)) == 0 {
				return nil, nil, fmt.Errorf("%s is empty, and its name does not say what it is of: call it rules.v4, rules.v6 or sets", path)
			}
			return nil, nil, fmt.Errorf("%s is neither a policy nor what iptables-save, ip6tables-save, ipset save or nft -j list ruleset print", path)
		}
		notes = append(notes, file.Notes...)
		if m := printedBy.FindSubmatch(text); m != nil {
			s.savedBy = Legacy
			if len(m[1]) > 0 {
				s.savedBy = NFT
			}
		}
		for _, part := range file.Parts {
			if from[part.Holds] != "" {
				return nil, nil, fmt.Errorf("%s and %s both hold %s: name the one that counts", from[part.Holds], path, part.Holds)
			}
			from[part.Holds] = path
			more := s.add(part, path)
			file.Relocate(part, more)
			diags = append(diags, more...)
		}
	}
	if len(s.Rules) == 0 && !diags.HasErrors() {
		if from[saved.Sets] != "" {
			return nil, diags, fmt.Errorf("%s holds sets and no rules that iptables-save or ip6tables-save printed. Name the rules too: rules.v4,%s", name, from[saved.Sets])
		}
		return nil, diags, fmt.Errorf("%s holds no rules that iptables-save or ip6tables-save printed", name)
	}
	if err := s.checkNFT(); err != nil {
		return nil, diags, err
	}
	return &Opened{Name: name, Kind: Dump, States: []*State{s}, Note: strings.Join(notes, "\n")}, diags, nil
}

// filesIn lists the files of a directory, by way of links too, in lexical order.
func filesIn(tree files.Tree, dir string) ([]string, error) {
	inside, err := tree.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range inside {
		path := filepath.Join(dir, f.Name())
		if info, err := tree.Stat(path); err != nil || info.Mode().IsRegular() {
			out = append(out, path) // what cannot be asked is reported when it is read
		}
	}
	return out, nil
}

// nftTables is what nft -j list ruleset prints, in words for messages.
const nftTables = saved.Content("nft tables")

// addNFT reads the tables of nft.
func (s *State) addNFT(text []byte, path string) hcl.Diagnostics {
	read, err := nft.Parse(text)
	if err != nil {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "nft tables cannot be read", Detail: err.Error(), Subject: &hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}}}
	}
	s.NFT = read
	return nil
}

// add loads a part of a saved file into the state.
func (s *State) add(part saved.Part, path string) hcl.Diagnostics {
	if part.Holds == saved.Sets {
		file, diags := iptables.ParseSets(strings.NewReader(part.Text), path)
		if diags.HasErrors() {
			return diags
		}
		return append(diags, s.Sets.Load(file)...)
	}
	f := ir.IPv4
	if part.Holds == saved.Rules6 {
		f = ir.IPv6
	}
	var file *iptables.RulesFile
	var diags hcl.Diagnostics
	if part.Listing {
		file, diags = iptables.ParseListing(strings.NewReader(part.Text), path, "filter")
	} else {
		file, diags = iptables.ParseRules(strings.NewReader(part.Text), path)
	}
	if diags.HasErrors() {
		return diags
	}
	rules := iptables.NewRuleset(iptables.Family(f))
	diags = append(diags, rules.Load(file)...)
	s.Rules[f] = rules
	return diags
}

// printedBy is the comment ahead of saved rules, by which their tool says its kind.
var printedBy = regexp.MustCompile(`(?m)^# Generated by ip6?tables(?:-nft|-legacy)?-save [^\n]*?(\(nf_tables\))?(?: on [^\n]*)?\r?$`)

// iptables-nft-save prints no rule of such a table, and exits with 0.
var incompatible = regexp.MustCompile(`(?m)^# (Table .(?:filter|security|nat|mangle|raw). is incompatible.*)$`)

// live saves what the host this runs on holds, by the tools on its path: of the two
// kinds of iptables the one that Docker uses.
func live() (*Opened, hcl.Diagnostics, error) {
	choice, err := chooseBackend()
	if err != nil {
		return nil, nil, err
	}
	s := newState(LiveName, Live)
	s.Backend, s.suffix = choice.backend, choice.suffix
	var diags hcl.Diagnostics
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		tool := s.Tool(f) + "-save"
		text, err := Output(tool)
		m := incompatible.FindSubmatch(text)
		if why := ""; err != nil || m != nil {
			if s.Backend == NFT && !errors.Is(err, ErrNoTool) {
				why = s.culprit(f)
			}
			switch {
			case why != "":
				return nil, nil, fmt.Errorf("%s: %s", s.Name, why)
			case err != nil:
				return nil, nil, err
			}
			return nil, nil, fmt.Errorf("%s: %s There are rules of nft in it that iptables cannot print", tool, m[1])
		}
		holds := map[ir.Family]saved.Content{ir.IPv4: saved.Rules4, ir.IPv6: saved.Rules6}[f]
		diags = append(diags, s.add(saved.Part{Holds: holds, Text: string(text)}, tool)...)
	}
	text, err := Output("ipset", "save")
	if err != nil && !errors.Is(err, ErrNoTool) {
		return nil, nil, err
	}
	diags = append(diags, s.add(saved.Part{Holds: saved.Sets, Text: string(text)}, "ipset save")...)
	if diags.HasErrors() {
		return &Opened{Name: LiveName, Kind: Live, States: []*State{s}, Note: choice.note}, diags, nil
	}
	if err := s.readNFT(); err != nil {
		return nil, nil, err
	}
	return &Opened{Name: LiveName, Kind: Live, States: []*State{s}, Note: choice.note}, diags, nil
}

// ErrNoTool says that a tool is not there.
var ErrNoTool = exec.ErrNotFound

// Output runs a tool that prints what the kernel holds.
func Output(tool string, args ...string) ([]byte, error) {
	cmd := exec.Command(tool, args...)
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		// Not every way to become root puts sbin on the path.
		if path, err := exec.LookPath("/usr/sbin/" + tool); err == nil {
			cmd = exec.Command(path, args...)
		}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		why := strings.TrimSpace(stderr.String())
		if why == "" {
			why = err.Error()
		}
		hint := ""
		if os.Geteuid() != 0 {
			hint = " (reading the rules of this host needs root)"
		}
		return nil, fmt.Errorf("%s: %s%s: %w", tool, why, hint, err)
	}
	return text, nil
}
