package parser

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Block describes one kind of block of the language.
type Block struct {
	Type  string
	Label Label
	// Many is set if the block may occur more than once in its place.
	Many bool
	// Meaning is one line for people, in Markdown.
	Meaning string
	// Attributes in the order in which the documentation lists them.
	Attributes []Attribute
	// Names is set if the attributes are names that the policy chooses.
	Names  bool
	Blocks []*Block
	// NullMeans is why null is an error in this block. If it is "", an attribute with the
	// value null counts as not written, as users of Terraform expect.
	NullMeans string
}

// Label is whether a block has a label.
type Label uint8

// The values of Label.
const (
	NoLabel Label = iota
	NameLabel
	OptionalLabel
)

// Attribute describes one attribute of a block.
type Attribute struct {
	Name     string
	Type     Type
	Required bool
	// Default is the value of an attribute that is not written: a bool, int, string or
	// []string; nil if it has none.
	Default any
	// DefaultText describes the default, in Markdown, where Default cannot.
	DefaultText string
	// Values are the allowed strings, as the attribute or as its elements; nil for any.
	Values []string
	// Min and Max bound a number, both inclusive.
	Min, Max int
	// Example is a value for messages, as it is written in a policy.
	Example string
	// Meaning is one line for people, in Markdown.
	Meaning string
	// NotIn are the contexts in which the attribute has no meaning and is an error.
	NotIn []Exception
}

// DefaultMarkdown describes what the attribute is if it is not written: "required", or its
// default.
func (a Attribute) DefaultMarkdown() string {
	switch value := a.Default.(type) {
	case nil:
		if a.Required {
			return "required"
		}
		return a.DefaultText
	case []string:
		quoted := make([]string, len(value))
		for i, v := range value {
			quoted[i] = fmt.Sprintf("%q", v)
		}
		return "`[" + strings.Join(quoted, ", ") + "]`"
	case string:
		return fmt.Sprintf("`%q`", value)
	case bool:
		return fmt.Sprintf("`%t`", value)
	default:
		return fmt.Sprint(value)
	}
}

// Exception is a context in which a block does not take one of its attributes.
type Exception struct {
	// In is a type of block, or a type of ipset.
	In string
	// Because is what the message says: the reason, and what to write instead.
	Because string
}

// Schema returns the description of a whole policy: a block without a type that contains
// the blocks at the top of a policy. It must not be changed.
func Schema() *Block { return policySchema }

// Block returns the description of a nested block; nil if there is no such block.
func (b *Block) Block(kind string) *Block {
	i := slices.IndexFunc(b.Blocks, func(nested *Block) bool { return nested.Type == kind })
	if i < 0 {
		return nil
	}
	return b.Blocks[i]
}

// Attribute returns the description of an attribute; nil if there is no such attribute.
func (b *Block) Attribute(name string) *Attribute {
	for i := range b.Attributes { // a copy of each would take longer than the comparison
		if b.Attributes[i].Name == name {
			return &b.Attributes[i]
		}
	}
	return nil
}

// refusedIn returns why a context does not take the attribute; "" if it does.
func (a *Attribute) refusedIn(context string) string {
	for _, e := range a.NotIn {
		if e.In == context {
			return e.Because
		}
	}
	return ""
}

// bodySchema is what HCL reads a body of the block with. Optional labels are read if
// labeled is set.
func (b *Block) bodySchema(labeled bool) *hcl.BodySchema {
	out := &hcl.BodySchema{}
	for _, a := range b.Attributes {
		out.Attributes = append(out.Attributes, hcl.AttributeSchema{Name: a.Name, Required: a.Required})
	}
	for _, nested := range b.Blocks {
		header := hcl.BlockHeaderSchema{Type: nested.Type}
		if nested.Label == NameLabel || nested.Label == OptionalLabel && labeled {
			header.LabelNames = []string{"name"}
		}
		out.Blocks = append(out.Blocks, header)
	}
	return out
}
