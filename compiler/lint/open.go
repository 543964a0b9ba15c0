package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// open lists the published ports that accepts open to anyone: those without a
// source, with the interfaces they name and the denies that take a part. One that
// denies take as a whole opens nothing.
func (f *findings) open(policies []*parser.Policy) {
	seen := map[blockKey]bool{}
	var ports, refused []string
	var places []*parser.Rule
	for _, p := range policies {
		for _, r := range p.Rules {
			if r.Kind != parser.KindAccept || seen[keyOf(r)] || r.Source != nil || len(r.PublishedPorts) == 0 || !outside(p, r) || f.denied(r) {
				continue
			}
			seen[keyOf(r)] = true
			places = append(places, r)
			var protocols, own []string
			for _, n := range r.Protocols {
				protocols = append(protocols, packet.Proto{Numbers: []uint8{n.Value.Number}}.Name())
			}
			for _, port := range r.PublishedPorts {
				own = append(own, portText(port.Value)+"/"+strings.Join(protocols, "+"))
			}
			text := strings.Join(own, ", ")
			if on := externalOf(p, r); len(on) > 0 {
				text += " on " + strings.Join(on, ", ")
			}
			text += fmt.Sprintf(" by %q", r.Name.Value)
			if r.SourceNot != nil {
				text += ", except source_not"
			}
			denied := ""
			if b := f.blocks[keyOf(r)]; b != nil && len(b.losses) > 0 {
				denied = ", except what " + denyNames(b.losses)
			}
			ports, refused = append(ports, text), append(refused, denied)
		}
	}
	if len(places) == 0 {
		return
	}
	d := diag.Note(diag.CodeWorldOpen, places[0].Name.Range, "published ports that accepts open to anyone", portsText(ports, refused)+".")
	for _, r := range places[1:] {
		diag.WithRelated(d, fmt.Sprintf("accept %q", r.Name.Value), r.Name.Range)
	}
	f.diags = append(f.diags, d)
}

// portsText joins ports with what is refused of each; what is the same for all of
// several, once.
func portsText(ports, refused []string) string {
	if len(ports) > 1 && refused[0] != "" && len(slices.Compact(slices.Clone(refused))) == 1 {
		return strings.Join(ports, "; ") + "; all of them" + strings.TrimPrefix(refused[0], ",")
	}
	for i := range ports {
		ports[i] += refused[i]
	}
	return strings.Join(ports, "; ")
}

// denied tells whether denies take all that an accept would let in.
func (f *findings) denied(r *parser.Rule) bool {
	b := f.blocks[keyOf(r)]
	return b != nil && b.possible && !b.decides && len(b.coveredBy) > 0 &&
		!slices.ContainsFunc(b.coveredBy, func(o *parser.Rule) bool { return o.Kind != parser.KindDeny })
}

// denyNames names the first denies, with a verb.
func denyNames(losses []*loss) string {
	const shown = 4
	var words []string
	for _, l := range losses[:min(shown, len(losses))] {
		words = append(words, fmt.Sprintf("deny %q", l.deny.Name.Value))
	}
	text := strings.Join(words, ", ")
	switch n := len(losses) - shown; {
	case n > 0:
		return text + fmt.Sprintf(" and %d more refuse", n)
	case len(losses) > 1:
		return text + " refuse"
	}
	return text + " refuses"
}

// external tells whether all interfaces that a rule names are external ones.
func external(p *parser.Policy, r *parser.Rule) bool {
	return len(externalOf(p, r)) == len(r.Interfaces)
}

// externalOf returns the interfaces that a rule names and that are external.
func externalOf(p *parser.Policy, r *parser.Rule) []string {
	var out []string
	for _, i := range r.Interfaces {
		if slices.ContainsFunc(p.Host.ExternalInterfaces, func(e parser.At[string]) bool {
			return parser.Covers(e.Value, i.Value) || parser.Covers(i.Value, e.Value)
		}) {
			out = append(out, i.Value)
		}
	}
	return out
}

// outside tells whether a rule is for an external interface.
func outside(p *parser.Policy, r *parser.Rule) bool {
	if len(r.Interfaces) == 0 {
		return true
	}
	return len(externalOf(p, r)) > 0
}
