package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// loss is what a deny takes from an accept.
type loss struct {
	deny *parser.Rule
	// clients are the sources it takes; wider tells that it is for others too.
	clients *packet.AddrSet
	wider   bool
}

// denials notes what denies take from accepts with clients or published ports.
func (f *findings) denials(e *packet.Evaluation, family ir.Family, byName map[string]*parser.Rule) error {
	var denies []taker
	for i, r := range e.Source().Chains[0].Rules {
		rule := byName[r.Text]
		if rule == nil || rule.Kind != parser.KindDeny || rule.Rate != nil || rule.Connections != nil {
			continue // a limit takes what is too much, not some clients
		}
		set, err := e.Handled(packet.Place{Rule: i})
		if err != nil {
			return err
		}
		denies = append(denies, taker{rule: rule, set: set})
	}
	if len(denies) == 0 {
		return nil
	}
	all := unite(denies)
	for i, r := range e.Source().Chains[0].Rules {
		rule := byName[r.Text]
		if rule == nil || rule.Kind != parser.KindAccept || len(rule.PublishedPorts) == 0 && rule.Source == nil {
			continue
		}
		wants, b := e.Match(packet.Place{Rule: i}), f.blocks[keyOf(rule)]
		all.from(wants, func(deny taker) bool {
			b.lose(deny.rule, wants.And(deny.set).Sources(family), !deny.set.Sources(family).Minus(wants.Sources(family)).IsEmpty())
			return len(b.losses) < lossLimit
		})
	}
	return nil
}

// lossLimit is the number of denies past which nobody reads on.
const lossLimit = 32

// taker is a deny and the packets it takes, or several denies.
type taker struct {
	rule  *parser.Rule
	set   packet.Set
	parts []taker
}

// unite makes a tree of denies, so that those that take some packets are found
// without asking each.
func unite(denies []taker) taker {
	if len(denies) == 1 {
		return denies[0]
	}
	half := len(denies) / 2
	a, b := unite(denies[:half]), unite(denies[half:])
	return taker{set: a.set.Or(b.set), parts: []taker{a, b}}
}

// from yields the denies that take some of these packets, until yield has enough.
func (t taker) from(set packet.Set, yield func(taker) bool) bool {
	switch {
	case t.set.And(set).IsEmpty():
		return true
	case t.rule != nil:
		return yield(t)
	}
	return t.parts[0].from(set, yield) && t.parts[1].from(set, yield)
}

func (b *block) lose(deny *parser.Rule, clients *packet.AddrSet, wider bool) {
	i := slices.IndexFunc(b.losses, func(l *loss) bool { return keyOf(l.deny) == keyOf(deny) })
	if i < 0 {
		i = len(b.losses)
		b.losses = append(b.losses, &loss{deny: deny, clients: packet.NewAddrSet("", nil)})
	}
	l := b.losses[i]
	l.clients, l.wider = packet.Union("", l.clients, clients), l.wider || wider
}

// partlyDenied notes accepts for some clients of which a deny for more than those
// takes a part: an office inside a blocked country. A deny for some of the accept's
// own clients is an exception that somebody has made.
func (f *findings) partlyDenied(b *block) {
	if b.rule.Source == nil || b.rule.Kind != parser.KindAccept {
		return
	}
	for _, l := range b.losses {
		if !l.wider || l.deny.Source == nil && l.deny.SourceNot == nil {
			continue
		}
		d := diag.Note(diag.CodePartlyDenied, b.rule.Name.Range, fmt.Sprintf("accept %q is denied for some of its clients", b.rule.Name.Value),
			fmt.Sprintf("A deny is matched before every accept. Where both match, it refuses %s. %s", clientsText(l.clients), exception(l.deny, l.clients)))
		f.diags = append(f.diags, diag.WithRelated(d, fmt.Sprintf("deny %q takes them", l.deny.Name.Value), l.deny.Name.Range))
	}
}

// exception says how a deny leaves out clients.
func exception(deny *parser.Rule, clients *packet.AddrSet) string {
	const shown = 4
	prefixes := clients.Prefixes(0)
	var words []string
	for i, p := range prefixes {
		if i == shown {
			words = append(words, "…")
			break
		}
		words = append(words, fmt.Sprintf("%q", addressText(p)))
	}
	list := strings.Join(words, ", ")
	if deny.SourceNot != nil {
		return fmt.Sprintf("To let them in, add %s to source_not of deny %q.", list, deny.Name.Value)
	}
	return fmt.Sprintf("To let them in, add source_not = [%s] to deny %q.", list, deny.Name.Value)
}

func clientsText(clients *packet.AddrSet) string {
	const shown = 4
	prefixes := clients.Prefixes(0)
	var words []string
	for _, p := range prefixes[:min(shown, len(prefixes))] {
		words = append(words, addressText(p))
	}
	text := strings.Join(words, ", ")
	if n := len(prefixes) - shown; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
