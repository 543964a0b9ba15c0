package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// Kind is what a state was made from.
type Kind int

// The kinds of states. Policies and folders are compiled: they hold nothing but
// dockerfw's own. Dumps and the live host hold whatever the host has.
const (
	Policy Kind = iota
	Folder
	Dump
	Live
)

// Compiled tells whether the state is what dockerfw makes, rather than what a host has.
func (k Kind) Compiled() bool { return k <= Folder }

// State is the rules and sets of one host.
type State struct {
	// Name is what the user called it, and Host the label of the host; "" without one.
	Name, Host string
	Kind       Kind
	// Rules of the families that are known.
	Rules map[ir.Family]*iptables.Ruleset
	Sets  *iptables.Sets
	// NFT is what nft lists; nil where that is not known.
	NFT *nft.Ruleset
	// Unread says why a live host has no NFT; "" if it has.
	Unread string
	// Install and Target are how and where the rules of a compiled state go, and
	// Own the chains that loading it empties first, by family.
	Install ir.Install
	Target  string
	Own     map[ir.Family][]string
	// Unmanaged are sets that others fill: a compiled state does not know their members.
	Unmanaged map[string]bool
	// Origins are the places in the policy that rules came from; nil where the
	// policy is not at hand.
	Origins map[RuleName]ir.Origin
	// External and Container are the patterns of the policy's interfaces; see
	// Interfaces. nil where the policy is not at hand.
	External, Container []string
	// Sources hold the bytes of the policy's files, by name.
	Sources map[string][]byte
	// Backend is the kind of iptables that a live host was read with, and suffix what
	// the names of its tools have that are not the plain ones.
	Backend Backend
	suffix  string
	// savedBy is the kind of iptables whose tool printed the rules of a dump, "" if they do
	// not say.
	savedBy Backend

	// rules are the files of a compiled state, for loading onto a host.
	rules map[ir.Family]*iptables.RulesFile
	known *netfilter.Sets
}

// RuleName is a rule of dockerfw as its comment and its chain tell it.
type RuleName struct{ Chain, Comment string }

// OwnPrefix is what all chains of ours but the target begin with.
const OwnPrefix = "DOCKERFW"

// GuardChain decides what reaches docker-proxy; a jump in INPUT leads to it.
const GuardChain = ir.InputChain

// FamilyText is a family as people write it.
func FamilyText(f ir.Family) string { return words.Family(f) }

// Families are those the state has rules of, IPv4 first.
func (s *State) Families() []ir.Family {
	var out []ir.Family
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if s.Rules[f] != nil {
			out = append(out, f)
		}
	}
	return out
}

// Filter returns the filter table of a family, which may be nil.
func (s *State) Filter(f ir.Family) *iptables.Table {
	if s.Rules[f] == nil {
		return nil
	}
	return s.Rules[f].Table("filter")
}

// Comment returns a rule's comment; "" if it has none.
func Comment(r *iptables.Rule) string {
	for i := range r.Matches {
		if r.Matches[i].Name == "comment" {
			if o := r.Matches[i].Option("--comment"); o != nil {
				return o.Value()
			}
		}
	}
	return ""
}

// Ours tells whether a rule is one that dockerfw makes: by its comment, or a jump
// without conditions to a chain of ours.
func Ours(r *iptables.Rule) bool {
	comment := Comment(r)
	return comment == "dockerfw" || strings.HasPrefix(comment, "dockerfw ") || jumpsTo(r, r.Jump) && ownChain(r.Jump)
}

func ownChain(name string) bool {
	return name == OwnPrefix || strings.HasPrefix(name, OwnPrefix+"-")
}

// jumpsTo tells whether all packets that come to the rule go to the chain.
func jumpsTo(r *iptables.Rule, chain string) bool {
	return r.Jump == chain && !r.Goto && len(r.Base) == 0 && !slices.ContainsFunc(r.Matches, func(m iptables.Match) bool { return m.Name != "comment" })
}

// DockersReturn tells whether rule i of a chain is the RETURN that engines up to
// 26 put at the end of DOCKER-USER. It says what the end of the chain says anyway.
func DockersReturn(c *iptables.Chain, i int) bool {
	r := c.Rules[i]
	return i == len(c.Rules)-1 && jumpsTo(r, "RETURN") && len(r.Matches) == 0
}

// Foreign returns the rules of a chain that are neither dockerfw's nor the RETURN
// that Docker ends DOCKER-USER with.
func Foreign(c *iptables.Chain) []*iptables.Rule {
	if c == nil {
		return nil
	}
	var out []*iptables.Rule
	for i, r := range c.Rules {
		if !Ours(r) && !DockersReturn(c, i) {
			out = append(out, r)
		}
	}
	return out
}

// BlockName names a rule of ours as the policy does, accept "https"; of others it
// is their text.
func BlockName(r *iptables.Rule) string {
	comment, ok := strings.CutPrefix(Comment(r), "dockerfw ")
	if !ok {
		return r.Text
	}
	if kind, name, found := strings.Cut(comment, " "); found {
		return fmt.Sprintf("%s %q", kind, name)
	}
	return comment
}

// PlaceText writes where a rule stands: file:line:column in policies, file:line in
// restore files and in what tools print; "" for no place.
func PlaceText(r hcl.Range) string {
	switch {
	case r.Filename == "":
		return ""
	case strings.HasSuffix(r.Filename, ".hcl"), strings.HasSuffix(r.Filename, ".hcl.json"):
		return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
	}
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}

// Place is where a rule was written: in the policy if that is known, else in the
// file the rule was read from.
func (s *State) Place(chain string, r *iptables.Rule) hcl.Range {
	if o, ok := s.Origins[RuleName{chain, Comment(r)}]; ok {
		return o.Range
	}
	return r.Range
}
