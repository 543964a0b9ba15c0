package lint

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// denial is a deny that matches packets of an accept first.
type denial struct {
	deny *parser.Rule
	// clients are the sources that it refuses of those the accept admits; wider: it
	// refuses other sources too.
	clients *packet.AddrSet
	wider   bool
}

// maxDenials is the number of denies past which a list of them is of no use.
const maxDenials = 32

// addDenials adds the denies that match packets of accepts with clients, published ports or ports of the host.
func addDenials(e *packet.Evaluation, family ir.Family, byName rulesByName) error {
	rules := e.Source().Chains[0].Rules
	var denies []denyTree
	for i, r := range rules {
		one := byName[r.Text]
		if one == nil || one.rule.Kind != parser.KindDeny || one.rule.Rate != nil || one.rule.Connections != nil {
			continue // a limit refuses what is too much, not some clients
		}
		set, err := e.Handled(packet.Place{Rule: i})
		if err != nil {
			return err
		}
		denies = append(denies, denyTree{rule: one.rule, set: set})
	}
	if len(denies) == 0 {
		return nil
	}
	tree := newDenyTree(denies)
	for i, r := range rules {
		one := byName[r.Text]
		if one == nil || one.rule.Kind != parser.KindAccept || len(one.rule.PublishedPorts) == 0 && one.rule.Source == nil && !one.toHost {
			continue
		}
		matched := e.Match(packet.Place{Rule: i})
		tree.overlapping(matched, func(deny denyTree) bool {
			wider := !deny.set.Sources(family).In(matched.Sources(family))
			one.addDenial(deny.rule, matched.And(deny.set).Sources(family), wider)
			return len(one.denials) < maxDenials
		})
	}
	return nil
}

// denyTree is a deny with the packets that it matches or, as an inner node, several. An
// accept is compared with subtrees first, not with each of thousands of denies.
type denyTree struct {
	rule  *parser.Rule
	set   packet.Set
	parts []denyTree
}

func newDenyTree(denies []denyTree) denyTree {
	if len(denies) == 1 {
		return denies[0]
	}
	half := len(denies) / 2
	a, b := newDenyTree(denies[:half]), newDenyTree(denies[half:])
	return denyTree{set: a.set.Or(b.set), parts: []denyTree{a, b}}
}

// overlapping yields the denies that match some of these packets, until yield returns false.
func (t denyTree) overlapping(set packet.Set, yield func(denyTree) bool) bool {
	switch {
	case t.set.And(set).IsEmpty():
		return true
	case t.rule != nil:
		return yield(t)
	}
	return t.parts[0].overlapping(set, yield) && t.parts[1].overlapping(set, yield)
}

func (r *ruleEvidence) addDenial(deny *parser.Rule, clients *packet.AddrSet, wider bool) {
	i := slices.IndexFunc(r.denials, func(d *denial) bool { return keyOf(d.deny) == keyOf(deny) })
	if i < 0 {
		i = len(r.denials)
		r.denials = append(r.denials, &denial{deny: deny, clients: packet.NewAddrSet("", nil)})
	}
	d := r.denials[i]
	d.clients, d.wider = packet.Union("", d.clients, clients), d.wider || wider
}
