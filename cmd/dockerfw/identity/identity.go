package identity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// OwnPrefix begins the names of all chains of dockerfw but the target, and is the name of the
// chain that install = "jump" fills.
const OwnPrefix = ir.OwnChain

// IDOf returns the rule of the policy that a rule comes from; ok is false for a rule without
// a comment of dockerfw.
func IDOf(r *iptables.Rule) (id ir.RuleID, ok bool) { return ir.ParseComment(r.Comment()) }

// Ours reports whether dockerfw made a rule: one with a comment of dockerfw, or an
// unconditional jump to a chain of dockerfw. r may be nil.
func Ours(r *iptables.Rule) bool {
	if r == nil {
		return false
	}
	comment := r.Comment()
	return comment == "dockerfw" || ir.IsComment(comment) || JumpsTo(r, r.Jump) && IsOwnChain(r.Jump)
}

// Dispatches reports whether a rule of dockerfw only sends packets to the chain that decides
// about them, or keeps them from one. r may be nil.
func Dispatches(r *iptables.Rule) bool {
	if r == nil {
		return false
	}
	id, ok := IDOf(r)
	return ok && id.Phase == ir.PhaseInput
}

// IsOwnChain reports whether a chain has one of the names that belong to dockerfw alone.
func IsOwnChain(name string) bool {
	return name == OwnPrefix || strings.HasPrefix(name, OwnPrefix+"-")
}

// IsDockerChain reports whether the engine fills a chain of the filter table.
func IsDockerChain(name string) bool {
	return name == "DOCKER" || strings.HasPrefix(name, "DOCKER-") && name != "DOCKER-USER"
}

// JumpsTo reports whether a rule sends every packet to a chain.
func JumpsTo(r *iptables.Rule, chain string) bool {
	return r.Jump == chain && !r.Goto && len(r.Base) == 0 && !slices.ContainsFunc(r.Matches, func(m iptables.Match) bool { return m.Name != "comment" })
}

// IsDockerReturn reports whether rule i of a chain is the RETURN that engines up to 26 add
// at the end of DOCKER-USER. It has no effect there.
func IsDockerReturn(c *iptables.Chain, i int) bool {
	r := c.Rules[i]
	return i == len(c.Rules)-1 && JumpsTo(r, "RETURN") && len(r.Matches) == 0
}

// ForeignRules returns the rules of a chain that neither dockerfw made nor Docker, which
// ends DOCKER-USER with a RETURN.
func ForeignRules(c *iptables.Chain) []*iptables.Rule {
	if c == nil {
		return nil
	}
	var out []*iptables.Rule
	for i, r := range c.Rules {
		if !Ours(r) && !IsDockerReturn(c, i) {
			out = append(out, r)
		}
	}
	return out
}

// BlockName is the name of a rule's block; that of any other rule is its text.
func BlockName(r *iptables.Rule) string {
	id, ok := IDOf(r)
	if !ok {
		return r.Text
	}
	return Block(id)
}

// Block is a rule of dockerfw as the policy writes its block, accept "https". A rule that several
// blocks were merged into is the accept rules of tcp/443.
func Block(id ir.RuleID) string {
	switch {
	case id.Leads():
		return id.Phase.String() + " rules"
	case id.Name == "":
		return id.Phase.String()
	case id.Merged():
		return fmt.Sprintf("%s rules of %s", id.Phase, id.Name)
	default:
		return fmt.Sprintf("%s %q", id.Phase, id.Name)
	}
}

// The table of nft that belongs to dockerfw alone, with the rules of a host of target nftables.
const (
	TableFamily = "inet"
	TableName   = "dockerfw"
)

// digestLength is the number of hexadecimal digits at the end of the name of a set, after a period.
const digestLength = 8

// SetOfTable returns the name that the policy has for a set of the table of nft. The table has the
// digest of the content behind the name, and an underscore before a digit that begins it.
func SetOfTable(name string) string {
	if NamedByContent(name) {
		name = name[:len(name)-digestLength-1]
	}
	if len(name) > 1 && name[0] == '_' && '0' <= name[1] && name[1] <= '9' {
		return name[1:]
	}
	return name
}

// NamedByContent reports whether the name of a set of the table has a digest of its content.
func NamedByContent(name string) bool {
	i := len(name) - digestLength - 1
	return i > 0 && name[i] == '.' && strings.Trim(name[i+1:], "0123456789abcdef") == ""
}
