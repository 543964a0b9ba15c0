package budget

import "github.com/hashicorp/hcl/v2/hclsyntax"

// checkPlain reports whether a file is plain and not too deep. Most files are: HCL's scanner, which is half
// of the time that parsing takes, then reads them once, for the parser only. A file is plain if it needs
// nothing but names, whole numbers, quoted text without escapes and templates, brackets, comments that
// begin with #, and line breaks without carriage return; what else there is, the scanner decides.
func checkPlain(src []byte) bool {
	n := newNesting()
	for i := 0; i < len(src) && n.worst <= MaxDepth; {
		switch c := src[i]; {
		case c == ' ' || c == '\t':
			i++
		case c == '\n':
			n.token(hclsyntax.TokenNewline, nil)
			i++
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
				return false
			}
			n.token(hclsyntax.TokenNumberLit, nil)
		case c == '"':
			n.token(hclsyntax.TokenOQuote, nil)
			for i++; i < len(src) && src[i] != '"'; i++ {
				switch src[i] {
				case '\\', '$', '%', '\n', '\r':
					return false
				}
			}
			if i == len(src) {
				return false
			}
			n.token(hclsyntax.TokenCQuote, nil)
			i++
		case c == '#':
			for i < len(src) && src[i] != '\n' {
				if src[i] == '\r' {
					return false
				}
				i++
			}
			i++ // the line break is part of the comment
		case c == '=' && i+1 < len(src) && (src[i+1] == '=' || src[i+1] == '>'):
			return false
		case c == '{' || c == '}' || c == '[' || c == ']' || c == '(' || c == ')' || c == ',' || c == '=' || c == '-' || c == '+':
			n.token(hclsyntax.TokenType(c), nil)
			i++
		case c == '.' && (i+1 == len(src) || isLetter(src[i+1])):
			n.token(hclsyntax.TokenDot, nil)
			i++
		default:
			return false
		}
	}
	return n.worst <= MaxDepth
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
