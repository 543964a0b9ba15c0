package nft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// Ruleset is all that nft lists.
type Ruleset struct{ Tables []*Table }

// Table is a table of a family: ip, ip6, inet, arp, bridge or netdev.
type Table struct {
	Family, Name string
	Chains       []*Chain
	Sets         map[string]*Set
}

// Chain is a chain. One with a Hook is a base chain, to which packets come by themselves.
type Chain struct {
	Name string
	// Type is filter, nat or route, and Hook such as forward; "" of chains that only
	// jumps lead to.
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

// Expr is a condition or statement: its kind, such as match or drop, and what nft says of
// it. Numbers are json.Number.
type Expr struct {
	Kind string
	Body any
}

// Set is a named set or map.
type Set struct {
	Name string
	// Map tells that the elements are pairs of a key and a value.
	Map bool
	// Changes tells that packets or time change its elements: what it holds now says
	// little of what it will hold.
	Changes bool
	Elem    []any
}

// Table returns a table; nil if it is not there.
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

// Chain returns a chain; nil if it is not there.
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
	begins = regexp.MustCompile(`^\s*\{\s*"nftables"\s*:`)
	asText = regexp.MustCompile(`(?m)^table (ip|ip6|inet|arp|bridge|netdev) \S+ \{`)
)

// IsJSON tells whether a text is what Parse reads, by its beginning.
func IsJSON(text []byte) bool { return begins.Match(text) }

// IsText tells whether a text is what nft prints without -j.
func IsText(text []byte) bool { return asText.Match(text) }

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

// Parse reads the output of nft -j list ruleset, or of nft -j list table.
func Parse(text []byte) (*Ruleset, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var in struct{ Nftables []map[string]json.RawMessage }
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("this is not what nft -j list ruleset prints: %w", err)
	}
	if in.Nftables == nil {
		return nil, errors.New("this is not what nft -j list ruleset prints: it has no nftables")
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
		return nil // metainfo, counters, flowtables and others decide nothing by themselves
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
				return fmt.Errorf("rule with handle %d: an expression of %d kinds", o.Handle, len(e))
			}
			for kind, body := range e {
				rule.Expr = append(rule.Expr, Expr{kind, body})
			}
		}
		c.Rules = append(c.Rules, rule)
	}
	return nil
}

// changes tells whether packets add elements to a set, or time takes them away.
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
