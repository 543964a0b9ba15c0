package parser

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// MaxLocalsInARow bounds how many local values depend on each other one after the other:
// they are evaluated recursively.
const MaxLocalsInARow = 1000

// locals evaluates all locals blocks into local.*, each value after those it depends on.
func (e *evaluator) locals() {
	l := &locals{evaluator: e, declared: e.localDeclarations(), values: map[string]cty.Value{}, started: map[string]bool{}, finished: map[string]bool{}}
	for name, a := range l.declared {
		e.wrote("local."+name, a.Expr)
		l.values[name] = cty.DynamicVal
	}
	e.define("local", l.values) // the names, for references and suggestions
	for _, name := range slices.Sorted(maps.Keys(l.declared)) {
		l.evaluate(name, 1)
	}
	e.define("local", l.values)
}

// localDeclarations returns the attributes of all locals blocks by name. Of two with the
// same name it returns the first.
func (e *evaluator) localDeclarations() hcl.Attributes {
	var all []*hcl.Attribute
	for _, b := range e.source.blocks[localsSchema.Type] {
		attributes, diags := b.Body.JustAttributes()
		e.diags = append(e.diags, diag.WithCode(diag.CodeSchema, diags)...)
		all = slices.AppendSeq(all, maps.Values(attributes))
	}
	slices.SortFunc(all, func(a, b *hcl.Attribute) int { return compareRanges(a.NameRange, b.NameRange) })
	declared := hcl.Attributes{}
	for _, a := range all {
		if first := declared[a.Name]; first != nil {
			e.diags = append(e.diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, a.NameRange, fmt.Sprintf("second local value %q", a.Name), "Each local value needs a name of its own. Rename one of the two."),
				"the first one", first.NameRange))
			continue
		}
		declared[a.Name] = a
	}
	return declared
}

// locals are local values while they are evaluated.
type locals struct {
	*evaluator
	declared hcl.Attributes
	// values are unknown until they are evaluated, or if they have errors.
	values            map[string]cty.Value
	started, finished map[string]bool
}

// evaluate gives a local value its value, unless it has it. It is the depth-th of a row of
// values of which each depends on the next.
func (l *locals) evaluate(name string, depth int) {
	if l.started[name] {
		return
	}
	l.started[name] = true
	defer func() { l.finished[name] = true }()
	a := l.declared[name]
	if depth > MaxLocalsInARow {
		l.error(diag.CodeBudget, a.NameRange, "too many local values in a row", "Each depends on the next. At most %d may do so in a row.", MaxLocalsInARow)
		return
	}
	needed, ok := l.dependencies(a.Expr, depth)
	if !ok {
		return
	}
	// Only what the value depends on: all local values for each would take quadratic time.
	ctx := l.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(needed)}
	if v, ok := l.value(a.Expr, ctx); ok {
		l.values[name] = v
	}
}

// dependencies evaluates the local values that an expression refers to; false if that is
// not possible.
func (l *locals) dependencies(expr hcl.Expression, depth int) (map[string]cty.Value, bool) {
	needed := map[string]cty.Value{}
	for _, t := range expr.Variables() {
		if t.RootName() != "local" {
			continue
		}
		name, rng := "", t.SourceRange()
		if len(t) > 1 {
			name, rng = stepName(t[1])
		}
		if name == "" {
			l.error(diag.CodeReference, t.SourceRange(), "local as a whole in a local value",
				"It would contain this value too. Refer to single values, local.NAME, or put the values to choose from into one map: local.sites[var.site].")
			return nil, false
		}
		if l.declared[name] == nil {
			continue // reported with the expression
		}
		if l.started[name] && !l.finished[name] {
			l.error(diag.CodeReference, rng, fmt.Sprintf("local value %q depends on itself", name), "Following the references from here leads back here. Remove one of them.")
			return nil, false
		}
		l.evaluate(name, depth+1)
		needed[name] = l.values[name]
	}
	return needed, true
}
