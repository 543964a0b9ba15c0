package parser

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// as converts an attribute's value to a primitive type.
func (b *block) as(name string, ty cty.Type) (item, bool) {
	it, ok := b.attr(name)
	if !ok {
		return item{}, false
	}
	if it.Type().IsPrimitiveType() && ty != cty.String || it.Type() == ty {
		if val, err := convert.Convert(it.Value, ty); err == nil {
			return item{val, it.rng}, true
		}
	}
	if ty == cty.Bool {
		b.error(diag.CodeType, it.rng, name+" is neither true nor false", "%s is true or false, without quotes, but this is %s.", name, describe(it.Value))
		return item{}, false
	}
	b.error(diag.CodeType, it.rng, fmt.Sprintf("%s is not a %s", name, ty.FriendlyName()),
		"%s takes a %s, such as %s, but this is %s.", name, ty.FriendlyName(), b.example(name), describe(it.Value))
	return item{}, false
}

func describe(v cty.Value) string {
	switch ty := v.Type(); {
	case v.IsNull():
		return "null"
	case ty == setRefType:
		return "an ipset"
	case ty.IsPrimitiveType():
		return "a " + ty.FriendlyName()
	case isList(ty):
		return "a list"
	case ty.IsObjectType() || ty.IsMapType():
		return "an object"
	default:
		return ty.FriendlyName()
	}
}

// example is a value of an attribute for messages.
func (b *block) example(name string) string {
	a := b.schema.Attribute(name)
	switch {
	case a.Example != "":
		return a.Example
	case len(a.Values) > 0:
		return fmt.Sprintf("%q", a.Values[0])
	}
	return fmt.Sprint(a.Min)
}

func isList(ty cty.Type) bool { return ty.IsTupleType() || ty.IsListType() || ty.IsSetType() }

// text reads a string.
func (b *block) text(name string) (At[string], bool) {
	it, ok := b.as(name, cty.String)
	if !ok {
		return At[string]{}, false
	}
	return At[string]{it.AsString(), it.rng}, true
}

// flag reads a bool, with the default of the schema.
func (b *block) flag(name string) bool {
	return b.flagOr(name, b.schema.Attribute(name).Default.(bool))
}

// flagOr reads a bool whose default depends on other attributes.
func (b *block) flagOr(name string, fallback bool) bool {
	it, ok := b.as(name, cty.Bool)
	if !ok {
		return fallback
	}
	return it.True()
}

// choice reads one of the attribute's values, with the default of the schema.
func (b *block) choice(name string) At[string] {
	return b.choiceOr(name, b.schema.Attribute(name).Default.(string))
}

// choiceOr reads one of the attribute's values; the default depends on other attributes.
func (b *block) choiceOr(name, fallback string) At[string] {
	v, ok := b.text(name)
	if !ok {
		return At[string]{fallback, b.rng(name)}
	}
	if allowed := b.schema.Attribute(name).Values; !slices.Contains(allowed, v.Value) {
		b.error(diag.CodeValue, v.Range, fmt.Sprintf("bad %s %q", name, v.Value), "%s is %s.%s", name, suggest.OneOf(allowed), suggest.DidYouMean(v.Value, allowed))
		return At[string]{fallback, v.Range}
	}
	return v
}

// integer reads a whole number within the bounds of the schema; nil if absent.
func (b *block) integer(name string) *At[int] {
	it, ok := b.as(name, cty.Number)
	if !ok {
		return nil
	}
	a := b.schema.Attribute(name)
	f := it.AsBigFloat()
	n, _ := f.Int64()
	if !f.IsInt() || n < int64(a.Min) || n > int64(a.Max) {
		b.error(diag.CodeValue, it.rng, fmt.Sprintf("bad %s %s", name, numberText(f)), "%s is a whole number from %d to %d.", name, a.Min, a.Max)
		return nil
	}
	return &At[int]{int(n), it.rng}
}

// integerOr is integer without its place; the default is that of the schema.
func (b *block) integerOr(name string) int {
	if n := b.integer(name); n != nil {
		return n.Value
	}
	fallback, _ := b.schema.Attribute(name).Default.(int) // 0 if it is required
	return fallback
}

// isEmptyList reports whether an attribute was written as a list without elements.
func (b *block) isEmptyList(name string) bool {
	it, ok := b.attr(name)
	return ok && isList(it.Type()) && it.LengthInt() == 0
}

// refuseEmptyLists reports all lists of a rule that were written without elements, except
// for_each.
func (b *block) refuseEmptyLists() {
	for i := range b.schema.Attributes {
		if a := &b.schema.Attributes[i]; a.Type != TypeElements && b.attributes[a.Name] != nil {
			b.refuseEmpty(a.Name)
		}
	}
}

// refuseEmpty reports a list that was written without elements. Taking it for "any" would
// open what an empty variable was meant to close, and taking it for "none" would silently
// drop the rule.
func (b *block) refuseEmpty(name string) {
	if it, _ := b.attr(name); b.isEmptyList(name) {
		b.error(diag.CodeValue, it.rng, "empty "+name, "An empty list could mean any or none. Leave %s out for any, or remove the rule for none.", name)
	}
}

// list reads the elements of a list, each with its place.
func (b *block) list(name string) ([]item, bool) {
	it, ok := b.attr(name)
	if !ok {
		return nil, false
	}
	ty := it.Type()
	if !isList(ty) {
		hint := ""
		if src := b.source.sources[it.rng.Filename]; it.rng.Start.Line == it.rng.End.Line && it.rng.CanSliceBytes(src) && (ty.IsPrimitiveType() || ty == setRefType) {
			hint = fmt.Sprintf(" Write [%s].", it.rng.SliceBytes(src))
		}
		b.error(diag.CodeType, it.rng, fmt.Sprintf("%s is not a list", name), "%s takes a list, such as %s, but this is %s.%s", name, b.example(name), describe(it.Value), hint)
		return nil, false
	}
	return b.elements(b.expr(name), it.Value), true
}

// elements pairs the elements of a list with the places where they were written, or with
// that of the whole expression if it is computed.
func (b *block) elements(expr hcl.Expression, list cty.Value) []item {
	written, diags := hcl.ExprList(expr)
	exact := !diags.HasErrors() && len(written) == list.LengthInt() && !list.Type().IsSetType()
	var out []item
	var before map[string]int // equal values so far, to find their origins
	if b.origins != nil {
		before = map[string]int{}
	}
	for i, it := 0, list.ElementIterator(); it.Next(); i++ {
		_, v := it.Element()
		rng := expr.Range()
		switch {
		case exact:
			rng = b.place(written[i], v, 0)
		case b.origins != nil:
			text, _ := valueText(v)
			rng = b.place(expr, v, before[text])
			before[text]++
		}
		out = append(out, item{v, rng})
	}
	return out
}

// texts reads a list of strings.
func (b *block) texts(name string) []At[string] {
	items, _ := b.list(name)
	var out []At[string]
	for _, it := range items {
		if it.IsNull() || it.Type() != cty.String {
			b.error(diag.CodeType, it.rng, fmt.Sprintf("element of %s is not a string", name), "%s takes strings, such as %s, but this is %s.", name, b.example(name), describe(it.Value))
			continue
		}
		out = append(out, At[string]{it.AsString(), it.rng})
	}
	return out
}

// within returns the range of a part of a string literal; the whole range if the text is
// not written literally (escapes, templates, variables).
func (b *block) within(it hcl.Range, text string, offset, length int) hcl.Range {
	src := b.source.sources[it.Filename]
	if it.Start.Line != it.End.Line || it.End.Byte > len(src) {
		return it
	}
	quote := 1
	switch string(src[it.Start.Byte:it.End.Byte]) {
	case `"` + text + `"`:
	case text: // from outside the policy
		quote = 0
	default:
		return it
	}
	out := it
	out.Start.Byte += quote + offset
	out.Start.Column += quote + diag.Columns(text[:offset])
	out.End.Byte = out.Start.Byte + length
	out.End.Column = out.Start.Column + diag.Columns(text[offset:offset+length])
	b.origins.narrowed(it, out)
	return out
}
