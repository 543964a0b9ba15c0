package packet

import (
	"cmp"
	"fmt"
	"slices"
)

// column is a field as the conditions of a space divide it into classes. Fields whose
// values of IPv4 and IPv6 differ, such as addresses, have classes for each family, numbered
// separately in the same bits.
type column struct {
	id    fieldID
	field *field
	atoms [2][][]span
	cut   [2]*classes // 0 is IPv4; fields with the same values in both families have only that
	// level of its first bit, and the number of bits.
	level uint32
	bits  int
	// literals are cached sets by family and atom; 0 for those not made yet, as no literal
	// of a field with bits is 0.
	literals [2][]ref
	bySet    map[*AddrSet]int
	byHash   map[uint64][]*AddrSet
	byText   [2]map[string]int
	sets     []*AddrSet
	// gotos is the number of rules with a condition on the field that go to another chain.
	gotos int
}

func newColumn(id fieldID, f *field) *column {
	return &column{
		id:     id,
		field:  f,
		bySet:  map[*AddrSet]int{},
		byHash: map[uint64][]*AddrSet{},
		byText: [2]map[string]int{{}, {}},
	}
}

// addSet adds a set of addresses to the atoms. It has the same index in both families.
func (c *column) addSet(s *AddrSet) {
	if _, ok := c.bySet[s]; ok {
		return
	}
	for _, o := range c.byHash[s.hash] {
		if o.Equal(s) {
			c.bySet[s] = c.bySet[o]
			return
		}
	}
	c.byHash[s.hash] = append(c.byHash[s.hash], s)
	c.bySet[s] = len(c.sets)
	c.sets = append(c.sets, s)
}

// addSpans adds a set of numbers to the atoms.
func (c *column) addSpans(family int, spans []span) {
	var buffer [32]byte
	key := spansKey(buffer[:0], spans)
	if _, ok := c.byText[family][string(key)]; ok {
		return
	}
	c.byText[family][string(key)] = len(c.atoms[family])
	c.atoms[family] = append(c.atoms[family], spans)
}

// index returns the index of an atom that addSpans has added.
func (c *column) index(family int, spans []span) int {
	var buffer [32]byte
	atom, ok := c.byText[family][string(spansKey(buffer[:0], spans))]
	if !ok {
		panic(fmt.Sprintf("numbers of %s that were not noted: %v", c.field.name, spans))
	}
	return atom
}

// spansKey appends spans to b, as text that no other spans have.
func spansKey(b []byte, spans []span) []byte {
	for _, s := range spans {
		b = append(b, byte(s.lo>>24), byte(s.lo>>16), byte(s.lo>>8), byte(s.lo),
			byte(s.hi>>24), byte(s.hi>>16), byte(s.hi>>8), byte(s.hi))
	}
	return b
}

// families returns how many of the two have classes of their own.
func (c *column) families() int {
	if c.field.byFamily {
		return 2
	}
	return 1
}

// of returns the index of the cut for a family: see families.
func (c *column) of(family int) int {
	if c.field.byFamily {
		return family
	}
	return 0
}

// numbers returns the numbers of some classes.
func (c *column) numbers(family int, classes []span) []span {
	return c.cut[c.of(family)].members(classes)
}

// density is the mean share of atoms that hold a class: how much the value of the field
// determines which rules match.
func (c *column) density() float64 {
	held, total := 0, 0
	for f := range c.families() {
		total += c.cut[f].n
		for _, runs := range c.cut[f].atoms {
			held += count(runs)
		}
	}
	return float64(held) / float64(total)
}

// manyGotos is the number of rules that go to other chains by one field from which on these are
// taken for a search tree.
const manyGotos = 16

// orders returns the orders of the fields to try, the most promising first. The order
// matters most of all: a bad one takes minutes where a good one takes a second. Ascending
// density was good on every workload measured, except below a search tree: its ranges hold many
// classes, and with their field below others each level of the tree would rebuild the sets of all
// its leaves.
func orders(columns []*column) [][]*column {
	var cuts []*column
	var head, tail []*column
	for _, c := range columns {
		switch c.field.layer {
		case upper:
			head = append(head, c)
		case middle:
			cuts = append(cuts, c)
		case lower:
			tail = append(tail, c)
		}
	}
	by := func(key func(*column) float64) []*column {
		order := slices.Clone(cuts)
		slices.SortStableFunc(order, func(a, b *column) int { return cmp.Compare(key(a), key(b)) })
		return slices.Concat(head, order, tail)
	}
	size := func(c *column) float64 { return float64(c.cut[0].n + c.cut[c.families()-1].n) }
	out := [][]*column{
		by((*column).density),
		by(size),
		by(func(c *column) float64 { return -c.density() }),
		by(func(c *column) float64 { return -size(c) }),
	}
	if slices.ContainsFunc(cuts, (*column).searched) {
		out = slices.Insert(out, 0, by(func(c *column) float64 {
			if c.searched() {
				return 0 // above all others
			}
			return c.density()
		}))
	}
	return out
}

// searched reports whether rules go to other chains by the field as in a search tree.
func (c *column) searched() bool { return c.gotos >= manyGotos }
