package packet

// memo has the results of one walk through a diagram, by ref. A diagram is walked many times, and
// most walks are short: forgetting costs nothing, and the next walk needs no memory of its own.
type memo struct {
	table []memoized // open addressing
	used  int        // entries of this walk
	walk  uint32
}

type memoized struct {
	walk   uint32 // that the entry is of
	of, is ref
}

// forget begins a walk.
func (m *memo) forget() {
	m.used = 0
	if m.walk++; m.walk == 0 || m.table == nil {
		m.table, m.walk = make([]memoized, 1<<8), 1
	}
}

func (m *memo) get(a ref) (is ref, ok bool) {
	e := m.entry(a)
	return e.is, e.walk == m.walk
}

// put adds a result that the walk does not have.
func (m *memo) put(a, is ref) {
	*m.entry(a) = memoized{m.walk, a, is}
	if m.used++; m.used*2 > len(m.table) {
		old := m.table
		m.table = make([]memoized, 4*len(old))
		for _, e := range old {
			if e.walk == m.walk {
				*m.entry(e.of) = e
			}
		}
	}
}

// entry returns the entry of a ref, or the one where it belongs.
func (m *memo) entry(a ref) *memoized {
	mask := uint32(len(m.table) - 1)
	i := mix(uint32(a), 0, 0) & mask
	for m.table[i].walk == m.walk && m.table[i].of != a {
		i = (i + 1) & mask
	}
	return &m.table[i]
}
