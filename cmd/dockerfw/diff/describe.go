package diff

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// describe tells the packets of a group in lines: who, arriving where, to what.
// Regions that differ only in where packets go share a line. Where that gets long,
// it says by which rules they were or are matched; clear is false where that is all
// it can say, or not even that.
func (g *group) describe(limit int) (lines []string, clear bool, err error) {
	regions, complete := g.set.Regions(limit)
	lines, longest := g.lines(regions)
	const readable = 2
	if complete && longest <= readable {
		return lines, true, nil
	}
	who, to := g.who, g.to
	g.who, g.to = nil, nil
	old, err := handled(g.both[0], g.oldPlaces)
	if err != nil {
		return nil, false, err
	}
	now, err := handled(g.both[1], g.newPlaces)
	if err != nil {
		return nil, false, err
	}
	within, routes := old.And(now), g.set.Routes()
	if routes.And(within).Equal(g.set) && !explicit(g.OldRules) && !explicit(g.NewRules) {
		if established(g.OldRules) || established(g.NewRules) {
			return g.routes(routes, "ports of open connections that no other rule matches", limit)
		}
		return g.routes(routes, "all other ports", limit)
	}
	// Mostly the packets that open connections are told in few words.
	opening := g.set.And(g.both[2].Match(packet.Place{Rule: len(g.both[2].Program.Chains[0].Rules) - 1}))
	if !opening.IsEmpty() && !opening.Equal(g.set) {
		some, complete := opening.Regions(limit)
		text, longest := g.lines(some)
		g.who, g.to = nil, nil
		if complete && longest <= readable {
			return append(text, "and packets of the same kind that open no connection ("+othersText(g.set.Diff(opening))+")"), true, nil
		}
	}
	switch {
	case !routes.And(within).Equal(g.set):
	case routes.And(now).Equal(g.set) && explicit(g.NewRules):
		return g.routes(routes, "all that "+theirs("new", g.NewRules, "matches", "match"), limit)
	case routes.And(old).Equal(g.set) && explicit(g.OldRules):
		return g.routes(routes, "all that "+theirs("old", g.OldRules, "matched", "matched"), limit)
	}
	// All that some rules decided and others decide now, but for what rules ahead of
	// them take: where it could be is told in few words.
	if hull := g.set.Hull(); hull.And(within).Equal(g.set) {
		outer, complete := hull.Regions(limit)
		if text, longest := g.lines(outer); complete && longest <= readable && len(text) <= readable {
			g.who, g.to = nil, nil
			return append(text, "except what other rules match"), true, nil
		}
		g.who, g.to = nil, nil
	}
	if !complete {
		return append(lines, "… and more"), false, nil
	}
	g.who, g.to = who, to
	return lines, false, nil
}

func established(rules []Rule) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == "established" })
}

// routes says from where to where packets go, with the same words for all of them.
func (g *group) routes(routes packet.Set, what string, limit int) (lines []string, clear bool, err error) {
	regions, complete := routes.Regions(limit)
	for _, r := range regions {
		to := what
		if r.Out != nil {
			to += ", leaving on " + interfacesText(r.Out)
		}
		lines = append(lines, together(g.whoText(r), to))
		g.who, g.to = append(g.who, g.whoText(r)), []string{what}
	}
	if !complete {
		g.who, g.to = nil, nil
		return append(lines, "… and more"), false, nil
	}
	return lines, true, nil
}

// othersText names the states of packets that open no connection.
func othersText(set packet.Set) string {
	var states []packet.ConnState
	regions, complete := set.Regions(64)
	for _, r := range regions {
		if len(r.States) == 0 {
			complete = false
		}
		for _, s := range r.States {
			if !slices.Contains(states, s) {
				states = append(states, s)
			}
		}
	}
	if !complete {
		return "related, established, invalid or untracked"
	}
	text := strings.TrimSuffix(strings.TrimPrefix(statesText(states), "only "), " packets")
	return text
}

// theirs names rules with a verb, or refers to them if they are several: they are
// listed below.
func theirs(side string, rules []Rule, one, several string) string {
	if len(rules) == 1 {
		return rules[0].Name + " " + one
	}
	return "the " + side + " rules " + several
}

// handled returns the packets that rules at these places decide.
func handled(e *packet.Evaluation, places []packet.Place) (packet.Set, error) {
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
