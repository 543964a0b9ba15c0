package budget

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Config checks a file in HCL's native syntax before it is parsed. It can then be parsed in pieces of some more than
// the given size, in bytes, that begin at its first byte and at cuts; there are none in a file of which that is not known.
func Config(src []byte, name string, piece int) (cuts []hcl.Pos, tooMuch *hcl.Diagnostic) {
	if cuts, plain := checkPlain(src, piece); plain {
		return cuts, nil
	}
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos) // the parser reports errors
	return nil, checkTokens(tokens)
}

// Expression checks an expression in native syntax that begins at start.
func Expression(src []byte, name string, start hcl.Pos) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexExpression(src, name, start)
	return checkTokens(tokens)
}

// Template checks a template without quotes, as in a string of JSON.
func Template(src []byte, name string, start hcl.Pos) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexTemplate(src, name, start)
	n := newNesting()
	n.push(hclsyntax.TokenOQuote)
	return n.check(tokens)
}

func checkTokens(tokens hclsyntax.Tokens) *hcl.Diagnostic {
	return newNesting().check(tokens)
}

// frame is one open bracket, block or template.
type frame struct {
	open hclsyntax.TokenType
	// operators of the item being read, such as an element of a list, and the height of the
	// highest part of it. Each operator may have the rest below it in the tree, so the
	// height of an item is at most their sum.
	operators, inner int
	// bracketed is set once the item has had brackets.
	bracketed bool
	// height of the highest item read before.
	height int
	// begun is set by the first token. computed is set for { for … }, in which a line break
	// does not end an item.
	begun, computed bool
	// directive is the keyword of a %{ … }, or of the part of a template after it.
	directive string
}

// nesting is the state of a scan. It never counts less than the parser recurses: a bracket
// that is not closed stays open.
type nesting struct {
	frames []frame
	depth  int // of all open frames and the operators in them
	worst  int
}

func newNesting() *nesting { return &nesting{frames: []frame{{}}} }

// afterDirective is the part of a template from %{if} to %{endif}, or for to endfor; no
// token begins it.
const afterDirective hclsyntax.TokenType = 0

func (n *nesting) top() *frame { return &n.frames[len(n.frames)-1] }

func (n *nesting) push(open hclsyntax.TokenType) {
	n.frames = append(n.frames, frame{open: open})
	n.depth++
	n.worst = max(n.worst, n.depth)
}

func (n *nesting) pop() {
	n.endItem()
	f := n.frames[len(n.frames)-1]
	n.frames = n.frames[:len(n.frames)-1]
	n.depth--
	below := n.top()
	below.inner = max(below.inner, f.height+1)
	if below.bracketed && !below.isTemplate() {
		// x[…][…] is one index below the other.
		n.operator()
	}
	below.bracketed = true
	n.worst = max(n.worst, below.inner+below.operators)
}

// isTemplate reports whether the parts of a frame are parts of a template.
func (f *frame) isTemplate() bool {
	switch f.open {
	case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
		return true
	case afterDirective:
		return f.directive != ""
	}
	return false
}

func (n *nesting) operator() {
	f := n.top()
	f.operators++
	n.depth++
	n.worst = max(n.worst, n.depth, f.inner+f.operators)
}

func (n *nesting) endItem() {
	f := n.top()
	f.height = max(f.height, f.inner+f.operators)
	n.depth -= f.operators
	f.inner, f.operators, f.bracketed = 0, 0, false
}

// close ends the innermost frame if it was opened by open.
func (n *nesting) close(open hclsyntax.TokenType) {
	if len(n.frames) > 1 && n.top().open == open {
		n.pop()
	}
}

// closeTo ends all frames down to one opened by one of open. The lexer emits these ends
// only after such a begin, whatever is left open between them.
func (n *nesting) closeTo(open ...hclsyntax.TokenType) (closed frame) {
	for len(n.frames) > 1 {
		closed = *n.top()
		n.pop()
		for _, o := range open {
			if closed.open == o {
				return closed
			}
		}
	}
	return frame{}
}

func (n *nesting) check(tokens hclsyntax.Tokens) *hcl.Diagnostic {
	for i, t := range tokens {
		n.token(t.Type, t.Bytes)
		if n.worst > MaxDepth {
			return tooDeep(t.Range)
		}
		if t.Type == hclsyntax.TokenNumberLit {
			if d := number(t.Bytes, t.Range); d != nil {
				return d
			}
		}
		if t.Type == hclsyntax.TokenTemplateControl && i+1 < len(tokens) && tokens[i+1].Type == hclsyntax.TokenIdent {
			n.top().directive = string(tokens[i+1].Bytes)
		}
	}
	return nil
}

func (n *nesting) token(typ hclsyntax.TokenType, text []byte) {
	switch typ {
	case hclsyntax.TokenComment, hclsyntax.TokenEOF:
		return
	case hclsyntax.TokenNewline:
		// Inside other brackets line breaks are blanks.
		if f := n.top(); f.open == hclsyntax.TokenOBrace && !f.computed || len(n.frames) == 1 {
			n.endItem()
		}
		return
	}
	if f := n.top(); !f.begun {
		f.begun = true
		f.computed = f.open == hclsyntax.TokenOBrace && typ == hclsyntax.TokenIdent && string(text) == "for"
	}
	switch typ {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
		hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		n.push(typ)
	case hclsyntax.TokenCBrace:
		n.close(hclsyntax.TokenOBrace)
	case hclsyntax.TokenCBrack:
		n.close(hclsyntax.TokenOBrack)
	case hclsyntax.TokenCParen:
		n.close(hclsyntax.TokenOParen)
	case hclsyntax.TokenCQuote:
		n.closeTo(hclsyntax.TokenOQuote)
	case hclsyntax.TokenCHeredoc:
		n.closeTo(hclsyntax.TokenOHeredoc)
	case hclsyntax.TokenTemplateSeqEnd:
		n.direct(n.closeTo(hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl).directive)
	case hclsyntax.TokenComma:
		n.endItem()
	case hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenPlus, hclsyntax.TokenMinus,
		hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
		hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr,
		hclsyntax.TokenBang, hclsyntax.TokenQuestion:
		n.operator()
	}
}

// direct opens and closes the parts between the directives of a template. An end that does
// not match the innermost begin has no effect, as in the parser.
func (n *nesting) direct(keyword string) {
	begin := map[string]string{"endif": "if", "endfor": "for"}[keyword]
	switch f := n.top(); {
	case keyword == "if" || keyword == "for":
		n.push(afterDirective)
		n.top().directive = keyword
	case begin != "" && f.open == afterDirective && f.directive == begin:
		n.pop()
	}
}

func tooDeep(rng hcl.Range) *hcl.Diagnostic {
	return problem(rng, "nested too deep",
		"Brackets, blocks, templates and operators may be nested at most %d levels deep. Move inner parts to local values, in a locals block.", MaxDepth)
}

func number(text []byte, rng hcl.Range) *hcl.Diagnostic {
	if len(text) > MaxNumber {
		return problem(rng, "number too long", "The number has %d characters; the limit is %d.", len(text), MaxNumber)
	}
	return nil
}
