package diff

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// readable is how many destinations of one client, or lines, a reader takes in at once.
const readable = 2

// describer looks for few words for the packets of a group.
type describer struct {
	*group
	limit int // of regions
	// within are the packets that the group's rules match, before and after; routes are
	// where the group's packets come from and leave, for any ports.
	old, now, within, routes packet.Set
}

// describe tries descriptions, the most exact first: the regions themselves; else what the
// rules responsible have in common. clear is false where none is short.
func (g *group) describe(limit int) (d Description, clear bool, err error) {
	exact, clear := g.regions(g.set, limit)
	if clear {
		return exact, true, nil
	}
	w := describer{group: g, limit: limit, routes: g.set.Routes()}
	if w.old, err = matched(g.both[0], g.oldPlaces); err != nil {
		return Description{}, false, err
	}
	if w.now, err = matched(g.both[1], g.newPlaces); err != nil {
		return Description{}, false, err
	}
	w.within = w.old.And(w.now)
	for _, try := range []func() (d Description, clear, ok bool){w.leftOver, w.byState, w.byRules, w.byHull} {
		if d, clear, ok := try(); ok {
			return d, clear, nil
		}
	}
	return exact, false, nil
}

// regions describes a set by its regions. clear reports whether they are all and few.
func (g *group) regions(set packet.Set, limit int) (d Description, clear bool) {
	regions, complete := set.Regions(limit)
	var wide int
	d.Traffic, wide = g.Path.trafficOf(regions)
	if !complete {
		d.Rest = Incomplete
	}
	return d, complete && wide <= readable
}

// leftOver describes packets that no explicit rule matches, before or after.
func (w describer) leftOver() (d Description, clear, ok bool) {
	if !w.routes.And(w.within).Equal(w.set) || explicit(w.OldRules) || explicit(w.NewRules) {
		return d, false, false
	}
	target := OtherPorts
	if established(w.OldRules) || established(w.NewRules) {
		target = OpenConnections
	}
	d, clear = w.alongRoutes(Destination{Target: target})
	return d, clear, true
}

// byState describes the packets that open connections, and only lists the other states:
// rules for open connections make many regions of those.
func (w describer) byState() (d Description, clear, ok bool) {
	// The last rule of both[2] matches what opens connections.
	last := packet.Place{Rule: len(w.both[2].Program.Chains[0].Rules) - 1}
	opening := w.set.And(w.both[2].Match(last))
	if opening.IsEmpty() || opening.Equal(w.set) {
		return d, false, false
	}
	d, clear = w.regions(opening, w.limit)
	d.Rest, d.OtherStates = InOtherStates, statesOf(w.set.Diff(opening))
	return d, true, clear
}

// byRules describes all that the explicit rules of one side match.
func (w describer) byRules() (d Description, clear, ok bool) {
	switch {
	case !w.routes.And(w.within).Equal(w.set):
	case explicit(w.NewRules) && w.routes.And(w.now).Equal(w.set):
		d, clear = w.alongRoutes(Destination{Target: MatchedByNew, Rules: w.NewRules})
		return d, clear, true
	case explicit(w.OldRules) && w.routes.And(w.old).Equal(w.set):
		d, clear = w.alongRoutes(Destination{Target: MatchedByOld, Rules: w.OldRules})
		return d, clear, true
	}
	return d, false, false
}

// byHull describes the box around the packets, where only rules ahead take packets of it.
func (w describer) byHull() (d Description, clear, ok bool) {
	hull := w.set.Hull()
	if !hull.And(w.within).Equal(w.set) {
		return d, false, false
	}
	d, clear = w.regions(hull, w.limit)
	d.Rest = ExceptOtherRules
	return d, true, clear && len(d.Traffic) <= readable
}

// alongRoutes describes packets to one destination, by where they come from and leave.
func (w describer) alongRoutes(to Destination) (d Description, clear bool) {
	regions, complete := w.routes.Regions(w.limit)
	for _, r := range regions {
		to.Out = r.Out
		d.Traffic = append(d.Traffic, Traffic{clientsOf(r), []Destination{to}})
	}
	if !complete {
		d.Rest = Incomplete
	}
	return d, complete
}

// statesOf are the states of packets that open no connection.
func statesOf(set packet.Set) []packet.ConnState {
	var states []packet.ConnState
	regions, complete := set.Regions(64)
	for _, r := range regions {
		complete = complete && len(r.States) > 0
		for _, s := range r.States {
			if !slices.Contains(states, s) {
				states = append(states, s)
			}
		}
	}
	if !complete {
		return []packet.ConnState{{State: ir.CTRelated}, {State: ir.CTEstablished}, {State: ir.CTInvalid}, {State: ir.CTUntracked}}
	}
	return states
}

// matched returns the packets that rules at these places match first.
func matched(e *packet.Evaluation, places []packet.Place) (packet.Set, error) {
	out := e.Space().None()
	for _, at := range places {
		set, err := e.Handled(at)
		if err != nil {
			return out, err
		}
		out = out.Or(set)
	}
	return out, nil
}

func established(rules []Rule) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == "established" })
}

func explicit(rules []Rule) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.explicit })
}
