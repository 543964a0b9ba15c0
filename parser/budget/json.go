package budget

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// JSON checks a file in HCL's JSON syntax before it is parsed, including the templates in
// its strings, which are parsed when they are evaluated.
func JSON(src []byte, name string) *hcl.Diagnostic {
	return scanJSON(src, name, nil, func(text string, isType bool, at hcl.Pos) *hcl.Diagnostic {
		return jsonString(text, isType, at, name)
	})
}

// scanJSON bounds the depth and the numbers of JSON. It calls punctuation for each byte
// outside of strings and str for each string, unless they are nil; isType is whether the
// string is the value of "type".
func scanJSON(src []byte, name string, punctuation func(byte) *hcl.Diagnostic, str func(text string, isType bool, at hcl.Pos) *hcl.Diagnostic) *hcl.Diagnostic {
	var open []byte
	at := newPlace(name)
	key, previous := "", ""
	for i := 0; i < len(src); {
		c := src[i]
		length := 1
		if punctuation != nil {
			if d := punctuation(c); d != nil {
				return d
			}
		}
		switch {
		case c == '"':
			length = stringLength(src[i:])
			text := ""
			if str != nil && json.Unmarshal(src[i:i+length], &text) == nil {
				if d := str(text, key == "type", at.of(src, i).End); d != nil {
					return d
				}
			}
			previous = text
		case c == ':' || c == '=':
			key, i = previous, i+1
			continue
		case c == '{' || c == '[':
			if open = append(open, c); len(open) > MaxDepth {
				return tooDeep(at.of(src, i))
			}
		case len(open) > 0 && (c == '}' && open[len(open)-1] == '{' || c == ']' && open[len(open)-1] == '['):
			open = open[:len(open)-1]
		case c == '-' || c == '.' || '0' <= c && c <= '9':
			for i+length < len(src) && bytes.IndexByte([]byte("-+.eE0123456789"), src[i+length]) >= 0 {
				length++
			}
			if d := number(src[i:i+length], at.of(src, i)); d != nil {
				return d
			}
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			key = ""
		}
		i += length
	}
	return nil
}

// stringLength is the length of the string at the beginning of src, with its end where the
// parser's scanner finds it.
func stringLength(src []byte) int {
	escaping := false
	for i := 1; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\\':
			escaping = !escaping
		case c == '"' && !escaping:
			return i + 1
		case c < ' ':
			return i
		default:
			escaping = false
		}
	}
	return len(src)
}

// jsonString checks the text of a string, which may be a template; a type is an
// expression.
func jsonString(text string, isType bool, at hcl.Pos, name string) *hcl.Diagnostic {
	if isType {
		if d := Expression([]byte(text), name, at); d != nil {
			return d
		}
	}
	if !strings.Contains(text, "${") && !strings.Contains(text, "%{") {
		return nil
	}
	return Template([]byte(text), name, at)
}

// place finds lines and columns of bytes; columns are code points.
type place struct {
	at   hcl.Pos
	name string
}

func newPlace(name string) *place { return &place{hcl.InitialPos, name} }

// of is the place of the character at byte i. It must not decrease from call to call.
func (p *place) of(src []byte, i int) hcl.Range {
	passed := src[p.at.Byte:i]
	if n := bytes.Count(passed, []byte("\n")); n > 0 {
		p.at.Line += n
		p.at.Column = 1
		passed = passed[bytes.LastIndexByte(passed, '\n')+1:]
	}
	p.at.Column += utf8.RuneCount(passed)
	p.at.Byte = i
	end := p.at
	end.Column++
	end.Byte++
	return hcl.Range{Filename: p.name, Start: p.at, End: end}
}
