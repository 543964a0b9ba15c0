package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Build reports on a host; with before, it compares the two. If one of them is compiled and the
// other is a host, loading the compiled one onto the host is simulated.
func Build(before, after *snapshot.Host, opts Options) (_ *Report, err error) {
	defer packet.Catch(&err)
	r := &Report{Host: after.Label, Name: after.Name}
	b := &builder{sides: []*snapshot.Host{after}, opts: opts, report: r}
	if before != nil {
		r.Host, r.Old = cmp.Or(after.Label, before.Label), before.Name
		compared, err := diff.Compare(before, after, diff.Options{})
		if err != nil {
			return nil, err
		}
		r.Change = compared.Heading()
		b.sides = []*snapshot.Host{before, after}
		for i, h := range b.sides {
			other := b.sides[1-i]
			if h.Kind.Compiled() && !other.Kind.Compiled() {
				if b.sides[i], err = h.LoadedOnto(other); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	for _, k := range kindsOf(b.sides) {
		t, err := b.table(k)
		if err != nil {
			return nil, err
		}
		if len(t.Ports) > 0 {
			r.Tables = append(r.Tables, t)
		}
	}
	if len(r.Tables) == 0 {
		return nil, errors.New("neither family has rules to report on")
	}
	b.notes()
	r.Sets = setsOf(b.sides)
	return r, nil
}

// builder makes the report of a host. sides are the old side, if there is one, and the new one.
type builder struct {
	sides  []*snapshot.Host
	opts   Options
	report *Report
}

// ofHost reports whether the rules are those of a host.
func (b *builder) ofHost() bool { return !b.sides[len(b.sides)-1].Kind.Compiled() }

func (b *builder) note(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(b.report.Notes, note) {
		b.report.Notes = append(b.report.Notes, note)
	}
}

// families are those that all sides have.
func (b *builder) families() []ir.Family {
	var out []ir.Family
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if !slices.ContainsFunc(b.sides, func(h *snapshot.Host) bool { return !h.HasFamily(f) }) {
			out = append(out, f)
		}
	}
	return out
}

// notes are about what the tables do not cover.
func (b *builder) notes() {
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		for _, h := range b.sides {
			switch {
			case h.HasFamily(f):
			case h.Kind.Compiled():
				b.note("%s has no %s rules: %[2]s is left to Docker's own rules, which accept everything that is published", h.Name, words.Family(f))
			default:
				b.note("%s contains no %s rules: %[2]s is not in this report", h.Name, words.Family(f))
			}
		}
	}
	if b.ofHost() {
		for _, f := range b.families() {
			if len(b.published(f)) == 0 {
				b.note("the %s nat rules of %s publish no port", words.Family(f), b.report.Name)
			}
		}
		return
	}
	if slices.Contains(b.families(), ir.IPv6) && b.openProxy() {
		b.note("without an input block, clients reach unlisted ports over IPv6 through docker-proxy, if the container's network has no IPv6: see the table of the host's ports")
	}
}

// openProxy reports whether the rules leave ports of the host to its other rules.
func (b *builder) openProxy() bool {
	return !b.sides[len(b.sides)-1].HasScope(ir.IPv6, ir.ScopeHost)
}

// grid is the part of a table for one family.
type grid struct {
	family ir.Family
	space  *packet.Space
	sides  [][]decision
	// decided are the packets of each decision of a side, by its index.
	decided []packet.Labels
	targets []packet.Set
	scope   packet.Set
	// of are the packets of each class of targets; empty where the family has none.
	of map[string]packet.Set
	// unmanaged are conditions that a client is in a set whose members are not known.
	unmanaged []string
	// destinations names addresses that packets are sent to.
	destinations *namer
	// clients are the columns, and where is where those of each of them are. independent: they
	// send the same packets wherever they are.
	clients     []*column
	all         []int // their indexes
	where       packet.Labels
	independent bool
	number      int // among the grids
	samples     []*sample
	choices     map[packet.Set]packet.Choice
}

// column is clients that get the same, of one family.
type column struct {
	set, from packet.Set
	// where are the interfaces that its packets arrive on, if they are not all.
	where string
	Clients
}

// program is the rules that packets of a table pass on a side.
func program(h *snapshot.Host, k Kind, f ir.Family) (*packet.Program, error) {
	if h.Kind.Compiled() {
		if k == Host {
			p := h.Program(f, h.OwnChain(snapshot.ToHost))
			p.ToHost = true
			return p, nil
		}
		return h.Program(f, h.EntryChain()), nil
	}
	hooks := h.Hooks(f, k.path())
	if len(hooks) == 0 {
		return &packet.Program{Family: f, ToHost: k == Host, Default: packet.Verdict{Kind: packet.Accept}, Chains: []*packet.Chain{{Name: "no rules"}}}, nil
	}
	return packet.Route(f, k == Host, hooks)
}

// table makes one table.
func (b *builder) table(k Kind) (Table, error) {
	t := Table{Kind: k}
	grids, rows, err := b.parts(k)
	if err != nil {
		return t, err
	}
	for _, r := range rows {
		t.Ports = append(t.Ports, r.Ports)
	}
	b.fill(&t, grids, rows)
	return t, nil
}

// matchesMarks reports whether rules on a path match marks, which those of a nat table may set.
func matchesMarks(h *snapshot.Host, k Kind, f ir.Family) bool {
	return !h.Kind.Compiled() && slices.ContainsFunc(h.Hooks(f, k.path()), func(hook packet.Hook) bool { return hook.Program.MatchesMarks() })
}

// parts returns the packets of a table for each family, and its rows.
func (b *builder) parts(k Kind) ([]*grid, []*row, error) {
	programs := map[ir.Family][]*packet.Program{}
	clients := map[ir.Family]*partition{}
	var targets partition
	targets.add(dnat)
	by := map[int]string{}
	for _, f := range b.families() {
		if k == Published {
			for _, p := range b.published(f) {
				by[targets.add(p.sent)] = p.by
			}
		}
		clients[f] = &partition{}
		for _, h := range b.sides {
			p, err := program(h, k, f)
			if err != nil {
				return nil, nil, err
			}
			programs[f] = append(programs[f], p)
		}
	}
	for _, f := range b.families() {
		for i, p := range programs[f] {
			divide(p, matchesMarks(b.sides[i], k, f), clients[f], &targets)
		}
	}
	var grids []*grid
	for _, f := range b.families() {
		g, err := b.grid(k, f, programs[f], clients[f], &targets)
		if err != nil {
			return nil, nil, fmt.Errorf("the %s rules of %s: %w", words.Family(f), b.report.Name, err)
		}
		if !g.scope.IsEmpty() {
			grids = append(grids, g)
		}
	}
	classes, err := classesOf(grids)
	if err != nil {
		return nil, nil, err
	}
	rows := mergeTargets(grids, classes, targets.conds, b.ofHost())
	for i := range rows {
		rows[i].name(k, grids, by, b)
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return a.order.compare(b.order) })
	return grids, rows, nil
}

// grid evaluates the rules of a family.
func (b *builder) grid(k Kind, f ir.Family, programs []*packet.Program, clients, targets *partition) (*grid, error) {
	asked := &packet.Program{Family: f, ToHost: k == Host, Default: packet.Verdict{Kind: packet.Drop}, Chains: []*packet.Chain{{Name: "asked"}}}
	ask := func(c packet.Cond) {
		asked.Chains[0].Rules = append(asked.Chains[0].Rules, &packet.Rule{Matches: []packet.Cond{c}, Verdict: packet.Verdict{Kind: packet.Accept}})
	}
	ask(b.scope(k, f))
	for _, c := range targets.conds {
		ask(c)
	}
	for _, c := range clients.conds {
		ask(c)
	}
	space, err := packet.New(append(slices.Clone(programs), asked)...)
	if err != nil {
		return nil, err
	}
	all := space.Programs()
	match := func(i int) packet.Set { return all[len(programs)].Match(packet.Place{Rule: i}) }
	g := &grid{family: f, space: space, scope: match(0)}
	for i := range targets.conds {
		g.targets = append(g.targets, g.scope.And(match(1+i)))
	}
	var divisions []packet.Set
	for i := range clients.conds {
		divisions = append(divisions, g.scope.And(match(1+len(targets.conds)+i)))
	}
	for i, h := range b.sides {
		d, err := decisions(h, k, f, all[i], g.scope)
		if err != nil {
			return nil, err
		}
		labels := space.Labels()
		for i := range d {
			labels = labels.Add(i, d[i].set)
		}
		g.sides, g.decided = append(g.sides, d), append(g.decided, labels)
	}
	var interfaces []packet.Set
	divisions = slices.DeleteFunc(divisions, func(c packet.Set) bool { return c.IsEmpty() || c.Equal(g.scope) })
	for i, c := range clients.conds {
		if _, ok := c.(packet.Interface); ok {
			interfaces = append(interfaces, g.scope.And(match(1+len(targets.conds)+i)))
		}
		if o, ok := c.(packet.Opaque); ok {
			g.unmanaged = append(g.unmanaged, o.Text)
		}
	}
	found, err := refine(g.space, g.scope, divisions)
	if err != nil {
		return nil, err
	}
	// What no rule lists is so on each interface.
	for i := range found {
		found[i].rest = true
		for k, holds := range found[i].holds {
			found[i].rest = found[i].rest && (holds == '0' || slices.ContainsFunc(interfaces, divisions[k].Equal))
		}
	}
	g.mergeClients(found)
	g.nameClients(clients.conds)
	g.destinations = newNamer(f, packet.Destination, targets.conds)
	return g, nil
}

// mergeClients joins classes of clients that get the same from the same rules everywhere.
func (g *grid) mergeClients(classes []class) {
	ids, index := numbers{}, map[string]int{}
	for _, c := range classes {
		k := ""
		for _, side := range g.decided {
			k += fmt.Sprint(ids.of(side.In(c.set).ForAnyClient(g.unmanaged)), " ")
		}
		i, known := index[k]
		if !known {
			i = len(g.clients)
			index[k] = i
			g.clients = append(g.clients, &column{set: g.space.None()})
		}
		col := g.clients[i]
		col.set = col.set.Or(c.set)
		col.Rest = col.Rest || c.rest
	}
}

// row is targets at which each client gets one answer.
type row struct {
	Ports
	// classes are the targets, each by the conditions that hold for it.
	classes []string
	sets    map[ir.Family]packet.Set
}

// classesOf are the classes of targets of all families, in the order in which they are found.
func classesOf(grids []*grid) ([]string, error) {
	trivial := func(i int) bool {
		for _, g := range grids {
			if c := g.targets[i]; !c.IsEmpty() && !c.Equal(g.scope) {
				return false
			}
		}
		return i > 0 // DNAT is always told apart
	}
	var all []string
	for _, g := range grids {
		conditions := slices.Clone(g.targets)
		for i := range conditions {
			if trivial(i) {
				conditions[i] = g.space.None()
			}
		}
		found, err := refine(g.space, g.scope, conditions)
		if err != nil {
			return nil, err
		}
		g.of = map[string]packet.Set{}
		for _, c := range found {
			g.of[c.holds] = c.set
			if !slices.Contains(all, c.holds) {
				all = append(all, c.holds)
			}
		}
	}
	return all, nil
}

// isInterface reports whether a condition is about interfaces only.
func isInterface(c packet.Cond) bool {
	only := true
	packet.Walk(c, func(c packet.Cond) bool {
		switch c.(type) {
		case packet.All, packet.Any, packet.Not, packet.Interface:
		default:
			only = false
		}
		return only
	})
	return only
}

// mergeTargets joins classes of targets at which every client gets the same from the same rules.
// Packets that go directly to containers stay alone. So does what no rule lists, unless ofHost: the
// rules of a host list much that nobody meant, such as the ports that its nat rules translate. An interface alone is
// no list of targets.
func mergeTargets(grids []*grid, classes []string, conds []packet.Cond, ofHost bool) []*row {
	ids, index := map[*grid]numbers{}, map[string]*row{}
	var rows []*row
	for _, holds := range classes {
		rest := true
		for i, c := range conds[1:] {
			rest = rest && (holds[1+i] == '0' || isInterface(c))
		}
		k := fmt.Sprint(holds[0], rest && !ofHost)
		for _, g := range grids {
			set, ok := g.of[holds]
			if !ok {
				k += "-"
				continue
			}
			if ids[g] == nil {
				ids[g] = numbers{}
			}
			for _, side := range g.decided {
				k += fmt.Sprint(ids[g].of(side.In(set).ForAnyTarget()), " ")
			}
		}
		r := index[k]
		if r == nil {
			r = &row{sets: map[ir.Family]packet.Set{}}
			r.Direct = holds[0] == '0'
			index[k] = r
			rows = append(rows, r)
		}
		r.Rest = r.Rest || rest
		r.classes = append(r.classes, holds)
		for _, g := range grids {
			if set, ok := g.of[holds]; ok {
				if have, some := r.sets[g.family]; some {
					set = have.Or(set)
				}
				r.sets[g.family] = set
			}
		}
	}
	return rows
}
