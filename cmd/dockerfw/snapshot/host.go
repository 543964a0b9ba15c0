package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// Kind is what a snapshot was made from.
type Kind int

// The kinds of snapshots. Policies and folders are compiled: they have nothing but the
// rules of dockerfw. Saved tables and running hosts have foreign rules too. Live is a running
// host, this one or one that ssh connects to.
const (
	Policy Kind = iota
	Folder
	Saved
	Live
)

// Compiled reports whether the snapshot has what dockerfw makes, rather than what a host has.
func (k Kind) Compiled() bool { return k <= Folder }

// Host is the rules and sets of one host.
type Host struct {
	// Name is what the user called it, and Label the label of its host block; "" without one.
	Name, Label string
	Kind        Kind
	// Rules by family; none for a family that was not read.
	Rules map[ir.Family]*iptables.Ruleset
	Sets  *iptables.Sets
	// NFT is the output of nft list ruleset; nil where it was not read. Of a compiled host of target
	// nftables it is the table that loading makes; of one of target iptables it is nil.
	NFT *nft.Ruleset
	// NFTUnread is why a live host has no NFT; "" if it has.
	NFTUnread string
	// NotListed are the sets of the table of dockerfw whose elements were not listed, because that
	// takes long: they are those that their names, which have the digest of their elements, stand for.
	NotListed map[string]bool
	// Install is how the rules of a compiled host get into the chain Target; Own are the
	// chains that belong to dockerfw alone, by family: loading empties them first.
	Install ir.Install
	Target  string
	Own     map[ir.Family][]string
	// Unmanaged are sets that dockerfw does not fill: their entries are not known of a
	// compiled host.
	Unmanaged map[string]bool
	// Origins are the positions in the policy that rules come from; nil without a policy.
	Origins map[RuleKey]ir.Origin
	// Implicit are the rules of blocks that the policy does not have: default and established
	// apply without them. nil without a policy.
	Implicit map[RuleKey]bool
	// Placed is what loading did with the jumps, of a host that LoadedOnto made.
	Placed []Placement
	// External, Container and Internal are the patterns of the policy's interfaces; nil without a
	// policy and its manifest. See Interfaces.
	External, Container, Internal []string
	// Network are the interfaces and routes of a live host, and NetworkUnread is why they were not
	// read; nil and "" for others.
	Network       *network.State
	NetworkUnread string
	// Sources are the bytes of the policy's files, by name.
	Sources map[string][]byte
	// Backend is the kind of iptables that a live host was read with; suffix is what the
	// names of its tools have in addition to the plain names.
	Backend Backend
	suffix  string
	// tools are those of a live host; nil for this one.
	tools Tools
	// TableText is table inet dockerfw of nft as text: the one that a compiled host of target nftables
	// loads, or the one that a host has which was read for loading; nil for none.
	TableText *plan.Table
	// Other are the tables of the kind of iptables that Docker does not use, NoSecurity the families
	// whose kernel has no security table. Unread is why the tables of a family were not read, and
	// SetsUnread why the sets were not. Only a host that is read for loading has them.
	Other      map[ir.Family]*iptables.Ruleset
	NoSecurity map[ir.Family]bool
	Unread     map[ir.Family]error
	SetsUnread error
	// savedBy is the kind of iptables whose tool printed saved rules, "" if they do not
	// have its comment.
	savedBy Backend

	// restore are the files of a compiled host, for loading them onto another.
	restore map[ir.Family]*iptables.RulesFile
	// families are those of a compiled host of target nftables, whose table is for both.
	families []ir.Family
	// conditions are the sets of the table of dockerfw as conditions on packets.
	conditions *netfilter.NFTSets
	// tableSets are the sets of the table of dockerfw as ipsets, and members their addresses, by the
	// names of the policy.
	tableSets *iptables.Sets
	members   map[string]*packet.AddrSet
	// ipsets, programs and hooks are computed on first use.
	ipsets   *netfilter.Sets
	programs map[programKey]*packet.Program
	hooks    map[hooksKey][]packet.Hook
}

// RuleKey identifies a rule of dockerfw on a host.
type RuleKey struct {
	Chain string
	ID    ir.RuleID
}

func newHost(name string, kind Kind) *Host {
	return &Host{
		Name: name, Kind: kind,
		Rules: map[ir.Family]*iptables.Ruleset{}, Sets: &iptables.Sets{},
		Own: map[ir.Family][]string{}, Unmanaged: map[string]bool{},
		restore: map[ir.Family]*iptables.RulesFile{},
	}
}

// Families are those that the host has rules of, IPv4 first.
func (h *Host) Families() []ir.Family {
	var out []ir.Family
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if h.HasFamily(f) {
			out = append(out, f)
		}
	}
	return out
}

// HasFamily reports whether the host has rules of a family.
func (h *Host) HasFamily(f ir.Family) bool {
	return h.Rules[f] != nil || h.Kind.Compiled() && slices.Contains(h.families, f)
}

// Filter returns the filter table of a family, which may be nil.
func (h *Host) Filter(f ir.Family) *iptables.Table {
	if h.Rules[f] == nil {
		return nil
	}
	return h.Rules[f].Table("filter")
}

// EntryChain is the chain of a compiled host that its jump, or the target, leads to first; with target
// nftables it is the base chain for forwarded packets.
func (h *Host) EntryChain() string { return h.ChainOf(ir.ScopeForward) }

// Owns reports whether a chain belongs to dockerfw alone on a compiled host.
func (h *Host) Owns(f ir.Family, chain string) bool { return slices.Contains(h.Own[f], chain) }

// PlaceText is a position as file:line:column in policies, and as file:line in restore files
// and the output of tools; "" for none.
func PlaceText(r hcl.Range) string {
	switch {
	case r.Filename == "":
		return ""
	case strings.HasSuffix(r.Filename, ".hcl"), strings.HasSuffix(r.Filename, ".hcl.json"):
		return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
	}
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}
