package parser

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// notText reports a file that is not text at all.
func notText(text []byte, name string) hcl.Diagnostics {
	summary, detail := "", ""
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")),
		len(text) >= 4 && text[0] != 0 && text[1] == 0 && text[2] != 0 && text[3] == 0:
		summary, detail = "file in UTF-16", "Save the file as UTF-8, in an editor, or with: iconv -f UTF-16 -t UTF-8."
	case bytes.HasPrefix(text, []byte("\x1f\x8b")):
		summary, detail = "compressed file", "Unpack the file with gunzip."
	case bytes.IndexByte(text, 0) >= 0:
		summary, detail = "binary file", "It contains NUL bytes. Check that this is the right file."
	default:
		return nil
	}
	// The file is not added to the sources, because its lines are not readable.
	return hcl.Diagnostics{diag.New(diag.CodeSyntax, hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, summary, detail)}
}

// explainSyntax rewrites the diagnostics of common mistakes. HCL reports what its parser
// expected, often several times for one mistake.
func explainSyntax(text []byte, name string, diags hcl.Diagnostics) hcl.Diagnostics {
	if !diags.HasErrors() {
		return diags
	}
	tokens, _ := hclsyntax.LexConfig(text, name, hcl.InitialPos)
	s := &syntax{text: text, tokens: tokens, explained: map[int]bool{}, lines: bytes.Split(text, []byte("\n")), from: len(text) + 1}
	if first := s.first(); first != nil && first.Type == hclsyntax.TokenOBrace {
		return hcl.Diagnostics{diag.New(diag.CodeSyntax, first.Range, "JSON in a file of HCL", "Rename the file so that its name ends in .hcl.json.")}
	}
	s.openQuote(diags)
	s.quotes()
	s.addresses()
	var out hcl.Diagnostics
	for _, d := range diags {
		switch {
		case d.Subject == nil:
			out = append(out, d)
		case d.Subject.Start.Byte >= s.from || s.explained[d.Subject.Start.Line]:
			// A consequence of a mistake that is explained.
		default:
			s.reword(d)
			out = append(out, d)
		}
	}
	return append(out, s.diags...)
}

// syntax is a file with syntax errors.
type syntax struct {
	text   []byte
	tokens hclsyntax.Tokens
	lines  [][]byte
	// explained are the lines with diagnostics in diags.
	explained map[int]bool
	from      int // from this byte on HCL mistook text for code and code for text
	diags     hcl.Diagnostics
}

func (s *syntax) first() *hclsyntax.Token {
	for i := range s.tokens {
		if t := s.tokens[i].Type; t != hclsyntax.TokenNewline && t != hclsyntax.TokenComment {
			return &s.tokens[i]
		}
	}
	return nil
}

func (s *syntax) error(start hcl.Pos, length int, file, summary, detail string, args ...any) {
	s.explained[start.Line] = true
	end := start
	end.Byte += length
	end.Column += utf8.RuneCount(s.text[start.Byte:end.Byte])
	s.diags = append(s.diags, diag.New(diag.CodeSyntax, hcl.Range{Filename: file, Start: start, End: end}, summary, fmt.Sprintf(detail, args...)))
}

// longestRest bounds the part of a line that is examined, in bytes: a policy of one line
// with many errors must not take quadratic time.
const longestRest = 4096

// rest is the text from a byte to the end of its line.
func (s *syntax) rest(from int) string {
	from = min(from, len(s.text))
	line, _, _ := bytes.Cut(s.text[from:min(from+longestRest, len(s.text))], []byte("\n"))
	return strings.TrimRight(string(line), "\r")
}

// openQuote reports a string that is not closed on its line. HCL mistakes everything after
// it.
func (s *syntax) openQuote(diags hcl.Diagnostics) {
	i := slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool {
		return d.Subject != nil && (d.Summary == "Invalid multi-line string" || d.Summary == "Unterminated template string")
	})
	if i < 0 {
		return
	}
	at := diags[i].Subject
	var open *hclsyntax.Token
	for i, t := range s.tokens {
		if t.Type == hclsyntax.TokenOQuote && t.Range.Start.Line == at.Start.Line && t.Range.Start.Byte <= at.Start.Byte {
			open = &s.tokens[i]
		}
	}
	if open == nil {
		return
	}
	start := open.Range.Start
	rest := s.rest(start.Byte)
	content := rest[1:]
	if i := strings.IndexAny(content, ",])}#“”‘’'"); i >= 0 {
		content = content[:i]
	}
	s.error(start, len(rest), at.Filename, "string without its closing quote", "Write \" where the text ends: \"%s\".", strings.TrimSpace(content))
	s.from = start.Byte
}

var (
	curly  = "“”„‟‘’‚‛«»"
	quoted = regexp.MustCompile(`^(['` + curly + `])([^'"` + curly + `]*)(['"` + curly + `])`)
)

// quotes reports strings in single or curly quotes.
func (s *syntax) quotes() {
	end := 0
	for _, t := range s.tokens {
		if t.Range.Start.Byte < end || t.Range.Start.Byte >= s.from || t.Type != hclsyntax.TokenApostrophe && t.Type != hclsyntax.TokenInvalid {
			continue
		}
		rest := s.rest(t.Range.Start.Byte)
		if m := quoted.FindStringSubmatch(rest); m != nil {
			s.error(t.Range.Start, len(m[0]), t.Range.Filename, "string in other quotes", "Write it in straight double quotes: \"%s\".", m[2])
			end = t.Range.Start.Byte + len(m[0])
		} else if r, size := utf8.DecodeRuneInString(rest); r == '\'' || strings.ContainsRune(curly, r) {
			s.error(t.Range.Start, size, t.Range.Filename, "other quote", "Write a straight double quote: \".")
			end = t.Range.Start.Byte + size
		}
	}
}

// addresses reports addresses, networks and ranges without quotes: tokens without blanks
// between them. In valid HCL no such tokens form an address.
func (s *syntax) addresses() {
	inString := 0
	for i := 0; i < len(s.tokens); i++ {
		switch t := s.tokens[i]; t.Type {
		case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			inString++
		case hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			inString--
		}
		if inString > 0 || s.tokens[i].Range.Start.Byte >= s.from || !ofAddress(s.tokens[i]) {
			continue
		}
		first := s.tokens[i].Range
		last := first
		for i+1 < len(s.tokens) && ofAddress(s.tokens[i+1]) && s.tokens[i+1].Range.Start.Byte == last.End.Byte {
			i++
			last = s.tokens[i].Range
		}
		text := string(s.text[first.Start.Byte:last.End.Byte])
		_, problem := addrlist.ParseEntry(text)
		if strings.ContainsAny(text, ".:") && text != "::" && (problem == nil || problem.Code == diag.CodeHostBits) {
			s.error(first.Start, len(text), first.Filename, "address without quotes", "An address is a string: write %q.", text)
		}
	}
}

func ofAddress(t hclsyntax.Token) bool {
	switch t.Type {
	case hclsyntax.TokenNumberLit, hclsyntax.TokenIdent, hclsyntax.TokenColon, hclsyntax.TokenDoubleColon,
		hclsyntax.TokenDot, hclsyntax.TokenSlash, hclsyntax.TokenMinus:
		return true
	}
	return false
}

var (
	withColon   = regexp.MustCompile(`^\s*"?([\w-]+)"?\s*:\s*(.*?)\s*,?\s*$`)
	withoutSign = regexp.MustCompile(`^\s*([\w-]+)\s+(["\[\d].*|true|false)\s*$`)
	numbers     = regexp.MustCompile(`^[0-9.]+$`)
	topBlock    = regexp.MustCompile(`^(` + strings.Join(blockTypes(policySchema), "|") + `)\b.*\{`)
)

// reword replaces what HCL expected by what to write.
func (s *syntax) reword(d *hcl.Diagnostic) {
	line := s.line(d.Subject.Start.Line)
	here := s.rest(d.Subject.Start.Byte)
	switch d.Summary {
	case "Argument or block definition required":
		m := withColon.FindStringSubmatch(line)
		switch {
		case m != nil && (m[2] == "" || strings.HasPrefix(m[2], "{")):
			d.Summary, d.Detail = "colon after a name", fmt.Sprintf("Write a block without a colon: %s { … }.", m[1])
		case m != nil:
			d.Summary, d.Detail = "colon after a name", fmt.Sprintf("Write = instead of the colon: %s = %s.", m[1], m[2])
		case strings.HasPrefix(here, "}"):
			d.Summary, d.Detail = "closing brace without a block", "This } closes no block. Remove it, or write the { of its block."
		}
	case "Invalid block definition":
		if m := withoutSign.FindStringSubmatch(line); m != nil {
			d.Summary = "neither an attribute nor a block"
			d.Detail = fmt.Sprintf("Write = before the value of an attribute: %s = %s. Or write { after the name of a block.", m[1], m[2])
		}
	case "Missing item separator":
		s.rewordSeparator(d, here)
	case "Invalid number literal":
		if text := string(d.Subject.SliceBytes(s.text)); numbers.MatchString(text) {
			d.Detail = fmt.Sprintf("%s is not a number. An address is written in quotes, with four numbers, as in \"192.0.2.1\".", text)
		}
	case "Unclosed configuration block":
		for n, next := range s.lines {
			if n >= d.Subject.Start.Line && topBlock.Match(next) {
				d.Detail = fmt.Sprintf("Write } at the end of the block, before line %d, where the next block begins.", n+1)
				return
			}
		}
		d.Detail = "Write } at the end of the block."
	}
}

// rewordSeparator distinguishes a missing comma from a missing bracket.
func (s *syntax) rewordSeparator(d *hcl.Diagnostic, here string) {
	i, _ := slices.BinarySearchFunc(s.tokens, d.Subject.Start.Byte, func(t hclsyntax.Token, at int) int { return t.Range.Start.Byte - at })
	if i < 1 || i == len(s.tokens) {
		return
	}
	before := i - 1
	for before > 0 && (s.tokens[before].Type == hclsyntax.TokenNewline || s.tokens[before].Type == hclsyntax.TokenComment) {
		before--
	}
	next := s.tokens[i]
	assigned := next.Type == hclsyntax.TokenEqual || next.Type == hclsyntax.TokenIdent && i+1 < len(s.tokens) && s.tokens[i+1].Type == hclsyntax.TokenEqual
	if next.Type == hclsyntax.TokenCBrace || next.Type == hclsyntax.TokenEOF || assigned {
		d.Summary, d.Detail = "list without its closing bracket", fmt.Sprintf("Write ] at the end of the list, in line %d or after it.", s.tokens[before].Range.Start.Line)
		return
	}
	element := s.element(before)
	d.Summary, d.Detail = "missing comma", fmt.Sprintf("Write a comma after %s.", element)
}

// element is the text of the element that ends with a token: a string, or the token.
func (s *syntax) element(last int) string {
	first := last
	if s.tokens[last].Type == hclsyntax.TokenCQuote {
		for first > 0 && s.tokens[first].Type != hclsyntax.TokenOQuote {
			first--
		}
	}
	return string(s.text[s.tokens[first].Range.Start.Byte:s.tokens[last].Range.End.Byte])
}

func (s *syntax) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	line := s.lines[n-1]
	return string(bytes.TrimRight(line[:min(len(line), longestRest)], "\r"))
}
