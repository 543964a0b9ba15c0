package budget

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// checkPlain reports whether a file is plain and not too deep, and where it can be cut: between lines outside of all
// brackets. Most files are plain: HCL's scanner, which is half of the time that parsing takes, then reads them once,
// for the parser only. A file is plain if it needs nothing but names, whole numbers, quoted text without escapes and
// templates, brackets, comments that begin with #, and line breaks without carriage return; what else there is, the
// scanner decides.
func checkPlain(src []byte, piece int) (cuts []hcl.Pos, plain bool) {
	n := newNesting()
	line, cut := 1, 0
	blocks := false // since the last cut
	newLine := func(next int) {
		line++
		if topLevel := len(n.frames) == 1; topLevel && blocks && next-cut >= piece && next < len(src) {
			cut, blocks = next, false
			cuts = append(cuts, hcl.Pos{Line: line, Column: 1, Byte: cut})
		}
	}
	for i := 0; i < len(src) && n.worst <= MaxDepth; {
		switch c := src[i]; {
		case c == ' ' || c == '\t':
			i++
		case c == '\n':
			n.token(hclsyntax.TokenNewline, nil)
			i++
			newLine(i)
		case isLetter(c):
			begin := i
			for i < len(src) && (isLetter(src[i]) || isDigit(src[i]) || src[i] == '-') {
				i++
			}
			n.token(hclsyntax.TokenIdent, src[begin:i])
		case isDigit(c):
			begin := i
			for i < len(src) && isDigit(src[i]) {
				i++
			}
			if i-begin > MaxNumber || i < len(src) && (src[i] == '.' || isLetter(src[i])) {
				return nil, false
			}
			n.token(hclsyntax.TokenNumberLit, nil)
		case c == '"':
			n.token(hclsyntax.TokenOQuote, nil)
			for i++; i < len(src) && src[i] != '"'; i++ {
				switch src[i] {
				case '\\', '$', '%', '\n', '\r':
					return nil, false
				}
			}
			if i == len(src) {
				return nil, false
			}
			n.token(hclsyntax.TokenCQuote, nil)
			i++
		case c == '#':
			for i < len(src) && src[i] != '\n' {
				if src[i] == '\r' {
					return nil, false
				}
				i++
			}
			i++ // the line break is part of the comment
			newLine(i)
		case c == '=' && i+1 < len(src) && (src[i+1] == '=' || src[i+1] == '>'):
			return nil, false
		case c == '}':
			n.token(hclsyntax.TokenCBrace, nil)
			blocks = blocks || len(n.frames) == 1
			i++
		case c == '{' || c == '[' || c == ']' || c == '(' || c == ')' || c == ',' || c == '=' || c == '-' || c == '+':
			n.token(hclsyntax.TokenType(c), nil)
			i++
		case c == '.' && (i+1 == len(src) || isLetter(src[i+1])):
			n.token(hclsyntax.TokenDot, nil)
			i++
		default:
			return nil, false
		}
	}
	return cuts, n.worst <= MaxDepth
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
