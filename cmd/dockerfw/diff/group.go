package diff

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// group is a change while it is put together.
type group struct {
	Change
	path                 Path
	set                  packet.Set // what differs in reach
	same                 packet.Set // accepted or left to Docker's rules, which accept it
	both                 []*packet.Evaluation
	oldPlaces, newPlaces []packet.Place
	// parts are the groups of single pairs of rules that this one is made of; pair
	// tells that it is such a part.
	parts   []*group
	byRules map[[2]string]int
	pair    bool
}

func (c *comparison) newGroup(f ir.Family, path Path, both []*packet.Evaluation) *group {
	none := both[0].Space().None()
	g := &group{set: none, same: none, path: path, both: both}
	g.full, g.Path, g.Families, g.Effect = c.opts.Full, path, []ir.Family{f}, None
	return g
}

// add adds packets to the group, and to the part of the group that is about one
// pair of rules.
func (g *group) add(one *packet.Change, old, now Rule) {
	if one.Effect == packet.SameReach {
		g.same = g.same.Or(one.Set)
	} else {
		g.set = g.set.Or(one.Set)
		g.Effect = Effect(one.Effect.String())
	}
	g.Old, g.New = addVerdict(g.Old, one.Old), addVerdict(g.New, one.New)
	g.OldRules, g.NewRules = addRule(g.OldRules, old), addRule(g.NewRules, now)
	g.oldPlaces, g.newPlaces = append(g.oldPlaces, one.OldRule), append(g.newPlaces, one.NewRule)
	if g.pair {
		return
	}
	i, known := g.byRules[[2]string{old.Name, now.Name}]
	if !known {
		i = len(g.parts)
		if g.byRules == nil {
			g.byRules = map[[2]string]int{}
		}
		g.byRules[[2]string{old.Name, now.Name}] = i
		part := &group{Change: Change{full: g.full, Path: g.path, Families: g.Families, Effect: None}, path: g.path, both: g.both, pair: true}
		part.set, part.same = g.both[0].Space().None(), g.both[0].Space().None()
		g.parts = append(g.parts, part)
	}
	g.parts[i].add(one, old, now)
}

// changes are the group's: what differs in reach, then what does not. clear tells
// whether all of it is told in few words.
func (g *group) changes(limit int) (out []Change, clear bool, err error) {
	one := func(set packet.Set, effect Effect) (Change, bool, error) {
		part := *g
		part.set, part.Effect = set, effect
		var clear bool
		var err error
		part.Packets, clear, err = part.describe(limit)
		return part.Change, clear, err
	}
	finish := func(change Change, example packet.Set) {
		change.Conditions = example.Conditions()
		change.Witness, _ = example.Witness()
		change.WitnessOld, change.WitnessNew = g.both[0].Decide(change.Witness).Verdict, g.both[1].Decide(change.Witness).Verdict
		out = append(out, change)
	}
	var change Change
	clear = true
	if !g.set.IsEmpty() {
		if change, clear, err = one(g.set, g.Effect); err != nil {
			return nil, false, err
		}
		if (!clear || len(change.Packets) > 2) && !g.same.IsEmpty() {
			all, short, err := one(g.set.Or(g.same), g.Effect)
			if err != nil {
				return nil, false, err
			}
			if short && (!clear || len(all.Packets) < len(change.Packets)) {
				all.Unpublished = true
				finish(all, g.set)
				return out, true, nil
			}
		}
		finish(change, g.set)
	}
	if !g.same.IsEmpty() {
		same, ok, err := one(g.same, None)
		if err != nil {
			return nil, false, err
		}
		finish(same, g.same)
		// How it is told does not matter much: it is a note.
		clear = clear && (ok || !g.set.IsEmpty())
	}
	return out, clear, nil
}

// readableParts is how many pairs of rules may take the place of one change that has
// no few words.
const readableParts = 8

// list adds a group to the report. What differs in reach and what does not are two
// changes, unless only both together can be told in few words.
func (c *comparison) list(g *group) error {
	all, clear, err := g.changes(c.opts.Regions)
	if err != nil {
		return err
	}
	if !clear && len(g.parts) > 1 && len(g.parts) <= readableParts {
		var each []Change
		clear = true
		for _, part := range g.parts {
			some, ok, err := part.changes(c.opts.Regions)
			if err != nil {
				return err
			}
			each, clear = append(each, some...), clear && ok
		}
		if clear {
			all = each
		}
	}
	for _, change := range all {
		if change.Effect == None {
			c.report.SameReach = append(c.report.SameReach, change)
		} else {
			c.report.Changes = append(c.report.Changes, change)
		}
	}
	return nil
}
