package iptables

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Ruleset is the tables of one family.
type Ruleset struct {
	Family Family
	Tables []*Table // in the order they were loaded

	// spelled caches the canonical text of rules, by which -D and -C compare them.
	spelled map[*Rule]string
}

// Table is one table, its built-in chains first.
type Table struct {
	Name   string
	Chains []*Chain

	// index has the first indexed chains of Chains by name, of several with one name the first.
	index   map[string]*Chain
	indexed int
}

// Chain is one chain with its rules in order.
type Chain struct {
	Name     string
	Policy   string // "" for a user chain
	Counters *Counters
	Rules    []*Rule
	Range    hcl.Range // of the line that declares it; zero if none does
}

// NewRuleset returns the empty tables of a host. It panics for a Family that is neither
// IPv4 nor IPv6.
func NewRuleset(family Family) *Ruleset {
	if family != IPv4 && family != IPv6 {
		panic(fmt.Sprintf("iptables: unknown family %d", family))
	}
	return &Ruleset{Family: family, spelled: map[*Rule]string{}}
}

// Table returns the table with that name, or nil.
func (rs *Ruleset) Table(name string) *Table {
	i := slices.IndexFunc(rs.Tables, func(t *Table) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return rs.Tables[i]
}

// Chain returns the chain with that name, or nil. It is safe for concurrent use only after Index.
func (t *Table) Chain(name string) *Chain {
	if t == nil {
		return nil
	}
	t.Index()
	return t.index[name]
}

// Index prepares Chain for chains that were added.
func (t *Table) Index() {
	if t.index == nil || t.indexed > len(t.Chains) {
		t.index, t.indexed = map[string]*Chain{}, 0
	}
	for ; t.indexed < len(t.Chains); t.indexed++ {
		c := t.Chains[t.indexed]
		if t.index[c.Name] == nil {
			t.index[c.Name] = c
		}
	}
}

// remove removes a chain of a table without two chains of one name. The index stays, because a
// removal file deletes all chains one by one.
func (t *Table) remove(c *Chain) {
	t.Index()
	t.Chains = slices.DeleteFunc(t.Chains, func(other *Chain) bool { return other == c })
	t.indexed--
	delete(t.index, c.Name)
}

// Reachable returns the table without the chains that no jump leads to from start. The
// chains are those of t.
func (t *Table) Reachable(start string) *Table {
	out := &Table{Name: t.Name}
	byName := make(map[string]*Chain, len(t.Chains))
	for _, c := range t.Chains {
		byName[c.Name] = c
	}
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		c := byName[name]
		if c == nil || seen[name] {
			return
		}
		seen[name] = true
		out.Chains = append(out.Chains, c)
		for _, r := range c.Rules {
			visit(r.Jump)
		}
	}
	visit(start)
	return out
}

// Changed must be called after chains were removed from Chains or renamed.
func (t *Table) Changed() { t.index = nil }

// Canonical returns the canonical text of a rule of the set.
func (rs *Ruleset) Canonical(r *Rule) string {
	if s, ok := rs.spelled[r]; ok {
		return s
	}
	s := r.Canonical(rs.Family)
	rs.spelled[r] = s
	return s
}

// Print writes the tables as iptables-save does, with canonical rules and without comment
// lines and counters, so that equal rules of two hosts have equal text.
func (rs *Ruleset) Print(w io.Writer) error {
	buf := bufio.NewWriter(w)
	for _, t := range rs.Tables {
		fmt.Fprintf(buf, "*%s\n", t.Name)
		for _, c := range t.Chains {
			policy := c.Policy
			if policy == "" {
				policy = "-"
			}
			fmt.Fprintf(buf, ":%s %s [0:0]\n", c.Name, policy)
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				text := rs.Canonical(r)
				if text != "" {
					text = " " + text
				}
				fmt.Fprintf(buf, "-A %s%s\n", quote(c.Name, bare), text)
			}
		}
		buf.WriteString("COMMIT\n")
	}
	return buf.Flush()
}

// builtins are the built-in chains of each table.
var builtins = map[string][]string{
	"filter":   {"INPUT", "FORWARD", "OUTPUT"},
	"nat":      {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"},
	"mangle":   {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"},
	"raw":      {"PREROUTING", "OUTPUT"},
	"security": {"INPUT", "FORWARD", "OUTPUT"},
	"rawpost":  {"POSTROUTING"},
}

// newTable returns a table as the kernel creates it, or nil for an unknown name.
func newTable(name string) *Table {
	chains, ok := builtins[name]
	if !ok {
		return nil
	}
	t := &Table{Name: name}
	for _, c := range chains {
		t.Chains = append(t.Chains, &Chain{Name: c, Policy: "ACCEPT"})
	}
	return t
}

// Clone copies the tables. The copy shares the rules, which are never modified.
func (rs *Ruleset) Clone() *Ruleset {
	out := NewRuleset(rs.Family)
	for _, t := range rs.Tables {
		out.Tables = append(out.Tables, t.clone())
	}
	return out
}

// clone copies a table. The copy shares the rules, which are never modified.
func (t *Table) clone() *Table {
	out := &Table{Name: t.Name}
	for _, c := range t.Chains {
		copied := *c
		copied.Rules = slices.Clone(c.Rules)
		out.Chains = append(out.Chains, &copied)
	}
	return out
}
