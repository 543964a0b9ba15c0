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
// source. What denies take from them is not counted.
func (f *findings) open(policies []*parser.Policy) {
	seen := map[blockKey]bool{}
	var ports []string
	var places []*parser.Rule
	for _, p := range policies {
		for _, r := range p.Rules {
			if r.Kind != parser.KindAccept || seen[keyOf(r)] || r.Source != nil || len(r.PublishedPorts) == 0 || !outside(p, r) {
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
			if r.SourceNot != nil {
				text += " (but for source_not)"
			}
			ports = append(ports, fmt.Sprintf("%s by %q", text, r.Name.Value))
		}
	}
	if len(places) == 0 {
		return
	}
	d := diag.Note(codeWorldOpen, places[0].Name.Range, "published ports that accepts open to anyone", strings.Join(ports, "; ")+".")
	for _, r := range places[1:] {
		diag.WithRelated(d, fmt.Sprintf("accept %q", r.Name.Value), r.Name.Range)
	}
	f.diags = append(f.diags, d)
}

// outside tells whether a rule is for an external interface.
func outside(p *parser.Policy, r *parser.Rule) bool {
	if len(r.Interfaces) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Interfaces, func(i parser.At[string]) bool {
		return slices.ContainsFunc(p.Host.ExternalInterfaces, func(e parser.At[string]) bool {
			return parser.Covers(e.Value, i.Value)
		})
	})
}
