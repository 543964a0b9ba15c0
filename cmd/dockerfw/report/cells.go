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
	where := map[string]string{}
	for n, g := range grids {
		for k, c := range g.clients {
			i := slices.IndexFunc(t.Clients, func(o Clients) bool {
				return (o.Name == c.Name || o.Rest && c.Rest && where[o.Name] == c.where) && !slices.Contains(o.Families, g.family)
			})
			if i < 0 {
				i = len(t.Clients)
				t.Clients = append(t.Clients, c.Clients)
				t.Clients[i].columns = slices.Repeat([]int{noColumn}, len(grids))
				t.Clients[i].columns[n] = k
				where[c.Name] = c.where
				continue
			}
			joined := &t.Clients[i]
			joined.columns[n] = k
			joined.Families = append(joined.Families, g.family)
			if joined.Name != c.Name {
				joined.Name = anyoneElse + c.where
				where[joined.Name] = c.where
			}
			if joined.Detail != c.Detail {
				joined.Detail = "over IPv4: " + joined.Detail + "; over IPv6: " + c.Detail
			}
		}
	}
	slices.SortStableFunc(t.Clients, func(a, b Clients) int { return boolOrder(a.Rest) - boolOrder(b.Rest) })
	for n, g := range grids {
		g.number = n
		g.locate()
	}
	for _, r := range rows {
		t.Cells = append(t.Cells, b.cells(t, grids, r))
	}
	if len(t.Clients)*len(t.Ports) <= fewCells {
		for _, g := range grids {
			for _, s := range g.samples {
				s.settle()
			}
		}
	}
}

// noColumn is the index of a column that a family does not have.
const noColumn = -1

// fewCells is how many cells a table has at most whose examples are found at once.
const fewCells = 4096

// cells are those of a row. Columns that get the same there share one.
func (b *builder) cells(t *Table, grids []*grid, r *row) []*Cell {
	var found [][]*Cell // by grid and column
	for _, g := range grids {
		found = append(found, b.cellsOf(t.Kind, g, r))
	}
	joined := map[[2]*Cell]*Cell{}
	var out []*Cell
	for i := range t.Clients {
		var cell *Cell
		for n, k := range t.Clients[i].columns {
			switch {
			case k == noColumn:
			case cell == nil:
				cell = found[n][k]
			default:
				both := [2]*Cell{cell, found[n][k]}
				if joined[both] == nil {
					joined[both] = both[0].join(both[1])
				}
				cell = joined[both]
			}
		}
		out = append(out, cell)
	}
	return out
}

// piece is what a decision about packets of a row adds to the cells of some columns: an outcome of
// a side, or the change from a decision of the old side to one of the new.
type piece struct {
	side, decision int
	outcome        Outcome

	change   *Change
	old, now int // decisions
}

// cellsOf are the cells of a row, by the columns of a family.
func (b *builder) cellsOf(k Kind, g *grid, r *row) []*Cell {
	targets, ok := r.sets[g.family]
	if !ok {
		return slices.Repeat([]*Cell{{}}, len(g.clients))
	}
	var pieces []piece
	// What a column gets is a list of pieces. Equal lists have one number.
	type longer struct{ list, piece int }
	lists, numbers, has := [][]int{nil}, map[longer]int{}, make([]int, len(g.clients))
	add := func(p piece, clients []int) {
		pieces = append(pieces, p)
		for _, i := range clients {
			to := longer{has[i], len(pieces) - 1}
			number, known := numbers[to]
			if !known {
				number = len(lists)
				numbers[to] = number
				lists = append(lists, append(slices.Clone(lists[to.list]), to.piece))
			}
			has[i] = number
		}
	}
	type decided struct {
		Outcome
		set packet.Set
	}
	sides := make([][]decided, len(g.sides))
	for side, decisions := range g.sides {
		for _, i := range g.decided[side].In(targets).Numbers() {
			d := &decisions[i]
			o := decided{Outcome{Families: []ir.Family{g.family}, Verdict: d.verdict, Reach: d.reach(k, r.Direct), Rule: d.rule}, d.set.And(targets)}
			for _, s := range b.samplesOf(g, o.set) {
				one := o.Outcome
				one.Conditions, one.Examples = s.conditions, []Example{s.example}
				add(piece{side: side, decision: len(sides[side]), outcome: one}, s.clients)
			}
			sides[side] = append(sides[side], o)
		}
	}
	if len(sides) == 2 {
		for i, old := range sides[0] {
			for j, now := range sides[1] {
				if effect, differs := effectOf(old.Outcome, now.Outcome); differs {
					for _, s := range b.samplesOf(g, old.set.And(now.set)) {
						add(piece{change: &Change{Families: []ir.Family{g.family}, Effect: effect, Example: s.example}, old: i, now: j}, s.clients)
					}
				}
			}
		}
	}
	cells := make([]*Cell, len(lists))
	out := make([]*Cell, len(g.clients))
	for i, list := range has {
		if cells[list] == nil {
			var of []piece
			for _, p := range lists[list] {
				of = append(of, pieces[p])
			}
			cells[list] = newCell(of, len(sides))
		}
		out[i] = cells[list]
	}
	return out
}

// newCell makes the cell of the pieces that a column gets.
func newCell(pieces []piece, sides int) *Cell {
	out := &Cell{}
	decided := make([]map[int]Outcome, sides)
	for i := range decided {
		decided[i] = map[int]Outcome{}
	}
	for _, p := range pieces {
		if p.change != nil {
			c := *p.change
			c.Old, c.New = decided[0][p.old], decided[1][p.now]
			out.Changes = append(out.Changes, c)
			continue
		}
		decided[p.side][p.decision] = p.outcome
		if p.side == sides-1 {
			out.Outcomes = append(out.Outcomes, p.outcome)
		} else {
			out.Before = append(out.Before, p.outcome)
		}
	}
	return out
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

// join returns a cell with the outcomes of both families.
func (c *Cell) join(o *Cell) *Cell {
	out := &Cell{Outcomes: joinOutcomes(c.Outcomes, o.Outcomes), Before: joinOutcomes(c.Before, o.Before), Changes: slices.Clone(c.Changes)}
	for _, x := range o.Changes {
		i := slices.IndexFunc(out.Changes, func(y Change) bool { return y.Effect == x.Effect && y.Old.same(&x.Old) && y.New.same(&x.New) })
		if i < 0 {
			out.Changes = append(out.Changes, x)
			continue
		}
		out.Changes[i].Families = slices.Concat(out.Changes[i].Families, x.Families)
	}
	return out
}

func joinOutcomes(of, more []Outcome) []Outcome {
	all := slices.Clone(of)
	for _, o := range more {
		i := slices.IndexFunc(all, func(x Outcome) bool { return !slices.Equal(x.Families, o.Families) && x.same(&o) })
		if i < 0 {
			all = append(all, o)
			continue
		}
		all[i].Families, all[i].Examples = slices.Concat(all[i].Families, o.Families), slices.Concat(all[i].Examples, o.Examples)
	}
	return all
}
