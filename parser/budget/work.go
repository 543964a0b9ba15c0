package budget

import (
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
)

const (
	// MaxElements bounds the elements of a value, including those of its elements, and
	// MaxBytes its text.
	MaxElements = 1_000_000
	MaxBytes    = 128 << 20
	// MaxSteps bounds the cost of the expressions of a host: a step is an element or 16
	// bytes of text in an operand or a result of a for, a template, an operator or a
	// function.
	MaxSteps = 30_000_000

	bytesAStep = 16
	// An evaluation inside a for takes a few microseconds.
	stepsAnEvaluation = 5
)

// Work counts the cost of evaluating the expressions of a host. It is not safe for
// concurrent use.
type Work struct {
	steps int
	// over is the error after the limit was reached.
	over *hcl.Diagnostic
}

// Hidden is the name of a Work in evaluation contexts. It is not valid in policies.
const Hidden = " work"

var workType = cty.Capsule("work", reflect.TypeFor[Work]())

// Variable is w as a variable of an evaluation context, named Hidden.
func (w *Work) Variable() cty.Value { return cty.CapsuleVal(workType, w) }

// workOf finds the Work of an evaluation; nil for constants.
func workOf(ctx *hcl.EvalContext) *Work {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[Hidden]; ok {
			return v.EncapsulatedValue().(*Work)
		}
	}
	return nil
}

// stopped ends an evaluation; Value recovers it.
type stopped struct{}

// Value evaluates expr, whose file was given to Instrument. A nil context is one for
// constants. After the limit was reached every call returns the same error.
func (w *Work) Value(expr hcl.Expression, ctx *hcl.EvalContext) (value cty.Value, diags hcl.Diagnostics) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(stopped); !ok {
				panic(r)
			}
		}
		// try and can do not hide it.
		if w.over != nil {
			value, diags = cty.DynamicVal, hcl.Diagnostics{w.over}
		}
	}()
	if w.over != nil {
		return
	}
	literal := ctx == nil && hcljson.IsJSONExpression(expr)
	if ctx == nil && !literal && len(expr.Variables()) == 0 {
		ctx = &hcl.EvalContext{Variables: map[string]cty.Value{Hidden: w.Variable()}}
	}
	switch {
	case literal:
		value, diags = expr.Value(nil)
	case hcljson.IsJSONExpression(expr):
		value, diags = jsonValue(expr, ctx)
	default:
		value, diags = expr.Value(ctx)
	}
	if !diags.HasErrors() {
		w.spendOn(value, expr.Range())
	}
	return value, diags
}

func (w *Work) stop(d *hcl.Diagnostic) {
	if w.over == nil {
		w.over = d
	}
	panic(stopped{})
}

func (w *Work) spend(n int, rng hcl.Range) {
	if w.steps += n; w.over != nil || w.steps > MaxSteps {
		w.stop(problem(rng, "expressions too expensive",
			"The expressions of a host may take at most %s steps; each element that is computed or passed on is one. Look for nested for expressions, and for long lists that are used many times.", grouped(MaxSteps)))
	}
}

// Steps returns the cost so far.
func (w *Work) Steps() int { return w.steps }

// Repeat counts the cost of an evaluation whose result is known. It returns false, and counts nothing, if there are not
// so many steps left: the evaluation then finds where they end.
func (w *Work) Repeat(steps int) bool {
	if w.over != nil || w.steps+steps > MaxSteps {
		return false
	}
	w.steps += steps
	return true
}

// spendOn counts the content of a value.
func (w *Work) spendOn(v cty.Value, rng hcl.Range) {
	s := size{}
	if why := s.add(v, 0); why != "" {
		w.stop(problem(rng, "value too large", "%s", why))
	}
	w.spend(s.steps(), rng)
}

type size struct{ elements, bytes int }

func (s size) steps() int { return s.elements + s.bytes/bytesAStep }

// add counts a value, and returns why it is too large, or "".
func (s *size) add(v cty.Value, depth int) string {
	s.elements++
	switch {
	case s.elements > MaxElements:
		return tooMany
	case depth > MaxDepth:
		return tooDeepValue
	case v.IsMarked() || !v.IsKnown() || v.IsNull():
		return ""
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		s.bytes += len(v.AsString())
		if s.bytes > MaxBytes {
			return tooLong
		}
	case ty.IsCollectionType() || ty.IsTupleType() || ty.IsObjectType():
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if ty.IsMapType() || ty.IsObjectType() {
				s.bytes += len(key.AsString())
			}
			if why := s.add(element, depth+1); why != "" {
				return why
			}
		}
	}
	return ""
}

// counted is an expression whose evaluations are counted. It looks like brackets to walks
// of the syntax tree, so that they find the expression inside.
type counted struct {
	*hclsyntax.ParenthesesExpr
	what counts
}

type counts int

const (
	contents counts = iota // everything in the value
	elements               // the number of its elements
	texts                  // nothing, but a number that is converted to text must be short
)

func count(e hclsyntax.Expression, what counts) hclsyntax.Expression {
	if e == nil {
		return e
	}
	if literal, ok := e.(*hclsyntax.LiteralValueExpr); ok && literal.Val.Type() != cty.Number {
		return e
	}
	return &counted{&hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}, what}
}

// UnwrapExpression lets static analysis see the expression as it was written.
func (c *counted) UnwrapExpression() hcl.Expression { return c.Expression }

func (c *counted) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	w := workOf(ctx)
	if w == nil {
		return cty.DynamicVal, nil // names in a constant, which is an error anyway
	}
	if c.what != texts {
		w.spend(stepsAnEvaluation, c.SrcRange)
	}
	v, diags := c.Expression.Value(ctx)
	switch {
	case diags.HasErrors():
	case v.IsKnown() && !v.IsNull() && !v.IsMarked() && v.Type() == cty.Number:
		// A binary exponent of three is about a decimal one of one.
		if e := v.AsBigFloat().MantExp(nil); e > 4*maxExponent || e < -4*maxExponent {
			w.stop(problem(c.SrcRange, "number out of range", "The number is greater than 1e%d, or closer to 0 than 1e-%[1]d.", maxExponent))
		}
	case c.what == contents:
		w.spendOn(v, c.SrcRange)
	case c.what == texts:
	case v.IsKnown() && !v.IsNull() && !v.IsMarked() && v.CanIterateElements():
		w.spend(v.LengthInt(), c.SrcRange)
	}
	return v, diags
}

// Instrument makes the evaluations inside node count where their number or size can grow:
// in for, templates, comparisons and conditionals. Functions counts those of functions.
func Instrument(node hclsyntax.Node) {
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			n.CollExpr = count(n.CollExpr, elements)
			n.KeyExpr = count(n.KeyExpr, contents)
			n.ValExpr = count(n.ValExpr, contents)
			n.CondExpr = count(n.CondExpr, contents)
		case *hclsyntax.SplatExpr:
			n.Source = count(n.Source, elements)
		case *hclsyntax.TemplateExpr:
			for i, part := range n.Parts {
				n.Parts[i] = count(part, contents)
			}
		case *hclsyntax.TemplateJoinExpr:
			n.Tuple = count(n.Tuple, contents)
		case *hclsyntax.ConditionalExpr:
			n.TrueResult = count(n.TrueResult, contents)
			n.FalseResult = count(n.FalseResult, contents)
		case *hclsyntax.FunctionCallExpr:
			for i, arg := range n.Args {
				n.Args[i] = count(arg, texts)
			}
		case *hclsyntax.IndexExpr:
			n.Key = count(n.Key, texts)
		case *hclsyntax.ObjectConsKeyExpr:
			n.Wrapped = count(n.Wrapped, texts)
		case *hclsyntax.BinaryOpExpr:
			n.LHS = count(n.LHS, contents)
			n.RHS = count(n.RHS, contents)
		}
		return nil
	})
}
