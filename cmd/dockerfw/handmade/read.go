package handmade

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/saved"
)

// Source is the tables and sets that files describe.
type Source struct {
	// Rules by family; none for a family that no file is about.
	Rules map[ir.Family]*iptables.Ruleset
	Sets  *iptables.Sets
	// Files are the bytes of the files by name, to print diagnostics with.
	Files map[string][]byte
	// External are the external interfaces, where a file has a variable for them.
	External []string
	// Notes are what a user should know about how the files were read.
	Notes []string

	// forwarded are the files that declare ufw's chain for the rules of "ufw route".
	forwarded map[ir.Family][]string
}

// maxFile limits the size of a file.
const maxFile = 64 << 20

// Read reads files in their order, as a host would load them. Diagnostics are about lines of the
// files; an error is about a file as a whole.
func Read(tree files.Tree, paths []string) (*Source, hcl.Diagnostics, error) {
	s := &Source{Rules: map[ir.Family]*iptables.Ruleset{}, Sets: &iptables.Sets{}, Files: map[string][]byte{}, forwarded: map[ir.Family][]string{}}
	var diags hcl.Diagnostics
	for _, path := range paths {
		text, err := files.Read(tree, path)
		switch {
		case err != nil:
			return s, diags, err
		case len(text) > maxFile:
			return s, diags, fmt.Errorf("%s has %d bytes; at most %d MiB are read", path, len(text), maxFile>>20)
		}
		s.Files[path] = text
		more, err := s.add(path, text)
		if diags = append(diags, more...); err != nil {
			return s, diags, err
		}
	}
	s.noteUserRules()
	return s, diags, nil
}

func (s *Source) add(path string, text []byte) (hcl.Diagnostics, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case ext == ".yml" || ext == ".yaml":
		return s.addAnsible(path, text), nil
	case ext == ".sh" || isScript(string(text)):
		return s.addScript(path, string(text)), nil
	}
	if m := ufwChain.FindStringSubmatch(string(text)); m != nil {
		return s.addUFW(path, string(text), m[1] == "6"), nil
	}
	return s.addSaved(path, text)
}

// ufwChain is the declaration of a chain of ufw; that of an IPv6 chain has a 6.
var ufwChain = regexp.MustCompile(`(?m)^:ufw(6?)-`)

// ufwHostChain is a chain of ufw for packets to or from the host. Their rules, which are not
// imported, jump to chains that ufw makes and no file declares, such as ufw-skip-to-policy-input.
var ufwHostChain = regexp.MustCompile(`^ufw6?-(.*-(input|output)|not-local)$`)

// ufwUserForward is the chain with the rules of "ufw route".
var ufwUserForward = map[ir.Family]string{ir.IPv4: "ufw-user-forward", ir.IPv6: "ufw6-user-forward"}

// noteUserRules adds a note if the file with the rules of "ufw route" is probably missing: the chain is
// empty, and only one file declares it.
func (s *Source) noteUserRules() {
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		paths := s.forwarded[f]
		if len(paths) != 1 {
			continue
		}
		c := s.rules(f).Table("filter").Chain(ufwUserForward[f])
		if c != nil && len(c.Rules) == 0 {
			s.Notes = append(s.Notes, fmt.Sprintf("chain %s of %s is empty there: ufw keeps its rules in user.rules (IPv6: user6.rules). If there are any, import that file as well, after this one", ufwUserForward[f], paths[0]))
		}
	}
}

// addUFW loads a file of /etc/ufw, which ufw gives to iptables-restore as it is. It may have several
// blocks for one table, which saved tables have not.
func (s *Source) addUFW(path, text string, ipv6 bool) hcl.Diagnostics {
	f := ir.IPv4
	if ipv6 {
		f = ir.IPv6
	}
	user := ufwUserForward[f]
	file, diags := iptables.ParseRules(strings.NewReader(text), path)
	if diags.HasErrors() {
		return diags
	}
	for _, b := range file.Blocks {
		b.Commands = slices.DeleteFunc(b.Commands, func(c *iptables.Command) bool {
			return c.Rule != nil && ufwHostChain.MatchString(c.Chain)
		})
	}
	diags = append(diags, s.rules(f).Load(file)...)
	if strings.Contains(text, "\n:"+user+" ") {
		s.forwarded[f] = append(s.forwarded[f], path)
	}
	return diags
}

var (
	commandLine = regexp.MustCompile(`(?m)^\s*(?:sudo\s+(?:-\S+\s+)*)?(?:\S*/)?(?:ip6?tables|ipset)(?:-nft|-legacy)?\s+-?\w`)
	tableLine   = regexp.MustCompile(`(?m)^\*\w+\s*$`)
)

// isScript reports whether text is a shell script rather than saved tables.
func isScript(text string) bool {
	return !tableLine.MatchString(text) && (strings.HasPrefix(text, "#!") || commandLine.MatchString(text))
}

// addSaved loads saved tables and sets.
func (s *Source) addSaved(path string, text []byte) (hcl.Diagnostics, error) {
	file, diags, err := saved.Read(path, text)
	if err != nil || diags.HasErrors() {
		return diags, err
	}
	if len(file.Parts) == 0 {
		return diags, fmt.Errorf("%s is neither the output of iptables-save, ip6tables-save or ipset save, nor a shell script, nor variables of Ansible (a file *.yml)", path)
	}
	s.Notes = append(s.Notes, file.Notes...)
	for _, part := range file.Parts {
		more := s.addPart(part, path)
		file.Relocate(part, more)
		diags = append(diags, more...)
	}
	return diags, nil
}

func (s *Source) addPart(part saved.Part, path string) hcl.Diagnostics {
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
	file, diags := part.ParseRules(path)
	if diags.HasErrors() {
		return diags
	}
	return append(diags, s.rules(f).Load(file)...)
}

// rules are the tables of a family, which exist from then on.
func (s *Source) rules(f ir.Family) *iptables.Ruleset {
	if s.Rules[f] == nil {
		s.Rules[f] = iptables.NewRuleset(iptables.Family(f))
	}
	return s.Rules[f]
}

// problem is a diagnostic about a file. Its line is printed from the bytes of the file.
func problem(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return diag.New(diag.CodeDumpSyntax, rng, summary, fmt.Sprintf(format, args...))
}
