package nft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Ruleset is the tables that nft lists.
type Ruleset struct{ Tables []*Table }

// Table is a table. Its family is ip, ip6, inet, arp, bridge or netdev.
type Table struct {
	Family, Name string
	Chains       []*Chain
	Sets         map[string]*Set
	// Dormant is set if the kernel ignores the table (flags dormant).
	Dormant bool
	// Range is its header in the text; empty if it was read from JSON, here and below.
	Range hcl.Range
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
	Range  hcl.Range
}

// Rule is a rule with its expressions in order.
type Rule struct {
	Handle  int
	Comment string
	Expr    []Expr
	// Range is the whole rule.
	Range hcl.Range
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
	// Type is the type of its keys, such as ipv4_addr; parts of a concatenation have " . "
	// between them. For a map it is followed by " : " and that of its values. It is "" if it
	// is not written as names of types.
	Type string
	// Flags are constant, dynamic, interval and timeout, sorted. nft 1.0.6 leaves dynamic out
	// of its JSON.
	Flags []string
	// Size is the largest number of elements; 0 means no limit.
	Size int
	// AutoMerge means that overlapping elements are merged; otherwise they are refused.
	AutoMerge bool
	// Changes is set if packets add elements or elements expire, so that the listed
	// elements are only those of one moment.
	Changes bool
	// Addresses are the plain elements of a set of addresses.
	Addresses Addresses
	// Elem are all other elements.
	Elem []any
	// Range is its header.
	Range hcl.Range
}

// Dynamic reports whether rules of the table add elements to the set.
func (s *Set) Dynamic() bool { return slices.Contains(s.Flags, "dynamic") }

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
	Timeout, Size              json.Number
	GCInterval                 json.Number `json:"gc-interval"`
	AutoMerge                  bool        `json:"auto-merge"`
	Map                        json.RawMessage
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
	for _, t := range out.Tables {
		t.markDynamic()
	}
	return out, nil
}

// markDynamic marks the sets that rules of the table add elements to.
func (t *Table) markDynamic() {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, e := range r.Expr {
				body, _ := e.Body.(map[string]any)
				name, _ := body[e.Kind].(string)
				if e.Kind != "set" && e.Kind != "map" || len(name) < 2 {
					continue
				}
				s := t.Sets[name[1:]]
				if s == nil || s.Changes && (s.Dynamic() || body["op"] == "delete") {
					continue
				}
				changed := *s
				changed.Changes = true
				if body["op"] != "delete" && !s.Dynamic() {
					changed.Flags = append(slices.Clip(s.Flags), "dynamic")
					slices.Sort(changed.Flags)
				}
				t.Sets[s.Name] = &changed
			}
		}
	}
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
		r.Tables = append(r.Tables, &Table{Family: o.Family, Name: o.Name, Sets: map[string]*Set{}, Dormant: o.dormant()})
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
		s := &Set{Name: o.Name, Map: kind == "map", Type: o.setType(), Flags: o.flags(), AutoMerge: o.AutoMerge, Changes: o.changes(), Elem: o.Elem}
		s.Size, _ = strconv.Atoi(o.Size.String())
		s.compact()
		t.Sets[o.Name] = s
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
	flags := o.flags()
	return o.Timeout != "" || o.GCInterval != "" || slices.Contains(flags, "dynamic") || slices.Contains(flags, "timeout")
}

// dormant reports whether a table is dormant. Instead of this flag nft 1.0.6 prints whatever text is at some place
// in its memory, such as the name of the family, of the table, or of its release.
func (o *object) dormant() bool {
	return slices.ContainsFunc(o.flags(), func(f string) bool { return f != "owner" && f != "persist" })
}

func (o *object) flags() []string {
	var out []string
	switch flags := o.Flags.(type) {
	case string:
		out = append(out, flags)
	case []any:
		for _, f := range flags {
			if f, ok := f.(string); ok {
				out = append(out, f)
			}
		}
	}
	slices.Sort(out)
	return out
}

// setType returns the type of a set, or of the keys and values of a map.
func (o *object) setType() string {
	read := func(raw json.RawMessage) string {
		var one string
		var several []string
		if len(raw) == 0 || json.Unmarshal(raw, &one) == nil || json.Unmarshal(raw, &several) != nil {
			return one
		}
		return strings.Join(several, " . ")
	}
	out := read(o.Type)
	if value := read(o.Map); out != "" && value != "" {
		out += " : " + value
	}
	return out
}
