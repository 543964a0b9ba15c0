package packet

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"pgregory.net/rapid"
)

// slowHandled follows packets from call to call, one rule at a time: what forward must equal.
func slowHandled(e *Evaluation, in ref) map[Place]ref {
	d, out := e.space.d, map[Place]ref{}
	var walk func(c *chainSets, in ref)
	walk = func(c *chainSets, in ref) {
		for k, r := range c.rules {
			m := d.and(in, e.match(r))
			if m == none {
				continue
			}
			at := Place{c.index, k}
			out[at] = e.join(out, at, m)
			if call := c.calls[k]; call != nil {
				walk(call, m)
			}
			in = d.diff(in, e.takes(c, k))
		}
	}
	walk(e.chains[0], in)
	return out
}

func TestAllWaysToFollowPacketsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genProgram(t, ir.IPv4)
		other := genProgram(t, ir.IPv4)
		s := space(t, p, other)
		e := s.Programs()[0]
		want := slowHandled(e, e.family)
		equal := func(way string, got map[Place]ref) {
			t.Helper()
			if !maps.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", way, got, want)
			}
		}
		equal("all packets", e.reachedOf(e.family, AtEnd))
		alone := map[Place]ref{}
		for at := range p.Rules() {
			e.asked = 0
			set, err := e.Handled(at)
			if err != nil {
				t.Fatal(err)
			}
			if !set.IsEmpty() {
				alone[at] = set.ref
			}
		}
		equal("each rule alone", alone)

		in := s.Programs()[1].Outcomes()[0].Set
		some, err := e.HandledOf(in)
		if err != nil {
			t.Fatal(err)
		}
		for at := range p.Rules() {
			got, part := none, s.d.and(e.join(want, at, none), in.ref)
			if set, ok := some[at]; ok {
				got = set.ref
			}
			if got != part {
				t.Fatalf("of some packets, rule %v gets %v, want %v", at, got, part)
			}
		}
	})
}

// A policy with many published ports has a jump for each of them to one chain, which has rules for
// each. Following every jump through that chain needed the square of their number of nodes.
func TestManyJumpsToAChainNeedFewNodes(t *testing.T) {
	nodes := func(n int) int {
		p := &Program{Family: ir.IPv4, ToHost: true, Chains: []*Chain{{Name: "INPUT"}, {Name: "PROXY"}}}
		for i := range n {
			port := uint16(1000 + i)
			p.Chains[0].Rules = append(p.Chains[0].Rules, rule(Jump, Proto{[]uint8{6}}, ports(Destination, port, port)))
			p.Chains[0].Rules[i].Verdict.Chain = "PROXY"
			p.Chains[1].Rules = append(p.Chains[1].Rules, rule(Return,
				Proto{[]uint8{6}}, ports(Destination, port, port), Addr{Source, cidrs(fmt.Sprintf("10.%d.%d.0/24", i*7%256, i*13%256))}))
		}
		p.Chains[1].Rules = append(p.Chains[1].Rules, rule(Drop))
		s := space(t, p)
		all := slices.Collect(maps.Keys(s.Programs()[0].reachedOf(s.Programs()[0].family, AtEnd)))
		if len(all) != 2*n+1 {
			t.Fatalf("%d of %d rules are reached", len(all), 2*n+1)
		}
		return s.Nodes()
	}
	if few, many := nodes(100), nodes(1000); many > 20*few {
		t.Errorf("%d nodes for 100 ports, %d for 1,000", few, many)
	}
}

// searchTree returns a program that finds the rule of a port in a tree of chains, and its rules as one chain.
func searchTree(count uint16) (tree, flat *Program) {
	tree, flat = &Program{Family: ir.IPv4}, &Program{Family: ir.IPv4, Chains: []*Chain{{Name: "FLAT"}}}
	var add func(first, last uint16) string
	add = func(first, last uint16) string {
		c := &Chain{Name: fmt.Sprintf("%d-%d", first, last)}
		tree.Chains = append(tree.Chains, c)
		if middle := first + (last-first)/2; last-first >= 8 {
			for _, half := range [][2]uint16{{first, middle}, {middle + 1, last}} {
				r := rule(Goto, Proto{[]uint8{6}}, ports(Destination, half[0], half[1]))
				r.Verdict.Chain = add(half[0], half[1])
				c.Rules = append(c.Rules, r)
			}
		} else {
			for port := first; port <= last; port++ {
				source := func(length int) Addr {
					return Addr{Source, cidrs(fmt.Sprintf("10.%d.%d.0/%d", port*7%256, port*31%256, length))}
				}
				for _, r := range []*Rule{
					rule(Drop, Proto{[]uint8{6}}, ports(Destination, port, port), source(25)),
					rule(Accept, Proto{[]uint8{6}}, ports(Destination, port, port), source(24)),
				}[1-port%2:] {
					c.Rules, flat.Chains[0].Rules = append(c.Rules, r), append(flat.Chains[0].Rules, r)
				}
			}
		}
		c.Rules = append(c.Rules, rule(Drop))
		return c.Name
	}
	add(1, count)
	flat.Chains[0].Rules = append(flat.Chains[0].Rules, rule(Drop))
	return tree, flat
}

// Below a search tree by ports, the field of the ports is above the others: with the sources above it,
// each level of the tree made the sets of all its leaves again.
func TestASearchTreeNeedsAFewNodesForEachLeaf(t *testing.T) {
	const leaves = 512
	tree, _ := searchTree(leaves)
	if s := space(t, tree); s.Nodes() > 48*leaves {
		t.Errorf("%d nodes for %d leaves", s.Nodes(), leaves)
	}
}

func TestAWrongRuleInASearchTreeIsFound(t *testing.T) {
	wrong := func(r Rule, matches ...Cond) *Rule {
		r.Matches = matches
		return &r
	}
	for name, change := range map[string]func(c *Chain, k int){
		"no change":     func(*Chain, int) {},
		"swapped order": func(c *Chain, k int) { c.Rules[k], c.Rules[k+1] = c.Rules[k+1], c.Rules[k] },
		"dropped rule":  func(c *Chain, k int) { c.Rules = slices.Delete(c.Rules, k, k+1) },
		"other verdict": func(c *Chain, k int) { c.Rules[k] = rule(Reject, c.Rules[k].Matches...) },
		"another port": func(c *Chain, k int) {
			c.Rules[k] = wrong(*c.Rules[k], ports(Destination, 9999, 9999), c.Rules[k].Matches[2])
		},
		"another source": func(c *Chain, k int) {
			c.Rules[k] = wrong(*c.Rules[k], c.Rules[k].Matches[0], c.Rules[k].Matches[1], Addr{Source, cidrs("192.0.2.0/24")})
		},
	} {
		for _, leaf := range []int{0, 7, 30, 1000} {
			tree, flat := searchTree(256)
			var leaves []*Chain
			for _, c := range tree.Chains {
				if c.Rules[0].Verdict.Kind != Goto {
					leaves = append(leaves, c)
				}
			}
			c := leaves[min(leaf, len(leaves)-1)]
			// A drop for half of the sources of the accept after it, so that each change matters.
			k := slices.IndexFunc(c.Rules, func(r *Rule) bool { return r.Verdict.Kind == Drop })
			change(c, k)
			s := space(t, flat, tree)
			difference, err := Compare(s.Programs()[0], s.Programs()[1], 1)
			if err != nil {
				t.Fatal(err)
			}
			if found := !difference.Changed.IsEmpty(); found != (name != "no change") {
				t.Errorf("%s in chain %s: difference found: %t", name, c.Name, found)
			}
		}
	}
}
