package golden

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/dockerfw/dockerfw/parser"
)

const jsonSchemaFile = "../docs/policy.schema.json"

type object = map[string]any

func anyOf(schemas ...any) object { return object{"anyOf": schemas} }

func arrayOf(items any) object { return object{"type": "array", "items": items} }

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

// jsonSchema describes policies in the JSON form of HCL (JSON Schema, draft 2020-12).
func jsonSchema() object {
	defs := object{
		"expression": object{"type": "string", "pattern": `[$%]\{`, "description": "an expression, such as \"${var.offices}\""},
		"port":       anyOf(object{"type": "integer", "minimum": 1, "maximum": 65535}, object{"type": "string"}),
		"protocol":   anyOf(object{"type": "integer", "minimum": 1, "maximum": 255}, object{"type": "string"}),
	}
	out := body("", "", parser.Schema(), defs)
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["title"] = "A policy of dockerfw in the JSON form of HCL"
	out["$defs"] = defs
	return out
}

// body describes the body of a block in a place, "", "egress" or "input", and adds those of the
// blocks inside it to defs.
func body(place, name string, b *parser.Block, defs object) object {
	properties := object{"//": object{"description": "a comment"}}
	required := []any{}
	for _, a := range b.Attributes {
		if slices.ContainsFunc(a.NotIn, func(e parser.Exception) bool { return e.In == b.Type || e.In == place }) {
			continue
		}
		property := anyOf(jsonType(a), ref("expression"))
		property["description"] = a.Meaning
		if a.Default != nil {
			property["default"] = a.Default
		}
		properties[a.Name] = property
		if a.Required {
			required = append(required, a.Name)
		}
	}
	for _, inner := range b.Blocks {
		innerName := inner.Type
		if b.Type == "egress" || b.Type == "input" {
			innerName = b.Type + "." + inner.Type
		}
		if defs[innerName] == nil {
			defs[innerName] = body(b.Type, innerName, inner, defs)
		}
		properties[inner.Type] = nested(inner, ref(innerName))
	}
	out := object{"type": "object", "properties": properties}
	if !b.Names {
		out["additionalProperties"] = false
	}
	if len(required) > 0 {
		out["required"] = required
	}
	if b.Meaning != "" {
		out["description"] = b.Meaning
	}
	return out
}

// nested describes where a block is written: the body, or bodies by label, and lists of
// them where there may be several.
func nested(b *parser.Block, body object) object {
	if b.Many {
		body = anyOf(body, arrayOf(body))
	}
	labeled := object{"type": "object", "additionalProperties": body}
	switch b.Label {
	case parser.NameLabel:
		return anyOf(labeled, arrayOf(labeled))
	case parser.OptionalLabel:
		return anyOf(body, labeled)
	}
	return body
}

func jsonType(a parser.Attribute) object {
	text, number := object{"type": "string"}, object{"type": "integer", "minimum": a.Min, "maximum": a.Max}
	if len(a.Values) > 0 {
		text = object{"enum": a.Values}
	}
	switch a.Type {
	case parser.TypeBool:
		return object{"type": "boolean"}
	case parser.TypeString, parser.TypeAddress, parser.TypeConstraint:
		return text
	case parser.TypeClients:
		return anyOf(text, arrayOf(text))
	case parser.TypeNumber:
		return number
	case parser.TypeStrings, parser.TypeAddresses, parser.TypeAddressesAndSets:
		return arrayOf(text)
	case parser.TypeSets:
		return arrayOf(ref("expression"))
	case parser.TypePorts, parser.TypeProxyPorts:
		return arrayOf(ref("port"))
	case parser.TypeProtocol:
		return ref("protocol")
	case parser.TypeProtocols:
		return anyOf(ref("protocol"), arrayOf(ref("protocol")))
	case parser.TypeICMPTypes:
		return arrayOf(object{"type": []any{"integer", "string"}})
	case parser.TypeObject:
		return object{"type": "object"}
	case parser.TypeElements:
		return object{"type": []any{"object", "array"}}
	case parser.TypeConstant:
		return object{}
	}
	panic(fmt.Sprintf("type %s has no JSON schema", a.Type))
}

func TestTheDocsHaveAJSONSchemaOfPolicies(t *testing.T) {
	want, err := json.MarshalIndent(jsonSchema(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(jsonSchemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readOr(t, jsonSchemaFile, ""), string(want)); diff != "" {
		t.Errorf("docs/policy.schema.json: run make golden (-docs +program):\n%s", diff)
	}
}

// Each example satisfies the schema, also those in HCL, as if they were written in JSON.
func TestExamplesSatisfyTheJSONSchema(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(examplesDir, "*", "*.hcl*"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d examples (%v)", len(files), err)
	}
	schema := readJSONSchema(t)
	for _, name := range files {
		text := readOr(t, name, "")
		if problem := schema.problem(asJSON(t, name, text), schema.root); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func TestTheJSONSchemaRefusesWhatThePolicyMustNotHave(t *testing.T) {
	schema := readJSONSchema(t)
	for _, text := range []string{
		`{"hosts": {}}`,
		`{"host": {"families": ["ipv4"]}}`,
		`{"host": {"external_interfaces": "eth0"}}`,
		`{"host": {"external_interfaces": ["eth0"], "install": "append"}}`,
		`{"host": {"web1": {"external_interfaces": ["eth0"], "verdict": true}}}`,
		`{"accept": {"web": {"action": "drop"}}}`,
		`{"accept": {"web": {"published_ports": [0]}}}`,
		`{"accept": {"web": {"rate": {"burst": 5}}}}`,
		`{"egress": {"accept": {"web": {"published_ports": [80]}}}}`,
		`{"accept": {"web": {"ports": [80]}}}`,
		`{"egress": {"deny": {"mail": {"ports": [25]}}}}`,
		`{"input": {"accept": {"web": {"published_ports": [80]}}}}`,
		`{"input": {"accept": {"web": {"container_ports": [80]}}}}`,
		`{"deny": {"web": {"connections": {"max": 0}}}}`,
		`{"ipset": {"office": {"members": ["office"]}}}`,
	} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if schema.problem(value, schema.root) == "" {
			t.Errorf("%s satisfies the schema", text)
		}
	}
}

// asJSON is a policy in the JSON form of HCL: expressions that are not constants are text.
func asJSON(t *testing.T, name, text string) any {
	t.Helper()
	var out any
	if strings.HasSuffix(name, ".json") {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
	file, diags := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return bodyAsJSON(file.Body.(*hclsyntax.Body), text)
}

func bodyAsJSON(b *hclsyntax.Body, text string) object {
	out := object{}
	for name, a := range b.Attributes {
		out[name] = expressionAsJSON(a.Expr, text)
	}
	for _, inner := range b.Blocks {
		value := bodyAsJSON(inner.Body, text)
		if len(inner.Labels) == 0 {
			out[inner.Type] = value
			continue
		}
		labels, _ := out[inner.Type].(object)
		if labels == nil {
			labels = object{}
			out[inner.Type] = labels
		}
		labels[inner.Labels[0]] = value
	}
	return out
}

func expressionAsJSON(e hclsyntax.Expression, text string) any {
	if list, ok := e.(*hclsyntax.TupleConsExpr); ok {
		out := []any{}
		for _, item := range list.Exprs {
			out = append(out, expressionAsJSON(item, text))
		}
		return out
	}
	if v, diags := e.Value(nil); !diags.HasErrors() {
		var out any
		if encoded, err := ctyjson.Marshal(v, cty.DynamicPseudoType); err == nil && json.Unmarshal(encoded, &out) == nil {
			return out.(object)["value"]
		}
	}
	return "${" + string(e.Range().SliceBytes([]byte(text))) + "}"
}

// schemaDocument is a JSON schema, of which the keywords that jsonSchema uses are checked.
type schemaDocument struct{ root, defs object }

func readJSONSchema(t *testing.T) schemaDocument {
	t.Helper()
	var root object
	if err := json.Unmarshal([]byte(readOr(t, jsonSchemaFile, "{}")), &root); err != nil {
		t.Fatal(err)
	}
	defs, _ := root["$defs"].(object)
	return schemaDocument{root, defs}
}

// problem returns why a value does not satisfy a schema; "" if it does.
func (d schemaDocument) problem(value any, schema object) string {
	for keyword, x := range schema {
		problem := ""
		switch keyword {
		case "$ref":
			problem = d.problem(value, d.defs[strings.TrimPrefix(x.(string), "#/$defs/")].(object))
		case "anyOf":
			for _, one := range x.([]any) {
				if problem = d.problem(value, one.(object)); problem == "" {
					break
				}
			}
		case "type":
			if !slices.ContainsFunc(typeNames(x), func(name string) bool { return isOfType(value, name) }) {
				problem = fmt.Sprintf("%v is not of type %v", value, x)
			}
		case "enum":
			if !slices.ContainsFunc(x.([]any), func(one any) bool { return reflect.DeepEqual(one, value) }) {
				problem = fmt.Sprintf("%v is not one of %v", value, x)
			}
		case "pattern":
			if text, ok := value.(string); ok && !regexp.MustCompile(x.(string)).MatchString(text) {
				problem = fmt.Sprintf("%q does not match %v", text, x)
			}
		case "minimum", "maximum":
			if n, ok := value.(float64); ok && (keyword == "minimum" && n < x.(float64) || keyword == "maximum" && n > x.(float64)) {
				problem = fmt.Sprintf("%v is past the %s", value, keyword)
			}
		case "required":
			for _, name := range x.([]any) {
				if o, ok := value.(object); ok && o[name.(string)] == nil {
					problem = fmt.Sprintf("%v is missing", name)
				}
			}
		case "items":
			list, _ := value.([]any)
			for _, item := range list {
				problem += d.problem(item, x.(object))
			}
		case "properties":
			o, _ := value.(object)
			for name, inner := range o {
				if property, ok := x.(object)[name].(object); ok {
					problem += d.problem(inner, property)
				}
			}
		case "additionalProperties":
			properties, _ := schema["properties"].(object)
			o, _ := value.(object)
			for name, inner := range o {
				switch more, allowed := x.(object); {
				case properties[name] != nil:
				case !allowed:
					problem = fmt.Sprintf("%s is not a property", name)
				default:
					problem += d.problem(inner, more)
				}
			}
		case "$schema", "$defs", "title", "description", "default":
		default:
			problem = "the test does not know the keyword " + keyword
		}
		if problem != "" {
			return problem
		}
	}
	return ""
}

func typeNames(x any) []string {
	if name, ok := x.(string); ok {
		return []string{name}
	}
	var out []string
	for _, name := range x.([]any) {
		out = append(out, name.(string))
	}
	return out
}

func isOfType(value any, name string) bool {
	switch v := value.(type) {
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "integer" && big.NewFloat(v).IsInt()
	case []any:
		return name == "array"
	case object:
		return name == "object"
	}
	return false
}
