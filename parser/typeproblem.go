package parser

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/suggest"
)

// typeExamples are the types of variables as they are written.
var typeExamples = map[string]string{
	"string": "string", "number": "number", "bool": "bool", "any": "any",
	"list": "list(string)", "set": "set(string)", "map": "map(string)",
	"tuple": "tuple([string, number])", "object": "object({ name = string })",
}

// The messages of HCL about types that name a type, and how this package says the same.
var (
	unknownType   = regexp.MustCompile(`^(?:The keyword "(.*)" is not a valid type specification|Keyword "(.*)" is not a valid type constructor)\.$`)
	withoutTypes  = regexp.MustCompile(`^The (\w+) type constructor requires one argument`)
	withArguments = regexp.MustCompile(`^(?:Primitive type|Type constraint) keyword "(\w+)" does not expect arguments\.$`)
)

// typeProblems rewrites the diagnostics about the type of a variable: what to write is
// clearer than the terms of HCL's type expressions.
func typeProblems(diags hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, d := range diags {
		own := *d
		if m := unknownType.FindStringSubmatch(d.Detail); m != nil {
			own.Summary, own.Detail = "unknown type", unknownTypeDetail(m[1]+m[2])
		} else if m := withoutTypes.FindStringSubmatch(d.Detail); m != nil {
			own.Summary, own.Detail = "incomplete type", fmt.Sprintf("%s takes one argument. Example: %s.", m[1], typeExamples[m[1]])
		} else if m := withArguments.FindStringSubmatch(d.Detail); m != nil {
			own.Summary, own.Detail = "type with arguments", fmt.Sprintf("%s takes no arguments. Write %[1]s.", m[1])
		}
		out = append(out, &own)
	}
	return out
}

func unknownTypeDetail(name string) string {
	if near := suggest.Nearest(name, slices.Sorted(maps.Keys(typeExamples))); len(near) > 0 {
		example := ""
		if typeExamples[near[0]] != near[0] {
			example = ", as in " + typeExamples[near[0]]
		}
		return fmt.Sprintf("%q is not a type. Did you mean %s%s?", name, near[0], example)
	}
	return fmt.Sprintf("%q is not a type. A type is string, number, bool, any, list(…), set(…), map(…), tuple([…]) or object({ … }).", name)
}
