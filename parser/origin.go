package parser

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Origins are the places where the values of variables and local values were written.
// Evaluate gives values that a rule uses by such a name the place of the rule, so that hosts
// with the same rules have the same policy. A policy with errors is evaluated once more with
// origins, for better messages.
type Origins struct {
	// written are the expressions of values by "var.NAME" and "local.NAME"; placed are the
	// places of the values of variables.
	written map[string]hcl.Expression
	placed  map[string]hcl.Range
	indexes map[indexKey]map[string][]hcl.Range
	// uses are the places that use a value, by where it was written; computed are the
	// variables from which the value at a place of a rule is computed.
	uses     map[hcl.Range][]use
	computed map[hcl.Range][]string
	// constant is whether an expression contains no references.
	constant map[hcl.Range]bool
	// left is how many more nodes of expressions may be searched.
	left int
}

// maxSearched bounds how many nodes of expressions are searched for the places of values. It
// is far more than policies written by people need; beyond it values have the places of
// rules.
const maxSearched = 1_000_000

// indexKey is an expression and what gives its each.value.
type indexKey struct{ expr, each hcl.Range }

type use struct {
	rng hcl.Range
	by  string // the block, such as accept "web"
}

// EvaluateOrigins is Evaluate with the ranges where values were written. The Origins
// explain diagnostics; see Origins.Explain.
func (s *Source) EvaluateOrigins(host string, now time.Time) (*Policy, *Origins, hcl.Diagnostics) {
	e := newEvaluator(s)
	e.now = now
	e.origins = &Origins{
		written: map[string]hcl.Expression{}, placed: map[string]hcl.Range{}, indexes: map[indexKey]map[string][]hcl.Range{},
		uses: map[hcl.Range][]use{}, computed: map[hcl.Range][]string{},
		constant: map[hcl.Range]bool{}, left: maxSearched,
	}
	p, diags := e.policy(host)
	return p, e.origins, diags
}

// shownUses is how many uses of a value are shown with it.
const shownUses = 3

// Explain adds to each error about a value the blocks that use it, or the variables from
// which it is computed. Warnings are moved to the block: for other blocks the value may be
// right.
func (o *Origins) Explain(diags hcl.Diagnostics) hcl.Diagnostics {
	out := make(hcl.Diagnostics, len(diags))
	for i, d := range diags {
		out[i] = d
		if d.Subject == nil {
			continue
		}
		info := diag.InfoOf(d)
		info.Related = slices.Clone(info.Related)
		named := *d
		uses := o.uses[*d.Subject]
		if d.Severity != hcl.DiagError {
			if len(uses) > 0 {
				named.Subject = &uses[0].rng
			}
			out[i] = &named
			continue
		}
		if len(uses) > 0 {
			info.UsedAt = &uses[0].rng
		}
		for _, u := range uses {
			info.Related = append(info.Related, diag.Related{Message: "used by " + u.by, Range: u.rng})
		}
		for _, name := range o.computed[*d.Subject] {
			info.Related = append(info.Related, diag.Related{Message: "the value of " + name, Range: o.placed[name]})
		}
		named.Extra = info
		out[i] = &named
	}
	return out
}

// wrote records the expression of a name's value.
func (e *evaluator) wrote(name string, expr hcl.Expression) {
	if e.origins != nil && expr != nil {
		e.origins.written[name] = expr
	}
}

// title is how messages refer to a block, such as accept "web".
func title(b *hcl.Block) string {
	if len(b.Labels) == 0 {
		return b.Type
	}
	return fmt.Sprintf("%s %q", b.Type, b.Labels[0])
}

// place is where the value of expr was written: where expr is, unless that is a reference.
// Of equal values in expr it returns the n-th, from 0.
func (b *block) place(expr hcl.Expression, v cty.Value, n int) hcl.Range {
	here := expr.Range()
	if b.origins == nil || b.origins.isConstant(expr) {
		return here
	}
	place, ok := hcl.Range{}, false
	if text, primitive := valueText(v); primitive {
		if found := b.index(expr)[text]; len(found) > 0 {
			place, ok = found[min(n, len(found)-1)], true
		}
	} else if target := b.resolve(expr); target != expr {
		place, ok = target.Range(), true
	}
	switch {
	case ok && place != here && inside(place, here):
		return place
	case ok && place != here:
		b.origins.used(place, use{here, b.title})
		return place
	}
	b.computes(expr)
	return here
}

// isConstant reports whether expr contains no references. It is cached: searching a list for
// each of its elements would take quadratic time.
func (o *Origins) isConstant(expr hcl.Expression) bool {
	constant, known := o.constant[expr.Range()]
	if !known {
		constant = len(expr.Variables()) == 0
		o.constant[expr.Range()] = constant
	}
	return constant
}

func inside(part, whole hcl.Range) bool {
	return part.Filename == whole.Filename && whole.Start.Byte <= part.Start.Byte && part.End.Byte <= whole.End.Byte
}

// computes records that the value of expr is not written where expr is.
func (b *block) computes(expr hcl.Expression) {
	if _, known := b.origins.computed[expr.Range()]; !known {
		b.origins.computed[expr.Range()] = b.variablesOf(expr, map[string]bool{})
	}
}

// valueOf returns a sentence with the value at a place that does not show it; "" if detail
// contains it.
func (b *block) valueOf(it item, detail string) string {
	if b.origins == nil {
		return ""
	}
	text, primitive := valueText(it.Value)
	if _, computed := b.origins.computed[it.rng]; !computed || !primitive || strings.Contains(detail, text) {
		return ""
	}
	return fmt.Sprintf(" The value is %q.", text)
}

func (o *Origins) used(place hcl.Range, u use) {
	if len(o.uses[place]) < shownUses && !slices.Contains(o.uses[place], u) {
		o.uses[place] = append(o.uses[place], u)
	}
}

// narrowed records that part is a part of the place whole.
func (o *Origins) narrowed(whole, part hcl.Range) {
	if o == nil || whole == part {
		return
	}
	for _, u := range o.uses[whole] {
		o.used(part, u)
	}
	if names, ok := o.computed[whole]; ok {
		o.computed[part] = names
	}
}

// valueText is a primitive value as text, the same for numbers and their strings.
func valueText(v cty.Value) (string, bool) {
	switch {
	case v == cty.NilVal || !v.IsWhollyKnown() || v.IsNull():
		return "", false
	case v.Type() == cty.Bool:
		return fmt.Sprint(v.True()), true
	case v.Type() == cty.String || v.Type() == cty.Number:
		return primitiveText(v), true
	}
	return "", false
}

// resolve follows an expression that is only a reference to the expression of its value.
func (b *block) resolve(expr hcl.Expression) hcl.Expression {
	for range len(b.origins.written) + 1 { // cycles were refused
		// In JSON plain text may look like a reference.
		t, diags := hcl.AbsTraversalForExpr(expr)
		if diags.HasErrors() || len(expr.Variables()) == 0 {
			return expr
		}
		_, target := b.named(t)
		if target == nil {
			return expr
		}
		expr = target
	}
	return expr
}

// named finds the expression that a traversal such as var.sites.a refers to, as far as its
// steps were written as objects and lists; nil if there is none.
func (b *block) named(t hcl.Traversal) (name string, _ hcl.Expression) {
	if len(t) < 2 {
		return "", nil
	}
	step, _ := stepName(t[1])
	name, steps := t.RootName()+"."+step, t[2:]
	expr := b.origins.written[name]
	if name == "each.value" || name == "each.key" {
		expr = b.each
	}
	if expr == nil {
		return name, nil
	}
	for _, s := range steps {
		next := hcl.Expression(nil)
		if key, _ := stepName(s); key != "" {
			if pair, ok := writtenPairs(expr, b.evaluator.ctx)[key]; ok {
				next = pair.Value
			}
		} else if index, ok := s.(hcl.TraverseIndex); ok && index.Key.Type() == cty.Number {
			items, _ := hcl.ExprList(expr)
			if i, _ := index.Key.AsBigFloat().Int64(); i >= 0 && i < int64(len(items)) {
				next = items[i]
			}
		}
		if next == nil {
			break
		}
		expr = next
	}
	return name, expr
}

// index finds the primitive values written in expr and in what it refers to, in order.
func (b *block) index(expr hcl.Expression) map[string][]hcl.Range {
	key := indexKey{expr: expr.Range()}
	if b.each != nil {
		key.each = b.each.Range()
	}
	if found, ok := b.origins.indexes[key]; ok {
		return found
	}
	out := map[string][]hcl.Range{}
	if b.origins.left <= 0 {
		return out
	}
	b.collect(expr, map[hcl.Range]bool{}, out)
	b.origins.indexes[key] = out
	return out
}

func (b *block) collect(expr hcl.Expression, seen map[hcl.Range]bool, out map[string][]hcl.Range) {
	follow := func(t hcl.Traversal) {
		if _, target := b.named(t); target != nil && !seen[target.Range()] {
			seen[target.Range()] = true
			b.collect(target, seen, out)
		}
	}
	b.origins.left--
	leaf := func(expr hcl.Expression) {
		v, diags := expr.Value(b.ctx)
		if text, ok := valueText(v); ok && !diags.HasErrors() {
			out[text] = append(out[text], expr.Range())
			if len(expr.Variables()) > 0 {
				b.computes(expr)
			}
		}
	}
	if node, native := expr.(hclsyntax.Node); native {
		_ = hclsyntax.Walk(node, &valueWalker{follow: follow, leaf: leaf, left: &b.origins.left}) // returns none
		return
	}
	if items, diags := hcl.ExprList(expr); !diags.HasErrors() {
		for _, item := range items {
			b.collect(item, seen, out)
		}
		return
	}
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		for _, pair := range pairs {
			b.collect(pair.Value, seen, out)
		}
		return
	}
	for _, t := range expr.Variables() {
		follow(t)
	}
	if len(expr.Variables()) == 0 {
		leaf(expr)
	}
}

// valueWalker finds the values and references in an expression. A template is one value.
type valueWalker struct {
	follow func(hcl.Traversal)
	leaf   func(hcl.Expression)
	inside int // how deep in a value, or in the key of a pair
	left   *int
}

func (w *valueWalker) Enter(node hclsyntax.Node) hcl.Diagnostics {
	*w.left--
	if w.inside > 0 {
		w.inside++
		return nil
	}
	switch n := node.(type) {
	case *hclsyntax.TemplateExpr:
		w.inside++
		for _, t := range n.Variables() {
			w.follow(t)
		}
		w.leaf(n)
	case *hclsyntax.LiteralValueExpr:
		w.inside++
		w.leaf(n)
	case *hclsyntax.UnaryOpExpr:
		w.inside++
		w.leaf(n)
	case *hclsyntax.ObjectConsKeyExpr:
		w.inside++
	case *hclsyntax.ScopeTraversalExpr:
		w.follow(n.Traversal)
	}
	return nil
}

func (w *valueWalker) Exit(hclsyntax.Node) hcl.Diagnostics {
	if w.inside > 0 {
		w.inside--
	}
	return nil
}

// variablesOf are the variables that expr refers to, directly or by local values.
func (b *block) variablesOf(expr hcl.Expression, seen map[string]bool) []string {
	var out []string
	for _, t := range expr.Variables() {
		name, target := b.named(t)
		if seen[name] {
			continue
		}
		seen[name] = true
		if _, ok := b.origins.placed[name]; ok {
			out = append(out, name)
		} else if target != nil {
			out = append(out, b.variablesOf(target, seen)...)
		}
	}
	return out
}
