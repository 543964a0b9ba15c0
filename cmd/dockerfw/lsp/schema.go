package lsp

import (
	"github.com/hashicorp/hcl-lang/lang"
	"github.com/hashicorp/hcl-lang/schema"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dockerfw/dockerfw/parser"
)

// Scopes of references.
const (
	scopeSet      = lang.ScopeId("ipset")
	scopeVariable = lang.ScopeId("variable")
	scopeLocal    = lang.ScopeId("local")
)

// policySchema is parser.Schema in the form of hcl-lang.
func policySchema() *schema.BodySchema { return body(parser.Schema()) }

func body(b *parser.Block) *schema.BodySchema {
	out := schema.NewBodySchema()
	out.Description = lang.Markdown(b.Meaning)
	if b.Names {
		out.Attributes = nil
		out.AnyAttribute = &schema.AttributeSchema{
			IsOptional: true,
			Constraint: schema.AnyExpression{OfType: cty.DynamicPseudoType},
			Address: &schema.AttributeAddrSchema{
				Steps: schema.Address{schema.StaticStep{Name: "local"}, schema.AttrNameStep{}}, ScopeId: scopeLocal, AsExprType: true, AsReference: true,
			},
		}
	}
	for _, a := range b.Attributes {
		out.Attributes[a.Name] = &schema.AttributeSchema{
			Description: lang.Markdown(describe(a)),
			IsRequired:  a.Required,
			IsOptional:  !a.Required,
			Constraint:  constraint(a),
		}
	}
	for _, nested := range b.Blocks {
		out.Blocks[nested.Type] = block(nested)
	}
	return out
}

func block(b *parser.Block) *schema.BlockSchema {
	out := &schema.BlockSchema{Body: body(b), Description: lang.Markdown(b.Meaning)}
	if !b.Many {
		out.MaxItems = 1
	}
	if b.Label == parser.NameLabel {
		out.Labels = []*schema.LabelSchema{{Name: "name", Completable: false}}
	}
	switch b.Type {
	case "ipset":
		out.Address = &schema.BlockAddrSchema{Steps: schema.Address{schema.StaticStep{Name: "ipset"}, schema.LabelStep{Index: 0}}, ScopeId: scopeSet, FriendlyName: "set", AsReference: true}
	case "variable":
		out.Address = &schema.BlockAddrSchema{Steps: schema.Address{schema.StaticStep{Name: "var"}, schema.LabelStep{Index: 0}}, ScopeId: scopeVariable, FriendlyName: "variable", AsReference: true, AsTypeOf: &schema.BlockAsTypeOf{AttributeExpr: "type"}}
	case "deny", "accept":
		out.Body.Extensions = &schema.BodyExtensions{ForEach: true}
	}
	return out
}

// describe is the documentation of an attribute: meaning, type and default.
func describe(a parser.Attribute) string {
	text := a.Meaning + "\n\n*" + a.Type.String() + "*"
	if a.Required {
		text += ", required"
	} else if byDefault := a.DefaultMarkdown(); byDefault != "" {
		text += ", default " + byDefault
	}
	if a.Example != "" {
		text += "\n\n```hcl\n" + a.Name + " = " + a.Example + "\n```"
	}
	return text
}

// constraint is what hcl-lang completes as the value of an attribute. Anything may be an
// expression, so it is a proposal and never an error: errors are those of the compiler.
func constraint(a parser.Attribute) schema.Constraint {
	text := schema.AnyExpression{OfType: cty.String}
	listOf := func(element schema.Constraint) schema.Constraint {
		return schema.OneOf{schema.List{Elem: element}, schema.AnyExpression{OfType: cty.List(cty.String), SkipLiteralComplexTypes: true}}
	}
	set := schema.Reference{OfScopeId: scopeSet}
	switch a.Type {
	case parser.TypeBool:
		return schema.AnyExpression{OfType: cty.Bool}
	case parser.TypeString:
		return append(values(a.Values...), text)
	case parser.TypeNumber:
		return schema.AnyExpression{OfType: cty.Number}
	case parser.TypeAddress:
		return text
	case parser.TypeStrings:
		return listOf(append(values(a.Values...), text))
	case parser.TypeAddresses:
		return listOf(text)
	case parser.TypeAddressesAndSets:
		return listOf(schema.OneOf{set, text})
	case parser.TypeSets:
		return listOf(set)
	case parser.TypeClients:
		return append(values("anyone"), text, schema.List{Elem: schema.OneOf{set, text}})
	case parser.TypePorts, parser.TypeProxyPorts:
		return listOf(schema.OneOf{schema.AnyExpression{OfType: cty.Number}, text})
	case parser.TypeProtocol:
		return append(values(parser.ProtocolNames()...), schema.AnyExpression{OfType: cty.Number})
	case parser.TypeProtocols:
		names := append(values(parser.ProtocolNames()...), schema.AnyExpression{OfType: cty.Number})
		return append(names, schema.List{Elem: names})
	case parser.TypeICMPTypes:
		return listOf(append(values(parser.ICMPTypeNames()...), text))
	case parser.TypeConstraint:
		return schema.TypeDeclaration{}
	case parser.TypeObject, parser.TypeElements, parser.TypeConstant:
		return schema.AnyExpression{OfType: cty.DynamicPseudoType}
	}
	panic("lsp: no constraint for attributes of type " + a.Type.String())
}

func values(names ...string) schema.OneOf {
	var out schema.OneOf
	for _, name := range names {
		out = append(out, schema.LiteralValue{Value: cty.StringVal(name)})
	}
	return out
}

// functions are the functions of policy expressions.
func functions() map[string]schema.FunctionSignature {
	out := map[string]schema.FunctionSignature{}
	for name, f := range parser.Functions() {
		out[name] = schema.FunctionSignature{
			Description: f.Description(), Params: f.Params(), VarParam: f.VarParam(), ReturnType: returnType(f),
		}
	}
	return out
}

// returnType is the type of a function's result for arguments that are not known.
func returnType(f function.Function) cty.Type {
	var arguments []cty.Type
	for _, p := range f.Params() {
		arguments = append(arguments, p.Type)
	}
	result, err := f.ReturnType(arguments)
	if err != nil {
		return cty.DynamicPseudoType
	}
	return result
}
