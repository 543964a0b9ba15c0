package parser

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// EnvPrefix is how the names of environment variables begin that set policy variables.
const EnvPrefix = "DOCKERFW_VAR_"

// Input is one value for a variable, or one file of values, as the user gave it.
type Input struct {
	// Name and Value of one variable; the value is an HCL expression unless the
	// variable's type is string.
	Name, Value string
	// File is the name of a file of values, used if Name is empty.
	File string
}

// Inputs are the values for variables from outside the policy. Later ones win
// over earlier ones; all of Command wins over Environment, which wins over a
// host's own variables, which win over defaults.
type Inputs struct {
	Command []Input
	// Environment in the form of os.Environ; only names with EnvPrefix count.
	Environment []string
}

// given is a value for a variable with its place.
type given struct {
	value cty.Value
	rng   hcl.Range
	// raw is text to parse once the type is known.
	raw *string
	// expr is the expression of the value; nil if it is part of a computed one.
	expr hcl.Expression
	// optional values are ignored if the policy does not declare the variable.
	optional bool
}

// variables evaluates the variable blocks into var.*.
func (e *evaluator) variables(fromHost map[string]given) {
	declared := map[string]*hcl.Block{}
	for _, b := range e.source.blocks["variable"] {
		declared[b.Labels[0]] = b
	}
	values := maps.Clone(fromHost)
	if values == nil {
		values = map[string]given{}
	}
	maps.Copy(values, e.source.given)

	known := slices.Sorted(maps.Keys(declared))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := declared[name]; ok || values[name].optional {
			continue
		}
		e.error(diag.CodeVariable, values[name].rng, fmt.Sprintf("unknown variable %q", name), "The policy has no variable block for it.%s", suggest.DidYouMean(name, known))
	}

	vars := map[string]cty.Value{}
	for _, name := range known {
		vars[name] = cty.DynamicVal
	}
	e.define("var", vars)
	places := map[string]hcl.Range{}
	validations := map[string][]*hcl.Block{}
	for _, name := range known {
		vars[name], places[name], validations[name] = e.variable(declared[name], values)
	}
	e.define("var", vars)
	for _, name := range known {
		if vars[name].IsKnown() {
			e.validate(name, places[name], validations[name])
		}
	}
}

// variable returns the value of a variable, its place and its validations; an unknown value
// if it has none.
func (e *evaluator) variable(decl *hcl.Block, values map[string]given) (cty.Value, hcl.Range, []*hcl.Block) {
	name := decl.Labels[0]
	b := e.open(decl, variableSchema, nil)
	ty, defaults := cty.DynamicPseudoType, (*typeexpr.Defaults)(nil)
	if a, ok := b.attributes["type"]; ok { // not an expression with a value
		var diags hcl.Diagnostics
		ty, defaults, diags = typeexpr.TypeConstraintWithDefaults(a.Expr)
		e.diags = append(e.diags, diag.WithCode(diag.CodeType, typeProblems(diags))...)
		if diags.HasErrors() {
			return cty.DynamicVal, hcl.Range{}, nil
		}
	}
	b.text("description")

	var fallback *given
	if a, ok := b.attributes["default"]; ok { // which may be null
		v, ok := e.value(a.Expr, nil)
		if !ok {
			return cty.DynamicVal, hcl.Range{}, nil
		}
		fallback = &given{value: v, rng: a.Expr.Range(), expr: a.Expr}
	}
	g, ok := values[name]
	switch {
	case ok && g.raw != nil:
		if g.value, g.expr, ok = e.parseRaw(*g.raw, ty, g.rng); !ok {
			return cty.DynamicVal, hcl.Range{}, nil
		}
	case !ok && fallback != nil:
		g = *fallback
	case !ok:
		e.error(diag.CodeVariable, decl.LabelRanges[0], fmt.Sprintf("no value for variable %q", name),
			"It has no default. Add one, or set the variable with -var '%s=…', -var-file, the environment variable %s%s, or a host's variables.", name, EnvPrefix, name)
		return cty.DynamicVal, hcl.Range{}, nil
	}
	if defaults != nil && !g.value.IsNull() {
		g.value = defaults.Apply(g.value)
	}
	v, err := convert.Convert(g.value, ty)
	if err != nil {
		e.error(diag.CodeVariable, g.rng, fmt.Sprintf("bad value for variable %q", name), "The variable's type is %s: %s.", typeexpr.TypeString(ty), err)
		return cty.DynamicVal, hcl.Range{}, nil
	}
	e.wrote("var."+name, g.expr)
	if e.origins != nil {
		e.origins.placed["var."+name] = g.rng
	}
	return v, g.rng, b.blocks.OfType(validationSchema.Type)
}

// parseRaw reads a value given outside the policy: literally for a string variable, as an
// expression of constants for others.
func (e *evaluator) parseRaw(raw string, ty cty.Type, rng hcl.Range) (cty.Value, hcl.Expression, bool) {
	if ty == cty.String || ty == cty.DynamicPseudoType && !looksLikeExpression(raw) {
		return cty.StringVal(raw), hcl.StaticExpr(cty.StringVal(raw), rng), true
	}
	if word, ok := boolWords[strings.ToLower(raw)]; ok && ty == cty.Bool && raw != word {
		e.error(diag.CodeVariable, rng, "bad value for a variable", "%q is neither true nor false. Write %s.", raw, word)
		return cty.NilVal, nil, false
	}
	if (ty.IsListType() || ty.IsSetType()) && ty.ElementType().IsPrimitiveType() && raw != "" && !looksLikeExpression(raw) {
		e.error(diag.CodeVariable, rng, "bad value for a variable", "%q is not an HCL expression of type %s. Write a list as [%s].", raw, typeexpr.TypeString(ty), asList(raw, ty.ElementType()))
		return cty.NilVal, nil, false
	}
	if d := budget.Expression([]byte(raw), rng.Filename, hcl.InitialPos); d != nil {
		e.error(diag.CodeBudget, rng, d.Summary, "%s", d.Detail)
		return cty.NilVal, nil, false
	}
	expr, diags := hclsyntax.ParseExpression([]byte(raw), rng.Filename, hcl.InitialPos)
	if diags.HasErrors() {
		e.error(diag.CodeVariable, rng, "bad value for a variable", "%q is not an HCL expression of type %s: %s", raw, typeexpr.TypeString(ty), diags[0].Detail)
		return cty.NilVal, nil, false
	}
	budget.Instrument(expr)
	v, diags := e.work.Value(expr, nil)
	if diags.HasErrors() && ty == cty.Bool {
		e.error(diag.CodeVariable, rng, "bad value for a variable", "%q is neither true nor false. Write true or false.", raw)
		return cty.NilVal, nil, false
	}
	if diags.HasErrors() {
		e.error(diag.CodeVariable, rng, "bad value for a variable", "%q is not a constant: %s", raw, diags[0].Detail)
		return cty.NilVal, nil, false
	}
	return v, expr, true
}

// asList rewrites text with commas as the elements of a list.
func asList(raw string, element cty.Type) string {
	parts := strings.Split(raw, ",")
	for i, p := range parts {
		if parts[i] = strings.TrimSpace(p); element == cty.String {
			parts[i] = fmt.Sprintf("%q", parts[i])
		}
	}
	return strings.Join(parts, ", ")
}

// inQuotes returns what to write instead of a word where only constants are allowed.
func inQuotes(expr hcl.Expression) string {
	word := hcl.ExprAsKeyword(expr)
	switch known, ok := boolWords[strings.ToLower(word)]; {
	case ok:
		return fmt.Sprintf("Write %s; or %q, in quotes, for text.", known, word)
	case word != "":
		return fmt.Sprintf("Write text in quotes: %q.", word)
	}
	return "Only constants are allowed here, no names or functions."
}

// boolWords are the words of other languages for true and false.
var boolWords = map[string]string{
	"true": "true", "yes": "true", "on": "true", "1": "true", "y": "true",
	"false": "false", "no": "false", "off": "false", "0": "false", "n": "false",
}

// looksLikeExpression reports whether a value for a variable without a type is a list,
// object or quoted string, not plain text.
func looksLikeExpression(raw string) bool {
	raw = strings.TrimSpace(raw)
	return strings.HasPrefix(raw, "[") || strings.HasPrefix(raw, "{") || strings.HasPrefix(raw, `"`)
}

// readInputs reads the values given outside the policy, once for all hosts.
func (s *Source) readInputs(inputs Inputs) hcl.Diagnostics {
	s.given = map[string]given{}
	for _, kv := range inputs.Environment {
		name, value, _ := strings.Cut(kv, "=")
		if name, ok := strings.CutPrefix(name, EnvPrefix); ok && name != "" {
			// The environment is shared with other programs: undeclared names are
			// ignored, as in Terraform.
			s.given[name] = given{raw: &value, rng: s.outside("environment variable "+EnvPrefix+name, value), optional: true}
		}
	}
	var diags hcl.Diagnostics
	for _, in := range inputs.Command {
		if in.Name != "" {
			s.given[in.Name] = given{raw: &in.Value, rng: s.outside("--var "+in.Name, in.Value)}
			continue
		}
		values, more := s.fileValues(in.File)
		diags = append(diags, diag.WithCode(diag.CodeVariable, more)...)
		maps.Copy(s.given, values)
	}
	return diags
}

// fileValues reads a file of values: attributes with constants.
func (s *Source) fileValues(name string) (map[string]given, hcl.Diagnostics) {
	file, diags := s.parse(files.Disk, name, "file of values")
	if diags.HasErrors() {
		return nil, diags
	}
	attrs, diags := file.Body.JustAttributes()
	out := map[string]given{}
	work := &budget.Work{}
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		a := attrs[key]
		v, more := work.Value(a.Expr, nil)
		for _, d := range more {
			if d.Summary == "Variables not allowed" {
				d.Summary, d.Detail = "name in a file of values", inQuotes(a.Expr)
			}
		}
		diags = append(diags, more...)
		if !more.HasErrors() {
			out[key] = given{value: v, rng: a.Expr.Range(), expr: a.Expr}
		}
	}
	return out, diags
}

// outside is the place of a text that is not in a file, and keeps the text for messages.
func (s *Source) outside(name, text string) hcl.Range {
	rng := diag.Outside(name)
	if s.texts == nil {
		s.texts = map[string][]byte{}
	}
	s.texts[rng.Filename] = []byte(text)
	rng.End = endOf(text)
	return rng
}

// endOf is the position after text that begins at the first position.
func endOf(text string) hcl.Pos {
	last := strings.LastIndexByte(text, '\n') + 1
	return hcl.Pos{Line: 1 + strings.Count(text, "\n"), Column: 1 + diag.Columns(text[last:]), Byte: len(text)}
}

// validate checks the value of a variable, written at place, by its validation blocks.
func (e *evaluator) validate(name string, place hcl.Range, blocks []*hcl.Block) {
	for _, vb := range blocks {
		b := e.open(vb, validationSchema, e.ctx)
		condition, ok := b.as("condition", cty.Bool)
		if !ok || condition.True() {
			continue
		}
		message, ok := b.text("error_message")
		if ok {
			d := diag.New(diag.CodeVariable, place, fmt.Sprintf("validation failed for variable %q", name), message.Value)
			diag.WithRelated(d, "the condition", condition.rng)
			e.diags = append(e.diags, d)
		}
	}
}
