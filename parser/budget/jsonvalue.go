package budget

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// jsonValue evaluates an expression of HCL's JSON syntax as its own Value does (hcl
// v2.25.0, json/structure.go), which parses the templates in strings at each evaluation, so
// that Instrument cannot count them.
func jsonValue(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() {
		var out hcl.Diagnostics
		values := []cty.Value{}
		for _, e := range list {
			v, diags := jsonValue(e, ctx)
			values, out = append(values, v), append(out, diags...)
		}
		return cty.TupleVal(values), out
	}
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		return jsonObject(expr, pairs, ctx)
	}
	v, diags := expr.Value(nil) // a string as it is written
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
		return v, diags
	}
	start := expr.Range().Start
	start.Column++
	start.Byte++
	template, diags := hclsyntax.ParseTemplate([]byte(v.AsString()), expr.Range().Filename, start)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	Instrument(template)
	v, more := template.Value(ctx)
	return v, append(diags, more...)
}

func jsonObject(expr hcl.Expression, pairs []hcl.KeyValuePair, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	var out hcl.Diagnostics
	values := map[string]cty.Value{}
	ranges := map[string]hcl.Range{}
	known := true
	for _, pair := range pairs {
		rng := pair.Key.Range()
		bad := func(summary, detail string, about hcl.Expression) {
			out = append(out, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: summary, Detail: detail,
				Subject: &rng, Expression: about, EvalContext: ctx,
			})
		}
		key, more := jsonValue(pair.Key, ctx)
		v, moreOfValue := jsonValue(pair.Value, ctx)
		out = append(append(out, more...), moreOfValue...)
		key, err := convert.Convert(key, cty.String)
		switch {
		case err != nil:
			bad("Invalid object key expression", fmt.Sprintf("Cannot use this expression as an object key: %s.", err), pair.Value)
			continue
		case key.IsNull():
			bad("Invalid object key expression", "Cannot use null value as an object key.", pair.Value)
			continue
		case !key.IsKnown():
			known = false
			continue
		}
		name := key.AsString()
		if first, defined := ranges[name]; defined {
			bad("Duplicate object attribute", fmt.Sprintf("An attribute named %q was already defined at %s.", name, first), expr)
			continue
		}
		values[name], ranges[name] = v, rng
	}
	if !known {
		return cty.DynamicVal, out
	}
	return cty.ObjectVal(values), out
}
