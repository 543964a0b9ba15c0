package nft

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

type tokenKind byte

const (
	endOfText tokenKind = iota
	newline             // or ;
	word
	quoted // text is what is between the quotes
	mark   // punctuation
)

type token struct {
	kind tokenKind
	text string
	// start and end are offsets in the text, line is the number of its line and lineStart the
	// offset at which that begins.
	start, end, line, lineStart int
}

func (t token) is(text string) bool {
	return t.text == text && (t.kind == word || t.kind == mark)
}

// lexer divides a text into tokens.
type lexer struct {
	file, text          string
	at, line, lineStart int
	handle              int   // of the last comment "# handle N"
	before              token // the last one that was read
	peeked              token
	hasPeeked           bool
	diags               hcl.Diagnostics
	more                int
	last                hcl.Range
}

// maxProblems is the number of diagnostics that a reader can use. A file of the wrong kind has
// a problem in every line.
const maxProblems = 50

// marks are the tokens of punctuation, the longest first.
var marks = []string{"==", "!=", "<=", ">=", "<<", ">>", "{", "}", ",", "=", "!", "<", ">", "&", "|", "^", "(", ")", "[", "]"}

// notInWords are the characters that end a word.
const notInWords = " \t\r\n;\"#{},=!<>&|^()[]"

var endsWord = func() (out [256]bool) {
	for _, c := range notInWords {
		out[c] = true
	}
	return out
}()

func (l *lexer) peek() token {
	if !l.hasPeeked {
		l.peeked, l.hasPeeked = l.scan(), true
	}
	return l.peeked
}

func (l *lexer) next() token {
	t := l.peek()
	l.hasPeeked = false
	l.before = t
	return t
}

// reset continues at a token that has been read.
func (l *lexer) reset(t token) {
	l.at, l.line, l.lineStart, l.hasPeeked = t.start, t.line, t.lineStart, false
}

func (l *lexer) scan() token {
	for l.at < len(l.text) {
		c := l.text[l.at]
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
			continue
		case c == '\\' && strings.HasPrefix(l.text[l.at:], "\\\n"):
			l.at += 2
			l.line++
			l.lineStart = l.at
			continue
		case c == '#':
			end := strings.IndexByte(l.text[l.at:], '\n')
			if end < 0 {
				end = len(l.text) - l.at
			}
			l.handle = 0
			_, _ = fmt.Sscanf(l.text[l.at:l.at+end], "# handle %d", &l.handle)
			l.at += end
			continue
		}
		t := token{start: l.at, line: l.line, lineStart: l.lineStart}
		switch {
		case c == '\n' || c == ';':
			t.kind, t.text = newline, l.text[l.at:l.at+1]
			l.at++
			if c == '\n' {
				l.line++
				l.lineStart = l.at
			}
		case c == '"':
			end := strings.IndexAny(l.text[l.at+1:], "\"\n")
			if end < 0 || l.text[l.at+1+end] == '\n' {
				// The quote is a mark of its own, which no syntax has.
				t.kind, t.text = mark, l.text[l.at:l.at+1]
				l.at++
				break
			}
			t.kind, t.text = quoted, l.text[l.at+1:l.at+1+end]
			l.at += end + 2
		default:
			if n := strings.IndexAny(l.text[l.at:], notInWords); n != 0 {
				if n < 0 {
					n = len(l.text) - l.at
				}
				t.kind, t.text = word, l.text[l.at:l.at+n]
				l.at += n
				break
			}
			t.kind = mark
			for _, m := range marks {
				if strings.HasPrefix(l.text[l.at:], m) {
					t.text = m
					break
				}
			}
			l.at += len(t.text)
		}
		t.end = l.at
		return t
	}
	return token{kind: endOfText, start: l.at, end: l.at, line: l.line, lineStart: l.lineStart}
}

// span returns the range from the beginning of a token to the end of another one on the same
// line. Columns count characters.
func (l *lexer) span(from, to token) hcl.Range {
	pos := func(t token, at int) hcl.Pos {
		return hcl.Pos{Line: t.line, Column: utf8.RuneCountInString(l.text[t.lineStart:at]) + 1, Byte: at}
	}
	return hcl.Range{Filename: l.file, Start: pos(from, from.start), End: pos(to, to.end)}
}

// problem adds an error about a token.
func (l *lexer) problem(code diag.Code, t token, summary, detail string) {
	rng := l.span(t, t)
	if len(l.diags) >= maxProblems {
		l.more++
		l.last = rng
		return
	}
	if n := len(l.diags); n > 0 && *l.diags[n-1].Subject == rng {
		return
	}
	line, _, _ := strings.Cut(l.text[t.lineStart:], "\n")
	d := diag.New(code, rng, summary, detail)
	d.Extra = diag.Info{Code: code, Line: line}
	l.diags = append(l.diags, d)
}

// problems returns the diagnostics; if there were more, the last one has their number.
func (l *lexer) problems() hcl.Diagnostics {
	if l.more == 0 {
		return l.diags
	}
	return append(l.diags, diag.New(diag.CodeDumpSyntax, l.last, "More bad lines",
		fmt.Sprintf("This file has %d more problems. Fix those shown and run the command again.", l.more)))
}
