package report

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// examples are the policies of the repository.
func examples(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"../../../examples/*/policy.hcl", "../../../examples/*/policy.hcl.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, policy := range found {
			out = append(out, filepath.Dir(policy))
		}
	}
	if len(out) < 12 {
		t.Fatalf("%d examples", len(out))
	}
	return out
}

func hostsOf(t testing.TB, name string) []*snapshot.Host {
	t.Helper()
	fleet, diags, err := snapshot.Open(name, driver.Options{AllowOutside: true, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return fleet.Hosts
}

// opened compiles a policy in a directory of its own.
func opened(t testing.TB, text string) *snapshot.Host {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return hostsOf(t, file)[0]
}

// A table is complete and exact: each packet of its scope is in one row and one column, and gets
// what an outcome of that cell shows.
func TestEachPacketIsInOneCellThatShowsItsVerdict(t *testing.T) {
	sides := map[string][]*snapshot.Host{}
	for _, name := range examples(t) {
		for _, h := range hostsOf(t, name)[:1] {
			sides[filepath.Base(name)] = []*snapshot.Host{h}
		}
	}
	sides["two policies"] = []*snapshot.Host{sides["tutorial"][0], sides["media-server"][0]}
	for name, of := range sides {
		t.Run(name, func(t *testing.T) {
			b := &builder{sides: of, report: &Report{}}
			for _, k := range kindsOf(of) {
				grids, rows, err := b.parts(k)
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range grids {
					var columns, lines []packet.Set
					for _, c := range g.clients {
						columns = append(columns, c.set)
					}
					for _, r := range rows {
						if set, ok := r.sets[g.family]; ok {
							lines = append(lines, set)
						}
					}
					for _, parts := range [][]packet.Set{columns, lines} {
						divided(t, g.scope, parts)
					}
					for side, h := range of {
						var parts []packet.Set
						p, err := program(h, k, g.family)
						if err != nil {
							t.Fatal(err)
						}
						for _, d := range g.sides[side] {
							parts = append(parts, d.set)
							example, _ := d.set.Witness()
							if got := p.Decide(example).Verdict; got != d.verdict && !numbered(example) {
								t.Errorf("%s: %s gets %s, and not %s", k, example, got, d.verdict)
							}
						}
						divided(t, g.scope, parts)
					}
				}
			}
		})
	}
}

// numbered reports whether a packet has a condition that only a space has: the same limit in
// several rules is a condition of its own in each, with a number.
func numbered(p packet.Packet) bool {
	for name := range p.Conditions {
		if strings.Contains(name, " (no. ") {
			return true
		}
	}
	return false
}

// divided checks that each packet of a set is in exactly one of its parts.
func divided(t *testing.T, whole packet.Set, parts []packet.Set) {
	t.Helper()
	rest := whole
	for _, p := range parts {
		if !p.Diff(rest).IsEmpty() {
			t.Fatal("a packet is in two parts, or in none of the table")
		}
		rest = rest.Diff(p)
	}
	if example, some := rest.Witness(); some {
		t.Fatalf("%s is in no part", example)
	}
}

func TestEachExampleOfACellGetsItsVerdict(t *testing.T) {
	for _, name := range examples(t) {
		for _, h := range hostsOf(t, name)[:1] {
			r, err := Build(nil, h, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range r.Tables {
				for _, row := range table.Cells {
					for k, c := range row {
						for _, o := range c.Outcomes {
							for i, example := range o.Examples {
								p := example(&table.Clients[k])
								program, err := program(h, table.Kind, o.Families[i])
								if err != nil {
									t.Fatal(err)
								}
								if got := program.Decide(p).Verdict; got != o.Verdict && !sameVerdict(got, o.Verdict) && !numbered(p) {
									t.Errorf("%s: %s gets %s, and not %s", name, p, got, o.Verdict)
								}
							}
						}
					}
				}
			}
		}
	}
}

func TestEveryFormatIsTheSameInEachRun(t *testing.T) {
	for _, name := range []string{"../../../examples/every-attribute", "../../../examples/fleet"} {
		var first []string
		for range 2 {
			var reports []*Report
			for _, h := range hostsOf(t, name) {
				r, err := Build(nil, h, Options{})
				if err != nil {
					t.Fatal(err)
				}
				reports = append(reports, r)
			}
			var all []string
			for _, format := range Formats {
				var b bytes.Buffer
				if err := Write(&b, format, reports, Style{}); err != nil {
					t.Fatal(err)
				}
				all = append(all, b.String())
			}
			if first == nil {
				first = all
			} else if !slices.Equal(first, all) {
				t.Errorf("%s: two runs write different reports", name)
			}
		}
	}
}

// cellOf is the cell of the first clients and ports of a table whose names begin with these.
func cellOf(t *testing.T, r *Report, k Kind, ports, clients string) *Cell {
	t.Helper()
	var names []string
	for i := range r.Tables {
		table := &r.Tables[i]
		if table.Kind != k {
			continue
		}
		for p := range table.Ports {
			for c := range table.Clients {
				names = append(names, table.Ports[p].Name+" / "+table.Clients[c].Name)
				if strings.HasPrefix(table.Ports[p].Name, ports) && strings.HasPrefix(table.Clients[c].Name, clients) {
					return table.Cells[p][c]
				}
			}
		}
	}
	t.Fatalf("no cell of %q and %q; there are:\n%s", ports, clients, strings.Join(names, "\n"))
	return nil
}

const smallPolicy = `
host {
  external_interfaces = ["eth0"]
}
ipset "office" {
  entries = ["192.0.2.0/24", "2001:db8:1::/48"]
}
ipset "banned" {
  managed = false
}
deny "banned" {
  source = [ipset.banned]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
accept "trial" {
  protocol        = "tcp"
  published_ports = [9000]
  expires         = "2027-01-31"
}
default {
  allow = [ipset.office]
}
`

func TestClientsAreTheSetsAndNetworksThatRulesList(t *testing.T) {
	r, err := Build(nil, opened(t, smallPolicy), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range r.Tables[0].Clients {
		names = append(names, c.Name)
		if len(c.Families) != 2 {
			t.Errorf("%s is of %v", c.Name, c.Families)
		}
	}
	if want := []string{"banned (unmanaged)", "office", anyoneElse}; !slices.Equal(names, want) {
		t.Errorf("clients %q, want %q", names, want)
	}
	for _, c := range []struct {
		ports, clients string
		want           Reach
		rule           string
	}{
		{"443/tcp", "office", Allowed, `accept "https"`},
		{"443/tcp", anyoneElse, Allowed, `accept "https"`},
		{"443/tcp", "banned", Refused, `deny "banned"`},
		{"all other ports", "office", Allowed, "default.allow"},
		{"all other ports", anyoneElse, Refused, "default"},
		{"9000/tcp", anyoneElse, Depends, `accept "trial"`},
		{"containers directly", "office", Left, "default.allow"},
	} {
		cell := cellOf(t, r, Published, c.ports, c.clients)
		if cell.Reach() != c.want || cell.Outcomes[0].Rule.Name != c.rule {
			t.Errorf("%s, %s: %s by %s, want %s by %s", c.ports, c.clients, cell.Reach(), cell.Outcomes[0].Rule.Name, c.want, c.rule)
		}
	}
}

func TestTwoSidesShowWhatChanges(t *testing.T) {
	before := opened(t, smallPolicy)
	after := opened(t, strings.ReplaceAll(strings.ReplaceAll(smallPolicy, "[443]", "[443, 8443]"), `"192.0.2.0/24", `, ""))
	r, err := Build(before, after, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := cellOf(t, r, Published, "8443/tcp", anyoneElse); len(c.Changes) != 1 || c.Changes[0].Effect != Widened || !slices.Equal(c.Changes[0].Families, []ir.Family{ir.IPv4, ir.IPv6}) {
		t.Errorf("%+v", c.Changes)
	}
	if c := cellOf(t, r, Published, "all other ports", "office"); len(c.Changes) != 1 || c.Changes[0].Effect != Narrowed {
		t.Errorf("%+v", c.Changes)
	}
	if c := cellOf(t, r, Published, "443/tcp", anyoneElse); len(c.Changes) != 0 {
		t.Errorf("%+v", c.Changes)
	}
	if !strings.Contains(r.Change, "newly allowed") {
		t.Errorf("%q", r.Change)
	}
	same, err := Build(opened(t, smallPolicy), opened(t, smallPolicy), Options{})
	if err != nil || len(same.changed()) != 0 {
		t.Errorf("two equal sides: %v, %v", same.changed(), err)
	}
}

// changed counts the cells that differ from the old side, by effect.
func (r *Report) changed() map[Effect]int {
	out := map[Effect]int{}
	for _, t := range r.Tables {
		for _, row := range t.Cells {
			for _, c := range row {
				for _, x := range c.Changes {
					out[x.Effect]++
				}
			}
		}
	}
	return out
}

// A row names the interfaces that its packets leave on only where others leave on others.
func TestRowsNameInterfacesOnlyWhereTheyDiffer(t *testing.T) {
	const host = `
host {
  external_interfaces  = ["eth0"]
  container_interfaces = ["docker0", "br-+"]
}
accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
}
default {
  allow = ["192.0.2.0/24"]
}
`
	for _, c := range []struct {
		policy string
		want   []string
	}{
		{host, []string{"80, 443/tcp", "all other ports", "containers directly, without a published port"}},
		{host + "deny \"lab\" {\n  out_interfaces = [\"br-lab\"]\n}\n", []string{
			"80, 443/tcp, leaving on br-+ or docker0 except br-lab", "80, 443/tcp, leaving on br-lab",
			"all other ports, leaving on br-+ or docker0 except br-lab", "all other ports, leaving on br-lab",
			"containers directly, without a published port, leaving on br-+ or docker0 except br-lab",
			"containers directly, without a published port, leaving on br-lab",
		}},
	} {
		r, err := Build(nil, opened(t, c.policy), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range r.Tables[0].Ports {
			names = append(names, p.Name)
		}
		if diff := cmp.Diff(c.want, names); diff != "" {
			t.Errorf("-want +got:\n%s\n%s", diff, c.policy)
		}
	}
}
