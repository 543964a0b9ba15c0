package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Table is table inet dockerfw of nft: that of a compiled folder for target nftables, or that of a
// host. A host has the table of a version in force if the objects of both are the same.
type Table struct {
	// Options are lines of the table itself, such as "flags dormant". A version has none.
	Options []string
	Objects []*Object
}

// Object is a chain, a set, or another object of a table.
type Object struct {
	// Kind is the word or words of nft: chain, set, map, counter, ct helper.
	Kind, Name string
	// Lines are what nft prints of it, without indentation and elements: the rules of a chain, or
	// the type and flags of a set.
	Lines []string
	// Elements are those of a set or map.
	Elements []string
}

// TableName is the name of the table for nft.
const TableName = "inet dockerfw"

// LargeSet is how many elements a set has at most whose elements are listed on a host: nft needs a
// second for 100,000, and over a minute for 1,000,000.
const LargeSet = 100_000

// Object returns the object of a kind with a name; nil if there is none.
func (t *Table) Object(kind, name string) *Object {
	if t == nil {
		return nil
	}
	for _, o := range t.Objects {
		if o.Kind == kind && o.Name == name {
			return o
		}
	}
	return nil
}

// Sets are the sets of the table.
func (t *Table) Sets() []*Object { return t.ofKind("set") }

// Chains are the chains of the table.
func (t *Table) Chains() []*Object { return t.ofKind("chain") }

func (t *Table) ofKind(kind string) (out []*Object) {
	if t == nil {
		return nil
	}
	for _, o := range t.Objects {
		if o.Kind == kind {
			out = append(out, o)
		}
	}
	return out
}

// HasLargeSet reports whether the table, which may be nil, has a set of over LargeSet elements.
func (t *Table) HasLargeSet() bool {
	return slices.ContainsFunc(t.Sets(), func(s *Object) bool { return len(s.Elements) > LargeSet })
}

// CountRules is the number of rules.
func (t *Table) CountRules() (n int) {
	for _, c := range t.Chains() {
		n += len(c.rules())
	}
	return n
}

// rules are those of a chain.
func (o *Object) rules() []string {
	if o.hook() != "" {
		return o.Lines[1:]
	}
	return o.Lines
}

// hook is the line of a base chain with its hook and priority, without its policy; "" for other
// chains.
func (o *Object) hook() string {
	if o.Kind != "chain" || len(o.Lines) == 0 || !strings.HasPrefix(o.Lines[0], "type ") {
		return ""
	}
	hook, _, _ := strings.Cut(o.Lines[0], ";")
	return hook
}

// Managed reports whether a set has its elements from the version. Those of other sets come from packets
// or other programs, and stay through loads.
func (o *Object) Managed() bool {
	for _, l := range o.Lines {
		flags, ok := strings.CutPrefix(l, "flags ")
		if !ok {
			continue
		}
		for flag := range strings.SplitSeq(flags, ",") {
			if flag == "timeout" || flag == "dynamic" {
				return false
			}
		}
	}
	return true
}

// Dynamic reports whether packets add the elements of a set.
func (o *Object) Dynamic() bool {
	return slices.ContainsFunc(o.Lines, func(l string) bool { return strings.HasPrefix(l, "flags ") && strings.Contains(l, "dynamic") })
}

// sameElements reports whether two sets have the same elements, in any order.
func (o *Object) sameElements(other *Object) bool {
	if slices.Equal(o.Elements, other.Elements) {
		return true
	}
	a, b := slices.Sorted(slices.Values(o.Elements)), slices.Sorted(slices.Values(other.Elements))
	return slices.Equal(a, b)
}

// sameLines reports whether two objects are the same apart from elements. nft 1.0.6 does not print a
// burst that is the default of the kernel, 1.1 does.
func (o *Object) sameLines(other *Object) bool {
	return slices.EqualFunc(o.Lines, other.Lines, func(a, b string) bool {
		return a == b || withoutBurst(a) == withoutBurst(b)
	})
}

func withoutBurst(line string) string { return strings.ReplaceAll(line, " burst 5 packets", "") }

// Clone is a copy that can be changed.
func (t *Table) Clone() *Table {
	if t == nil {
		return nil
	}
	out := &Table{Options: slices.Clone(t.Options)}
	for _, o := range t.Objects {
		one := *o
		out.Objects = append(out.Objects, &one)
	}
	return out
}

// dormantFlag is the option of a table that the kernel ignores.
const dormantFlag = "flags dormant"

// dormant reports whether the kernel has the table and ignores it.
func (t *Table) dormant() bool {
	return t != nil && slices.ContainsFunc(t.Options, func(l string) bool { return strings.HasPrefix(l, "flags ") && strings.Contains(l, "dormant") })
}

// ParseTable reads a table as nft lists it, or the file of a compiled folder, which has comments and
// the commands that create and empty the table ahead of it.
func ParseTable(text []byte) (*Table, error) {
	r := &tableReader{rest: string(text)}
	for r.next() {
		switch {
		case r.line == "" || strings.HasPrefix(r.line, "#") || r.line == "table "+TableName || r.line == "flush table "+TableName:
		case r.line == "table "+TableName+" {":
			out := &Table{}
			if err := r.table(out); err != nil {
				return nil, err
			}
			for r.next() {
				if r.line != "" {
					return nil, r.unexpected()
				}
			}
			return out, nil
		default:
			return nil, r.unexpected()
		}
	}
	return nil, fmt.Errorf("there is no table %s", TableName)
}

type tableReader struct {
	rest, line string
	number     int
}

// next reads a line, and reports whether there was one.
func (r *tableReader) next() bool {
	if r.rest == "" {
		return false
	}
	r.line, r.rest, _ = strings.Cut(r.rest, "\n")
	r.number++
	return true
}

func (r *tableReader) unexpected() error {
	return fmt.Errorf("line %d is not what nft prints of a table: %.80s", r.number, r.line)
}

func (r *tableReader) table(t *Table) error {
	for r.next() {
		line, indented := strings.CutPrefix(r.line, "\t")
		switch {
		case r.line == "}":
			return nil
		case r.line == "":
		case !indented || strings.HasPrefix(line, "\t"):
			return r.unexpected()
		case strings.HasSuffix(line, " {"):
			head := strings.Fields(strings.TrimSuffix(line, " {"))
			if len(head) < 2 {
				return r.unexpected()
			}
			last := len(head) - 1
			o := &Object{Kind: strings.Join(head[:last], " "), Name: head[last]}
			if err := r.object(o); err != nil {
				return err
			}
			t.Objects = append(t.Objects, o)
		default:
			t.Options = append(t.Options, line)
		}
	}
	return fmt.Errorf("the table does not end: line %d is the last one", r.number)
}

// elementsStart begins the elements of a set or map.
const elementsStart = "elements = {"

func (r *tableReader) object(o *Object) error {
	for r.next() {
		line := strings.TrimLeft(r.line, "\t ")
		switch {
		case r.line == "\t}":
			return nil
		case !strings.HasPrefix(r.line, "\t\t"):
			return r.unexpected()
		case o.Kind != "chain" && strings.HasPrefix(line, elementsStart):
			if err := r.elements(o, strings.TrimPrefix(line, elementsStart)); err != nil {
				return err
			}
		default:
			o.Lines = append(o.Lines, line)
		}
	}
	return fmt.Errorf("%s %s does not end: line %d is the last one", o.Kind, o.Name, r.number)
}

// elements reads the elements of a set, of which first is the rest of the first line. Their comments
// may contain any character but a quotation mark.
func (r *tableReader) elements(o *Object, first string) error {
	start, quoted := 0, false
	text := first
	add := func(end int) {
		if e := strings.TrimSpace(text[start:end]); e != "" {
			o.Elements = append(o.Elements, e)
		}
		start = end + 1
	}
	for {
		for i := 0; i < len(text); i++ {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case quoted:
			case text[i] == ',':
				add(i)
			case text[i] == '}':
				add(i)
				if strings.TrimSpace(text[i+1:]) != "" {
					return r.unexpected()
				}
				return nil
			}
		}
		// An element is on one line, and a comma ends each line but the last.
		if strings.TrimSpace(text[start:]) != "" || !r.next() {
			return r.unexpected()
		}
		text, start = r.line, 0
	}
}

// Text is the table as nft prints it, which can be loaded where it does not exist.
func (t *Table) Text() []byte {
	var b bytes.Buffer
	t.print(&b, func(*Object) bool { return true })
	return b.Bytes()
}

// print writes the table. Of each set, elements decides whether they are written.
func (t *Table) print(b *bytes.Buffer, elements func(*Object) bool) {
	fmt.Fprintf(b, "table %s {\n", TableName)
	for _, l := range t.Options {
		fmt.Fprintf(b, "\t%s\n", l)
	}
	for i, o := range t.Objects {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "\t%s %s {\n", o.Kind, o.Name)
		for _, l := range o.Lines {
			b.WriteString("\t\t" + l + "\n")
		}
		if len(o.Elements) > 0 && elements(o) {
			b.WriteString("\t\t" + elementsStart + " " + strings.Join(o.Elements, ",\n\t\t\t     ") + " }\n")
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
}
