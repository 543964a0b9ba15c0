package parser

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// setRef is the value of ipset.NAME in expressions.
type setRef struct{ name string }

var setRefType = cty.Capsule("ipset", reflect.TypeFor[setRef]())

// evaluator evaluates the expressions of a policy for one host.
type evaluator struct {
	source *Source
	ctx    *hcl.EvalContext
	// names are the declared names by root name (var, local, …), sorted.
	names map[string][]string
	// host is the label of the host, "" for the unlabeled one.
	host string
	// target is what loads the rules of the host; known once its block is decoded.
	target Target
	now    time.Time
	diags  hcl.Diagnostics
	// origins is set if values are to have the places where they were written.
	origins *Origins
	// work bounds the cost of expressions.
	work *budget.Work
	// schemas are those that bodies were read with: most blocks are of a few types.
	schemas map[*Block]*hcl.BodySchema
}

func newEvaluator(s *Source) *evaluator {
	work := &budget.Work{}
	e := &evaluator{
		source: s,
		work:   work,
		ctx: &hcl.EvalContext{
			Variables: map[string]cty.Value{budget.Hidden: work.Variable()},
			Functions: work.Functions(s.functions),
		},
		names:   map[string][]string{},
		schemas: map[*Block]*hcl.BodySchema{},
	}
	refs := map[string]cty.Value{}
	for _, b := range s.blocks["ipset"] {
		refs[b.Labels[0]] = cty.CapsuleVal(setRefType, &setRef{name: b.Labels[0]})
	}
	e.define("ipset", refs)
	return e
}

// define makes name.KEY known for each key of values.
func (e *evaluator) define(name string, values map[string]cty.Value) {
	e.names[name] = slices.Sorted(maps.Keys(values))
	e.ctx.Variables[name] = cty.ObjectVal(values)
}

// error adds an error diagnostic.
func (e *evaluator) error(code diag.Code, rng hcl.Range, summary, detail string, args ...any) {
	e.diags = append(e.diags, diag.New(code, rng, summary, fmt.Sprintf(detail, args...)))
}

// warn adds a warning.
func (e *evaluator) warn(code diag.Code, rng hcl.Range, summary, detail string, args ...any) {
	e.diags = append(e.diags, diag.Warn(code, rng, summary, fmt.Sprintf(detail, args...)))
}

// value evaluates expr. It returns false if there is no value, with a diagnostic unless an
// error elsewhere is the reason.
func (e *evaluator) value(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, bool) {
	if !e.checkReferences(expr, ctx) {
		return cty.DynamicVal, false
	}
	e.checkKeys(expr, ctx)
	val, diags := e.work.Value(expr, ctx)
	for _, d := range diags {
		e.suggestFunction(d)
		// The error of a function that panicked contains its stack.
		d.Detail, _, _ = strings.Cut(d.Detail, "\ngoroutine ")
	}
	e.diags = append(e.diags, diag.WithCode(diag.CodeExpression, diags)...)
	if diags.HasErrors() {
		return cty.DynamicVal, false
	}
	if !val.IsWhollyKnown() {
		if !e.diags.HasErrors() {
			// Without an error the attribute would count as not written, and a rule would match more.
			e.error(diag.CodeExpression, expr.Range(), "value not known", "It depends on a value that is not known here.")
		}
		return cty.DynamicVal, false
	}
	return val, true
}

// suggestFunction replaces the suggestion of HCL, which differs from run to run if two
// functions are equally near.
func (e *evaluator) suggestFunction(d *hcl.Diagnostic) {
	if d.Summary != "Call to unknown function" || d.Subject == nil || !d.Subject.CanSliceBytes(e.source.sources[d.Subject.Filename]) {
		return
	}
	name := string(d.Subject.SliceBytes(e.source.sources[d.Subject.Filename]))
	d.Detail = fmt.Sprintf("There is no function named %q.%s", name, suggest.DidYouMean(name, slices.Collect(maps.Keys(e.source.functions))))
}

// checkReferences reports names that are not declared, with the nearest one that is.
func (e *evaluator) checkReferences(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	ok := true
	for _, t := range expr.Variables() {
		root := t.RootName()
		if !definedIn(ctx, root) {
			ok = false
			known := definedNames(ctx)
			switch {
			case root == "host" && ctx != nil:
				e.error(diag.CodeReference, t.SourceRange(), "host.name without a label", "host.name is the label of the host block, and this policy's host block has none. Write host \"web1\" { … } to give it one.")
			case root == "each":
				e.error(diag.CodeReference, t.SourceRange(), "each outside for_each", "each.key and each.value exist only in a block that has for_each.")
			case root == "var" || root == "local":
				e.error(diag.CodeReference, t.SourceRange(), fmt.Sprintf("%s in a host's variables", root), "A host's variables are the values of variable blocks on that host, so they cannot refer to them. Write constants, or host.name if the host has a label.")
			case ctx == nil:
				e.error(diag.CodeReference, t.SourceRange(), "name in a constant", "Only constants are allowed here, no names or functions.")
			default:
				hint := suggest.DidYouMean(root, known)
				if word, ok := boolWords[strings.ToLower(root)]; ok && len(t) == 1 {
					hint = fmt.Sprintf(" Write %s.", word)
				} else if len(t) == 1 && hint == "" {
					hint = fmt.Sprintf(" Write text in quotes: %q.", root)
				}
				e.error(diag.CodeReference, t.SourceRange(), fmt.Sprintf("unknown name %q", root), "The names in expressions begin with %s.%s", suggest.OneOf(known), hint)
			}
			continue
		}
		names, listed := e.names[root]
		if !listed || len(t) < 2 {
			continue
		}
		key, rng := stepName(t[1])
		if key == "" {
			continue
		}
		if _, found := slices.BinarySearch(names, key); found {
			continue
		}
		ok = false
		what := map[string]string{"var": "variable", "local": "local value", "ipset": "ipset", "host": "attribute of host"}[root]
		detail := fmt.Sprintf("The policy does not declare %s.%s.", root, key)
		if len(names) > 0 {
			detail += suggest.DidYouMean(key, names)
		}
		e.error(diag.CodeReference, rng, fmt.Sprintf("unknown %s %q", what, key), "%s", detail)
	}
	return ok
}

func definedIn(ctx *hcl.EvalContext, name string) bool {
	for ; ctx != nil; ctx = ctx.Parent() {
		if _, ok := ctx.Variables[name]; ok {
			return true
		}
	}
	return false
}

func definedNames(ctx *hcl.EvalContext) []string {
	names := map[string]bool{}
	for ; ctx != nil; ctx = ctx.Parent() {
		for name := range ctx.Variables {
			if name != budget.Hidden {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func stepName(step hcl.Traverser) (string, hcl.Range) {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		// The range begins with the dot.
		rng := step.SrcRange
		if rng.End.Byte-rng.Start.Byte == len(step.Name)+1 {
			rng.Start.Byte++
			rng.Start.Column++
		}
		return step.Name, rng
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), step.SrcRange
		}
	}
	return "", hcl.Range{}
}

// checkKeys reports keys that an object in expr has twice. HCL silently uses the last one;
// its JSON form reports them itself.
func (e *evaluator) checkKeys(expr hcl.Expression, ctx *hcl.EvalContext) {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return
	}
	hclsyntax.VisitAll(node, func(node hclsyntax.Node) hcl.Diagnostics {
		object, ok := node.(*hclsyntax.ObjectConsExpr)
		if !ok {
			return nil
		}
		seen := map[string]bool{}
		for _, pair := range object.Items {
			key, ok := keyText(pair.KeyExpr, ctx)
			if !ok {
				continue
			}
			if seen[key] {
				e.error(diag.CodeDuplicate, pair.KeyExpr.Range(), fmt.Sprintf("key %q twice", key), "Only the last one would be used. Remove or rename one of them.")
			}
			seen[key] = true
		}
		return nil
	})
}

// writtenPairs are the pairs of an object that is written in expr, by key; none if it is
// computed.
func writtenPairs(expr hcl.Expression, ctx *hcl.EvalContext) map[string]hcl.KeyValuePair {
	out := map[string]hcl.KeyValuePair{}
	written, _ := hcl.ExprMap(expr)
	for _, pair := range written {
		if key, ok := keyText(pair.Key, ctx); ok {
			out[key] = pair
		}
	}
	return out
}

// keyText is the key of a pair; false if it depends on the surrounding expression, as in a
// for.
func keyText(expr hcl.Expression, ctx *hcl.EvalContext) (string, bool) {
	key, diags := expr.Value(ctx)
	if diags.HasErrors() || key.IsNull() || !key.IsWhollyKnown() {
		return "", false
	}
	key, err := convert.Convert(key, cty.String)
	if err != nil {
		return "", false
	}
	return key.AsString(), true
}
