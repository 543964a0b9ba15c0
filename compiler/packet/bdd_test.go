package packet

import (
	"math/rand/v2"
	"testing"
)

// Nodes are unique, so that equal sets are equal references.
func TestChooseJoinsTheTwoParts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	d := newDiagram(1 << 20)
	const variables = 5
	sets := []ref{all, none}
	for i := range uint32(variables) {
		sets = append(sets, d.variable(i), not(d.variable(i)))
	}
	for range 300 {
		pick := func() ref { return sets[random.IntN(len(sets))] }
		a, b, c := pick(), pick(), pick()
		got := d.choose(a, b, c)
		if want := d.or(d.and(a, b), d.diff(c, a)); got != want {
			t.Fatalf("choose(%d, %d, %d) is %d, want %d", a, b, c, got, want)
		}
		for assignment := range uint32(1) << variables {
			bit := func(level uint32) bool { return assignment>>level&1 == 1 }
			want := d.holds(c, bit)
			if d.holds(a, bit) {
				want = d.holds(b, bit)
			}
			if d.holds(got, bit) != want {
				t.Fatalf("choose(%d, %d, %d) differs for %05b", a, b, c, assignment)
			}
		}
		sets = append(sets, got)
	}
}
