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

// Origins know where the values of a policy were written, when a rule uses them by the
// name of a variable or local value. Evaluate gives such values the place of the rule:
// hosts whose rules are the same then have the same policy. Only what is wrong is
// worth another evaluation, in which values have the places where they were written.
type Origins struct {
	// written are the expressions that give names their values, by "var.NAME" and
	// "local.NAME"; placed are the places of the values of variables.
	written map[string]hcl.Expression
	placed  map[string]hcl.Range
	indexes map[indexKey]map[string][]hcl.Range
	// uses are the places that use a value, by where it was written; computed are the
	// variables behind a place of a rule whose value was not found as it is.
	uses     map[hcl.Range][]use
	computed map[hcl.Range][]string
	// constant tells of expressions whether they name nothing.
	constant map[hcl.Range]bool
	// left is how many more nodes of expressions may be searched.
	left int
}

// maxSearched is how many nodes of expressions are searched for where values were
// written. It is far more than any policy needs that people write; one that goes
// beyond gets the places of its rules instead.
const maxSearched = 1_000_000

// indexKey is an expression and what gives its each.value.
type indexKey struct{ expr, each hcl.Range }

type use struct {
	rng hcl.Range
	by  string // the block, such as accept "web"
}

// EvaluateOrigins is Evaluate with ranges of values that are where they were written.
// The Origins are for what is wrong with the policy; see Origins.Explain.
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

// shownUses is how many places that use a value are shown beside it.
const shownUses = 3

// Explain adds to each error about a value which blocks use it, or which variables it
// is made of. Warnings go back to the block: its value may be right for others.
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

// wrote notes the expression that gives a name its value.
func (e *evaluator) wrote(name string, expr hcl.Expression) {
	if e.origins != nil && expr != nil {
		e.origins.written[name] = expr
	}
}

// title names a block for people, such as accept "web".
func title(b *hcl.Block) string {
	if len(b.Labels) == 0 {
		return b.Type
	}
	return fmt.Sprintf("%s %q", b.Type, b.Labels[0])
}

// place is where the value of expr was written: where expr is, unless that only names
// it. The n-th of equal values in expr is asked for, from 0.
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

// isConstant reports whether expr names nothing. To ask a list for each of its elements
// would take quadratic time.
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

// computes notes that the value of expr is not written where expr is.
func (b *block) computes(expr hcl.Expression) {
	if _, known := b.origins.computed[expr.Range()]; !known {
		b.origins.computed[expr.Range()] = b.variablesOf(expr, map[string]bool{})
	}
}

// valueOf says what value a place that does not show it has, unless detail says so.
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

// narrowed notes that part is a part of the place whole.
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

// valueText is a primitive value as text, alike for numbers and their strings.
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

// resolve follows an expression that is a mere name to what gives it its value.
func (b *block) resolve(expr hcl.Expression) hcl.Expression {
	for range len(b.origins.written) + 1 { // names that lead in a circle were refused
		// In JSON a mere text may look like a name.
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

// named finds the expression that a traversal such as var.sites.a names, as far as its
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

// index finds the primitive values written in expr and in what it names, in order.
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

// valueWalker finds the values written in an expression, without the parts of those
// that are templates, and the names in it.
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

// variablesOf are the variables with a value that expr names, itself or by local values.
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
