package packet

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A space in the memory of another one makes the same nodes. Diagrams of these sizes grow several times,
// within the memory of a larger one, and beyond that of a smaller one.
func TestSpacesInTheMemoryOfAnotherAreTheSame(t *testing.T) {
	shared := Cuts{Reuse: true}
	r := rand.New(rand.NewPCG(1, 2))
	for _, rules := range []int{20, 400, 1500, 300, 3000, 3000, 50} {
		p := workload(r, rules, nil, true)
		alone := space(t, p)
		again, err := shared.New(p)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone.d.nodes, again.d.nodes) || len(alone.d.cache) != len(again.d.cache) || !slices.Equal(alone.Programs()[0].decided, again.Programs()[0].decided) {
			t.Errorf("%d rules: %d nodes, %d in the memory of another", rules, alone.Nodes(), again.Nodes())
		}
		for i, c := range again.d.cache {
			if c.operands != 0 && int(c.place())&(len(again.d.cache)-1) != i {
				t.Fatalf("%d rules: the result at %d of the cache belongs to %d", rules, i, int(c.place())&(len(again.d.cache)-1))
			}
		}
		shared.Done(again)
	}
	if len(shared.unused) != 1 {
		t.Errorf("%d diagrams were made", len(shared.unused))
	}
}

// Spaces with shared classes of addresses must be the spaces without: the same nodes, verdicts and
// examples.
func TestSharedClassesOfAddressesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shared := Cuts{Reuse: true}
		family := rapid.SampledFrom([]ir.Family{ir.IPv4, ir.IPv6}).Draw(t, "family")
		first := genProgram(t, family)
		// Some of these have the same sets as an earlier one, and some have others.
		for _, p := range []*Program{first, change(t, first), genProgram(t, family), first} {
			alone := space(t, first, p)
			together, err := shared.New(first, p)
			if err != nil {
				t.Fatal(err)
			}
			if alone.Nodes() != together.Nodes() {
				t.Fatalf("%d nodes, %d with shared classes", alone.Nodes(), together.Nodes())
			}
			for i := range alone.Programs() {
				a, b := alone.Programs()[i].Outcomes(), together.Programs()[i].Outcomes()
				if len(a) != len(b) {
					t.Fatalf("%d verdicts, %d with shared classes", len(a), len(b))
				}
				for k := range a {
					x, _ := a[k].Set.Witness()
					y, _ := b[k].Set.Witness()
					if a[k].Verdict != b[k].Verdict || a[k].Set.ref != b[k].Set.ref || cmp.Diff(x.String(), y.String()) != "" {
						t.Fatalf("%s %d %s, with shared classes %s %d %s", a[k].Verdict, a[k].Set.ref, x, b[k].Verdict, b[k].Set.ref, y)
					}
				}
			}
			shared.Done(together)
		}
	})
}

// A hash does not identify a set: only equal sets share classes.
func TestSetsOfOneHashShareNoClasses(t *testing.T) {
	a, b := cidrs("10.0.0.0/8"), cidrs("192.0.2.0/24", "10.0.0.0/9")
	b.hash = a.hash
	var shared Cuts
	for _, set := range []*AddrSet{a, b, a} {
		p := one(rule(Accept, Addr{Source, set}))
		p.Family = ir.IPv4
		s, err := shared.New(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(s.columns[fSource].cut[0].starts), 2*len(set.v4)+1; got != want {
			t.Errorf("%d intervals for %v, want %d", got, set.Prefixes(4), want)
		}
	}
}
