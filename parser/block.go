package parser

import (
	"fmt"
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// block is one block being decoded: its attributes, each evaluated once, typed.
type block struct {
	*evaluator
	schema *Block
	decl   *hcl.Block
	ctx    *hcl.EvalContext
	// attributes are those that were written and that the block takes.
	attributes hcl.Attributes
	blocks     hcl.Blocks
	// readings are the attributes that were evaluated already.
	readings map[string]*reading
	// title names the block in notes; each is what gives each.value its value.
	title string
	each  hcl.Expression
}

// reading is what an attribute evaluates to.
type reading struct {
	item
	state readingState
}

type readingState uint8

const (
	// absent: not written, or null in a block where null counts as not written.
	absent readingState = iota
	// invalid: without a value, for a reason that is reported.
	invalid
	valid
)

// item is a value with the place where it was written.
type item struct {
	cty.Value
	rng hcl.Range
}

// open reads the body of decl. It never returns nil: of a body with errors it returns
// what is valid.
func (e *evaluator) open(decl *hcl.Block, schema *Block, ctx *hcl.EvalContext) *block {
	if e.schemas[schema] == nil {
		e.schemas[schema] = schema.bodySchema(false)
	}
	content, diags := decl.Body.Content(e.schemas[schema])
	e.diags = append(e.diags, explainSchema(diags, schema)...)
	e.diags = append(e.diags, checkCounts(content.Blocks, schema)...)
	return &block{
		evaluator: e, schema: schema, decl: decl, ctx: ctx, title: title(decl),
		attributes: content.Attributes, blocks: content.Blocks, readings: map[string]*reading{},
	}
}

// nested opens the first block of a type inside b; nil if there is none.
func (b *block) nested(kind string) *block {
	found := b.blocks.OfType(kind)
	if len(found) == 0 {
		return nil
	}
	return b.open(found[0], b.schema.Block(kind), b.ctx)
}

// in returns b without the attributes that have no meaning in a context, and reports
// those.
func (b *block) in(context string) *block {
	out := *b
	for i := range b.schema.Attributes {
		a := &b.schema.Attributes[i]
		why := a.refusedIn(context)
		// Where null counts as not written, it is no error here either.
		if written := b.attributes[a.Name]; why == "" || written == nil || b.schema.NullMeans == "" && !b.has(a.Name) {
			continue
		}
		b.error(diag.CodeConflict, b.rng(a.Name), a.Name+" does not apply", "%s", why)
		out.attributes = maps.Clone(out.attributes)
		delete(out.attributes, a.Name)
	}
	return &out
}

// withEach returns b for one element of its for_each.
func (b *block) withEach(el element) *block {
	out := *b
	out.ctx = b.ctx.NewChild()
	out.ctx.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{
		"key": cty.StringVal(el.key), "value": el.value,
	})}
	out.each = el.written
	out.readings = map[string]*reading{}
	return &out
}

// attr returns the value of an attribute; false if it has none.
func (b *block) attr(name string) (item, bool) {
	r := b.read(name)
	return r.item, r.state == valid
}

// has reports whether an attribute was written, whatever its value.
func (b *block) has(name string) bool { return b.read(name).state != absent }

// read evaluates an attribute when it is first needed.
func (b *block) read(name string) reading {
	if b.schema.Attribute(name) == nil {
		panic(fmt.Sprintf("parser: the schema of %s has no attribute %s", b.schema.Type, name))
	}
	a, written := b.attributes[name]
	if !written {
		return reading{state: absent}
	}
	r := b.readings[name]
	if r == nil {
		read := b.evaluate(a)
		r, b.readings[name] = &read, &read
	}
	return *r
}

func (b *block) evaluate(a *hcl.Attribute) reading {
	name := a.Name
	val, ok := b.value(a.Expr, b.ctx)
	if !ok {
		return reading{state: invalid}
	}
	place := b.place(a.Expr, val, 0)
	switch {
	case !val.IsNull():
		return reading{item{val, place}, valid}
	case b.schema.NullMeans != "":
		b.error(diag.CodeValue, place, name+" is null", b.schema.NullMeans, name)
	case b.schema.Attribute(name).Required:
		b.error(diag.CodeSchema, place, name+" is null", "null counts as not written, and %s is required.", name)
	default:
		return reading{state: absent}
	}
	return reading{state: invalid}
}

// expr is the expression of an attribute that was written.
func (b *block) expr(name string) hcl.Expression { return b.attributes[name].Expr }

// rng is the range of an attribute's expression, or of the block's header.
func (b *block) rng(name string) hcl.Range {
	if a, ok := b.attributes[name]; ok {
		return a.Expr.Range()
	}
	return b.decl.DefRange
}

// clean reports whether decode adds no diagnostics.
func (b *block) clean(decode func()) bool {
	before := len(b.diags)
	decode()
	return len(b.diags) == before
}
