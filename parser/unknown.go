package parser

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// otherWords are what other tools call our attributes and blocks, with those of ours that
// may be meant.
var otherWords = map[string][]string{
	"port":              {"published_ports", "to_port"},
	"ports":             {"published_ports", "proxy_ports", "to_port"},
	"dport":             {"published_ports", "to_port"},
	"dports":            {"published_ports", "to_port"},
	"destination_port":  {"container_ports", "to_port"},
	"destination_ports": {"container_ports", "to_port"},
	"from":              {"source"},
	"src":               {"source", "from"},
	"sources":           {"source", "from"},
	"to":                {"destination", "to_address"},
	"dst":               {"destination", "to_address"},
	"allow":             {"accept"},
	"block":             {"deny"},
	"drop":              {"deny"},
	"reject":            {"deny"},
}

// What HCL reports about a body that does not follow its schema.
var (
	unknownName  = regexp.MustCompile(`^(?:An argument named|Blocks of type|No argument or block type is named) "([^"]*)"`)
	requiredName = regexp.MustCompile(`^The argument "([^"]*)" is required`)
)

// explainSchema rewrites what HCL reports about the body of a block in terms of the schema.
func explainSchema(diags hcl.Diagnostics, schema *Block) hcl.Diagnostics {
	for _, d := range diags {
		if m := unknownName.FindStringSubmatch(d.Detail); m != nil {
			explainUnknown(d, m[1], schema)
		} else if m := requiredName.FindStringSubmatch(d.Detail); m != nil {
			d.Summary = fmt.Sprintf("%s without %s", schema.Type, m[1])
			d.Detail = fmt.Sprintf("The attribute %s is required.", m[1])
			if a := schema.Attribute(m[1]); a != nil && a.Example != "" {
				d.Detail += fmt.Sprintf(" Example: %s = %s.", a.Name, a.Example)
			}
		} else if kind, ok := strings.CutPrefix(d.Summary, "Missing name for "); ok {
			d.Summary = kind + " without a name"
			d.Detail = fmt.Sprintf("Give it one: %s \"name\" { … }.", kind)
			if kind == "host" {
				d.Detail = "Other host blocks have a label, the name of the host's output folder. Give this one a label too: host \"web1\" { … }."
			}
		}
	}
	return diag.WithCode(diag.CodeSchema, diags)
}

// explainUnknown rewrites a diagnostic about a name that the schema does not have.
func explainUnknown(d *hcl.Diagnostic, name string, schema *Block) {
	attributes, blocks := attributeNames(schema), blockTypes(schema)
	known := slices.Concat(attributes, blocks)

	kind := map[string]string{"Unsupported argument": "attribute", "Unsupported block type": "block"}[d.Summary]
	if kind == "" { // JSON has one syntax for both
		kind = "name"
	}
	d.Summary = fmt.Sprintf("unknown %s %q", kind, name)
	near := suggest.Nearest(name, known)
	for _, ours := range otherWords[name] {
		if slices.Contains(known, ours) {
			near = []string{ours}
			break
		}
	}
	switch {
	case slices.Contains(blocks, name):
		d.Summary = fmt.Sprintf("block %q written as an attribute", name)
		d.Detail = fmt.Sprintf("%s is a block. Write it without =: %s { … }.", name, name)
	case schema.Attribute(name) != nil:
		d.Summary = fmt.Sprintf("attribute %q written as a block", name)
		d.Detail = fmt.Sprintf("%s is an attribute. Write it with =: %s = ….", name, name)
	case len(near) > 0:
		d.Detail = fmt.Sprintf("Did you mean %q?", near[0])
	case kind == "attribute" && len(attributes) > 0:
		d.Detail = fmt.Sprintf("The attributes of %s are %s.", schema.Type, strings.Join(attributes, ", "))
	case len(blocks) > 0:
		d.Detail = fmt.Sprintf("The blocks here are %s.", strings.Join(blocks, ", "))
	case kind == "block":
		d.Detail = fmt.Sprintf("%s has no blocks. Its attributes are %s.", schema.Type, strings.Join(attributes, ", "))
	default:
		d.Detail = fmt.Sprintf("%s has %s.", schema.Type, strings.Join(known, ", "))
	}
}

// attributeNames returns the names of the attributes that a block takes, sorted.
func attributeNames(b *Block) []string {
	var out []string
	for _, a := range b.Attributes {
		if a.refusedIn(b.Type) == "" {
			out = append(out, a.Name)
		}
	}
	slices.Sort(out)
	return out
}

// blockTypes returns the types of the blocks inside a block, sorted.
func blockTypes(b *Block) []string {
	var out []string
	for _, inner := range b.Blocks {
		out = append(out, inner.Type)
	}
	slices.Sort(out)
	return out
}

// checkCounts reports the blocks inside a block that may occur only once.
func checkCounts(blocks hcl.Blocks, schema *Block) hcl.Diagnostics {
	owner := "A policy"
	if schema.Type != "" {
		owner = schema.Type
	}
	var diags hcl.Diagnostics
	first := map[string]*hcl.Block{}
	for _, b := range blocks {
		if nested := schema.Block(b.Type); nested == nil || nested.Many {
			continue
		}
		if first[b.Type] == nil {
			first[b.Type] = b
			continue
		}
		diags = append(diags, diag.WithRelated(
			diag.New(diag.CodeDuplicate, b.DefRange, fmt.Sprintf("second %s block", b.Type),
				fmt.Sprintf("%s has at most one %s block. Merge the two.", owner, b.Type)),
			"the first one", first[b.Type].DefRange))
	}
	return diags
}
