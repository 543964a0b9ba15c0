package report

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

func lastAddress(f ir.Family) netip.Addr {
	if f == ir.IPv6 {
		return netip.AddrFrom16([16]byte(slices.Repeat([]byte{0xff}, 16)))
	}
	return netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// fill makes the cells. A column of IPv6 joins that of IPv4 of the same name; what no rule lists
// is one column.
func (b *builder) fill(t *Table, grids []*grid, rows []*row) {
	var cells [][]Cell // by columns
	where := map[string]string{}
	for _, g := range grids {
		decided := make([][][]decision, len(rows))
		for i, r := range rows {
			decided[i] = g.decidedAt(r)
		}
		for _, c := range g.clients {
			var column []Cell
			for i, r := range rows {
				column = append(column, b.cell(t.Kind, g, r, c, decided[i]))
			}
			i := slices.IndexFunc(t.Clients, func(o Clients) bool {
				return !slices.Contains(o.Families, g.family) && (o.Name == c.Name || o.Rest && c.Rest && where[o.Name] == c.where)
			})
			if i < 0 {
				t.Clients, cells = append(t.Clients, c.Clients), append(cells, column)
				where[c.Name] = c.where
				continue
			}
			joined := &t.Clients[i]
			joined.Families = append(joined.Families, g.family)
			if joined.Name != c.Name {
				joined.Name = anyoneElse + c.where
				where[joined.Name] = c.where
			}
			if joined.Detail != c.Detail {
				joined.Detail = "over IPv4: " + joined.Detail + "; over IPv6: " + c.Detail
			}
			for k := range column {
				cells[i][k].join(&column[k])
			}
		}
	}
	order := make([]int, len(cells))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return boolOrder(t.Clients[a].Rest) - boolOrder(t.Clients[b].Rest) })
	columns := t.Clients
	t.Clients, t.Cells = nil, make([][]Cell, len(rows))
	for _, i := range order {
		t.Clients = append(t.Clients, columns[i])
		for k := range rows {
			t.Cells[k] = append(t.Cells[k], cells[i][k])
		}
	}
}

// decidedAt returns, for each side, the decisions about the targets of a row, which are few of all.
func (g *grid) decidedAt(r *row) [][]decision {
	targets, ok := r.sets[g.family]
	if !ok {
		return nil
	}
	out := make([][]decision, len(g.sides))
	for i, side := range g.sides {
		for _, d := range side {
			if d.set = d.set.And(targets); !d.set.IsEmpty() {
				out[i] = append(out[i], d)
			}
		}
	}
	return out
}

// cell is what the clients of a column get at the targets of a row, about which sides decide; nil if
// the family has no such targets.
func (b *builder) cell(k Kind, g *grid, r *row, c *column, sides [][]decision) Cell {
	var out Cell
	if sides == nil {
		return out
	}
	parts := make([][]part, len(sides))
	for i, side := range sides {
		for k2 := range side {
			d := &side[k2]
			if set := d.set.And(c.set); !set.IsEmpty() {
				example := b.example(set)
				parts[i] = append(parts[i], part{set, Outcome{
					Families: []ir.Family{g.family}, Verdict: d.verdict, Reach: d.reach(k, r.Direct), Rule: d.rule, Conditions: g.conditions(set), Examples: []packet.Packet{example},
				}})
			}
		}
	}
	for _, p := range parts[len(parts)-1] {
		out.Outcomes = append(out.Outcomes, p.Outcome)
	}
	if len(parts) == 1 {
		return out
	}
	for _, p := range parts[0] {
		out.Before = append(out.Before, p.Outcome)
	}
	for _, old := range parts[0] {
		for _, now := range parts[1] {
			effect, differs := effectOf(old.Outcome, now.Outcome)
			if both := old.set.And(now.set); differs && !both.IsEmpty() {
				out.Changes = append(out.Changes, Change{[]ir.Family{g.family}, effect, old.Outcome, now.Outcome, b.example(both)})
			}
		}
	}
	return out
}

// conditions are what a set depends on that neither a column nor a row shows.
func (g *grid) conditions(set packet.Set) []string {
	return slices.DeleteFunc(set.Conditions(), func(c string) bool { return slices.Contains(g.unmanaged, c) })
}

type part struct {
	set packet.Set
	Outcome
}

// effectOf compares outcomes. A packet that is left to other rules passes less than one that gets
// through, and more than one that is refused.
func effectOf(old, now Outcome) (_ Effect, differs bool) {
	if old.Verdict == now.Verdict {
		return Changed, false // by another rule
	}
	rank := map[Reach]int{Refused: 0, Left: 1, Allowed: 2}
	switch a, b := rank[old.Reach], rank[now.Reach]; {
	case a < b:
		return Widened, true
	case a > b:
		return Narrowed, true
	}
	return Changed, old.Reach == Refused
}

// example is a packet of a set: to a container on Docker's bridge, if there is one.
func (b *builder) example(set packet.Set) packet.Packet {
	p, _ := set.Witness()
	if p.Out == "" || b.ofHost() {
		return p
	}
	usual := p
	usual.Out = packet.UsualBridge
	if set.Contains(usual) {
		return usual
	}
	return p
}

// same reports whether outcomes of two families differ only in their examples.
func (o *Outcome) same(x *Outcome) bool {
	return sameVerdict(o.Verdict, x.Verdict) && o.Rule.Name == x.Rule.Name && o.Rule.MissingIn == x.Rule.MissingIn &&
		slices.EqualFunc(o.Conditions, x.Conditions, func(a, b string) bool { return eitherFamily.Replace(a) == eitherFamily.Replace(b) })
}

// eitherFamily removes from a condition what differs between the families: the suffix of sets, and
// the mask of one client.
var eitherFamily = strings.NewReplacer("-v6", "", "-mask 128", "-mask 32")

// sameVerdict reports whether verdicts of IPv4 and IPv6 are the same kind of answer: ip6tables
// has icmp6-adm-prohibited for icmp-admin-prohibited.
func sameVerdict(a, b packet.Verdict) bool {
	return a == b || a.Kind == packet.Reject && b.Kind == packet.Reject && strings.HasPrefix(a.With, "icmp") && strings.HasPrefix(b.With, "icmp")
}

// join adds the outcomes of the other family.
func (c *Cell) join(o *Cell) {
	c.Outcomes, c.Before = joinOutcomes(c.Outcomes, o.Outcomes), joinOutcomes(c.Before, o.Before)
	for _, x := range o.Changes {
		i := slices.IndexFunc(c.Changes, func(y Change) bool { return y.Effect == x.Effect && y.Old.same(&x.Old) && y.New.same(&x.New) })
		if i < 0 {
			c.Changes = append(c.Changes, x)
			continue
		}
		c.Changes[i].Families = append(c.Changes[i].Families, x.Families...)
	}
}

func joinOutcomes(all, more []Outcome) []Outcome {
	for _, o := range more {
		i := slices.IndexFunc(all, func(x Outcome) bool { return !slices.Equal(x.Families, o.Families) && x.same(&o) })
		if i < 0 {
			all = append(all, o)
			continue
		}
		all[i].Families, all[i].Examples = append(all[i].Families, o.Families...), append(all[i].Examples, o.Examples...)
	}
	return all
}
