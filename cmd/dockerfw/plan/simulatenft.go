package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// runNFT changes the table of a simulated host as nft -f does: all of the input or nothing.
func (h *Host) runNFT(s Step) error {
	table, deleted := h.Table.Clone(), false
	text := string(s.Input)
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		words := strings.Fields(line)
		switch {
		case line == "table "+TableName+" {":
			block, err := ParseTable([]byte(text))
			if err == nil {
				table, err = merged(table, block)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			rest = ""
		case line == "table "+TableName:
			if table == nil {
				table = &Table{}
			}
			table.Options = slices.DeleteFunc(table.Options, func(l string) bool { return l == dormantFlag })
		case table == nil:
			return fmt.Errorf("%s: %s: there is no table", s.Name, line)
		case line == "flush table "+TableName:
			for _, c := range table.Chains() {
				c.Lines = c.Lines[:len(c.Lines)-len(c.rules())]
			}
		case line == "delete table "+TableName:
			table, deleted = nil, true
		case len(words) > 3 && words[0] == "delete":
			if err := table.remove(strings.Join(words[1:len(words)-3], " "), words[len(words)-1]); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		case len(words) == 5 && words[0] == "flush":
			o := table.Object(words[1], words[4])
			if o == nil {
				return fmt.Errorf("%s: %s: it does not exist", s.Name, line)
			}
			o.Elements = nil
		default:
			return fmt.Errorf("%s: unknown command %q", s.Name, line)
		}
		text = rest
	}
	if table == nil && !deleted {
		return errors.New("the input is empty")
	}
	h.Table = table
	return nil
}

// remove deletes an object to which no rule refers.
func (t *Table) remove(kind, name string) error {
	if t.Object(kind, name) == nil {
		return fmt.Errorf("%s %s does not exist", kind, name)
	}
	if by := t.user(kind, name); by != "" {
		return fmt.Errorf("%s %s is used by %s", kind, name, by)
	}
	t.Objects = slices.DeleteFunc(t.Objects, func(o *Object) bool { return o.Kind == kind && o.Name == name })
	return nil
}

// user is a rule that uses a chain or set; "" if none does.
func (t *Table) user(kind, name string) string {
	for _, c := range t.Chains() {
		for _, rule := range c.rules() {
			words := strings.Fields(conditions(rule))
			for i, w := range words {
				jumps := i > 0 && (words[i-1] == "jump" || words[i-1] == "goto")
				if holdsElements(&Object{Kind: kind}) && w == "@"+name || kind == "chain" && jumps && w == name {
					return rule
				}
			}
		}
	}
	return ""
}

// merged is a table after the commands of a block of another one: it adds rules and elements, and
// creates what does not exist.
func merged(table, block *Table) (*Table, error) {
	if table == nil {
		table = &Table{}
	}
	activates := table.dormant() && !block.dormant()
	table.Options = slices.DeleteFunc(table.Options, func(l string) bool { return l == dormantFlag })
	if block.dormant() {
		table.Options = append(table.Options, dormantFlag)
	}
	for _, o := range block.Objects {
		old := table.Object(o.Kind, o.Name)
		switch {
		case old == nil && activates && o.hook() != "":
			return nil, fmt.Errorf("chain %s: invalid argument: the table is activated in the same transaction", o.Name)
		case old == nil:
			one := *o
			table.Objects = append(table.Objects, &one)
		case o.Kind == "chain":
			if old.hook() != o.hook() {
				return nil, fmt.Errorf("chain %s: operation not supported: it has another hook", o.Name)
			}
			old.Lines = slices.Concat(old.Lines[:len(old.Lines)-len(old.rules())], o.rules())
		case !old.sameLines(o):
			return nil, fmt.Errorf("%s %s exists with another type", o.Kind, o.Name)
		default:
			old.Elements = append(slices.Clip(old.Elements), without(o.Elements, old.Elements)...)
		}
	}
	for _, c := range table.Chains() {
		for _, rule := range c.rules() {
			for word := range strings.FieldsSeq(conditions(rule)) {
				set, isSet := strings.CutPrefix(word, "@")
				if isSet && table.Object("set", set) == nil && table.Object("map", set) == nil {
					return nil, fmt.Errorf("%s: set %s does not exist", rule, set)
				}
			}
		}
	}
	return table, nil
}

// conditions is a rule without its comment, which may contain anything.
func conditions(rule string) string {
	before, _, _ := strings.Cut(rule, ` comment "`)
	return before
}
