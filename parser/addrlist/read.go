package addrlist

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/parser/diag"
)

const (
	// MaxProblems is how many problems of one file are reported in full; one last
	// diagnostic counts the others.
	MaxProblems = 20

	// maxLine bounds a line of text and an element of JSON, in bytes.
	maxLine = 4096
	// maxShown bounds a source line shown in a diagnostic, in bytes.
	maxShown = 200

	bufferSize = 64 << 10
)

// Read reads a list of addresses, CIDRs and ranges: plain text, one entry per line, or a
// JSON array of strings. It calls yield for each good entry, in order, with its place;
// columns count code points from 1, without a byte order mark. Good entries are yielded
// although others are bad.
//
// A file in another format, such as CSV, gets an error with an expression for its
// addresses; written is the file's name in the policy.
func Read(r io.Reader, filename, written string, yield func(netipx.IPRange, hcl.Range)) hcl.Diagnostics {
	l := &list{
		br:      bufio.NewReaderSize(&source{r: r}, bufferSize),
		out:     report{filename: filename, unit: "lines"},
		written: written,
		yield:   yield,
	}
	head, _ := l.br.Peek(bufferSize) // reading repeats an error
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		_, _ = l.br.Discard(3) // cannot fail: peeked
		l.base = 3
		head = head[3:]
	}
	trimmed := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case l.otherForm(head, trimmed):
	case bytes.HasPrefix(trimmed, []byte("[")):
		l.out.unit = "elements"
		l.readJSON()
	default:
		l.readPlain()
	}
	return l.out.diagnostics()
}

// list is a list being read.
type list struct {
	br      *bufio.Reader
	base    int // bytes before what br gives
	out     report
	written string
	yield   func(netipx.IPRange, hcl.Range)
}

// source keeps the first error of a reader: bufio loses it when it peeks, and a truncated
// list must not count as complete.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	s.err = err
	return n, err
}

func (l *list) readFailed(err error, at hcl.Pos) {
	l.out.fatal(&Problem{
		Code: diag.CodeListRead, Summary: "list cannot be read",
		Detail: fmt.Sprintf("Reading stopped before the end of the file: %v.", err),
	}, hcl.Range{Start: at, End: at}, "")
}

// wrongFile reports a file that is not a list, once, at its first byte that is not blank.
func (l *list) wrongFile(head []byte, summary, detail string) {
	at := len(head) - len(bytes.TrimLeft(head, " \t\r\n"))
	begin := bytes.LastIndexByte(head[:at], '\n') + 1
	line, _, _ := bytes.Cut(head[begin:], []byte("\n"))
	start := hcl.Pos{Line: 1 + bytes.Count(head[:at], []byte("\n")), Column: 1 + at - begin, Byte: l.base + at}
	end := hcl.Pos{Line: start.Line, Column: start.Column + 1, Byte: start.Byte + 1}
	text := ""
	if utf8.Valid(line) { // otherwise it is not readable
		text = shown(bytes.TrimSuffix(line, []byte("\r")), start.Column)
	}
	l.out.fatal(&Problem{Code: diag.CodeListSyntax, Summary: summary, Detail: detail},
		hcl.Range{Start: start, End: end}, text)
}

// report collects the problems of one file.
type report struct {
	filename string
	unit     string // what is counted: lines or elements
	first    hcl.Diagnostics
	more     int
	moreAt   hcl.Range
	last     hcl.Diagnostics
}

// full reports whether further problems are only counted.
func (r *report) full() bool { return len(r.first) >= MaxProblems }

func (r *report) add(p *Problem, rng hcl.Range, line string) {
	if !r.full() {
		r.first = append(r.first, r.diagnostic(p, rng, line))
		return
	}
	if r.more == 0 {
		r.moreAt = rng
	}
	r.more++
}

// fatal reports why reading stopped. It is reported however many problems there are.
func (r *report) fatal(p *Problem, rng hcl.Range, line string) {
	r.last = append(r.last, r.diagnostic(p, rng, line))
}

func (r *report) diagnostic(p *Problem, rng hcl.Range, line string) *hcl.Diagnostic {
	rng.Filename = r.filename
	d := diag.New(p.Code, rng, p.Summary, p.Detail)
	d.Extra = diag.Info{Code: p.Code, Line: line}
	return d
}

func (r *report) diagnostics() hcl.Diagnostics {
	diags := r.first
	if r.more > 0 {
		count := fmt.Sprintf("%d more %s of this file have errors", r.more, r.unit)
		if r.more == 1 {
			count = fmt.Sprintf("1 more of the %s of this file has an error", r.unit)
		}
		diags = append(diags, r.diagnostic(&Problem{
			Code: diag.CodeListSyntax, Summary: "further problems",
			Detail: count + ", from here on; fix those shown and check again.",
		}, r.moreAt, ""))
	}
	return append(diags, r.last...)
}

// shown returns a source line for display: valid UTF-8 with one code point per column,
// truncated if it is long. It is empty if the column of the error was cut off, because a
// caret would be misplaced.
func shown(line []byte, column int) string {
	var b []byte
	columns := 0
	for _, r := range string(line) { // a bad byte becomes one U+FFFD
		if len(b)+utf8.RuneLen(r) > maxShown {
			if column > columns {
				return ""
			}
			break
		}
		b = utf8.AppendRune(b, r)
		columns++
	}
	return string(b)
}
