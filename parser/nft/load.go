package nft

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Load changes the ruleset as nft -f FILE changes the tables of a host: all commands, or none of
// them if there is an error.
func (r *Ruleset) Load(file *File) hcl.Diagnostics {
	l := &loader{tables: r.Tables, owned: map[*Table]bool{}}
	for _, c := range file.Commands {
		l.command(c)
	}
	for t := range l.owned {
		l.checkReferences(t)
	}
	if len(l.diags) > 0 {
		slices.SortFunc(l.diags, func(a, b *hcl.Diagnostic) int { return a.Subject.Start.Byte - b.Subject.Start.Byte })
		return l.diags
	}
	for t := range l.owned {
		t.markDynamic()
	}
	r.Tables = l.tables
	return nil
}

type loader struct {
	tables []*Table
	// owned are the tables that are copies, so that they may be changed.
	owned map[*Table]bool
	diags hcl.Diagnostics
}

func (l *loader) problem(at hcl.Range, format string, args ...any) {
	l.diags = append(l.diags, diag.New(diag.CodeDumpLoad, at, "nft would refuse this", fmt.Sprintf(format, args...)))
}

// table returns a copy of a table that may be changed, or nil.
func (l *loader) table(family, name string) *Table {
	for i, t := range l.tables {
		if t.Family != family || t.Name != name {
			continue
		}
		if !l.owned[t] {
			copied := *t
			copied.Sets = maps.Clone(t.Sets)
			copied.Chains = nil
			for _, c := range t.Chains {
				chain := *c
				copied.Chains = append(copied.Chains, &chain)
			}
			l.tables = slices.Clone(l.tables)
			l.tables[i], t = &copied, &copied
			l.owned[t] = true
		}
		return t
	}
	return nil
}

func (l *loader) command(c *Command) {
	if c.Object == "ruleset" {
		l.tables = nil
		return
	}
	t := l.table(c.Family, c.Table)
	if c.Object == "table" && c.Verb == "add" {
		if t == nil {
			t = &Table{Family: c.Family, Name: c.Table, Sets: map[string]*Set{}, Range: c.Range}
			l.owned[t] = true
			l.tables = append(slices.Clone(l.tables), t)
		}
		// Without the flag the command wakes a table that is dormant.
		t.Dormant = c.Block != nil && c.Block.Dormant
		if c.Block != nil {
			l.block(t, c.Block)
		}
		return
	}
	if t == nil {
		if c.Verb != "destroy" {
			l.problem(c.Range, "There is no table %s %s.", c.Family, c.Table)
		}
		return
	}
	switch c.Object {
	case "table":
		if c.Verb == "flush" {
			for _, chain := range t.Chains {
				chain.Rules = nil
			}
			return
		}
		delete(l.owned, t)
		l.tables = slices.DeleteFunc(slices.Clone(l.tables), func(other *Table) bool { return other == t })
	case "chain":
		l.onChain(t, c)
	default:
		l.onSet(t, c)
	}
}

func (l *loader) onChain(t *Table, c *Command) {
	chain := t.Chain(c.Name)
	switch {
	case chain == nil && c.Verb == "destroy":
	case chain == nil:
		l.problem(c.Range, "Table %s %s has no chain %s.", t.Family, t.Name, c.Name)
	case c.Verb == "flush":
		chain.Rules = nil
	default:
		t.Chains = slices.DeleteFunc(t.Chains, func(other *Chain) bool { return other == chain })
	}
}

func (l *loader) onSet(t *Table, c *Command) {
	s := t.Sets[c.Name]
	switch {
	case s == nil && c.Verb == "destroy":
	case s == nil:
		l.problem(c.Range, "Table %s %s has no set %s.", t.Family, t.Name, c.Name)
	case c.Object == "element":
		added := *c.Elements
		added.Type, added.Map, added.Flags = s.Type, s.Map, s.Flags
		added.compact()
		t.Sets[c.Name] = l.merged(s, &added)
	case c.Verb == "flush":
		emptied := *s
		emptied.Addresses, emptied.Elem = Addresses{}, nil
		t.Sets[c.Name] = &emptied
	default:
		delete(t.Sets, c.Name)
	}
}

// block adds the chains and sets of a block to a table.
func (l *loader) block(t, block *Table) {
	for _, name := range slices.Sorted(maps.Keys(block.Sets)) {
		s := block.Sets[name]
		before := t.Sets[name]
		switch {
		case before == nil:
			copied := *s
			t.Sets[name] = l.merged(&Set{Name: s.Name, Map: s.Map, Type: s.Type, Flags: s.Flags, Size: s.Size, AutoMerge: s.AutoMerge, Changes: s.Changes, Range: s.Range}, &copied)
		case before.Type != s.Type || before.Map != s.Map || !slices.Equal(before.Flags, s.Flags):
			l.problem(s.Range, "Set %s exists with another type or other flags.", name)
		default:
			t.Sets[name] = l.merged(before, s)
		}
	}
	for _, c := range block.Chains {
		before := t.Chain(c.Name)
		if before == nil {
			before = &Chain{Name: c.Name, Type: c.Type, Hook: c.Hook, Priority: c.Priority, Policy: c.Policy, Range: c.Range}
			t.Chains = append(t.Chains, before)
		}
		if c.Hook != "" {
			if before.Type != c.Type || before.Hook != c.Hook || before.Priority != c.Priority {
				l.problem(c.Range, "Chain %s exists with another type, hook or priority.", c.Name)
			}
			before.Policy = c.Policy
		}
		before.Rules = append(slices.Clip(before.Rules), c.Rules...)
	}
}

// merged returns a set with the elements of another one added.
func (l *loader) merged(s, added *Set) *Set {
	out := *s
	out.Elem = mergeElements(s.Elem, added.Elem)
	var clash string
	out.Addresses.V4, clash = mergeRanges(s.Addresses.V4, added.Addresses.V4)
	if clash == "" {
		out.Addresses.V6, clash = mergeRanges(s.Addresses.V6, added.Addresses.V6)
	}
	if clash != "" && !s.AutoMerge {
		l.problem(added.Range, "Two elements of set %s overlap. One of them is %s.", s.Name, clash)
	}
	return &out
}

func mergeElements(before, added []any) []any {
	if len(added) == 0 {
		return before
	}
	keys := map[string]bool{}
	out := slices.Clip(before)
	for _, e := range before {
		keys[elementKey(e)] = true
	}
	for _, e := range added {
		if k := elementKey(e); !keys[k] {
			keys[k] = true
			out = append(out, e)
		}
	}
	return out
}

// elementKey returns the key of an element without its attributes.
func elementKey(e any) string {
	if pair, ok := e.([]any); ok && len(pair) == 2 {
		e = pair[0]
	}
	return Value(e)
}

// mergeRanges returns the elements of a set with those that are added, sorted. The same element
// again is no error; clash is one of two that overlap.
func mergeRanges[R elementRange[R]](before, added []R) (merged []R, clash string) {
	if len(added) == 0 || slices.Equal(before, added) {
		return before, ""
	}
	merged = added
	if len(before) > 0 || !slices.IsSortedFunc(added, R.before) {
		merged = slices.Concat(before, added)
		slices.SortFunc(merged, R.before)
		merged = slices.Compact(merged)
	} else if hasTwice(added) {
		merged = slices.Compact(slices.Clone(added))
	}
	for i := 1; i < len(merged); i++ {
		if merged[i-1].overlaps(merged[i]) {
			return merged, merged[i].String()
		}
	}
	return merged, ""
}

// hasTwice reports whether a sorted list has an element twice.
func hasTwice[R comparable](sorted []R) bool {
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1] == sorted[i] {
			return true
		}
	}
	return false
}

// checkReferences reports jumps to chains, and matches in sets, that the table does not have.
func (l *loader) checkReferences(t *Table) {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, e := range r.Expr {
				l.checkValue(t, r, e.Kind, e.Body)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Sets)) {
		s := t.Sets[name]
		for _, e := range s.Elem {
			l.checkValue(t, &Rule{Range: s.Range}, "", e)
		}
	}
}

func (l *loader) checkValue(t *Table, r *Rule, key string, v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			l.checkValue(t, r, "", x)
		}
	case body:
		for k, x := range v {
			if to, ok := x.(body); ok && (k == "jump" || k == "goto") {
				l.checkValue(t, r, k, to)
				continue
			}
			l.checkValue(t, r, k, x)
		}
	case string:
		switch {
		case key == "target" && t.Chain(v) == nil:
			l.problem(r.Range, "Table %s %s has no chain %s.", t.Family, t.Name, v)
		case (key == "right" || key == "set" || key == "data" || key == "map") && len(v) > 1 && v[0] == '@' && t.Sets[v[1:]] == nil:
			l.problem(r.Range, "Table %s %s has no set %s.", t.Family, t.Name, v[1:])
		}
	}
}

// SameAs reports whether two tables are the same, apart from positions and handles.
func (t *Table) SameAs(other *Table) bool {
	return t.Family == other.Family && t.Name == other.Name && t.Dormant == other.Dormant &&
		slices.EqualFunc(t.Chains, other.Chains, (*Chain).equal) && maps.EqualFunc(t.Sets, other.Sets, (*Set).equal)
}

func (c *Chain) equal(other *Chain) bool {
	return c.Name == other.Name && c.Type == other.Type && c.Hook == other.Hook && c.Priority == other.Priority && c.Policy == other.Policy &&
		slices.EqualFunc(c.Rules, other.Rules, func(a, b *Rule) bool { return a.Comment == b.Comment && reflect.DeepEqual(a.Expr, b.Expr) })
}

func (s *Set) equal(other *Set) bool {
	return s.Name == other.Name && s.Map == other.Map && s.Type == other.Type && slices.Equal(s.Flags, other.Flags) && s.Size == other.Size &&
		s.AutoMerge == other.AutoMerge && s.Changes == other.Changes &&
		slices.Equal(s.Addresses.V4, other.Addresses.V4) && slices.Equal(s.Addresses.V6, other.Addresses.V6) && reflect.DeepEqual(s.Elem, other.Elem)
}
