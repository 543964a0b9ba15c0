package iptables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Load applies the file as iptables-restore --noflush does: block by block, each
// completely or not at all (docs/contributing/netfilter.md, "Transactions"). It stops at
// the first error; earlier blocks stay applied. The diagnostics have the code
// [diag.CodeDumpLoad].
func (rs *Ruleset) Load(file *RulesFile) hcl.Diagnostics {
	for _, b := range file.Blocks {
		if diags := rs.loadBlock(b); diags.HasErrors() {
			return diags
		}
	}
	return nil
}

// loader applies one block to a copy of its table.
type loader struct {
	rs    *Ruleset
	table *Table
}

// refusal is why a command is not applied.
type refusal struct {
	summary, detail string
	rng             *hcl.Range // a tighter place than the whole command
}

func refuse(summary, format string, args ...any) *refusal {
	return &refusal{summary: summary, detail: fmt.Sprintf(format, args...)}
}

func (rs *Ruleset) loadBlock(b *Block) hcl.Diagnostics {
	var p problems
	fail := func(rng hcl.Range, line string, r *refusal) hcl.Diagnostics {
		if r.rng != nil {
			rng = *r.rng
		}
		detail := r.detail + fmt.Sprintf(" Nothing in this block of table %q is applied, and nothing after it.", b.Table)
		p.add(diag.CodeDumpLoad, hcl.DiagError, rng, line, r.summary, detail)
		return p.done()
	}
	head := "*" + b.Table
	switch {
	case b.Broken:
		return fail(b.Range, head, refuse("Table with bad lines", "The table has lines that cannot be read."))
	case !b.Committed:
		return fail(b.Range, head, refuse("COMMIT missing", "The table has no COMMIT line."))
	}
	old := rs.Table(b.Table)
	l := &loader{rs: rs}
	if old != nil {
		l.table = old.clone()
	} else if l.table = newTable(b.Table); l.table == nil {
		return fail(b.Range, head, refuse("Unknown table", "There is no table %q.", b.Table))
	}
	for _, c := range b.Commands {
		if c.Only != 0 && c.Only != rs.Family {
			continue
		}
		if r := l.apply(c); r != nil {
			return fail(c.Range, c.Line, r)
		}
	}
	loop, deep := l.table.badJumps()
	if deep != "" {
		return fail(b.End, "COMMIT", refuse("Too many jumps", "Chain %s is part of more than %d nested jumps.", deep, MaxJumps))
	}
	if loop != nil {
		return fail(b.End, "COMMIT", refuse("Jump loop", "These chains jump in a circle, which the kernel refuses: %s.", strings.Join(loop, " -> ")))
	}
	if old == nil {
		rs.Tables = append(rs.Tables, l.table)
	} else {
		*old = *l.table
	}
	return nil
}

func (l *loader) apply(c *Command) *refusal {
	switch c.Op {
	case Declare:
		return l.declare(c)
	case NewChain:
		if l.table.Chain(c.Chain) != nil {
			return refuse("Chain exists", "The chain %q exists already.", c.Chain)
		}
		l.table.Chains = append(l.table.Chains, &Chain{Name: c.Chain, Range: c.Range})
		return nil
	case Flush:
		if c.Chain == "" {
			for _, ch := range l.table.Chains {
				ch.Rules = nil
			}
			return nil
		}
	case DeleteChain:
		if c.Chain == "" {
			return l.deleteAll()
		}
	case Zero:
		if c.Chain == "" {
			return nil
		}
	}
	ch := l.table.Chain(c.Chain)
	if ch == nil {
		return refuse("No such chain", "The table has no chain %q. Declare it with a line `:%s - [0:0]`.", c.Chain, c.Chain)
	}
	switch c.Op {
	case Flush:
		ch.Rules = nil
	case DeleteChain:
		return l.delete(ch)
	case SetPolicy:
		if ch.Policy == "" || c.Policy != "ACCEPT" && c.Policy != "DROP" {
			return refuse("Bad policy", "Only built-in chains have a policy, ACCEPT or DROP.")
		}
		ch.Policy, ch.Range = c.Policy, c.Range
	case Rename:
		return l.rename(ch, c.NewName)
	case Zero:
		// Counters are not simulated.
	case Append, Insert, Delete, Replace, Check:
		return l.ruleCommand(ch, c)
	default:
		panic("iptables: unknown command " + string(c.Op))
	}
	return nil
}

// declare applies a :CHAIN line. It sets the policy of a built-in chain and keeps its
// rules; any other chain it creates or empties: docs/contributing/netfilter.md, "Chain
// lines".
func (l *loader) declare(c *Command) *refusal {
	ch := l.table.Chain(c.Chain)
	switch {
	case ch != nil && ch.Policy != "":
		if c.Policy != "-" && c.Policy != "ACCEPT" && c.Policy != "DROP" {
			return refuse("Bad policy", "The policy of a built-in chain is ACCEPT or DROP.")
		}
		if c.Policy != "-" {
			ch.Policy, ch.Counters = c.Policy, c.Counters
		}
		ch.Range = c.Range
	case c.Policy != "-":
		// iptables-legacy refuses this, iptables-nft ignores the policy.
		return refuse("Policy of a user chain", "Only built-in chains have a policy; write `:%s - [0:0]`.", c.Chain)
	case ch != nil:
		ch.Rules, ch.Range = nil, c.Range
	default:
		l.table.Chains = append(l.table.Chains, &Chain{Name: c.Chain, Range: c.Range})
	}
	return nil
}

func (l *loader) delete(ch *Chain) *refusal {
	switch {
	case ch.Policy != "":
		return refuse("Built-in chain", "The chain %q is built in and cannot be deleted.", ch.Name)
	case len(ch.Rules) > 0:
		return refuse("Chain not empty", "The chain %q has %d rules; flush it first.", ch.Name, len(ch.Rules))
	}
	for _, other := range l.table.Chains {
		for _, r := range other.Rules {
			if r.Jump == ch.Name {
				return refuse("Chain in use", "A rule of chain %q jumps to %q; delete that rule first.", other.Name, ch.Name)
			}
		}
	}
	l.table.remove(ch)
	return nil
}

func (l *loader) deleteAll() *refusal {
	for _, ch := range slices.Clone(l.table.Chains) {
		if ch.Policy != "" {
			continue
		}
		if r := l.delete(ch); r != nil {
			return r
		}
	}
	return nil
}

func (l *loader) rename(ch *Chain, name string) *refusal {
	switch {
	case ch.Policy != "":
		return refuse("Built-in chain", "The chain %q is built in and cannot be renamed.", ch.Name)
	case l.table.Chain(name) != nil:
		return refuse("Chain exists", "The chain %q exists already.", name)
	}
	// In the kernel, rules refer to the chain itself, not to its name.
	for _, other := range l.table.Chains {
		for i, r := range other.Rules {
			if r.Jump == ch.Name {
				renamed := *r
				renamed.Jump = name
				renamed.Text = renamed.format()
				other.Rules[i] = &renamed
			}
		}
	}
	for i, r := range ch.Rules {
		moved := *r
		moved.Chain = name
		ch.Rules[i] = &moved
	}
	ch.Name = name
	l.table.Changed()
	return nil
}

// MaxJumps is the largest depth of nested jumps that is accepted. Kernels allow far
// fewer, and code that follows jumps recurses.
const MaxJumps = 1000

// badJumps returns the chains of a loop that a built-in chain reaches, or else a chain
// in a path of more than MaxJumps nested jumps. A loop that no built-in chain reaches is
// accepted: docs/contributing/netfilter.md, "Jump loops".
func (t *Table) badJumps() (loop []string, deep string) {
	byName := make(map[string]*Chain, len(t.Chains))
	for _, c := range t.Chains {
		byName[c.Name] = c
	}
	height := map[*Chain]int{}
	at := map[*Chain]int{} // position in path
	var path []string
	var visit func(c *Chain) bool
	visit = func(c *Chain) bool {
		if i, ok := at[c]; ok {
			loop = append(slices.Clone(path[i:]), c.Name)
			return false
		}
		if h, done := height[c]; len(path)+h > MaxJumps {
			deep = c.Name
			return false
		} else if done {
			return true
		}
		at[c] = len(path)
		path = append(path, c.Name)
		h := 0
		for _, r := range c.Rules {
			if next := byName[r.Jump]; next != nil {
				if !visit(next) {
					return false
				}
				h = max(h, 1+height[next])
			}
		}
		path = path[:len(path)-1]
		delete(at, c)
		height[c] = h
		return true
	}
	for _, c := range t.Chains {
		if c.Policy != "" && !visit(c) {
			return loop, deep
		}
	}
	return nil, ""
}
