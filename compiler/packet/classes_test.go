package packet

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbersAreInOneClassIfTheSameAtomsHoldThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const highest = 300
		atoms := make([][]span, rapid.SampledFrom([]int{0, 1, 5, 70, 200}).Draw(t, "atoms"))
		for i := range atoms {
			for range rapid.IntRange(0, 3).Draw(t, "spans") {
				lo := rapid.Uint32Range(0, highest).Draw(t, "first")
				atoms[i] = append(atoms[i], span{lo, rapid.Uint32Range(lo, highest).Draw(t, "last")})
			}
			atoms[i] = join(atoms[i])
		}
		classes := cut(atoms, highest)
		byAtoms := map[string]uint32{}
		for x := range uint32(highest + 1) {
			class := classes.find(x)
			var holding []int
			for i, atom := range atoms {
				if within(atom, x) {
					holding = append(holding, i)
				}
				if within(atom, x) != within(classes.atoms[i], class) {
					t.Fatalf("atom %d %v, as classes %v, and %d of class %d", i, atom, classes.atoms[i], x, class)
				}
			}
			key := fmt.Sprint(holding)
			known, ok := byAtoms[key]
			if !ok {
				known = uint32(len(byAtoms)) // in the order of their first numbers
				byAtoms[key] = known
			}
			if class != known || classes.named[class] != (len(holding) > 0) {
				t.Fatalf("%d, which atoms %v hold, is of class %d, not %d; named: %v", x, holding, class, known, classes.named[class])
			}
		}
		if classes.n != len(byAtoms) {
			t.Fatalf("%d classes, not %d", classes.n, len(byAtoms))
		}
	})
}

// A bit for each atom and class would take 64 times the memory for eight times the atoms.
func TestMemoryOfClassesGrowsWithTheAtoms(t *testing.T) {
	bytes := func(n int) uint64 {
		atoms := make([][]span, n)
		for i := range atoms {
			atoms[i] = []span{{uint32(3 * i), uint32(3*i + 1)}}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		classes := cut(atoms, 1<<20)
		runtime.ReadMemStats(&after)
		if classes.n != n+1 || !slices.Equal(classes.atoms[n-1], []span{{classes.find(uint32(3*n - 2)), classes.find(uint32(3*n - 2))}}) {
			t.Fatalf("%d classes of %d atoms, the last one is %v", classes.n, n, classes.atoms[n-1])
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := bytes(8_000), bytes(64_000); many > 16*few {
		t.Errorf("8,000 atoms take %d bytes, and 64,000 take %d", few, many)
	}
}
