package parser

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// UnusedNames warns of variables and local values that the policy does not use.
func (s *Source) UnusedNames() hcl.Diagnostics {
	used := s.namesUsed()
	var out hcl.Diagnostics
	warn := func(root, name string, rng hcl.Range) {
		if !used[root] && !used[root+"."+name] {
			out = append(out, diag.Warn(diag.CodeUnusedName, rng, fmt.Sprintf("%s.%s is not used", root, name),
				"Remove it, or look for a misspelled reference to it."))
		}
	}
	for _, b := range s.blocks["variable"] {
		warn("var", b.Labels[0], b.LabelRanges[0])
	}
	for _, b := range s.blocks["locals"] {
		attributes, _ := b.Body.JustAttributes()
		for _, name := range slices.Sorted(maps.Keys(attributes)) {
			warn("local", name, attributes[name].NameRange)
		}
	}
	return out
}

var nameInJSON = regexp.MustCompile(`\b(var|local)\b(?:\.([A-Za-z_][A-Za-z0-9_-]*))?`)

// namesUsed contains "var.NAME" and "local.NAME" for all references in expressions, and
// "var" or "local" for references to the whole object. Those in a variable's own validation
// do not count. In JSON any text that looks like a reference counts.
func (s *Source) namesUsed() map[string]bool {
	own := map[string][]hcl.Range{}
	used := map[string]bool{}
	note := func(root, name string, at hcl.Range) {
		if name == "" {
			used[root] = true
			return
		}
		for _, r := range own[root+"."+name] {
			if r.Filename == at.Filename && r.Start.Byte <= at.Start.Byte && at.End.Byte <= r.End.Byte {
				return
			}
		}
		used[root+"."+name] = true
	}
	files := s.parser.Files()
	for _, f := range files {
		body, native := f.Body.(*hclsyntax.Body)
		if !native {
			for _, m := range nameInJSON.FindAllSubmatch(f.Bytes, -1) {
				note(string(m[1]), string(m[2]), hcl.Range{})
			}
			continue
		}
		for _, b := range body.Blocks {
			if b.Type == "variable" && len(b.Labels) == 1 {
				own["var."+b.Labels[0]] = append(own["var."+b.Labels[0]], b.Range())
			}
		}
	}
	for _, f := range files {
		body, native := f.Body.(*hclsyntax.Body)
		if !native {
			continue
		}
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			e, ok := n.(*hclsyntax.ScopeTraversalExpr)
			if !ok || e.Traversal.RootName() != "var" && e.Traversal.RootName() != "local" {
				return nil
			}
			name := ""
			if len(e.Traversal) > 1 {
				switch step := e.Traversal[1].(type) {
				case hcl.TraverseAttr:
					name = step.Name
				case hcl.TraverseIndex:
					if step.Key.Type().FriendlyName() == "string" {
						name = step.Key.AsString()
					}
				}
			}
			note(e.Traversal.RootName(), name, e.Range())
			return nil
		})
	}
	return used
}
