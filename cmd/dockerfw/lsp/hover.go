package lsp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/emit/nftables"
	"github.com/dockerfw/dockerfw/parser"
)

// maxShown is the number of emitted lines in a hover.
const maxShown = 12

// hover describes what is at a position: a block, an attribute, a value or a name. For rules
// and sets it adds what is emitted for them.
func (s *Server) hover(ctx context.Context, p *protocol.HoverParams) (any, error) {
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return nil, nil
	}
	all := v.occurrences()
	if o := v.occurrenceAt(all, p.Position); o != nil {
		if text := s.describeName(v, *o, all); text != "" {
			return hoverText(text, v.document.rangeOf(o.Path)), nil
		}
	}
	data, err := v.decoder.HoverAtPos(ctx, v.document.path, v.document.pos(p.Position))
	if err != nil || data == nil {
		return nil, nil // the position is at nothing that has a description
	}
	return hoverText(data.Content.Value, v.document.rangeOf(data.Range)), nil
}

func hoverText(text string, rng protocol.Range) *protocol.Hover {
	return &protocol.Hover{Contents: protocol.MarkupContent{Kind: protocol.Markdown, Value: text}, Range: &rng}
}

// describeName describes what a name stands for, by its definition and the last compilation.
func (s *Server) describeName(v *view, o parser.Occurrence, all []parser.Occurrence) string {
	i := slices.IndexFunc(all, func(other parser.Occurrence) bool { return other.Definition && sameName(other, o) })
	if i < 0 {
		return ""
	}
	defined := all[i]
	compiled := s.compiled(v.document.path)
	switch o.Kind {
	case parser.NameOfSet:
		return fmt.Sprintf("`ipset.%s`", o.Name) + entries(compiled, o.Name)
	case parser.NameOfRule:
		return fmt.Sprintf("rule `%s`", o.Name) + emittedRules(compiled, defined)
	case parser.NameOfVariable, parser.NameOfLocal:
		return "```hcl\n" + v.source(defined) + "\n```"
	case parser.NameOfHost:
		return fmt.Sprintf("host `%s`", o.Name)
	}
	return ""
}

// source is the text of a definition.
func (v *view) source(o parser.Occurrence) string {
	file := v.files[o.Block.Filename]
	if file == nil {
		return ""
	}
	return string(o.Block.SliceBytes(file.Bytes))
}

// entries describes the entries of a set in the first host that has it.
func entries(compiled *driver.Result, label string) string {
	if compiled == nil {
		return ""
	}
	const unmanaged = "\n\nNot managed: dockerfw creates the set if it is missing, and never changes its entries."
	for _, h := range compiled.Hosts {
		var parts []string
		if h.NFT != nil {
			for _, set := range h.NFT.Sets {
				switch {
				case set.Label != label:
				case set.Kind == nftables.Unmanaged:
					return unmanaged
				default:
					parts = append(parts, fmt.Sprintf("`%s`: %d entries", set.Name, set.Prefixes.Len()))
				}
			}
			if len(parts) > 0 {
				return "\n\n" + strings.Join(parts, "  \n")
			}
			continue
		}
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			for _, set := range h.Tables.Sets {
				if set.Name != ir.SetName(label, f) {
					continue
				}
				if !set.Managed {
					return unmanaged
				}
				parts = append(parts, fmt.Sprintf("`%s`: %d entries (%s)", set.Name, set.Prefixes.Len()+len(set.Members), set.Type))
			}
		}
		if len(parts) > 0 {
			return "\n\n" + strings.Join(parts, "  \n")
		}
	}
	return "\n\nNo rule uses it, so no set is emitted."
}

// emittedRules returns the rules in the filter table that come from a rule of the policy, in
// the first host that has it.
func emittedRules(compiled *driver.Result, rule parser.Occurrence) string {
	if compiled == nil {
		return ""
	}
	for _, h := range compiled.Hosts {
		var lines []string
		if h.NFT != nil {
			lines = nftRules(h.NFT, rule)
		}
		names := emittedNames(h, rule)
		for _, f := range h.Files {
			if f.Name == "iptables.restore" || f.Name == "ip6tables.restore" {
				lines = append(lines, rulesOf(f.Name, string(f.Content), names)...)
			}
		}
		if len(lines) == 0 {
			continue
		}
		if left := len(lines) - maxShown; left > 0 {
			lines = append(lines[:maxShown], fmt.Sprintf("# and %d more", left))
		}
		return "\n\n```\n" + strings.Join(lines, "\n") + "\n```"
	}
	return "\n\nNo rule is emitted for it."
}

// nftRules returns the rules of a table of nft that come from a rule of the policy, after a heading with the name of the
// file.
func nftRules(t *nftables.Tables, rule parser.Occurrence) []string {
	var lines []string
	for _, chain := range t.Chains {
		for _, r := range chain.Rules {
			if (r.ID.Phase == ir.PhaseDeny || r.ID.Phase == ir.PhaseAccept) && isNamed(r.ID.Name, rule) {
				lines = append(lines, chain.Name+": "+nftables.Spec(r))
			}
		}
	}
	if len(lines) > 0 {
		lines = append([]string{"# " + folder.NFTFile}, lines...)
	}
	return lines
}

// isNamed reports whether a name is that of a rule of the policy, or of one of its for_each.
func isNamed(name string, rule parser.Occurrence) bool {
	return name == rule.Name || rule.Each && strings.HasPrefix(name, rule.Name+"-")
}

// emittedNames returns the names by which emitted rules refer to a deny or accept block: its own, and
// those of rules into which it was merged with others.
func emittedNames(h driver.Host, rule parser.Occurrence) map[string]bool {
	if h.Tables == nil {
		return nil // of a host with target nftables
	}
	isRule := func(name string) bool { return isNamed(name, rule) }
	merged := map[string]bool{} // names of sets
	for _, set := range h.Tables.Sets {
		merged[set.Name] = slices.ContainsFunc(set.Rules, func(o ir.Origin) bool { return isRule(o.Name) })
	}
	out := map[string]bool{}
	for _, program := range h.Tables.Programs {
		for _, chain := range program.Chains {
			for _, r := range chain.Rules {
				out[r.ID.Name] = out[r.ID.Name] || isRule(r.ID.Name) || r.ID.Merged() && usesSet(r, merged)
			}
		}
	}
	return out
}

// usesSet reports whether a rule matches one of the sets.
func usesSet(r *iptables.Rule, sets map[string]bool) bool {
	return slices.ContainsFunc(r.Matches, func(m iptables.Match) bool {
		in, ok := m.(iptables.SetMatch)
		return ok && sets[in.Set]
	})
}

// rulesOf returns the lines of a restore file, up to the end of its filter table, whose comments
// have one of the names of rules, after a heading with the name of the file.
func rulesOf(name, text string, names map[string]bool) []string {
	filter, _, _ := strings.Cut(text, "\nCOMMIT\n")
	var out []string
	for line := range strings.Lines(filter) {
		_, rest, ok := strings.Cut(line, ` --comment "`)
		comment, _, _ := strings.Cut(rest, `"`)
		id, ours := ir.ParseComment(comment)
		if ok && ours && (id.Phase == ir.PhaseDeny || id.Phase == ir.PhaseAccept) && names[id.Name] {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(out) > 0 {
		out = append([]string{"# " + name}, out...)
	}
	return out
}
