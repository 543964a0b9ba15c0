package report

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// accepts is a policy of so many accepts, each with a port and clients of its own.
func accepts(n int) string {
	return fmt.Sprintf(`
host {
  external_interfaces = ["eth0"]
}
accept "a" {
  for_each        = { for n in range(1, %d) : "p${n}" => n }
  protocol        = "tcp"
  published_ports = [1000 + 3 * each.value]
  source          = ["10.1.${floor(each.value / 200)}.${each.value %% 200}"]
}
`, n+1)
}

// The packets of all columns are found and described at once where they can be: that is the same as
// doing it for each.
func TestSamplesAreWhatEachColumnHasAlone(t *testing.T) {
	const sourcePorts = `
host {
  external_interfaces = ["eth0", "wg0"]
}
ipset "banned" {
  managed = false
}
deny "banned" {
  source = [ipset.banned]
}
accept "high" {
  protocol        = "udp"
  published_ports = [53, 123]
  source_ports    = ["1024-65535"]
}
accept "limited" {
  for_each        = { a = 80, b = 81 }
  protocol        = "tcp"
  published_ports = [each.value]
  source          = ["10.0.0.${each.value}", "2001:db8::${each.value}"]
  rate {
    limit = "10/second"
  }
}
`
	sides := map[string][]*snapshot.Host{"source ports": {opened(t, sourcePorts)}, "many": {opened(t, accepts(70))}}
	for _, name := range examples(t) {
		sides[filepath.Base(name)] = hostsOf(t, name)[:1]
	}
	sides["two policies"] = []*snapshot.Host{sides["tutorial"][0], sides["media-server"][0]}
	products, others := 0, 0
	for name, of := range sides {
		t.Run(name, func(t *testing.T) {
			b := &builder{sides: of, report: &Report{}}
			for _, k := range kindsOf(of) {
				grids, rows, err := b.parts(k)
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range grids {
					g.locate()
					for i, r := range rows {
						if len(rows) > 50 && i%5 > 0 {
							continue // all of them are alike
						}
						for _, d := range slices.Concat(g.sides...) {
							targets, ok := r.sets[g.family]
							if !ok {
								continue
							}
							set := d.set.And(targets)
							samples := map[int]*sample{}
							for _, s := range b.samplesOf(g, set) {
								if s.product {
									products++
								} else {
									others++
								}
								for _, i := range s.clients {
									samples[i] = s
								}
							}
							for i, c := range g.clients {
								part, s := set.And(c.set), samples[i]
								if part.IsEmpty() != (s == nil) {
									t.Fatalf("%s, %s: some packets are %t", r.Name, c.Name, s != nil)
								}
								if s == nil {
									continue
								}
								if want := g.conditions(part); !slices.Equal(want, s.conditions) {
									t.Errorf("%s, %s: conditions %q, want %q", r.Name, c.Name, s.conditions, want)
								}
								if want, got := b.usual(part), s.of(i); want.String() != got.String() {
									t.Errorf("%s, %s: example %s, want %s", r.Name, c.Name, got, want)
								}
							}
						}
					}
				}
			}
		})
	}
	if products == 0 || others == 0 {
		t.Errorf("%d samples are products, and %d not: one of them is not tested", products, others)
	}
}

// What a report of many clients and ports needs to keep does not grow with their product.
func TestClientsWithTheSameOutcomeShareACell(t *testing.T) {
	r, err := Build(nil, opened(t, accepts(70)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	table := &r.Tables[0]
	if len(table.Ports) < 70 || len(table.Clients) < 70 {
		t.Fatalf("%d ports and %d clients", len(table.Ports), len(table.Clients))
	}
	for i, row := range table.Cells {
		different := map[*Cell]bool{}
		for _, c := range row {
			different[c] = true
		}
		// One client is allowed and others are not; another family has no such clients.
		if len(different) > 3 {
			t.Errorf("%s: %d cells are different", table.Ports[i].Name, len(different))
		}
	}
}

// Reports that are written after their host was read need no more of it: those of tables that are
// not large keep packets.
func TestReportsOfSmallTablesKeepNoDiagrams(t *testing.T) {
	b := &builder{sides: hostsOf(t, "../../../examples/tutorial"), report: &Report{}}
	grids, rows, err := b.parts(Published)
	if err != nil {
		t.Fatal(err)
	}
	b.fill(&Table{Kind: Published, Ports: make([]Ports, len(rows))}, grids, rows)
	for _, g := range grids {
		for _, s := range g.samples {
			if s.g != nil || s.set != (packet.Set{}) || len(s.found) == 0 {
				t.Errorf("%v", s)
			}
		}
	}
}

func BenchmarkAccepts(b *testing.B) {
	for _, n := range []int{100, 300, 1000} {
		h := opened(b, accepts(n))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				r, err := Build(nil, h, Options{})
				if err != nil {
					b.Fatal(err)
				}
				if err := WriteText(io.Discard, []*Report{r}, Style{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
