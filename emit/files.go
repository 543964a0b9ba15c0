package emit

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Source says what a folder is compiled from.
type Source struct {
	// Version of dockerfw.
	Version string
	// Policy holds the names of the policy's files, relative to its directory.
	Policy []string
	// Inputs are the policy's files and lists with the digests of their bytes.
	Inputs []folder.Input
}

// Files writes everything one host loads.
func Files(rs *ir.Ruleset, src Source) ([]folder.File, error) {
	from := "Compiled by dockerfw from " + policyName(src.Policy)
	if rs.Host != "" {
		from += " for host " + rs.Host
	}
	from += "; do not edit. "
	files := []folder.File{
		{Name: folder.SetsFile, Content: Sets(rs.Sets, from+"Loading it "+SetsEffect(rs.Sets)+".")},
	}
	removal := folder.File{Name: folder.SetsRemoval, Content: RemoveSets(rs.Sets, from+"Loading it, after the rules are removed, destroys dockerfw's sets.")}
	for _, p := range rs.Programs {
		restore, remove, family := folder.RulesFile4, folder.RulesRemoval4, "IPv4"
		if p.Family == ir.IPv6 {
			restore, remove, family = folder.RulesFile6, folder.RulesRemoval6, "IPv6"
		}
		files = append(files,
			folder.File{Name: restore, Content: Rules(p, from+"Loading it "+RulesEffect(p)+onceMore(p)+" ("+family+").")},
			folder.File{Name: remove, Content: RemoveRules(p, from+"Loading it "+removalEffect(p)+" ("+family+").")},
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

func manifest(rs *ir.Ruleset, src Source, files []folder.File) (folder.File, error) {
	m := folder.Manifest{
		Format: folder.ManifestFormat, Version: src.Version, Host: rs.Host,
		Inputs: src.Inputs, Chains: []folder.ChainReport{}, Sets: []folder.SetReport{},
	}
	for _, p := range rs.Programs {
		for _, c := range p.Chains {
			m.Chains = append(m.Chains, folder.ChainReport{Name: c.Name, Family: p.Family.String(), Install: p.Install.String(), Rules: len(c.Rules)})
		}
	}
	for _, s := range rs.Sets {
		m.Sets = append(m.Sets, folder.SetReport{
			Name: s.Name, Family: s.Family.String(), Type: string(s.Type), Managed: s.Managed, Elements: len(s.Prefixes) + len(s.Members),
		})
	}
	for _, f := range files {
		m.Files = append(m.Files, folder.Input{Name: f.Name, SHA256: folder.Digest(f.Content)})
	}
	return m.File()
}
