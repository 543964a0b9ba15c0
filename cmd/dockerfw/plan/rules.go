package plan

import (
	"fmt"
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

// transaction returns the block that changes a table of a host to what a version has there, as
// one transaction; "" if there is nothing to change. Foreign rules stay as they are, except in
// chains that the version replaces.
func transaction(t *iptables.Table, table string, f ir.Family, want *Rules, to renames, move Mover) string {
	b := want.block(table)
	own := declared(b)
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	if b != nil {
		for _, c := range b.Commands {
			if c.Op == iptables.Declare {
				line(":%s - [0:0]", c.Chain)
			}
		}
	}
	for _, name := range needed(b, table, want) {
		if t.Chain(name) == nil && !own[name] {
			line(":%s - [0:0]", name)
		}
	}
	var gone []string
	for _, c := range chains(t) {
		if identity.IsOwnChain(c.Name) && !own[c.Name] {
			line(":%s - [0:0]", c.Name)
			gone = append(gone, c.Name)
		}
	}
	stays := map[Jump]bool{}
	jumps := want.jumps(f, table)
	for _, j := range jumps {
		stays[j] = !own[j.Chain] && copies(t, j) == 1 && !move(j)
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
				line("-D %s %s", c.Name, r.Text)
			}
		}
	}
	if b != nil {
		for _, c := range b.Commands {
			if c.Op != iptables.Declare {
				line("%s %s %s", c.Op, c.Chain, renamed(c.Rule.Text, to.of))
			}
		}
	}
	for _, j := range jumps {
		if !stays[j] {
			line("-I %s 1 -j %s", j.Chain, j.To)
		}
	}
	for _, name := range gone {
		line("-X %s", name)
	}
	if out.Len() == 0 {
		return ""
	}
	return "*" + table + "\n" + out.String() + "COMMIT\n"
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
	if b != nil {
		for _, c := range b.Commands {
			if c.Op == iptables.Insert {
				add(c.Chain)
			}
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

// copies counts the unconditional jumps from one chain to another.
func copies(t *iptables.Table, j Jump) (n int) {
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
