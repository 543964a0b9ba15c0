package folder

import (
	"encoding/json"
	"fmt"
)

// Names of the files of a compiled folder.
const (
	SetsFile      = "ipset.restore"
	RulesFile4    = "iptables.restore"
	RulesFile6    = "ip6tables.restore"
	SetsRemoval   = "ipset.remove"
	RulesRemoval4 = "iptables.remove"
	RulesRemoval6 = "ip6tables.remove"
	// NFTFile and NFTRemoval are those of a host with target nftables.
	NFTFile      = "dockerfw.nft"
	NFTRemoval   = "dockerfw.remove.nft"
	ManifestFile = "manifest.json"
)

// ManifestFormat is the version of the manifest's format. Format 1 had no chains of the
// security table: a program that knows only that format would look for them in the filter
// table.
const ManifestFormat = 2

// Input is a file and the digest of its content; the name of an input is as in the policy.
type Input struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Manifest is manifest.json: the inputs and outputs of a compile, so that they can be checked.
type Manifest struct {
	Format  int    `json:"format"`
	Version string `json:"dockerfw"`
	Host    string `json:"host,omitempty"`
	// Target is "nftables" for a host with that target, and "" for iptables.
	Target string `json:"target,omitempty"`
	// External and Container are the interfaces of the policy. Rules show them only where its default
	// refuses packets. Both are nil in manifests of earlier versions.
	External  []string `json:"external_interfaces,omitempty"`
	Container []string `json:"container_interfaces,omitempty"`
	// Internal are the interfaces that the policy leaves open on purpose: rules do not show them.
	Internal []string      `json:"internal_interfaces,omitempty"`
	Inputs   []Input       `json:"inputs"`
	Chains   []ChainReport `json:"chains"`
	Sets     []SetReport   `json:"sets"`
	Files    []Input       `json:"files"`
}

// ChainReport is a chain in the manifest.
type ChainReport struct {
	Name string `json:"name"`
	// Family is "inet" with target nftables.
	Family string `json:"family"`
	// Table is "security" for the chains of the fallback rules, and "" for those of the filter
	// table.
	Table string `json:"table,omitempty"`
	// Install is "" with target nftables.
	Install string `json:"install,omitempty"`
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

// File returns the manifest as the file of a folder.
func (m *Manifest) File() (File, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return File{Name: ManifestFile, Content: append(text, '\n')}, nil
}

// Digest returns the SHA-256 of content in hexadecimal.
func Digest(content []byte) string {
	return File{Content: content}.Digest()
}

// ParseManifest returns the manifest in the text of a manifest.json, of this format or an
// earlier one.
func ParseManifest(text []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if m.Format < 1 || m.Format > ManifestFormat {
		return nil, fmt.Errorf("%s: format %d is not supported; this version of dockerfw reads formats 1 to %d", ManifestFile, m.Format, ManifestFormat)
	}
	return &m, nil
}
