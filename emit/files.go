package emit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// File is one file of a compiled folder.
type File struct {
	Name    string
	Content []byte
}

// Names of the files of a compiled folder.
const (
	SetsFile       = "ipset.restore"
	RulesFile4     = "iptables.restore"
	RulesFile6     = "ip6tables.restore"
	SetsRemoval    = "ipset.remove"
	RulesRemoval4  = "iptables.remove"
	RulesRemoval6  = "ip6tables.remove"
	ManifestFile   = "manifest.json"
	manifestFormat = 1
)

// Source says what a folder is compiled from.
type Source struct {
	// Version of dockerfw.
	Version string
	// Policy holds the names of the policy's files, relative to its directory.
	Policy []string
	// Inputs are the policy's files and lists with the digests of their bytes.
	Inputs []Input
}

// Input is a file that was read, named as the policy names it.
type Input struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Files writes everything one host loads.
func Files(rs *ir.Ruleset, src Source) ([]File, error) {
	from := "Compiled by dockerfw from " + policyName(src.Policy)
	if rs.Host != "" {
		from += " for host " + rs.Host
	}
	from += "; do not edit. "
	files := []File{
		{SetsFile, Sets(rs.Sets, from+"Loading it "+SetsEffect(rs.Sets)+".")},
	}
	removal := File{SetsRemoval, RemoveSets(rs.Sets, from+"Loading it, after the rules are removed, destroys dockerfw's sets.")}
	for _, p := range rs.Programs {
		restore, remove, family := RulesFile4, RulesRemoval4, "IPv4"
		if p.Family == ir.IPv6 {
			restore, remove, family = RulesFile6, RulesRemoval6, "IPv6"
		}
		files = append(files,
			File{restore, Rules(p, from+"Loading it "+RulesEffect(p)+onceMore(p)+" ("+family+").")},
			File{remove, RemoveRules(p, from+"Loading it "+removalEffect(p)+" ("+family+").")},
		)
	}
	files = append(append(files, removal), Scripts()...)
	manifest, err := manifest(rs, src, files)
	if err != nil {
		return nil, err
	}
	return append(files, manifest), nil
}

// policyName names the files of a policy in one line of text.
func policyName(files []string) string {
	const shown = 3
	text := strings.Join(files[:min(shown, len(files))], ", ")
	if more := len(files) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more file", more)
		if more > 1 {
			text += "s"
		}
	}
	// It stands in a comment of a restore file, where a newline would start a command.
	return string(escape.Terminal(text))
}

// SetsEffect says what loading sets replaces, for people.
func SetsEffect(sets []*ir.Set) string {
	managed := 0
	for _, s := range sets {
		if s.Managed {
			managed++
		}
	}
	switch managed {
	case 0:
		return "fills no set"
	case 1:
		return "replaces the elements of 1 set"
	}
	return fmt.Sprintf("replaces the elements of %d sets", managed)
}

// RulesEffect says what loading the rules of p replaces, for people.
func RulesEffect(p *ir.Program) string {
	guard := p.HasGuard()
	switch {
	case p.Install == ir.Replace && guard:
		return fmt.Sprintf("replaces all rules of chains %s and %s", p.Target, ir.GuardChain)
	case p.Install == ir.Replace:
		return "replaces all rules of chain " + p.Target
	case p.Install == ir.Jump && guard:
		return fmt.Sprintf("replaces all rules of chains %s and %s, which jumps in %s and INPUT lead to", p.Chains[0].Name, ir.GuardChain, p.Target)
	case p.Install == ir.Jump:
		return fmt.Sprintf("replaces all rules of chain %s, which a jump in %s leads to", p.Chains[0].Name, p.Target)
	case guard:
		return fmt.Sprintf("replaces all rules of chain %s, and inserts rules at the head of chain %s", ir.GuardChain, p.Target)
	}
	return fmt.Sprintf("inserts rules at the head of chain %s", p.Target)
}

// onceMore warns those who load an inserting file by hand; apply.sh takes the old rules
// out in the same transaction.
func onceMore(p *ir.Program) string {
	if p.Install == ir.Insert {
		return ", once more each time"
	}
	return ""
}

func removalEffect(p *ir.Program) string {
	guard := ""
	if p.HasGuard() {
		guard = fmt.Sprintf(", and chain %s with the jump to it in INPUT, which must be there", ir.GuardChain)
	}
	switch p.Install {
	case ir.Replace:
		if guard != "" {
			guard = ", and removes" + strings.TrimPrefix(guard, ", and")
		}
		return "empties chain " + p.Target + guard
	case ir.Jump:
		return fmt.Sprintf("removes chain %s and the jump to it in %s%s", p.Chains[0].Name, p.Target, guard)
	}
	return fmt.Sprintf("removes dockerfw's rules from chain %s%s", p.Target, guard)
}

// Manifest is manifest.json: what a folder is made of, for those who check it.
type Manifest struct {
	Format  int           `json:"format"`
	Version string        `json:"dockerfw"`
	Host    string        `json:"host,omitempty"`
	Inputs  []Input       `json:"inputs"`
	Chains  []ChainReport `json:"chains"`
	Sets    []SetReport   `json:"sets"`
	Files   []Input       `json:"files"`
}

// ChainReport is a chain in the manifest.
type ChainReport struct {
	Name    string `json:"name"`
	Family  string `json:"family"`
	Install string `json:"install"`
	Rules   int    `json:"rules"`
}

// SetReport is a set in the manifest.
type SetReport struct {
	Name     string `json:"name"`
	Family   string `json:"family"`
	Type     string `json:"type"`
	Managed  bool   `json:"managed"`
	Elements int    `json:"elements"`
}

func manifest(rs *ir.Ruleset, src Source, files []File) (File, error) {
	m := Manifest{
		Format: manifestFormat, Version: src.Version, Host: rs.Host,
		Inputs: src.Inputs, Chains: []ChainReport{}, Sets: []SetReport{},
	}
	for _, p := range rs.Programs {
		for _, c := range p.Chains {
			m.Chains = append(m.Chains, ChainReport{c.Name, p.Family.String(), p.Install.String(), len(c.Rules)})
		}
	}
	for _, s := range rs.Sets {
		m.Sets = append(m.Sets, SetReport{s.Name, s.Family.String(), string(s.Type), s.Managed, len(s.Prefixes) + len(s.Members)})
	}
	for _, f := range files {
		m.Files = append(m.Files, Input{f.Name, Digest(f.Content)})
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return File{ManifestFile, append(text, '\n')}, nil
}

// Digest is the SHA-256 of content in hexadecimal.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// ParseManifest reads a manifest.json.
func ParseManifest(text []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("%s: format %d, this dockerfw reads format %d", ManifestFile, m.Format, manifestFormat)
	}
	return &m, nil
}
