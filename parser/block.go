package parser

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// block is one block being decoded: its attributes, each read once, typed.
type block struct {
	*evaluator
	ctx     *hcl.EvalContext
	header  hcl.Range
	content *hcl.BodyContent
	// sources of all files, to point into string literals.
	sources map[string][]byte
	// refuseNull makes null an error in this block: what it says, of the attribute %s.
	// Elsewhere null means that the attribute is not written, as Terraform's users
	// expect; in a rule that would open what an empty variable was meant to close.
	refuseNull string
	// required are the attributes that the block cannot do without.
	required []string
	// title names the block in notes; each is what gives each.value its value.
	title string
	each  hcl.Expression
}

// open reads the body of b against schema. It never returns nil: what can be read
// of a body with errors is.
func (e *evaluator) open(b *hcl.Block, schema *hcl.BodySchema, ctx *hcl.EvalContext) *block {
	content, diags := b.Body.Content(schema)
	e.diags = append(e.diags, schemaDiagnostics(diags, schema)...)
	out := &block{evaluator: e, ctx: ctx, header: b.DefRange, content: content, sources: e.source.sources, title: title(b)}
	for _, a := range schema.Attributes {
		if a.Required {
			out.required = append(out.required, a.Name)
		}
	}
	return out
}

// otherWords are what other tools call our attributes and blocks, with those of ours
// that may be meant.
var otherWords = map[string][]string{
	"port":              {"published_ports", "to_port"},
	"ports":             {"published_ports", "proxy_ports", "to_port"},
	"dport":             {"published_ports", "to_port"},
	"dports":            {"published_ports", "to_port"},
	"destination_port":  {"container_ports", "to_port"},
	"destination_ports": {"container_ports", "to_port"},
	"from":              {"source"},
	"src":               {"source", "from"},
	"sources":           {"source", "from"},
	"to":                {"destination", "to_address"},
	"dst":               {"destination", "to_address"},
	"allow":             {"accept"},
	"block":             {"deny"},
	"drop":              {"deny"},
	"reject":            {"deny"},
}

var unexpected = regexp.MustCompile(`^(An argument named|Blocks of type) "([^"]*)" (?:is|are) not expected here\.`)

// schemaDiagnostics says in our words what HCL says of a missing label, and what is
// called otherwise here.
func schemaDiagnostics(diags hcl.Diagnostics, schema *hcl.BodySchema) hcl.Diagnostics {
	var names []string
	for _, a := range schema.Attributes {
		names = append(names, a.Name)
	}
	for _, b := range schema.Blocks {
		names = append(names, b.Type)
	}
	for _, d := range diags {
		if match := unexpected.FindStringSubmatch(d.Detail); match != nil {
			for _, ours := range otherWords[match[2]] {
				if slices.Contains(names, ours) {
					d.Detail = fmt.Sprintf("%s Did you mean %q?", match[0], ours)
					break
				}
			}
			switch {
			case d.Summary == "Unsupported argument" && slices.ContainsFunc(schema.Blocks, func(b hcl.BlockHeaderSchema) bool { return b.Type == match[2] }):
				d.Detail = fmt.Sprintf("%s is a block. Write it without =: %s { … }.", match[2], match[2])
			case d.Detail == match[0] && d.Summary == "Unsupported block type":
				var blocks []string
				for _, b := range schema.Blocks {
					blocks = append(blocks, b.Type)
				}
				if len(blocks) > 0 {
					slices.Sort(blocks)
					d.Detail += " The blocks here are " + strings.Join(blocks, ", ") + "."
				}
			}
		}
		if kind, ok := strings.CutPrefix(d.Summary, "Missing name for "); ok {
			d.Summary = kind + " without a name"
			d.Detail = fmt.Sprintf("Give it one: %s \"name\" { … }.", kind)
			if kind == "host" {
				d.Detail = "Other host blocks have a label, which names the host's output folder. Give this one a label too: host \"web1\" { … }."
			}
		}
	}
	return diag.WithCode(diag.CodeSchema, diags)
}

func attributes(names ...string) []hcl.AttributeSchema {
	out := make([]hcl.AttributeSchema, len(names))
	for i, n := range names {
		out[i] = hcl.AttributeSchema{Name: n}
	}
	return out
}

// item is a value with the expression's place and, for a string literal, the
// place of its first character.
type item struct {
	cty.Value
	rng hcl.Range
}

// attr evaluates an attribute. It returns false when it is absent, null or has no
// value.
func (b *block) attr(name string) (item, bool) {
	a, ok := b.content.Attributes[name]
	if !ok {
		return item{}, false
	}
	val, ok := b.value(a.Expr, b.ctx)
	if !ok {
		return item{}, false
	}
	if val.IsNull() {
		switch {
		case b.refuseNull != "":
			b.error(diag.CodeValue, b.place(a.Expr, val, 0), name+" is null", b.refuseNull, name)
		case slices.Contains(b.required, name):
			b.error(diag.CodeSchema, b.place(a.Expr, val, 0), name+" is null", "null counts as not written, and %s is required.", name)
		default:
			delete(b.content.Attributes, name) // as if it were not written
		}
		return item{}, false
	}
	return item{val, b.place(a.Expr, val, 0)}, true
}

// has reports whether an attribute was written.
func (b *block) has(name string) bool {
	_, ok := b.content.Attributes[name]
	return ok
}

// rng is the range of an attribute's value, or of the block's header.
func (b *block) rng(name string) hcl.Range {
	if a, ok := b.content.Attributes[name]; ok {
		return a.Expr.Range()
	}
	return b.header
}

// valueRange is where the value of an attribute was written, or the block's header.
func (b *block) valueRange(name string) hcl.Range {
	a, ok := b.content.Attributes[name]
	if !ok {
		return b.header
	}
	v, _ := a.Expr.Value(b.ctx)
	return b.place(a.Expr, v, 0)
}

// as converts an attribute's value to a primitive type.
func (b *block) as(name string, ty cty.Type, example string) (item, bool) {
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
		b.error(diag.CodeType, it.rng, name+" is neither true nor false", "%s is true or false, without quotes, and this is %s.", name, describe(it.Value))
		return item{}, false
	}
	b.error(diag.CodeType, it.rng, fmt.Sprintf("%s is not a %s", name, ty.FriendlyName()),
		"%s takes a %s, such as %s, and this is %s.", name, ty.FriendlyName(), example, describe(it.Value))
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
	case ty.IsTupleType() || ty.IsListType() || ty.IsSetType():
		return "a list"
	case ty.IsObjectType() || ty.IsMapType():
		return "an object"
	default:
		return ty.FriendlyName()
	}
}

func (b *block) text(name, example string) (At[string], bool) {
	it, ok := b.as(name, cty.String, fmt.Sprintf("%q", example))
	if !ok {
		return At[string]{}, false
	}
	return At[string]{it.AsString(), it.rng}, true
}

func (b *block) flag(name string, fallback bool) bool {
	it, ok := b.as(name, cty.Bool, "true")
	if !ok {
		return fallback
	}
	return it.True()
}

// choice reads an attribute that takes one of a few strings.
func (b *block) choice(name, fallback string, allowed ...string) At[string] {
	v, ok := b.text(name, allowed[0])
	if !ok {
		return At[string]{fallback, b.rng(name)}
	}
	if !slices.Contains(allowed, v.Value) {
		b.error(diag.CodeValue, v.Range, fmt.Sprintf("bad %s %q", name, v.Value), "%s is %s.%s", name, suggest.OneOf(allowed), suggest.DidYouMean(v.Value, allowed))
		return At[string]{fallback, v.Range}
	}
	return v
}

// integer reads a whole number from low to high, both inclusive; nil when absent.
func (b *block) integer(name string, low, high int) *At[int] {
	it, ok := b.as(name, cty.Number, fmt.Sprint(low))
	if !ok {
		return nil
	}
	f := it.AsBigFloat()
	n, _ := f.Int64()
	if !f.IsInt() || n < int64(low) || n > int64(high) {
		b.error(diag.CodeValue, it.rng, fmt.Sprintf("bad %s %s", name, numberText(f)), "%s is a whole number from %d to %d.", name, low, high)
		return nil
	}
	return &At[int]{int(n), it.rng}
}

// list reads the elements of a list, each with its own place where it has one.
func (b *block) list(name, example string) ([]item, bool) {
	it, ok := b.attr(name)
	if !ok {
		return nil, false
	}
	ty := it.Type()
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		hint := ""
		if src := b.sources[it.rng.Filename]; it.rng.Start.Line == it.rng.End.Line && it.rng.CanSliceBytes(src) && (ty.IsPrimitiveType() || ty == setRefType) {
			hint = fmt.Sprintf(" Write [%s].", it.rng.SliceBytes(src))
		}
		b.error(diag.CodeType, it.rng, fmt.Sprintf("%s is not a list", name), "%s takes a list, such as %s, and this is %s.%s", name, example, describe(it.Value), hint)
		return nil, false
	}
	return b.elements(b.content.Attributes[name].Expr, it.Value), true
}

// elements pairs the elements of a list value with the ranges they were written
// at, or all with the range of the whole expression when it is computed.
func (b *block) elements(expr hcl.Expression, list cty.Value) []item {
	written, diags := hcl.ExprList(expr)
	exact := !diags.HasErrors() && len(written) == list.LengthInt() && !list.Type().IsSetType()
	var out []item
	before := map[string]int{} // equal values, when their origins are asked for
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
func (b *block) texts(name, example string) []At[string] {
	items, _ := b.list(name, example)
	var out []At[string]
	for _, it := range items {
		if it.IsNull() || it.Type() != cty.String {
			b.error(diag.CodeType, it.rng, fmt.Sprintf("element of %s is not a string", name), "%s takes strings, such as %s, and this is %s.", name, example, describe(it.Value))
			continue
		}
		out = append(out, At[string]{it.AsString(), it.rng})
	}
	return out
}

// within narrows the range of a string literal to a part of its text. Where the
// text is not written as it is (escapes, templates, variables) the whole range stays.
func (b *block) within(it hcl.Range, text string, offset, length int) hcl.Range {
	src := b.sources[it.Filename]
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
