package parser

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/budget"
)

// NameKind is what a name in a policy is the name of.
type NameKind uint8

// The kinds of names. Names of deny and accept blocks are of one kind: a policy has no two
// rules with the same name.
const (
	NameOfSet NameKind = iota
	NameOfVariable
	NameOfLocal
	NameOfRule
	NameOfHost
)

// Occurrence is a place where a policy defines a name or refers to it.
type Occurrence struct {
	Kind NameKind
	Name string
	// Range is that of the name alone, without quotes.
	Range hcl.Range
	// Path is the range of a reference with the kind ahead of the name, such as ipset.NAME; otherwise it is Range.
	Path hcl.Range
	// Definition is whether the name is defined here.
	Definition bool
	// Block is the range of the defining block or attribute; zero for references.
	Block hcl.Range
	// Each is whether the definition is a rule with for_each, of whose rules each has a key
	// appended to its name.
	Each bool
}

// ParseIncomplete parses a file while somebody types it: whatever is complete is in the
// result. It returns nil for text that exceeds the budgets of a policy.
func ParseIncomplete(text []byte, name string) *hcl.File {
	if notText(text, name) != nil || budget.Text(len(text), name) != nil {
		return nil
	}
	if _, tooMuch := budget.Config(text, name, pieceSize); tooMuch != nil {
		return nil
	}
	file, _ := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	return file
}

// Occurrences returns all places in the files of one policy where names are defined or
// referred to, by file and position. Files in the JSON syntax of HCL have none.
func Occurrences(policy []*hcl.File) []Occurrence {
	var c occurrences
	for _, file := range policy {
		if body, ok := file.Body.(*hclsyntax.Body); ok {
			c.text = file.Bytes
			c.definitions(body)
			_ = hclsyntax.VisitAll(body, func(node hclsyntax.Node) hcl.Diagnostics {
				c.references(node)
				return nil
			})
		}
	}
	c.cutKeys()
	slices.SortStableFunc(c.found, func(a, b Occurrence) int { return compareRanges(a.Range, b.Range) })
	return c.found
}

type occurrences struct {
	text  []byte
	found []Occurrence
}

// refer adds a reference.
func (c *occurrences) refer(kind NameKind, name string, rng, path hcl.Range) {
	c.found = append(c.found, Occurrence{Kind: kind, Name: name, Range: rng, Path: path})
}

// definitions adds the names that the blocks of a policy, or of egress and input, define.
func (c *occurrences) definitions(body *hclsyntax.Body) {
	kinds := map[string]NameKind{
		ipsetSchema.Type: NameOfSet, variableSchema.Type: NameOfVariable, hostSchema.Type: NameOfHost,
		denySchema.Type: NameOfRule, acceptSchema.Type: NameOfRule,
	}
	for _, b := range body.Blocks {
		switch kind, named := kinds[b.Type]; {
		case named && len(b.Labels) > 0:
			_, each := b.Body.Attributes["for_each"]
			name := c.unquoted(b.LabelRanges[0])
			c.found = append(c.found, Occurrence{
				Kind: kind, Name: b.Labels[0], Range: name, Path: name, Definition: true,
				Block: hcl.RangeBetween(b.TypeRange, b.CloseBraceRange), Each: each && kind == NameOfRule,
			})
		case b.Type == localsSchema.Type:
			for _, attribute := range b.Body.Attributes {
				c.found = append(c.found, Occurrence{
					Kind: NameOfLocal, Name: attribute.Name, Range: attribute.NameRange, Path: attribute.NameRange,
					Definition: true, Block: attribute.SrcRange,
				})
			}
		case b.Type == egressSchema.Type || b.Type == inputSchema.Type:
			c.definitions(b.Body)
		}
	}
}

// references adds the names that a node refers to.
func (c *occurrences) references(node hclsyntax.Node) {
	switch node := node.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		c.traversal(node.Traversal)
	case *hclsyntax.Block:
		switch node.Type {
		case testSchema.Type:
			if name, rng, ok := literal(node.Body, "host"); ok {
				c.refer(NameOfHost, name, rng, rng)
			}
			if by, rng, ok := literal(node.Body, "by"); ok {
				c.decidedBy(by, rng)
			}
		case denySchema.Type, acceptSchema.Type:
			c.hosts(node.Body)
		}
	}
}

// traversal adds the name of ipset.NAME, var.NAME and local.NAME, also written with an index.
func (c *occurrences) traversal(path hcl.Traversal) {
	kind, known := map[string]NameKind{"ipset": NameOfSet, "var": NameOfVariable, "local": NameOfLocal}[path.RootName()]
	if !known || len(path) < 2 {
		return
	}
	switch step := path[1].(type) {
	case hcl.TraverseAttr:
		c.refer(kind, step.Name, lastBytes(step.SrcRange, len(step.Name)), hcl.RangeBetween(path[0].SourceRange(), step.SrcRange))
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			name := step.Key.AsString()
			if at := strings.Index(string(step.SrcRange.SliceBytes(c.text)), `"`+name+`"`); at >= 0 {
				c.refer(kind, name, within(step.SrcRange, at+1, len(name)), hcl.RangeBetween(path[0].SourceRange(), step.SrcRange))
			}
		}
	}
}

// decidedBy adds the rule of the attribute by of a test: accept.NAME or deny.NAME.
func (c *occurrences) decidedBy(by string, rng hcl.Range) {
	kind, name, ok := strings.Cut(by, ".")
	if ok && (kind == denySchema.Type || kind == acceptSchema.Type) {
		c.refer(NameOfRule, name, within(rng, len(kind)+1, len(name)), rng)
	}
}

// hosts adds the elements of the attribute hosts of a rule; patterns match no single host.
func (c *occurrences) hosts(rule *hclsyntax.Body) {
	attribute, ok := rule.Attributes["hosts"]
	if !ok {
		return
	}
	list, ok := attribute.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		return
	}
	for _, element := range list.Exprs {
		if name, rng, ok := literalText(element); ok && !strings.ContainsAny(name, `*?[\`) {
			c.refer(NameOfHost, name, rng, rng)
		}
	}
}

// cutKeys makes references to one rule of a for_each, NAME-key, references to NAME.
func (c *occurrences) cutKeys() {
	defined := map[string]bool{}
	for _, o := range c.found {
		if o.Kind == NameOfRule && o.Definition {
			defined[o.Name] = o.Each
		}
	}
	for i, o := range c.found {
		if _, exact := defined[o.Name]; o.Kind != NameOfRule || o.Definition || exact {
			continue
		}
		for at := len(o.Name) - 1; at > 0; at-- {
			if o.Name[at] == '-' && defined[o.Name[:at]] {
				c.found[i].Name, c.found[i].Range = o.Name[:at], within(o.Range, 0, at)
				break
			}
		}
	}
}

// literal returns the text of an attribute that is a string without templates, and the range
// of that text.
func literal(body *hclsyntax.Body, name string) (string, hcl.Range, bool) {
	attribute, ok := body.Attributes[name]
	if !ok {
		return "", hcl.Range{}, false
	}
	return literalText(attribute.Expr)
}

func literalText(expr hclsyntax.Expression) (string, hcl.Range, bool) {
	template, ok := expr.(*hclsyntax.TemplateExpr)
	if !ok || len(template.Parts) != 1 {
		return "", hcl.Range{}, false
	}
	part, ok := template.Parts[0].(*hclsyntax.LiteralValueExpr)
	if !ok || part.Val.Type() != cty.String {
		return "", hcl.Range{}, false
	}
	text := part.Val.AsString()
	if part.SrcRange.End.Byte-part.SrcRange.Start.Byte != len(text) {
		return "", hcl.Range{}, false // it contains escapes, which names do not
	}
	return text, part.SrcRange, true
}

// unquoted returns the range of a label without its quotes, which a label may lack.
func (c *occurrences) unquoted(rng hcl.Range) hcl.Range {
	if text := rng.SliceBytes(c.text); len(text) >= 2 && text[0] == '"' {
		return within(rng, 1, len(text)-2)
	}
	return rng
}

// lastBytes returns the last n bytes of a range on one line.
func lastBytes(rng hcl.Range, n int) hcl.Range {
	return within(rng, rng.End.Byte-rng.Start.Byte-n, n)
}

// within returns n bytes of a range on one line, from an offset. Names are ASCII, so columns
// and bytes are the same.
func within(rng hcl.Range, offset, n int) hcl.Range {
	rng.Start.Byte += offset
	rng.Start.Column += offset
	rng.End = rng.Start
	rng.End.Byte += n
	rng.End.Column += n
	return rng
}

// SameHost reports whether two files have a host block with the same label, or both have one
// without: together they are then not one policy.
func SameHost(files []*hcl.File) bool {
	seen := map[string]int{}
	for i, file := range files {
		body, ok := file.Body.(*hclsyntax.Body)
		if !ok {
			continue
		}
		for _, b := range body.Blocks {
			if b.Type != hostSchema.Type {
				continue
			}
			label := strings.Join(b.Labels, " ")
			if first, found := seen[label]; found && first != i {
				return true
			}
			seen[label] = i
		}
	}
	return false
}

// CheckName returns what is wrong with a name of a kind, or "".
func CheckName(kind NameKind, name string) string {
	switch kind {
	case NameOfSet:
		return checkSetName(name)
	case NameOfRule:
		return checkRuleName(name)
	case NameOfHost:
		return checkHostName(name)
	default:
		return checkVariableName(name)
	}
}

// FileNameAt returns the name of a file that a string at an offset in bytes contains: in the
// attributes files and exclude_files, and as the argument of file(); "" if there is none.
func FileNameAt(file *hcl.File, offset int) string {
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return ""
	}
	found := ""
	look := func(expr hclsyntax.Expression) {
		if text, rng, ok := literalText(expr); ok && rng.Start.Byte <= offset && offset <= rng.End.Byte {
			found = text
		}
	}
	_ = hclsyntax.VisitAll(body, func(node hclsyntax.Node) hcl.Diagnostics {
		switch node := node.(type) {
		case *hclsyntax.Attribute:
			if list, ok := node.Expr.(*hclsyntax.TupleConsExpr); ok && (node.Name == "files" || node.Name == "exclude_files") {
				for _, element := range list.Exprs {
					look(element)
				}
			}
		case *hclsyntax.FunctionCallExpr:
			if node.Name == "file" && len(node.Args) == 1 {
				look(node.Args[0])
			}
		}
		return nil
	})
	return found
}
