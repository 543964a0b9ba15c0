package diff

import (
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// group is a change while it is collected.
type group struct {
	Change
	set packet.Set // what is newly allowed, newly blocked or refused in another way
	// same are packets that one side accepts, and the other leaves to Docker's rules,
	// which accept them.
	same packet.Set
	// both are the old and the new program; a third one accepts what Docker's rules accept.
	both                 []*packet.Evaluation
	oldPlaces, newPlaces []packet.Place
	// pairs are groups of a single old and a single new rule that this one is made of, and
	// byPair is the index of each by the names of its rules. A pair has none.
	pairs  []*group
	byPair map[[2]string]int
	isPair bool
}

func newGroup(f ir.Family, path Path, both []*packet.Evaluation) *group {
	none := both[0].Space().None()
	return &group{
		Change: Change{Path: path, Families: []ir.Family{f}, Effect: None},
		set:    none, same: none, both: both, byPair: map[[2]string]int{},
	}
}

// add adds packets to the group, and to the pair of their rules.
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
	if g.isPair {
		return
	}
	names := [2]string{old.Name, now.Name}
	i, known := g.byPair[names]
	if !known {
		i = len(g.pairs)
		g.byPair[names] = i
		pair := newGroup(g.Families[0], g.Path, g.both)
		pair.isPair = true
		g.pairs = append(g.pairs, pair)
	}
	g.pairs[i].add(one, old, now)
}

func addVerdict(all []packet.Verdict, v packet.Verdict) []packet.Verdict {
	if slices.Contains(all, v) {
		return all
	}
	return append(all, v)
}

// changes returns the change of g.set and that of g.same, each if there is one. clear reports
// whether their descriptions are short.
func (g *group) changes(limit int) (out []Change, clear bool, err error) {
	describe := func(set packet.Set, effect Effect) (Change, bool, error) {
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
		if change, clear, err = describe(g.set, g.Effect); err != nil {
			return nil, false, err
		}
		if lines := change.Packets.lines(); (!clear || lines > readable) && !g.same.IsEmpty() {
			// Both together may be what a rule matches.
			all, short, err := describe(g.set.Or(g.same), g.Effect)
			if err != nil {
				return nil, false, err
			}
			if short && (!clear || all.Packets.lines() < lines) {
				all.Unpublished = true
				finish(all, g.set)
				return out, true, nil
			}
		}
		finish(change, g.set)
	}
	if !g.same.IsEmpty() {
		same, short, err := describe(g.same, None)
		if err != nil {
			return nil, false, err
		}
		finish(same, g.same)
		// Beside a change it is a note, and may be long.
		clear = clear && (short || !g.set.IsEmpty())
	}
	return out, clear, nil
}

// readablePairs is how many pairs of rules may be reported in place of one change that has
// no short description.
const readablePairs = 8

// list adds the changes of a group to the report: those of its pairs, if only they have a
// short description.
func (c *comparison) list(g *group) error {
	all, clear, err := g.changes(c.opts.Regions)
	if err != nil {
		return err
	}
	if !clear && len(g.pairs) > 1 && len(g.pairs) <= readablePairs {
		var each []Change
		clear = true
		for _, pair := range g.pairs {
			some, short, err := pair.changes(c.opts.Regions)
			if err != nil {
				return err
			}
			each, clear = append(each, some...), clear && short
		}
		if clear {
			all = each
		}
	}
	for _, change := range all {
		if change.Path == ToProxy && c.closesHost(change.Families[0]) {
			change.Packets.onHost()
		}
		if change.Effect == None {
			c.report.SameReach = append(c.report.SameReach, change)
		} else {
			c.report.Changes = append(c.report.Changes, change)
		}
	}
	return nil
}

// closesHost reports whether either side has rules of an input block, so that packets in INPUT
// are not only those that docker-proxy may answer.
func (c *comparison) closesHost(f ir.Family) bool {
	return slices.ContainsFunc([]*snapshot.Host{c.before, c.after}, func(s *snapshot.Host) bool {
		return s.HasScope(f, ir.ScopeHost)
	})
}
