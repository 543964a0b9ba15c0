package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Tool is what a step runs.
type Tool string

// The tools of steps. Both read their input from standard input and are given no files.
const (
	// IPSet is ipset restore. It stops at the first line that fails; what earlier lines did
	// stays.
	IPSet Tool = "ipset"
	// IPTables is iptables-restore --noflush, or ip6tables-restore. Each table of the input is
	// one transaction.
	IPTables Tool = "iptables"
	// NFT is nft -f. The input is one transaction.
	NFT Tool = "nft"
)

// Step is one run of a tool.
type Step struct {
	// Name is what the step does, for messages: "create the new sets".
	Name string
	Tool Tool
	// Family is that of IPTables; Other is the kind of iptables that Docker does not use.
	Family ir.Family
	Other  bool
	Input  []byte
}

// Plan is how a host gets a version.
type Plan struct {
	// Differences are what changes.
	Differences *Differences
	// Problems forbid to run the plan.
	Problems []Problem
	// Load are the steps until the version is in force. If one fails, the plan to the version
	// before rolls back.
	Load []Step
	// Settle are the steps after that: they remove what nothing uses any more. If one fails, the
	// version is in force all the same.
	Settle []Step
	// Made are the sets of dockerfw while the plan runs, and Unmanaged the unmanaged ones of the
	// versions before and after. Both are to be recorded before the first step: if the run is cut
	// off, the next one knows them.
	Made, Unmanaged []string
	// Left are the sets of dockerfw that the version does not have and that stay all the same,
	// because foreign rules or lists use them. After a load, they are to be recorded as made.
	Left []string
	// Deleted are foreign rules in chains that the plan replaces.
	Deleted []string
	// Reserved are foreign sets with names that a load needs for a moment.
	Reserved []string
	// Repairs: a load was cut off before, and the first steps complete it.
	Repairs bool
}

// Input is what a plan is made from.
type Input struct {
	Host *Host
	Want *Version
	// Printed are the tables as the tools of the host print them after loading the version into
	// an empty host; a nil Printed is computed.
	Printed Printed
	// PrintedTable is the table of the version as nft of the host prints it after loading it into an
	// empty host; nil for as the version has it.
	PrintedTable *Table
	Records
	// Late decides whether a jump that exists comes too late; nil looks at the targets of the
	// rules ahead of it only.
	Late Mover
	// Force deletes foreign rules in chains that are replaced, and replaces foreign sets.
	Force bool
}

// Records are names of sets that earlier runs recorded.
type Records struct {
	// Made are sets that a run made, or may have made before it was cut off. They may exist with
	// the endings of a load under way.
	Made []string
	// Earlier are the sets of the version that was loaded last, and Unmanaged the unmanaged sets
	// that it uses.
	Earlier, Unmanaged []string
}

// Make returns the plan. It does not change the host.
func Make(in Input) (*Plan, error) {
	if in.Printed == nil {
		printed, err := Simulate(in.Want, in.Host.NoSecurity)
		if err != nil {
			return nil, err
		}
		in.Printed = printed
	}
	h := in.Host
	o := h.ownership(in.Want, in.Records)
	p := &Plan{Problems: h.problems(in.Want, o, in.Force), Made: o.mine(), Unmanaged: slices.Sorted(maps.Keys(o.unmanaged))}
	for _, f := range families {
		p.Deleted = append(p.Deleted, h.foreignRules(in.Want.Rules[f], f)...)
	}
	for _, name := range o.temporary(h) {
		if !o.isTemporary(name) {
			p.Reserved = append(p.Reserved, name)
		}
	}
	if len(o.busy) > 0 {
		p.Repairs = true
		repaired, steps, err := h.repaired(in.Want, o)
		if err != nil {
			return nil, fmt.Errorf("what an earlier run left cannot be repaired: %w", err)
		}
		p.Load, h = steps, repaired
		o = h.ownership(in.Want, in.Records)
		for _, problem := range h.problems(in.Want, o, in.Force) {
			if !slices.ContainsFunc(p.Problems, func(p Problem) bool { return p.Text == problem.Text }) {
				p.Problems = append(p.Problems, problem)
			}
		}
	}
	p.Differences = h.differences(in.Want, in.Printed, o, h.mover(in.Late))
	p.Differences.Table = tableChange(in.Host.Table, in.Want.Table, in.PrintedTable)
	steps, gone, err := h.load(in, o, p.Differences)
	if err != nil {
		return nil, err
	}
	p.Load = append(p.Load, steps...)
	if p.Differences.Table != nil {
		// What the version is for first, so that at each moment the old or the new rules are in force: between
		// these steps and the others both are, and what either refuses is refused.
		steps := tableSteps(in.Host.Table, in.Want.Table, in.PrintedTable)
		if in.Want.Table != nil {
			p.Load = append(steps, p.Load...)
		} else {
			p.Load = append(p.Load, steps...)
		}
	}
	p.Settle = h.settle(in.Want, o, gone)
	p.Left = o.left(h, in.Want)
	return p, nil
}

// mover is the Mover of the plan, or the one for any host.
func (h *Host) mover(late Mover) Mover {
	if late != nil {
		return late
	}
	return func(j Jump) bool { return comesLate(h.table(j.Family, j.Table), j) }
}

// load are the steps that put a version in force, on a host on which no load was cut off, and the
// sets that they destroy for good.
func (h *Host) load(in Input, o *ownership, d *Differences) (steps []Step, gone []string, err error) {
	want, late := in.Want, in.Late
	steps = h.destroyStale(o)
	exchanged := h.exchanged(want, in.Printed, d, o)
	changed := h.alternatives(want, slices.DeleteFunc(slices.Clone(d.Sets), func(c SetChange) bool { return slices.Contains(exchanged, want.Sets.Set(c.Name)) }))
	if len(exchanged) > 0 {
		var w setWriter
		w.exchange(exchanged...)
		steps = append(steps, Step{Name: "exchange the content of sets", Tool: IPSet, Input: w.buf.Bytes()})
	}
	var w setWriter
	w.unmanaged(h, want)
	for _, name := range sortedSets(want.Sets) {
		if _, ok := changed[name]; ok || h.Sets.Set(name) == nil {
			w.fill(want.Sets.Set(name), changed.of(name), changed)
		}
	}
	if w.buf.Len() > 0 {
		steps = append(steps, Step{Name: "create the new sets", Tool: IPSet, Input: w.buf.Bytes()})
	}
	var rules []Step
	for _, f := range families {
		if d.rulesOf(f) || changed.haveFamily(want, f) {
			rules = append(rules, h.change(want, f, changed, h.mover(late), "change the rules")...)
		}
	}
	steps = append(steps, rules...)
	if len(changed) == 0 {
		return steps, nil, nil
	}
	// The second transaction starts from the rules that the first one makes.
	after := h.withSets(want, changed)
	for _, s := range rules {
		if err := after.Run(s); err != nil {
			return nil, nil, err
		}
	}
	names, gone := after.ownNames(want, o, slices.Sorted(maps.Keys(changed)))
	return append(steps, names...), gone, nil
}

// alternatives are the names NAME-alt of the existing sets that change, and of the lists that
// contain them. A set that does not exist has no other content that rules could use.
func (h *Host) alternatives(want *Version, changes []SetChange) renames {
	out := renames{}
	for _, c := range changes {
		if !c.Created {
			out[c.Name] = c.Name + altSuffix
		}
	}
	for _, name := range want.Sets.Names() {
		for member := range members(want.Sets.Set(name)) {
			if _, ok := out[member]; ok {
				out[name] = name + altSuffix
			}
		}
	}
	return out
}

// withRules is a host to simulate rules on. It shares the sets.
func (h *Host) withRules() *Host {
	out := &Host{Rules: map[ir.Family]*iptables.Ruleset{}, Other: h.Other, Sets: h.Sets, NoSecurity: h.NoSecurity}
	for f, rules := range h.Rules {
		out.Rules[f] = rules.Clone()
	}
	return out
}

// withSets is a host to simulate rules on, with the new sets of a version.
func (h *Host) withSets(want *Version, changed renames) *Host {
	out := h.withRules()
	names := map[string]string{}
	for name, alt := range changed {
		names[alt] = name
	}
	for _, name := range want.Sets.Names() {
		if h.Sets.Set(name) == nil && changed[name] == "" {
			names[name] = name
		}
	}
	out.Sets = h.Sets.Overlay(want.Sets.Select(names), func(string) bool { return true })
	out.Sets = out.Sets.Overlay(want.Unmanaged, func(name string) bool { return h.Sets.Set(name) == nil })
	return out
}

// destroyStale destroys the sets that a load which was cut off made, and that nothing uses.
func (h *Host) destroyStale(o *ownership) []Step {
	return destroySets("destroy sets that an earlier run left", o.stale(h))
}

// destroySets is the step that destroys sets, if there are any.
func destroySets(name string, sets []string) []Step {
	if len(sets) == 0 {
		return nil
	}
	var w setWriter
	for _, set := range sets {
		w.line("destroy %s", set)
	}
	return []Step{{Name: name, Tool: IPSet, Input: w.buf.Bytes()}}
}

// repaired is the host after the steps that repair it.
func (h *Host) repaired(want *Version, o *ownership) (*Host, []Step, error) {
	steps, err := h.repair(want, o)
	if err != nil {
		return nil, nil, err
	}
	out := h.clone()
	for _, s := range steps {
		if err := out.Run(s); err != nil {
			return nil, nil, err
		}
	}
	return out, steps, nil
}

// repair are the steps that complete a load which was cut off: they give the sets that rules use
// as NAME-alt their own names.
func (h *Host) repair(want *Version, o *ownership) ([]Step, error) {
	now := h.inForce(want, o)
	steps := h.destroyStale(o)
	after := h.withRules()
	for _, f := range families {
		// Fallback rules of the version before would use the new content under the own names.
		if now.Rules[f] != nil && h.mixed(f) {
			step := Step{
				Name: fmt.Sprintf("remove the fallback rules of the version before (IPv%d)", f),
				Tool: IPTables, Family: f, Input: []byte(transaction(h.table(f, security), security, f, now.Rules[f], nil, stay)),
			}
			if err := after.Run(step); err != nil {
				return nil, err
			}
			steps = append(steps, step)
		}
	}
	names, _ := after.ownNames(now, o, o.busy)
	return append(steps, names...), nil
}

// ownNames are the steps that give sets, which rules use as NAME-alt, their own names.
func (h *Host) ownNames(want *Version, o *ownership, names []string) (steps []Step, gone []string) {
	var w setWriter
	gone = w.ownNames(h, o, want, names)
	steps = []Step{{Name: "give the sets their names", Tool: IPSet, Input: w.buf.Bytes()}}
	affected := map[ir.Family]bool{}
	for _, name := range names {
		affected[want.familyOf(name)] = true
	}
	for _, f := range families {
		if affected[f] {
			steps = append(steps, h.change(want, f, nil, stay, "use the sets by their names")...)
		}
	}
	var alternatives []string
	for _, name := range listsFirst(want.Sets, slices.Clone(names)) {
		if !o.other[name+altSuffix] {
			alternatives = append(alternatives, name+altSuffix)
		}
	}
	return append(steps, destroySets("destroy the sets with temporary names", alternatives)...), gone
}

// change is the step that changes the rules of a family.
func (h *Host) change(want *Version, f ir.Family, to renames, move Mover, name string) []Step {
	if h.Rules[f] == nil {
		return nil // no tool can change them: see problems
	}
	var input []byte
	for _, table := range tables {
		if table == security && h.NoSecurity[f] {
			continue
		}
		input = append(input, transaction(h.table(f, table), table, f, want.Rules[f], to, move)...)
	}
	if len(input) == 0 {
		return nil
	}
	return []Step{{Name: fmt.Sprintf("%s (IPv%d)", name, f), Tool: IPTables, Family: f, Input: input}}
}

// unmanaged creates the unmanaged sets that do not exist.
func (w *setWriter) unmanaged(h *Host, want *Version) {
	for _, name := range want.Unmanaged.Names() {
		if h.Sets.Set(name) == nil {
			w.create(want.Unmanaged.Set(name), name)
		}
	}
}

// stay is the Mover that leaves jumps where they are.
func stay(Jump) bool { return false }

// settle are the steps that remove what a loaded version does not need.
func (h *Host) settle(want *Version, o *ownership, gone []string) []Step {
	var steps []Step
	for _, f := range families {
		if !HasOwn(h.Other[f]) {
			continue
		}
		var input []byte
		for _, table := range tables {
			input = append(input, transaction(h.Other[f].Table(table), table, f, nil, nil, nil)...)
		}
		if len(input) > 0 {
			steps = append(steps, Step{
				Name: fmt.Sprintf("remove dockerfw's rules from the tables that Docker does not use (IPv%d)", f),
				Tool: IPTables, Family: f, Other: true, Input: input,
			})
		}
	}
	unneeded := slices.DeleteFunc(o.unneeded(h, want), func(name string) bool { return slices.Contains(gone, name) })
	for _, name := range o.temporary(h) {
		if o.other[name] && !o.used[name] {
			unneeded = append(unneeded, name)
		}
	}
	return append(steps, destroySets("destroy sets that are not needed", listsFirst(h.Sets, unneeded))...)
}
