package packet

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Cuts are the classes of addresses that spaces have in common: the hosts of a fleet mostly have
// the same sets, although their rules differ. It is safe for concurrent use.
type Cuts struct {
	// Reuse keeps the memory of spaces that are done for others: see Done. Without it they leave it to the collector.
	Reuse bool

	mu      sync.Mutex
	known   map[string][]*addressCut
	entries int
	// unused are diagrams of spaces that are done.
	unused []*diagram
}

// maxUnused is the number of diagrams that are kept: several hosts are proved at a time.
const maxUnused = 8

// maxCuts is the number of different collections of sets that are kept: in a fleet whose hosts
// all have sets of their own they must not stay in memory.
const maxCuts = 16

// addressCut is what the columns of addresses of a space are divided into, which depends on
// nothing but the sets of each column and the family of the space.
type addressCut struct {
	only ir.Family
	sets [][]*AddrSet // by column

	once    sync.Once
	bounds6 *bounds
	atoms   [][2][][]span
	classes [][2]*classes
}

// New is the function New with shared classes.
func (s *Cuts) New(programs ...*Program) (*Space, error) {
	return newSpace(DefaultBudget, s, programs)
}

// Done is called when a space that New has made is not needed any more. Neither the space nor anything of it
// may be used after it.
func (s *Cuts) Done(space *Space) {
	d := space.d
	space.d = nil // using it panics
	if s == nil || d == nil || !s.Reuse {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unused) < maxUnused {
		s.unused = append(s.unused, d)
	}
}

// diagram returns an empty diagram. s may be nil.
func (s *Cuts) diagram(budget int) *diagram {
	if s == nil {
		return newDiagram(budget)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.unused)
	if n == 0 {
		return newDiagram(budget)
	}
	d := s.unused[n-1]
	s.unused = s.unused[:n-1]
	d.reset(budget)
	return d
}

// divide divides the columns of a space that have sets of addresses. s may be nil.
func (s *Cuts) divide(space *Space, columns []*column) {
	cut := s.find(space.only, columns)
	cut.once.Do(func() { cut.divide(space, columns) })
	space.bounds6 = cut.bounds6
	for i, c := range columns {
		c.atoms = cut.atoms[i]
		for f := range c.families() {
			classes := *cut.classes[i][f] // each space chooses examples of its own
			c.cut[f] = &classes
		}
	}
}

// find returns the cut of the columns, which may not be divided yet.
func (s *Cuts) find(only ir.Family, columns []*column) *addressCut {
	fresh := &addressCut{only: only}
	key := []byte{byte(only)}
	for _, c := range columns {
		fresh.sets = append(fresh.sets, c.sets)
		key = binary.AppendUvarint(key, uint64(len(c.sets)))
		for _, set := range c.sets {
			key = binary.LittleEndian.AppendUint64(key, set.hash)
		}
	}
	if s == nil {
		return fresh
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.known[string(key)] {
		if known.is(fresh) {
			return known
		}
	}
	if s.known == nil || s.entries == maxCuts {
		s.known, s.entries = map[string][]*addressCut{}, 0
	}
	s.known[string(key)] = append(s.known[string(key)], fresh)
	s.entries++
	return fresh
}

// is reports whether two cuts are of the same addresses: the hashes in the key of one are not
// enough for a proof.
func (a *addressCut) is(b *addressCut) bool {
	return a.only == b.only && slices.EqualFunc(a.sets, b.sets, func(x, y []*AddrSet) bool {
		return slices.EqualFunc(x, y, (*AddrSet).Equal)
	})
}

func (a *addressCut) divide(space *Space, columns []*column) {
	a.bounds6 = noBounds
	if a.only != ir.IPv4 {
		a.bounds6 = boundsOf(columns)
	}
	space.bounds6 = a.bounds6
	for _, c := range columns {
		var atoms [2][][]span
		for _, set := range c.sets {
			var v4, v6 []span
			if a.only != ir.IPv6 {
				v4 = set.v4
			}
			if a.only != ir.IPv4 {
				v6 = space.spans6(set)
			}
			atoms[0], atoms[1] = append(atoms[0], v4), append(atoms[1], v6)
		}
		c.atoms = atoms
		c.divide(c.field.highest(space))
		a.atoms, a.classes = append(a.atoms, atoms), append(a.classes, c.cut)
	}
}
