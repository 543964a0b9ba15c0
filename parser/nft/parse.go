package nft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// Ruleset is the tables that nft lists.
type Ruleset struct{ Tables []*Table }

// Table is a table. Its family is ip, ip6, inet, arp, bridge or netdev.
type Table struct {
	Family, Name string
	Chains       []*Chain
	Sets         map[string]*Set
}

// Chain is a chain. With a Hook it is a base chain; others are reached by jumps only.
type Chain struct {
	Name string
	// Type is filter, nat or route, and Hook is one such as forward. Both are "" for a
	// chain that is not a base chain.
	Type, Hook string
	// Priority orders the base chains of a hook, the lowest first.
	Priority int
	// Policy is accept or drop; "" means accept.
	Policy string
	Rules  []*Rule
}

// Rule is a rule with its expressions in order.
type Rule struct {
	Handle  int
	Comment string
	Expr    []Expr
}

// Expr is a condition or statement: its kind, such as match or drop, and its JSON value,
// in which numbers are json.Number.
type Expr struct {
	Kind string
	Body any
}

// Set is a named set or map.
type Set struct {
	Name string
	// Map is set for a map, whose elements are pairs of a key and a value.
	Map bool
	// Changes is set if packets add elements or elements expire, so that the listed
	// elements are only those of one moment.
	Changes bool
	Elem    []any
}

// Table returns the table with that family and name, or nil.
func (r *Ruleset) Table(family, name string) *Table {
	if r == nil {
		return nil
	}
	for _, t := range r.Tables {
		if t.Family == family && t.Name == name {
			return t
		}
	}
	return nil
}

// Chain returns the chain with that name, or nil.
func (t *Table) Chain(name string) *Chain {
	if t == nil {
		return nil
	}
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

var (
	jsonStart = regexp.MustCompile(`^\s*\{\s*"nftables"\s*:`)
	textTable = regexp.MustCompile(`(?m)^table (ip|ip6|inet|arp|bridge|netdev) \S+ \{`)
)

// IsJSON reports whether a text begins like the output of nft -j.
func IsJSON(text []byte) bool { return jsonStart.Match(text) }

// IsText reports whether a text looks like the output of nft without -j.
func IsText(text []byte) bool { return textTable.Match(text) }

type object struct {
	Family, Table, Name, Chain string
	Type                       json.RawMessage
	Hook, Policy, Comment      string
	Prio, Handle               int
	Flags                      any
	Timeout, GCInterval        json.Number
	Elem                       []any
	Expr                       []map[string]any
}

// Parse reads the output of nft -j list ruleset or nft -j list table:
// docs/contributing/netfilter.md, "Listing as JSON".
func Parse(text []byte) (*Ruleset, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var in struct{ Nftables []map[string]json.RawMessage }
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("not the output of nft -j list ruleset: %w", err)
	}
	if in.Nftables == nil {
		return nil, errors.New("not the output of nft -j list ruleset: the member nftables is missing")
	}
	out := &Ruleset{}
	for i, entry := range in.Nftables {
		for kind, raw := range entry {
			if err := out.add(kind, raw); err != nil {
				return nil, fmt.Errorf("nftables[%d]: %s: %w", i, kind, err)
			}
		}
	}
	return out, nil
}

func (r *Ruleset) add(kind string, raw json.RawMessage) error {
	switch kind {
	case "table", "chain", "rule", "set", "map":
	default:
		// All other objects, such as metainfo, counters and flowtables, have an effect
		// only through an expression of a rule that refers to them, and rules keep
		// expressions of every kind.
		return nil
	}
	var o object
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		return err
	}
	if kind == "table" {
		r.Tables = append(r.Tables, &Table{Family: o.Family, Name: o.Name, Sets: map[string]*Set{}})
		return nil
	}
	t := r.Table(o.Family, o.Table)
	if t == nil {
		return fmt.Errorf("there is no table %s %s", o.Family, o.Table)
	}
	switch kind {
	case "chain":
		var typ string
		if len(o.Type) > 0 {
			if err := json.Unmarshal(o.Type, &typ); err != nil {
				return err
			}
		}
		t.Chains = append(t.Chains, &Chain{Name: o.Name, Type: typ, Hook: o.Hook, Priority: o.Prio, Policy: o.Policy})
	case "set", "map":
		t.Sets[o.Name] = &Set{Name: o.Name, Map: kind == "map", Changes: o.changes(), Elem: o.Elem}
	case "rule":
		c := t.Chain(o.Chain)
		if c == nil {
			return fmt.Errorf("there is no chain %s", o.Chain)
		}
		rule := &Rule{Handle: o.Handle, Comment: o.Comment}
		for _, e := range o.Expr {
			if len(e) != 1 {
				return fmt.Errorf("rule with handle %d: an expression with %d kinds instead of one", o.Handle, len(e))
			}
			for kind, body := range e {
				rule.Expr = append(rule.Expr, Expr{kind, body})
			}
		}
		c.Rules = append(c.Rules, rule)
	}
	return nil
}

// changes reports whether packets add elements to a set, or elements expire.
func (o *object) changes() bool {
	if o.Timeout != "" || o.GCInterval != "" {
		return true
	}
	flags, _ := o.Flags.([]any)
	if one, ok := o.Flags.(string); ok {
		flags = []any{one}
	}
	for _, f := range flags {
		if f == "dynamic" || f == "timeout" {
			return true
		}
	}
	return false
}
