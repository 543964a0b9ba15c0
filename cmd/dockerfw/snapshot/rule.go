package snapshot

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// Rule is a rule of a host: one of iptables, or one in the table of nft that belongs to dockerfw.
type Rule struct {
	// Chain is the name of its chain.
	Chain string
	// IPTables is the rule of iptables; nil for one of nft.
	IPTables *iptables.Rule
	// NFT is the rule of nft; nil for one of iptables.
	NFT *nft.Rule

	family ir.Family
}

// RuleAt returns a rule by its position in the tables of iptables, or in the table of dockerfw; nil for
// the policy of a chain, and for rules in other tables of nft.
func (h *Host) RuleAt(f ir.Family, at packet.Origin) *Rule {
	if at.Policy || at.Rule < 0 {
		return nil
	}
	if c := h.nftChain(at); c != nil {
		if at.Rule >= len(c.Rules) {
			return nil
		}
		return &Rule{Chain: at.Chain, NFT: c.Rules[at.Rule], family: f}
	}
	if h.Rules[f] == nil {
		return nil
	}
	c := h.Rules[f].Table(at.Table).Chain(at.Chain)
	if c == nil || at.Rule >= len(c.Rules) {
		return nil
	}
	return &Rule{Chain: at.Chain, IPTables: c.Rules[at.Rule], family: f}
}

// nftChain returns the chain of the table of dockerfw that a position is in; nil for any other.
func (h *Host) nftChain(at packet.Origin) *nft.Chain {
	if at.Table != ownTable {
		return nil
	}
	return h.Table().Chain(at.Chain)
}

// Comment is the comment of the rule; "" without one.
func (r *Rule) Comment() string {
	switch {
	case r == nil:
		return ""
	case r.NFT != nil:
		return r.NFT.Comment
	}
	return r.IPTables.Comment()
}

// Text is the rule as its tool lists it, without its chain.
func (r *Rule) Text() string {
	if r.NFT != nil {
		return r.NFT.Text()
	}
	return r.IPTables.Canonical(iptables.Family(r.family))
}

// Line is the rule with its chain, as in a command: -A CHAIN RULE, or for nft CHAIN RULE.
func (r *Rule) Line() string {
	if r.NFT != nil {
		return r.Chain + " " + r.Text()
	}
	return "-A " + r.Chain + " " + r.Text()
}

// ID returns the rule of the policy that the rule comes from; ok is false for a rule without a comment
// of dockerfw.
func (r *Rule) ID() (id ir.RuleID, ok bool) { return ir.ParseComment(r.Comment()) }

// Ours reports whether dockerfw made the rule, which may be nil.
func (r *Rule) Ours() bool {
	switch {
	case r == nil:
		return false
	case r.NFT != nil:
		return ir.IsComment(r.NFT.Comment)
	}
	return identity.Ours(r.IPTables)
}

// Dispatches reports whether a rule of dockerfw only sends packets to the chain that decides about
// them, or keeps them from one. The rule may be nil.
func (r *Rule) Dispatches() bool {
	id, ok := r.ID()
	return ok && id.Phase == ir.PhaseInput
}

// Block is the name of the rule's block; that of any other rule is its text.
func (r *Rule) Block() string {
	id, ok := r.ID()
	switch {
	case ok:
		return identity.Block(id)
	case r.NFT != nil:
		return r.NFT.Text()
	}
	return r.IPTables.Text
}

// Sets are the names of the sets that the rule uses, as the policy has them.
func (r *Rule) Sets() []string {
	if r.NFT != nil {
		return setsOfNFT(r.NFT)
	}
	return r.IPTables.Sets()
}

// Accepts reports whether the rule accepts what it matches.
func (r *Rule) Accepts() bool {
	if r.NFT != nil {
		return slices.ContainsFunc(r.NFT.Expr, func(e nft.Expr) bool { return e.Kind == "accept" })
	}
	return r.IPTables.Jump == "ACCEPT"
}

// HasConditions reports whether the rule matches by more than interfaces.
func (r *Rule) HasConditions() bool {
	if r.NFT != nil {
		return hasConditions(r.NFT)
	}
	for _, m := range r.IPTables.Matches {
		if m.Name != "comment" {
			return true
		}
	}
	for _, o := range r.IPTables.Base {
		if o.Name != "-i" && o.Name != "-o" {
			return true
		}
	}
	return false
}

// Place is where a rule was written: in the policy if there is one, else in the file that the rule
// was read from.
func (h *Host) Place(r *Rule) hcl.Range {
	if id, ok := r.ID(); ok {
		return h.PlaceOf(id, r)
	}
	return r.position()
}

// PlaceOf is Place for one of the rules of the policy that were merged into a rule. It is empty for
// rules that are no block of the policy, if there is a policy.
func (h *Host) PlaceOf(id ir.RuleID, r *Rule) hcl.Range {
	if h.Origins != nil && (id.Merged() || id.Leads()) {
		return hcl.Range{}
	}
	if o, ok := h.Origins[RuleKey{r.Chain, id}]; ok {
		return o.Range
	}
	return r.position()
}

// OriginOf returns the block of the policy for forwarded packets that a rule comes from; the zero
// Origin without a policy.
func (h *Host) OriginOf(id ir.RuleID) ir.Origin {
	if !h.NFTables() {
		return h.Origins[RuleKey{h.EntryChain(), id}]
	}
	for key, o := range h.Origins {
		if key.ID == id && !h.ofInput(key.Chain) && key.Chain != chainsOfTable[ir.ScopeEgress] {
			return o
		}
	}
	return ir.Origin{}
}

// MissingBlock returns the policy that lacks the block of a rule, which is compiled all the same; ""
// if the policy has the block, or is not known.
func (h *Host) MissingBlock(r *Rule) string {
	if id, ok := r.ID(); ok && h.Implicit[RuleKey{r.Chain, id}] {
		return h.Name
	}
	return ""
}

// position is where the rule is in the file that it was read from; empty where it was not read from
// one.
func (r *Rule) position() hcl.Range {
	if r.NFT != nil {
		return hcl.Range{}
	}
	return r.IPTables.Range
}

// IDAt returns the identity of a rule by its position in a program; ok is false if it is not a rule of
// dockerfw.
func (h *Host) IDAt(f ir.Family, at packet.Origin) (id ir.RuleID, ok bool) {
	return h.RuleAt(f, at).ID()
}
