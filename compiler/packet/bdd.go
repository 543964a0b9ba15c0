package packet

import (
	"fmt"
	"maps"
	"slices"
	"sort"
)

// ref is an edge of a diagram: the index of a node, and in the lowest bit whether the node
// is negated. Negation therefore costs nothing.
type ref uint32

const (
	all  ref = 0 // node 0 is the only leaf
	none ref = 1
)

func not(a ref) ref { return a ^ 1 }

type node struct {
	level  uint32
	lo, hi ref // lo is never negated, which makes nodes unique
}

const leafLevel = 1<<32 - 1

// BudgetError reports that sets of packets of these programs need more memory than the
// budget. There is no answer then, not even a partial one.
type BudgetError struct {
	Nodes int // the budget
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("the rules are too complex for an exact answer: more than %d nodes", e.Nodes)
}

// stepsPerNode bounds the time as well: where cached results are overwritten and computed
// again, a bound on memory alone would not end the computation.
const stepsPerNode = 8

// diagram is a hash-consed binary decision diagram. Nodes are never freed: a diagram lives
// as long as its space.
type diagram struct {
	nodes  []node
	unique []uint32 // open addressing; 0 is free, as the leaf is never looked up
	cache  []cached // overwritten where two results have the same place
	steps  int
	budget int
	memo   memo
}

// cached is the result of an operation, in 16 bytes: four of them are in a line of the processor's caches.
type cached struct {
	// operands are the operation and its first two operands; 0 is free, as no operation on all and
	// all is cached.
	operands uint64
	// third is the third operand, or the number of an effect.
	third  uint32
	result ref
}

// operation is one whose results are cached. opFind is the first of those of find, whose results are all negative,
// maxOperation the last.
type operation uint16

const (
	opAnd operation = iota
	opPass
	opBack
	opChoose
	opRule
	opHas
	opFind
	maxOperation operation = 1<<14 - 1
)

// refBits are those of a ref. Two refs and an operation are in 64 bits.
const refBits = 25

func operands(op operation, a, b ref) uint64 {
	return uint64(op)<<(2*refBits) | uint64(a)<<refBits | uint64(b)
}

const cacheLimit = 1 << 22

// A program is evaluated by operations on the set of one rule each, which have few steps, so that the cache has a
// sixteenth as many places as unique. Those on the sets of whole programs have as many steps as there are nodes: without
// half as many places they would compute the same results again.
const (
	rulesShare = 16
	wholeShare = 2
)

// firstEntries is the size of the tables of a new diagram. Tables that are larger from the beginning are slower: they do
// not fit into the processor's caches.
const firstEntries = 1 << 12

// reset empties a diagram for another space. Its tables grow within the memory that they have.
func (d *diagram) reset(budget int) {
	d.nodes, d.unique, d.cache = d.nodes[:1], d.unique[:firstEntries], d.cache[:firstEntries]
	clear(d.unique)
	clear(d.cache)
	d.budget, d.steps = budget, 0
}

func newDiagram(budget int) *diagram {
	return &diagram{
		nodes:  []node{{level: leafLevel}},
		unique: make([]uint32, firstEntries),
		cache:  make([]cached, firstEntries),
		budget: budget,
	}
}

func mix(a, b, c uint32) uint32 {
	return spread(uint64(a)*0x9e3779b97f4a7c15 ^ uint64(b)*0xc2b2ae3d27d4eb4f ^ uint64(c)*0x165667b19e3779f9)
}

// spread makes all bits of a hash depend on all bits of h.
func spread(h uint64) uint32 {
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return uint32(h >> 32)
}

// mk returns the node that tests level; it panics with a *BudgetError.
func (d *diagram) mk(level uint32, lo, hi ref) ref {
	if lo == hi {
		return lo
	}
	sign := lo & 1
	lo, hi = lo^sign, hi^sign
	mask := uint32(len(d.unique) - 1)
	i := mix(level, uint32(lo), uint32(hi)) & mask
	for ; d.unique[i] != 0; i = (i + 1) & mask {
		n := &d.nodes[d.unique[i]]
		if n.level == level && n.lo == lo && n.hi == hi {
			return ref(d.unique[i])<<1 | sign
		}
	}
	if len(d.nodes) >= d.budget {
		panic(&BudgetError{d.budget})
	}
	id := uint32(len(d.nodes))
	if len(d.nodes) == cap(d.nodes) {
		d.nodes = slices.Grow(d.nodes, len(d.nodes)) // append would grow a large slice by a quarter
	}
	d.nodes = append(d.nodes, node{level, lo, hi})
	d.unique[i] = id
	if len(d.nodes)*4 > len(d.unique)*3 {
		d.grow()
	}
	return ref(id)<<1 | sign
}

func (d *diagram) grow() {
	if n := 2 * len(d.unique); n <= cap(d.unique) {
		d.unique = d.unique[:n]
		clear(d.unique)
	} else {
		d.unique = make([]uint32, n)
	}
	mask := uint32(len(d.unique) - 1)
	for id := 1; id < len(d.nodes); id++ {
		n := d.nodes[id]
		i := mix(n.level, uint32(n.lo), uint32(n.hi)) & mask
		for d.unique[i] != 0 {
			i = (i + 1) & mask
		}
		d.unique[i] = uint32(id)
	}
	d.growCache(rulesShare)
}

// growCache doubles the cache until it has one place for so many of unique.
func (d *diagram) growCache(share int) {
	for len(d.cache) < min(len(d.unique)/share, cacheLimit) {
		d.doubleCache()
	}
}

// doubleCache doubles the cache. What was at a place is then there, or so much further.
func (d *diagram) doubleCache() {
	half, n := len(d.cache), 2*len(d.cache)
	if n <= cap(d.cache) {
		d.cache = d.cache[:n]
		clear(d.cache[half:])
	} else {
		old := d.cache
		d.cache = make([]cached, n)
		copy(d.cache, old)
	}
	for i, c := range d.cache[:half] {
		if c.operands != 0 && c.place()&uint32(n-1) != uint32(i) {
			d.cache[half+i], d.cache[i] = c, cached{}
		}
	}
}

func (d *diagram) level(a ref) uint32 { return d.nodes[a>>1].level }

// split returns what a is where the variable of level is false and true.
func (d *diagram) split(a ref, level uint32) (lo, hi ref) {
	n := &d.nodes[a>>1]
	if n.level != level {
		return a, a
	}
	return n.lo ^ a&1, n.hi ^ a&1
}

func (d *diagram) and(a, b ref) ref {
	switch {
	case a == b || b == all:
		return a
	case a == all:
		return b
	case a == none || b == none || a == not(b):
		return none
	case a > b:
		a, b = b, a
	}
	if r, ok := d.known(opAnd, a, b, 0); ok {
		return r
	}
	d.step()
	level := min(d.level(a), d.level(b))
	a0, a1 := d.split(a, level)
	b0, b1 := d.split(b, level)
	lo := d.and(a0, b0)
	hi := d.and(a1, b1)
	r := d.mk(level, lo, hi)
	d.keepResult(opAnd, a, b, 0, r)
	return r
}

// place determines where the result of an operation is in the cache.
func (c cached) place() uint32 {
	return spread(c.operands*0x9e3779b97f4a7c15 ^ uint64(c.third)*0xc2b2ae3d27d4eb4f)
}

// known returns the result of an operation if it is cached.
func (d *diagram) known(op operation, a, b ref, third uint32) (r ref, ok bool) {
	c := cached{operands: operands(op, a, b), third: third}
	at := &d.cache[c.place()&uint32(len(d.cache)-1)]
	return at.result, at.operands == c.operands && at.third == third
}

// keepResult caches the result of an operation.
func (d *diagram) keepResult(op operation, a, b ref, third uint32, r ref) {
	c := cached{operands(op, a, b), third, r}
	d.cache[c.place()&uint32(len(d.cache)-1)] = c
}

// step counts the steps, which the budget limits as well.
func (d *diagram) step() {
	if d.steps++; d.steps > stepsPerNode*d.budget {
		panic(&BudgetError{d.budget})
	}
}

func (d *diagram) or(a, b ref) ref   { return not(d.and(not(a), not(b))) }
func (d *diagram) diff(a, b ref) ref { return d.and(a, not(b)) }

// choose returns b where a holds, and c elsewhere. One walk makes only nodes of the result; those of
// the two parts, joined by or, would be as many again.
func (d *diagram) choose(a, b, c ref) ref {
	if a&1 == 1 {
		a, b, c = not(a), c, b
	}
	switch {
	case a == all || b == c:
		return b
	case b == a || b == all:
		return d.or(a, c)
	case b == not(a) || b == none:
		return d.diff(c, a)
	case c == a || c == none:
		return d.and(a, b)
	case c == not(a) || c == all:
		return d.or(not(a), b)
	}
	if r, ok := d.known(opChoose, a, b, uint32(c)); ok {
		return r
	}
	d.step()
	level := min(d.level(a), d.level(b), d.level(c))
	a0, a1 := d.split(a, level)
	b0, b1 := d.split(b, level)
	c0, c1 := d.split(c, level)
	lo := d.choose(a0, b0, c0)
	r := d.mk(level, lo, d.choose(a1, b1, c1))
	d.keepResult(opChoose, a, b, uint32(c), r)
	return r
}

func (d *diagram) variable(level uint32) ref { return d.mk(level, none, all) }

// number returns the set of the numbers in spans, which are sorted and disjoint,
// written in bits bits from level on, the highest first.
func (d *diagram) number(level uint32, bits int, spans []span) ref {
	var build func(level uint32, lo, size uint64, spans []span) ref
	build = func(level uint32, lo, size uint64, spans []span) ref {
		spans = spans[sort.Search(len(spans), func(i int) bool { return uint64(spans[i].hi) >= lo }):]
		spans = spans[:sort.Search(len(spans), func(i int) bool { return uint64(spans[i].lo) >= lo+size })]
		switch {
		case len(spans) == 0:
			return none
		case uint64(spans[0].lo) <= lo && uint64(spans[0].hi) >= lo+size-1:
			return all
		}
		half := size / 2
		return d.mk(level, build(level+1, lo, half, spans), build(level+1, lo+half, half, spans))
	}
	return build(level, 0, 1<<bits, spans)
}

// holds reports whether an assignment of the variables is in a.
func (d *diagram) holds(a ref, bit func(level uint32) bool) bool {
	for a > none {
		n := &d.nodes[a>>1]
		if bit(n.level) {
			a = n.hi ^ a&1
		} else {
			a = n.lo ^ a&1
		}
	}
	return a == all
}

// project returns the values of the variables of levels from up to, but without, to that a
// has for any values of the others.
func (d *diagram) project(a ref, from, to uint32) ref {
	d.memo.forget()
	var walk func(a ref) ref
	walk = func(a ref) ref {
		level := d.level(a)
		switch {
		case a == none:
			return none
		case level >= to:
			return all
		}
		if r, ok := d.memo.get(a); ok {
			return r
		}
		lo, hi := d.split(a, level)
		lo, hi = walk(lo), walk(hi)
		var r ref
		if level < from {
			r = d.or(lo, hi)
		} else {
			r = d.mk(level, lo, hi)
		}
		d.memo.put(a, r)
		return r
	}
	return walk(a)
}

// keep returns the values of some variables that a has for any values of the others.
func (d *diagram) keep(a ref, kept func(level uint32) bool) ref {
	d.memo.forget()
	var walk func(a ref) ref
	walk = func(a ref) ref {
		if a == none || a == all {
			return a
		}
		if r, ok := d.memo.get(a); ok {
			return r
		}
		level := d.level(a)
		lo, hi := d.split(a, level)
		lo, hi = walk(lo), walk(hi)
		var r ref
		if kept(level) {
			r = d.mk(level, lo, hi)
		} else {
			r = d.or(lo, hi)
		}
		d.memo.put(a, r)
		return r
	}
	return walk(a)
}

// levels returns the levels that a depends on, sorted.
func (d *diagram) levels(a ref) []uint32 {
	d.memo.forget()
	seen := map[uint32]bool{}
	last := uint32(leafLevel)
	var walk func(a ref)
	walk = func(a ref) {
		a &^= 1
		if a == 0 {
			return
		}
		if _, ok := d.memo.get(a); ok {
			return
		}
		d.memo.put(a, a)
		n := &d.nodes[a>>1]
		if n.level != last {
			last = n.level
			seen[last] = true
		}
		walk(n.lo)
		walk(n.hi)
	}
	walk(a)
	return slices.Sorted(maps.Keys(seen))
}
