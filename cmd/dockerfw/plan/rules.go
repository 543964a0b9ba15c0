package plan

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Mover reports whether a jump that exists comes too late: what is ahead of it in its chain lets
// through packets that the rules behind it refuse, so that it has to go to the head of the chain.
type Mover func(Jump) bool

// renames are other names under which rules use sets.
type renames map[string]string

// transaction is the text of change; "" if there is nothing to change.
func transaction(t *iptables.Table, table string, f ir.Family, want *Rules, to renames, move Mover) string {
	b := change(t, table, f, want, to, move)
	if len(b.Commands) == 0 {
		return ""
	}
	var out strings.Builder
	_ = (&iptables.RulesFile{Blocks: []*iptables.Block{b}}).Print(&out) // a Builder has no errors
	return out.String()
}

// change returns the block that changes a table of a host to what a version has there, as one
// transaction. Foreign rules stay as they are, except in chains that the version replaces.
func change(t *iptables.Table, table string, f ir.Family, want *Rules, to renames, move Mover) *iptables.Block {
	b := want.block(table)
	own := declared(b)
	out := &iptables.Block{Table: table, Committed: true}
	add := func(c *iptables.Command) { out.Commands = append(out.Commands, c) }
	declare := func(chain string) {
		add(&iptables.Command{Op: iptables.Declare, Chain: chain, Policy: "-", Counters: &iptables.Counters{}})
	}
	for _, c := range commands(b) {
		if c.Op == iptables.Declare {
			declare(c.Chain)
		}
	}
	for _, name := range needed(b, table, want) {
		if t.Chain(name) == nil && !own[name] {
			declare(name)
		}
	}
	var gone []string
	for _, c := range chains(t) {
		if identity.IsOwnChain(c.Name) && !own[c.Name] {
			declare(c.Name)
			gone = append(gone, c.Name)
		}
	}
	stays := map[Jump]bool{}
	jumps := want.jumps(f, table)
	for _, j := range jumps {
		stays[j] = !own[j.Chain] && !Misplaced(t, j) && !move(j)
	}
	for _, c := range chains(t) {
		if own[c.Name] || identity.IsOwnChain(c.Name) {
			continue
		}
		for _, r := range c.Rules {
			if isJump := stays[Jump{f, table, c.Name, r.Jump}] && identity.JumpsTo(r, r.Jump); isJump {
				continue
			}
			if identity.Ours(r) || c.Name == "FORWARD" && leadsTo(want, table, r) {
				add(&iptables.Command{Op: iptables.Delete, Chain: c.Name, Rule: r})
			}
		}
	}
	for _, c := range commands(b) {
		if c.Op != iptables.Declare {
			add(&iptables.Command{Op: c.Op, Chain: c.Chain, Rule: withSets(c.Rule, to)})
		}
	}
	for _, j := range jumps {
		if !stays[j] {
			jump := &iptables.Rule{Chain: j.Chain, Jump: j.To, Text: "-j " + j.To}
			add(&iptables.Command{Op: iptables.Insert, Chain: j.Chain, Number: 1, Rule: jump})
		}
	}
	for _, name := range gone {
		add(&iptables.Command{Op: iptables.DeleteChain, Chain: name})
	}
	return out
}

// commands are those of a block, which may be nil.
func commands(b *iptables.Block) []*iptables.Command {
	if b == nil {
		return nil
	}
	return b.Commands
}

// withSets is a rule that uses sets under other names.
func withSets(r *iptables.Rule, to renames) *iptables.Rule {
	if len(to) == 0 {
		return r
	}
	out := *r
	out.Text = renamed(r.Text, to.of)
	return &out
}

// Jumps are the jumps that lead to the rules, in the order in which loading places them.
func (r *Rules) Jumps(f ir.Family) []Jump {
	return append(r.jumps(f, filter), r.jumps(f, security)...)
}

// LoadOnto changes tables of a family as loading the rules does; no rules at all remove
// dockerfw's. Jumps that exist stay where they are.
func (r *Rules) LoadOnto(rules *iptables.Ruleset, f ir.Family, noSecurity bool) error {
	for _, table := range tables {
		if table == security && noSecurity {
			continue
		}
		b := change(rules.Table(table), table, f, r, nil, stay)
		if len(b.Commands) == 0 {
			continue
		}
		if diags := rules.Load(&iptables.RulesFile{Blocks: []*iptables.Block{b}}); diags.HasErrors() {
			return diags
		}
	}
	return nil
}

// needed are the chains that are not part of a version, but that its jumps and the rules which it
// inserts need.
func needed(b *iptables.Block, table string, want *Rules) []string {
	var out []string
	add := func(chain string) {
		if chain != "" && !slices.Contains(builtin, chain) && !slices.Contains(out, chain) {
			out = append(out, chain)
		}
	}
	if table == filter && want != nil {
		add(want.Target)
	}
	for _, c := range commands(b) {
		if c.Op == iptables.Insert {
			add(c.Chain)
		}
	}
	return out
}

// builtin are the chains that the tables always have.
var builtin = []string{"INPUT", "FORWARD", "OUTPUT"}

// leadsTo reports whether a rule of FORWARD is the jump to the target, which is not one of
// dockerfw's chains. An engine before 17.06 has its own jump to DOCKER.
func leadsTo(want *Rules, table string, r *iptables.Rule) bool {
	return table == filter && want != nil && want.Target != "" && want.Target != "DOCKER" && identity.JumpsTo(r, want.Target)
}

// chains are those of a table, which may be nil.
func chains(t *iptables.Table) []*iptables.Chain {
	if t == nil {
		return nil
	}
	return t.Chains
}

// Misplaced reports whether a jump is missing, or exists more than once. Copies of the jump to
// DOCKER-USER are no fault: it is not dockerfw's.
func Misplaced(t *iptables.Table, j Jump) bool {
	n := Copies(t, j)
	return n == 0 || n > 1 && identity.IsOwnChain(j.To)
}

// Copies counts the unconditional jumps from one chain to another.
func Copies(t *iptables.Table, j Jump) (n int) {
	c := t.Chain(j.Chain)
	if c == nil {
		return 0
	}
	for _, r := range c.Rules {
		if identity.JumpsTo(r, j.To) {
			n++
		}
	}
	return n
}

// renamed returns the text of a rule with other names of sets.
func renamed(text string, name func(string) string) string {
	var out strings.Builder
	isSet := false
	for {
		word, rest := cutWord(text)
		if isSet {
			word = name(word)
		}
		isSet = word == "--match-set"
		out.WriteString(word)
		if rest == "" {
			return out.String()
		}
		out.WriteByte(' ')
		text = rest
	}
}

// cutWord returns the first word of a rule, which may be quoted and then contain spaces, and what
// follows it.
func cutWord(text string) (word, rest string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ' ' && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// of is the name under which rules use a set.
func (to renames) of(set string) string {
	if other, ok := to[set]; ok {
		return other
	}
	return set
}

// haveFamily reports whether a set of a family has another name.
func (to renames) haveFamily(want *Version, f ir.Family) bool {
	for set := range to {
		if want.familyOf(set) == f {
			return true
		}
	}
	return false
}

// comesLate is the Mover that looks at the targets of the rules ahead of a jump only: anything
// that may let a packet through makes the jump late.
func comesLate(t *iptables.Table, j Jump) bool {
	c := t.Chain(j.Chain)
	if c == nil {
		return false
	}
	for _, r := range c.Rules {
		if identity.JumpsTo(r, j.To) {
			return false
		}
		if mayAdmit(t, r, c.Policy != "DROP", 0) {
			return true
		}
	}
	return false
}

// maxDepth limits how deep mayAdmit follows jumps.
const maxDepth = 8

// mayAdmit reports whether a rule may keep a packet from reaching the rules after it, without
// refusing it. A RETURN does so only in the chain of the jump, unless the policy of the chain is
// DROP.
func mayAdmit(t *iptables.Table, r *iptables.Rule, returns bool, depth int) bool {
	switch r.Jump {
	case "", "DROP", "REJECT", "LOG", "NFLOG", "MARK", "CONNMARK", "CLASSIFY", "TCPMSS", "TRACE", "AUDIT", "SET":
		return false
	case "RETURN":
		return returns || r.Goto
	}
	c := t.Chain(r.Jump)
	if c == nil || r.Goto || depth == maxDepth {
		return true
	}
	for _, inner := range c.Rules {
		if mayAdmit(t, inner, false, depth+1) {
			return true
		}
	}
	return false
}
