package packet

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"sort"
)

// classes divides the numbers 0 to max into classes: numbers are in one class if every atom
// has all or none of them. An atom is a set of numbers that some condition lists. Classes
// are numbered in the order of their first numbers, so that adjacent classes have adjacent
// numbers and an atom is a short list of ranges.
type classes struct {
	// starts of the intervals, sorted, the first 0; interval i ends before
	// starts[i+1] and belongs to class of[i].
	starts []uint32
	of     []int32
	max    uint32
	n      int
	// atoms are ranges of class numbers.
	atoms [][]span
	named []bool // by class: whether any atom holds it

	best []candidate // by class, filled by candidates
}

// cursor goes through the numbers where an atom begins or ends.
type cursor struct {
	at    uint64
	atom  int32
	spans []span
	index int // 2*i is the begin of spans[i], 2*i+1 its end
}

func (c *cursor) advance() bool {
	c.index++
	if c.index/2 >= len(c.spans) {
		return false
	}
	c.seek()
	return true
}

func (c *cursor) seek() {
	s := c.spans[c.index/2]
	if c.index%2 == 0 {
		c.at = uint64(s.lo)
	} else {
		c.at = uint64(s.hi) + 1
	}
}

type cursorQueue []*cursor

func (h cursorQueue) Len() int           { return len(h) }
func (h cursorQueue) Less(i, j int) bool { return h[i].at < h[j].at }
func (h cursorQueue) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cursorQueue) Push(x any)        { *h = append(*h, x.(*cursor)) }
func (h *cursorQueue) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// cut divides the numbers 0 to max into classes by atoms, each of which is sorted, disjoint
// spans. It never lists the numbers of a class: its work grows with the number of spans.
func cut(atoms [][]span, max uint32) *classes {
	c := &classes{max: max, atoms: make([][]span, len(atoms))}
	cursors := make([]cursor, len(atoms))
	var queue cursorQueue
	spans := 0
	for i, atom := range atoms {
		if spans += len(atom); len(atom) > 0 {
			cursors[i] = cursor{atom: int32(i), spans: atom}
			cursors[i].seek()
			queue = append(queue, &cursors[i])
		}
	}
	heap.Init(&queue)
	if spans > 1<<10 {
		// Each begins and ends at most one interval; growing copies millions too often.
		c.starts, c.of = make([]uint32, 0, 2*spans+1), make([]int32, 0, 2*spans+1)
	}
	active, known := newAtomSet(len(atoms)), classIndex{first: map[uint64]int32{}}
	for at := uint64(0); at <= uint64(max); {
		for len(queue) > 0 && queue[0].at == at {
			active.toggle(queue[0].atom)
			if queue[0].advance() {
				heap.Fix(&queue, 0)
			} else {
				heap.Pop(&queue)
			}
		}
		class := known.find(active)
		if class < 0 {
			class = known.add(active)
			c.note(class, active)
		}
		if n := len(c.of); n == 0 || c.of[n-1] != class {
			c.starts = append(c.starts, uint32(at))
			c.of = append(c.of, class)
		}
		at = uint64(max) + 1
		if len(queue) > 0 {
			at = queue[0].at
		}
	}
	c.n = len(known.members)
	return c
}

// note adds a new class to the ranges of the atoms that hold it.
func (c *classes) note(class int32, active *atomSet) {
	for _, a := range active.list {
		runs := c.atoms[a]
		if n := len(runs); n > 0 && runs[n-1].hi+1 == uint32(class) {
			runs[n-1].hi++
			continue
		}
		c.atoms[a] = append(runs, span{uint32(class), uint32(class)})
	}
	c.named = append(c.named, len(active.list) > 0)
}

// atomSet is a set of atoms.
type atomSet struct {
	bits []uint64
	// list has the atoms in any order, and places where each is in it.
	list, places []int32
	// signature is the same for equal sets, and nearly always another one for others.
	signature uint64
	marks     []uint64 // of which the signature is made
}

func newAtomSet(atoms int) *atomSet {
	s := &atomSet{bits: make([]uint64, (atoms+63)/64), places: make([]int32, atoms), marks: make([]uint64, atoms)}
	// Any numbers are good marks, because matches are verified; a fixed seed makes the
	// result the same in each run.
	random := rand.New(rand.NewPCG(1, 2))
	for i := range s.marks {
		s.marks[i] = random.Uint64()
	}
	return s
}

func (s *atomSet) has(a int32) bool { return s.bits[a/64]>>(a%64)&1 == 1 }

// toggle adds an atom, or removes it if the set has it.
func (s *atomSet) toggle(a int32) {
	if s.has(a) {
		last := s.list[len(s.list)-1]
		s.list[s.places[a]], s.places[last] = last, s.places[a]
		s.list = s.list[:len(s.list)-1]
	} else {
		s.places[a] = int32(len(s.list))
		s.list = append(s.list, a)
	}
	s.bits[a/64] ^= 1 << (a % 64)
	s.signature ^= s.marks[a]
}

// classIndex finds classes by the atoms that hold them.
type classIndex struct {
	first   map[uint64]int32 // by signature
	next    []int32          // by class: another one with the same signature, -1 if there is none
	members []classMembers
}

// classMembers are the atoms that hold a class, as a list or, if that is shorter, as bits. With bits alone, ten times the
// atoms would take a hundred times the memory.
type classMembers struct {
	list []int32
	bits []uint64
}

func (m classMembers) are(s *atomSet) bool {
	if m.bits != nil {
		return slices.Equal(m.bits, s.bits)
	}
	if len(m.list) != len(s.list) {
		return false
	}
	for _, a := range m.list {
		if !s.has(a) {
			return false
		}
	}
	return true
}

// find returns the class that exactly these atoms hold, -1 if there is none yet.
func (x *classIndex) find(s *atomSet) int32 {
	class, ok := x.first[s.signature]
	if !ok {
		return -1
	}
	for class >= 0 && !x.members[class].are(s) {
		class = x.next[class]
	}
	return class
}

// add adds a class that exactly these atoms hold.
func (x *classIndex) add(s *atomSet) int32 {
	class := int32(len(x.members))
	other, ok := x.first[s.signature]
	if !ok {
		other = -1
	}
	x.first[s.signature] = class
	x.next = append(x.next, other)
	if len(s.list) < 2*len(s.bits) {
		x.members = append(x.members, classMembers{list: slices.Clone(s.list)})
	} else {
		x.members = append(x.members, classMembers{bits: slices.Clone(s.bits)})
	}
	return class
}

// find returns the class of a number.
func (c *classes) find(x uint32) uint32 {
	i := sort.Search(len(c.starts), func(i int) bool { return c.starts[i] > x })
	return uint32(c.of[i-1])
}

// last returns the last number of interval i.
func (c *classes) last(i int) uint32 {
	if i+1 < len(c.starts) {
		return c.starts[i+1] - 1
	}
	return c.max
}

// members returns the numbers of all classes in runs.
func (c *classes) members(runs []span) []span {
	in := make([]bool, c.n)
	for _, r := range runs {
		for class := r.lo; class <= r.hi && class < uint32(c.n); class++ {
			in[class] = true
		}
	}
	n := 0
	for i, class := range c.of {
		if in[class] && (i == 0 || !in[c.of[i-1]]) {
			n++
		}
	}
	out := make([]span, 0, n)
	for i, class := range c.of {
		if !in[class] {
			continue
		}
		if n := len(out); n > 0 && out[n-1].hi+1 == c.starts[i] {
			out[n-1].hi = c.last(i)
			continue
		}
		out = append(out, span{c.starts[i], c.last(i)})
	}
	return out
}

func within(runs []span, x uint32) bool {
	i := sort.Search(len(runs), func(i int) bool { return runs[i].hi >= x })
	return i < len(runs) && runs[i].lo <= x
}

// bits returns the number of bits of a class number.
func (c *classes) bits() int {
	b := 0
	for 1<<b < c.n {
		b++
	}
	return b
}

// complete extends runs to all numbers of bits bits: those past the last class mean the
// last class. So every number is a class, and no set has to exclude any.
func (c *classes) complete(runs []span, bits int) []span {
	last := uint32(c.n - 1)
	if n := len(runs); n > 0 && runs[n-1].hi == last && last < 1<<bits-1 {
		runs = slices.Clone(runs)
		runs[n-1].hi = 1<<bits - 1
	}
	return runs
}

// count returns the number of classes in runs.
func count(runs []span) int {
	n := 0
	for _, r := range runs {
		n += int(r.hi-r.lo) + 1
	}
	return n
}
