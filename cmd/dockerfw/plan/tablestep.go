package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// loadTable is the input of nft -f that replaces the table of a host by another one, in one
// transaction; nil if nothing changes.
//
// The table is emptied of rules, not deleted: as its base chains stay, each packet is checked by all
// old or by all new rules (docs/contributing/netfilter.md, "Reload of a table"). Sets have the
// digest of their content in the name, so that the new rules come with the new sets. Elements that the
// host has are not written: those of a large set take seconds, and those that other programs have added stay.
//
// printed is want as nft prints it on the host.
//
// A table that is dormant stays so: the kernel does not create base chains in the transaction that activates
// a table.
func loadTable(have, want, printed *Table) []byte {
	var b bytes.Buffer
	if printed == nil {
		printed = want
	}
	switch {
	case want == nil && have == nil:
		return nil
	case want == nil:
		fmt.Fprintf(&b, "table %[1]s\ndelete table %[1]s\n", TableName)
		return b.Bytes()
	}
	if !have.dormant() {
		fmt.Fprintf(&b, "table %s\n", TableName) // it exists; without its flag this activates a dormant one
	}
	fmt.Fprintf(&b, "flush table %s\n", TableName)
	for _, o := range stale(have, printed) {
		fmt.Fprintf(&b, "delete %s %s %s\n", o.Kind, TableName, o.Name)
	}
	kept := map[*Object]bool{}
	for _, o := range want.Objects {
		old, now := have.Object(o.Kind, o.Name), printed.Object(o.Kind, o.Name)
		switch {
		case !holdsElements(o) || old == nil || now == nil || replaced(old, now):
		case !o.Managed() || old.sameElements(now):
			kept[o] = true
		default:
			// Somebody has changed it: its name has the digest of other content.
			fmt.Fprintf(&b, "flush %s %s %s\n", o.Kind, TableName, o.Name)
		}
	}
	loaded := *want
	loaded.Options = nil // the comment of a table cannot be changed
	if have.dormant() {
		loaded.Options = []string{dormantFlag}
	}
	// What packets have added counts for limits, and nft does not read all that it prints of it.
	loaded.print(&b, func(o *Object) bool { return !kept[o] && !o.Dynamic() })
	return b.Bytes()
}

// stale are the objects of a table that another one does not have, or has otherwise. Each is deleted
// before what it refers to: sets and maps before chains, those before other objects. No rule refers to
// one any more.
func stale(have, want *Table) []*Object {
	if have == nil {
		return nil
	}
	var out []*Object
	for _, o := range have.Objects {
		if w := want.Object(o.Kind, o.Name); w == nil || replaced(o, w) {
			out = append(out, o)
		}
	}
	order := func(o *Object) int {
		return slices.Index([]string{"other", "chain", "map", "set"}, o.Kind)
	}
	slices.SortStableFunc(out, func(a, b *Object) int { return order(b) - order(a) })
	return out
}

func holdsElements(o *Object) bool { return o.Kind == "set" || o.Kind == "map" }

// replaced reports whether an object has to be deleted to become another: nft cannot change the type
// of a set, nor the hook of a base chain.
func replaced(have, want *Object) bool {
	if have.Kind == "chain" {
		return have.hook() != want.hook()
	}
	return !have.sameLines(want)
}

// tableProblems are the reasons not to load a table. Another hook or priority of a base chain is none
// with force: then a packet may be checked by neither version while the chain is replaced. The kernel
// ignores those of a dormant table.
func (h *Host) tableProblems(want *Version, force bool) []Problem {
	var out []Problem
	if want.Table == nil || force || h.Table.dormant() {
		return nil
	}
	for _, c := range want.Table.Chains() {
		if have := h.Table.Object("chain", c.Name); have != nil && replaced(have, c) {
			out = append(out, Problem{Text: fmt.Sprintf("the chain %s of table %s has %s on this host, and the version to load %s: nft cannot change that while packets pass. To delete the chain and create it again, with a moment in which packets may pass unchecked, use --force", c.Name, TableName, hookText(have), hookText(c))})
		}
	}
	return out
}

func hookText(c *Object) string {
	if hook := c.hook(); hook != "" {
		return `"` + hook + `"`
	}
	return "no hook"
}

// TableChange is how a version changes the table of nft.
type TableChange struct {
	Kind Kind
	// Chains are the chains whose rules change, without a family and a table.
	Chains []ChainChange
	Sets   []SetChange
	// Deleted are objects of other kinds that something else created in the table.
	Deleted []string
	// Activate: the kernel ignores the table as it is. Deactivate: it ignored it before.
	Activate, Deactivate bool
}

// ChangesRules reports whether the table has chains with rules that change.
func (t *TableChange) ChangesRules() bool {
	return slices.ContainsFunc(t.Chains, func(c ChainChange) bool {
		return len((&Object{Kind: "chain", Lines: c.Before}).rules()) > 0
	})
}

// tableChange compares the table of a host with that of a version; nil if they are the same. printed
// is the latter as nft prints it on the host.
func tableChange(have, want, printed *Table) *TableChange {
	if printed == nil || want == nil {
		printed = want
	}
	out := &TableChange{Kind: Replace, Activate: have.dormant() && !want.dormant(), Deactivate: !have.dormant() && want.dormant()}
	switch {
	case have == nil && want == nil:
		return nil
	case have == nil:
		out.Kind = Add
	case want == nil:
		out.Kind = Remove
	}
	for _, c := range have.Chains() {
		if now := printed.Object("chain", c.Name); now == nil {
			out.Chains = append(out.Chains, ChainChange{Table: TableName, Chain: c.Name, Kind: Remove, Before: c.Lines})
		}
	}
	for _, c := range printed.Chains() {
		switch old := have.Object("chain", c.Name); {
		case old == nil:
			out.Chains = append(out.Chains, ChainChange{Table: TableName, Chain: c.Name, Kind: Add, After: c.Lines})
		case !old.sameLines(c):
			out.Chains = append(out.Chains, ChainChange{Table: TableName, Chain: c.Name, Kind: Replace, Before: old.Lines, After: c.Lines})
		}
	}
	out.sets(have, printed)
	if have != nil {
		for _, o := range have.Objects {
			if o.Kind != "set" && o.Kind != "chain" && want.Object(o.Kind, o.Name) == nil {
				out.Deleted = append(out.Deleted, o.Kind+" "+o.Name)
			}
		}
	}
	if out.Kind == Replace && len(out.Chains)+len(out.Sets)+len(out.Deleted) == 0 && !out.Activate && !out.Deactivate {
		return nil
	}
	return out
}

// sets compares the sets of two tables. A new set and an old one that differ in the digest of the
// name are one change.
func (t *TableChange) sets(have, want *Table) {
	before := map[string]*Object{}
	for _, s := range have.Sets() {
		if want.Object("set", s.Name) == nil {
			before[withoutDigest(s.Name)] = s
		}
	}
	paired := map[*Object]bool{}
	for _, s := range want.Sets() {
		old := have.Object("set", s.Name)
		if old == nil {
			old = before[withoutDigest(s.Name)]
			if paired[old] || old != nil && !(old.Managed() && s.Managed()) {
				old = nil
			}
			paired[old] = old != nil
		}
		switch {
		case old == nil:
			t.Sets = append(t.Sets, SetChange{Name: s.Name, Created: true, Counts: s.Dynamic(), After: strings.Join(s.Lines, ", "), Added: s.Elements})
			continue
		case replaced(old, s):
			c := SetChange{Name: s.Name, Before: strings.Join(old.Lines, ", "), After: strings.Join(s.Lines, ", ")}
			if old.Managed() && s.Managed() {
				c.Added, c.Removed = without(s.Elements, old.Elements), without(old.Elements, s.Elements)
			} else {
				c.Added, c.Removed = s.Elements, old.Elements
			}
			t.Sets = append(t.Sets, c)
		case old.Name != s.Name || s.Managed() && !old.sameElements(s):
			t.Sets = append(t.Sets, SetChange{Name: s.Name, Added: without(s.Elements, old.Elements), Removed: without(old.Elements, s.Elements)})
		}
	}
	for _, s := range have.Sets() {
		if want.Object("set", s.Name) == nil && !paired[s] {
			t.Sets = append(t.Sets, SetChange{Name: s.Name, Deleted: true, Counts: s.Dynamic(), Before: strings.Join(s.Lines, ", "), Removed: s.Elements})
		}
	}
}

// withoutDigest is the name of a set without the digest of its content: NAME.DIGEST.
func withoutDigest(name string) string {
	base, digest, ok := cutLast(name, ".")
	if ok && len(digest) == 8 && strings.Trim(digest, "0123456789abcdef") == "" {
		return base
	}
	return name
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// without are the elements of a that b does not have.
func without(a, b []string) []string {
	in := make(map[string]bool, len(b))
	for _, e := range b {
		in[e] = true
	}
	var out []string
	for _, e := range a {
		if !in[e] {
			out = append(out, e)
		}
	}
	return out
}

// lines describe the change, one in each line.
func (t *TableChange) lines() []string {
	if t == nil {
		return nil
	}
	name := "table " + TableName
	var out []string
	switch t.Kind {
	case Add:
		out = append(out, name+": create with "+count(len(t.Chains), "chain", "chains"))
	case Remove:
		out = append(out, name+": remove")
	default:
		switch {
		case t.Activate:
			out = append(out, name+": activate, the kernel ignores it as it is ("+dormantFlag+")")
		case t.Deactivate:
			out = append(out, name+": deactivate, as it was before ("+dormantFlag+")")
		}
		for _, c := range t.Chains {
			what := map[Kind]string{Add: "create", Replace: "replace the rules", Remove: "remove"}[c.Kind]
			out = append(out, "chain "+c.Chain+" of "+name+": "+what)
		}
	}
	for _, s := range t.Sets {
		out = append(out, "set "+s.Name+": "+s.text())
	}
	for _, o := range t.Deleted {
		if t.Kind != Remove {
			out = append(out, o+" of "+name+": remove")
		}
	}
	return out
}

// tableSteps are the steps that give a host the table of a version.
func tableSteps(have, want, printed *Table) []Step {
	name := "replace the table " + TableName
	switch {
	case have == nil:
		name = "create the table " + TableName
	case want == nil:
		name = "remove the table " + TableName
	}
	var steps []Step
	if sets := newSets(have, want, printed); sets != nil {
		var b bytes.Buffer
		sets.print(&b, func(*Object) bool { return true })
		steps = append(steps, Step{Name: "create the new sets of the table " + TableName, Tool: NFT, Input: b.Bytes()})
		with := *have
		with.Objects = slices.Concat(have.Objects, sets.Objects)
		have = &with
	}
	steps = append(steps, Step{Name: name, Tool: NFT, Input: loadTable(have, want, printed)})
	switch {
	case want == nil || have.dormant() == want.dormant():
	case have.dormant():
		steps = append(steps, Step{Name: "activate the table " + TableName, Tool: NFT, Input: []byte("table " + TableName + "\n")})
	default:
		steps = append(steps, Step{Name: "deactivate the table " + TableName, Tool: NFT, Input: fmt.Appendf(nil, "table %s {\n\t%s\n}\n", TableName, dormantFlag)})
	}
	return steps
}

// newSets are the sets of a version that a table in force does not have; nil if there are none.
//
// They are created in a transaction of their own. In that of the rules, the kernel turns to the new rules
// before lookups find the elements of new sets with intervals: for a moment nobody is in such a set
// (docs/contributing/netfilter.md, "Sets and rules in one transaction").
func newSets(have, want, printed *Table) *Table {
	if have == nil || want == nil || have.dormant() || want.dormant() {
		return nil
	}
	if printed == nil {
		printed = want
	}
	out := &Table{}
	for _, o := range want.Sets() {
		now := printed.Object(o.Kind, o.Name)
		if o.Managed() && len(o.Elements) > 0 && now != nil && have.Object(o.Kind, o.Name) == nil {
			out.Objects = append(out.Objects, now)
		}
	}
	if len(out.Objects) == 0 {
		return nil
	}
	return out
}

// Input is the input of nft -f that loads the table whatever the host has, unless that has sets or
// base chains of the same names and of another type.
func (t *Table) Input() []byte { return loadTable(nil, t, nil) }
