package emit

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/emit/nftables"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Source identifies the policy that a folder is compiled from.
type Source struct {
	// Version is the version of dockerfw.
	Version string
	// Policy lists the names of the policy's files, relative to its directory.
	Policy []string
	// Inputs are the policy's files and address lists, with digests of their contents.
	Inputs []folder.Input
	// External, Container and Internal are the interfaces of the host in the policy.
	External, Container, Internal []string
	// Elements are the lines of sets that hosts share; nil for one host.
	Elements *iptables.Elements
	// Large allows files that are too large for memory: see [folder.File].
	Large bool
}

// largeSets is the number of elements from which on the text of sets counts as large: 8 MB.
const largeSets = 1 << 18

// Files returns all files of one host with target iptables: restore and removal files, and the manifest.
func Files(t *iptables.Tables, src Source) ([]folder.File, error) {
	from := origin(t.Host, src) + "; do not edit. "
	sets, err := setsFile(t.Sets, src, from+"Loading it "+iptables.SetsEffect(t.Sets)+".")
	if err != nil {
		return nil, err
	}
	files := []folder.File{sets}
	removal := folder.File{Name: folder.SetsRemoval, Content: iptables.RemoveSets(t.Sets, from+"Loading it, after the rules are removed, destroys dockerfw's sets.")}
	for _, p := range t.Programs {
		restore, remove, family := folder.RulesFile4, folder.RulesRemoval4, "IPv4"
		if p.Family == ir.IPv6 {
			restore, remove, family = folder.RulesFile6, folder.RulesRemoval6, "IPv6"
		}
		files = append(files,
			folder.File{Name: restore, Content: iptables.Rules(p, from+"Loading it "+iptables.RulesEffect(p)+iptables.Repeated(p)+iptables.FallbackEffect(p)+" ("+family+")."+iptables.FallbackJump(p))},
			folder.File{Name: remove, Content: iptables.RemoveRules(p, from+"Loading it "+iptables.RemovalEffect(p)+" ("+family+").")},
		)
	}
	files = append(files, removal)
	return withManifest(files, manifest(t, src))
}

// FilesLike is Files for a host whose tables are those of the host named label, except for the name, given that host's
// files. What follows the name in the first line of each is not printed again, unless one is too large for memory.
func FilesLike(files []folder.File, label string, t *iptables.Tables, src Source) ([]folder.File, error) {
	if slices.ContainsFunc(files, func(f folder.File) bool { return f.Large != nil }) {
		return Files(t, src)
	}
	renamed, err := rename(files, origin(label, src), origin(t.Host, src))
	if err != nil {
		return nil, err
	}
	return withManifest(renamed, manifest(t, src))
}

// NFTFilesLike is FilesLike with target nftables.
func NFTFilesLike(files []folder.File, label string, t *nftables.Tables, src Source) ([]folder.File, error) {
	renamed, err := rename(files, origin(label, src), origin(t.Host, src))
	if err != nil {
		return nil, err
	}
	return withManifest(renamed, nftManifest(t, src))
}

// rename returns files with another origin, without the manifest.
func rename(files []folder.File, old, now string) ([]folder.File, error) {
	var out []folder.File
	for _, f := range files {
		if f.Name == folder.ManifestFile {
			continue
		}
		rest, ok := bytes.CutPrefix(f.Content, []byte("# "+old+";"))
		if !ok {
			return nil, fmt.Errorf("%s does not begin with %q", f.Name, old)
		}
		out = append(out, folder.File{Name: f.Name, Content: slices.Concat([]byte("# "+now+";"), rest)})
	}
	return out, nil
}

// origin is how the first line of each file begins.
func origin(host string, src Source) string {
	from := "Compiled by dockerfw from " + policyName(src.Policy)
	if host != "" {
		from += " for host " + host
	}
	return from
}

// withManifest adds the manifest, in which the files are listed.
func withManifest(files []folder.File, m folder.Manifest) ([]folder.File, error) {
	for i := range files {
		m.Files = append(m.Files, folder.Input{Name: files[i].Name, SHA256: files[i].KeepDigest()})
	}
	file, err := m.File()
	if err != nil {
		return nil, err
	}
	return append(files, file), nil
}

// setsFile returns the input of ipset restore.
func setsFile(sets []*iptables.Set, src Source, header string) (folder.File, error) {
	file := folder.File{Name: folder.SetsFile}
	elements := 0
	for _, s := range sets {
		elements += s.Prefixes.Len()
	}
	if !src.Large || elements < largeSets {
		file.Content = iptables.SetsWith(src.Elements, sets, header)
		return file, nil
	}
	var err error
	file.Large, err = folder.NewLarge(func(w io.Writer) error { return iptables.PrintSets(w, src.Elements, sets, header) })
	return file, err
}

// NFTFiles returns all files of one host with target nftables: the table, its removal, and the manifest.
func NFTFiles(t *nftables.Tables, src Source) ([]folder.File, error) {
	from := origin(t.Host, src)
	table := ir.NFTFamily + " " + ir.NFTTable
	files := []folder.File{
		{Name: folder.NFTFile, Content: nftables.Table(t, from+"; do not edit. Loading it replaces all rules of table "+table+".")},
		{Name: folder.NFTRemoval, Content: nftables.Removal(from + "; do not edit. Loading it deletes table " + table + ".")},
	}
	return withManifest(files, nftManifest(t, src))
}

func nftManifest(t *nftables.Tables, src Source) folder.Manifest {
	m := folder.Manifest{
		Format: folder.ManifestFormat, Version: src.Version, Host: t.Host, Target: ir.TargetNFTables.String(),
		External: src.External, Container: src.Container, Internal: src.Internal,
		Inputs: src.Inputs, Chains: []folder.ChainReport{}, Sets: []folder.SetReport{},
	}
	for _, c := range t.Chains {
		m.Chains = append(m.Chains, folder.ChainReport{Name: c.Name, Family: ir.NFTFamily, Rules: len(c.Rules)})
	}
	for _, s := range t.Sets {
		if s.Kind != nftables.Dynamic {
			m.Sets = append(m.Sets, folder.SetReport{Name: s.Name, Family: s.Family.String(), Type: string(ir.HashNet), Managed: s.Kind == nftables.Managed, Elements: s.Prefixes.Len()})
		}
	}
	return m
}

// policyName returns the names of a policy's files as one line of text, the first few in full.
func policyName(files []string) string {
	const shown = 3
	text := strings.Join(files[:min(shown, len(files))], ", ")
	if more := len(files) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more file", more)
		if more > 1 {
			text += "s"
		}
	}
	// A newline would end the comment of a restore file and start a command.
	return string(escape.Terminal(text))
}

func manifest(t *iptables.Tables, src Source) folder.Manifest {
	m := folder.Manifest{
		Format: folder.ManifestFormat, Version: src.Version, Host: t.Host,
		External: src.External, Container: src.Container, Internal: src.Internal,
		Inputs: src.Inputs, Chains: []folder.ChainReport{}, Sets: []folder.SetReport{},
	}
	for _, p := range t.Programs {
		for _, c := range p.Chains {
			m.Chains = append(m.Chains, folder.ChainReport{Name: c.Name, Family: p.Family.String(), Install: p.Install.String(), Rules: len(c.Rules)})
		}
		for _, c := range p.Fallback {
			m.Chains = append(m.Chains, folder.ChainReport{Name: c.Name, Family: p.Family.String(), Table: "security", Install: p.Install.String(), Rules: len(c.Rules)})
		}
	}
	for _, s := range t.Sets {
		m.Sets = append(m.Sets, folder.SetReport{
			Name: s.Name, Family: s.Family.String(), Type: string(s.Type), Managed: s.Managed, Elements: s.Prefixes.Len() + len(s.Members),
		})
	}
	return m
}
