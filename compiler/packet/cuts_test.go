package packet

import (
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Spaces with shared classes of addresses must be the spaces without: the same nodes, verdicts and
// examples.
func TestSharedClassesOfAddressesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var shared Cuts
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
