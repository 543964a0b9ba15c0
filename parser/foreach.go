package parser

import (
	"fmt"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// element is one element of for_each.
type element struct {
	key   string
	value cty.Value
	rng   hcl.Range
	// written is the expression of the value, or the nearest one around it.
	written hcl.Expression
}

// forEach reads the elements of for_each: the pairs of a map or object, or the strings of
// a set or list, which are both key and value.
func (b *block) forEach() []element {
	it, ok := b.attr("for_each")
	if !ok {
		return nil
	}
	expr := b.expr("for_each")
	switch ty := it.Type(); {
	case ty.IsObjectType() || ty.IsMapType():
		return b.pairs(expr, it.Value)
	case isList(ty):
		return b.strings(expr, b.elements(expr, it.Value))
	default:
		b.error(diag.CodeType, it.rng, "for_each over "+describe(it.Value), "for_each takes a map, such as { http = 80, https = 443 }, or a list of strings, such as [\"a\", \"b\"].")
		return nil
	}
}

// pairs lists the pairs of a map in the order of keys.
func (b *block) pairs(expr hcl.Expression, value cty.Value) []element {
	written, sources := writtenPairs(expr, b.ctx), map[string]hcl.KeyValuePair(nil)
	if b.origins != nil {
		sources = writtenPairs(b.resolve(expr), b.ctx)
	}
	var out []element
	for it := value.ElementIterator(); it.Next(); {
		key, v := it.Element()
		rng := expr.Range()
		if pair, ok := written[key.AsString()]; ok {
			rng = pair.Key.Range()
		}
		source := expr
		if pair, ok := sources[key.AsString()]; ok {
			source = pair.Value
		}
		out = append(out, element{key.AsString(), v, rng, source})
	}
	return out
}

func (b *block) strings(expr hcl.Expression, items []item) []element {
	var out []element
	seen := map[string]bool{}
	for _, it := range items {
		if it.IsNull() || !it.Type().IsPrimitiveType() || it.Type() == cty.Bool {
			b.error(diag.CodeType, it.rng, "element of for_each is not a string", "A list for for_each contains strings, but this is %s. Use a map for other values.", describe(it.Value))
			continue
		}
		key := primitiveText(it.Value)
		if seen[key] {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("key %q twice", key), "Remove one of them.")
			continue
		}
		seen[key] = true
		rng := it.rng
		if b.origins != nil && len(b.origins.uses[rng]) > 0 {
			rng = expr.Range() // this is where the rule is declared
		}
		out = append(out, element{key, it.Value, rng, expr})
	}
	return out
}

// forThisHost reports whether the attribute hosts includes the host being evaluated. A
// pattern that matches no host is an error.
func (b *block) forThisHost() bool {
	if !b.has("hosts") {
		return true
	}
	all := b.source.Hosts()
	if slices.Equal(all, []string{""}) {
		b.error(diag.CodeConflict, b.rng("hosts"), "hosts without labels", "hosts lists labels of host blocks, and this policy's host has none. Write host \"web1\" { … }, or leave hosts out.")
		return true
	}
	match := false
	patterns := b.texts("hosts")
	for _, p := range patterns {
		found := false
		for _, label := range all {
			ok, err := path.Match(p.Value, label)
			if err != nil {
				b.error(diag.CodeValue, p.Range, fmt.Sprintf("bad pattern %q", p.Value), "%s In a pattern * matches any text, ? one character, [a-c] one of these characters.", patternFault(p.Value))
				found = true
				break
			}
			found = found || ok
			match = match || ok && label == b.host
		}
		if !found {
			b.error(diag.CodeReference, p.Range, fmt.Sprintf("no host %q", p.Value), "The pattern matches no host. %s", suggest.FromList(p.Value, all, "The policy has", "host"))
		}
	}
	b.refuseEmpty("hosts")
	return match
}

// patternFault is why path.Match refuses a pattern.
func patternFault(pattern string) string {
	open := false
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			if i++; i == len(pattern) {
				return "The \\ at the end escapes nothing: remove it."
			}
		case '[':
			open = true
		case ']':
			open = false
		}
	}
	if open {
		return "The [ is not closed."
	}
	return "What is between [ and ] is not a list of characters and ranges."
}
