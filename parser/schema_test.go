package parser

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// eachAttribute calls f for each attribute of each block of the language.
func eachAttribute(f func(b *Block, a Attribute)) {
	seen := map[*Block]bool{}
	var visit func(b *Block)
	visit = func(b *Block) {
		for _, a := range b.Attributes {
			f(b, a)
		}
		for _, inner := range b.Blocks {
			if !seen[inner] {
				seen[inner] = true
				visit(inner)
			}
		}
	}
	visit(Schema())
}

func TestTheSchemaDescribesEachAttributeOnce(t *testing.T) {
	count := 0
	names := map[string]bool{}
	eachAttribute(func(b *Block, a Attribute) {
		count++
		name := b.Type + "." + a.Name
		if names[name] || a.Name == "" || a.Meaning == "" || b.Meaning == "" || a.Type.String() == "" {
			t.Errorf("%s: %+v", name, a)
		}
		names[name] = true
		if a.Required && (a.Default != nil || a.DefaultText != "") {
			t.Errorf("%s is required and has a default", name)
		}
		if a.Max < a.Min || a.Type == TypeNumber && a.Max == 0 {
			t.Errorf("%s is a number from %d to %d", name, a.Min, a.Max)
		}
		for _, v := range a.Values {
			if !strings.Contains(a.Meaning+a.DefaultText+defaultOf(a), v) {
				t.Errorf("%s: the value %q is not documented", name, v)
			}
		}
		if value, ok := a.Default.(string); ok && a.Values != nil && !slices.Contains(a.Values, value) {
			t.Errorf("%s: the default %q is not a value", name, value)
		}
		if _, diags := hclsyntax.ParseExpression([]byte(a.Example), "", hcl.InitialPos); a.Example != "" && diags.HasErrors() {
			t.Errorf("%s: the example %s: %v", name, a.Example, diags)
		}
	})
	if count < 80 {
		t.Errorf("the schema has %d attributes", count)
	}
}

func defaultOf(a Attribute) string { return fmt.Sprint(a.Default) }

// An attribute of the schema that decoding forgets would be accepted and have no effect.
// One whose value is an unknown name is an error if it is decoded.
func TestEveryAttributeOfTheSchemaIsDecoded(t *testing.T) {
	const unknown = "nothing.declares.this"
	eachAttribute(func(b *Block, a Attribute) {
		attributes := map[string]string{}
		for _, other := range b.Attributes {
			if other.Required {
				attributes[other.Name] = other.Example
			}
		}
		attributes[a.Name] = unknown
		text := ""
		switch b {
		case hostSchema:
			attributes["external_interfaces"] = `["eth0"]`
			if a.Name == "external_interfaces" {
				attributes[a.Name] = unknown
			}
			text = blockText("host", attributes)
		case ipsetSchema:
			if a.Name == "members" {
				attributes["type"] = `"list:set"`
			}
			text = blockText(`ipset "a"`, attributes)
		case denySchema:
			text = blockText(`deny "a"`, attributes)
		case acceptSchema:
			if a.refusedIn("accept") != "" {
				return
			}
			text = blockText(`accept "a"`, attributes)
		case rateSchema, connectionsSchema, logSchema:
			text = "deny \"a\" {\n" + blockText(b.Type, attributes) + "}\n"
		case validationSchema:
			// The message is needed only if the condition is false.
			attributes["condition"] = "false"
			if a.Name == "condition" {
				attributes[a.Name] = unknown
			}
			text = "variable \"a\" {\ndefault = 1\n" + blockText(b.Type, attributes) + "}\n"
		case variableSchema, testSchema:
			text = blockText(b.Type+` "a"`, attributes)
		default:
			text = blockText(b.Type, attributes)
		}
		if b != hostSchema {
			text += blockText("host", map[string]string{"external_interfaces": `["eth0"]`})
		}
		_, diags := parse(t, text)
		lines := strings.Split(text, "\n")
		if !slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool {
			return d.Severity == hcl.DiagError && d.Subject != nil && strings.Contains(lines[d.Subject.Start.Line-1], unknown)
		}) {
			t.Errorf("%s.%s is not decoded:\n%s%v", b.Type, a.Name, text, diags)
		}
	})
}

func blockText(header string, attributes map[string]string) string {
	text := header + " {\n"
	for name, value := range attributes {
		if value == "" {
			value = "1"
		}
		text += name + " = " + value + "\n"
	}
	return text + "}\n"
}

func TestUnknownNamesAreExplainedFromTheSchema(t *testing.T) {
	for _, c := range []struct{ policy, summary, detail string }{
		{"accept \"a\" {\nsauce = 1\n}", `unknown attribute "sauce"`, `Did you mean "source"?`},
		{"accept \"a\" {\ndport = 1\n}", `unknown attribute "dport"`, `Did you mean "published_ports"?`},
		{"accept \"a\" {\nrate = 1\n}", `block "rate" written as an attribute`, `rate is a block. Write it without =: rate { … }.`},
		{"accept \"a\" {\nprotocol {\n}\n}", `attribute "protocol" written as a block`, `protocol is an attribute. Write it with =: protocol = ….`},
		{"established {\nfirewall = 1\n}", `unknown attribute "firewall"`, `The attributes of established are drop_invalid, sessions.`},
		{"established {\nfirewall {\n}\n}", `unknown block "firewall"`, `established has no blocks. Its attributes are drop_invalid, sessions.`},
		{"default {\nfirewall {\n}\n}", `unknown block "firewall"`, `The blocks here are log.`},
		{"egress {\nfirewall = 1\n}", `unknown attribute "firewall"`, `The blocks here are accept, default, deny.`},
		{"acept \"a\" {\n}", `unknown block "acept"`, `Did you mean "accept"?`},
		{"accept \"a\" {\nrate {\n}\n}", `rate without limit`, `The attribute limit is required. Example: limit = "20/second".`},
	} {
		_, diags := parse(t, c.policy)
		if len(diags) != 1 || diags[0].Summary != c.summary || diags[0].Detail != c.detail {
			t.Errorf("%s\n%v", c.policy, diags)
		}
	}
}

// Examples are in messages: a user who copies one must not get the next error.
func TestTheExamplesOfTheSchemaAreAccepted(t *testing.T) {
	// What an attribute needs beside it.
	with := map[string]map[string]string{
		"ports": {"protocol": `"tcp"`}, "published_ports": {"protocol": `"tcp"`}, "container_ports": {"protocol": `"tcp"`}, "source_ports": {"protocol": `"tcp"`},
		"icmp_types": {"protocol": `["icmp", "icmpv6"]`}, "members": {"type": `"list:set"`},
		"ipv6_name": {"managed": "false"}, "from_not": {"from": `"anyone"`},
	}
	required := map[*Block]map[string]string{
		hostSchema: {"external_interfaces": `["eth0"]`}, rateSchema: {"limit": `"20/second"`}, connectionsSchema: {"max": "5"},
		variableSchema: {"default": "1"}, validationSchema: {"condition": "true", "error_message": `"no"`}, testSchema: {"from": `"192.0.2.1"`, "to_port": "443", "expect": `"allowed"`},
	}
	const rest = `
accept "https" {
  protocol = "tcp"
  published_ports = [443]
}
ipset "office" {
  entries = ["192.0.2.10"]
}
ipset "vpn" {
  entries = ["192.0.2.11"]
}
`
	count := 0
	eachAttribute(func(b *Block, a Attribute) {
		if a.Example == "" {
			return
		}
		attributes := map[string]string{}
		for _, more := range []map[string]string{required[b], with[a.Name], {a.Name: a.Example}} {
			maps.Copy(attributes, more)
		}
		text := ""
		switch b {
		case denySchema, acceptSchema:
			if a.refusedIn(b.Type) != "" {
				return
			}
			text = blockText(b.Type+` "a"`, attributes)
			if a.refusedIn(topLevel) != "" {
				text = "input {\n" + text + "}\n"
			}
		case ipsetSchema, variableSchema, testSchema:
			text = blockText(b.Type+` "a"`, attributes)
		case hostSchema:
			text = blockText(`host "web1"`, attributes)
		case rateSchema, connectionsSchema, logSchema:
			text = "deny \"a\" {\nprotocol = \"tcp\"\n" + blockText(b.Type, attributes) + "}\n"
		case validationSchema:
			text = "variable \"a\" {\ndefault = 1\n" + blockText(b.Type, attributes) + "}\n"
		default:
			text = blockText(b.Type, attributes)
		}
		if b != hostSchema {
			text += blockText(`host "web1"`, required[hostSchema])
		}
		count++
		if _, diags := parse(t, text+rest); diags.HasErrors() {
			t.Errorf("%s.%s = %s\n%s%v", b.Type, a.Name, a.Example, text, diags)
		}
	})
	if count < 30 {
		t.Errorf("only %d examples were parsed", count)
	}
}
