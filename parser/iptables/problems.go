package iptables

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// maxProblems bounds what a person can still read; a file of the wrong kind has
// something wrong in every line.
const maxProblems = 50

// problems collects diagnostics up to maxProblems and counts the rest.
type problems struct {
	diags hcl.Diagnostics
	more  int
	last  hcl.Range
}

func (p *problems) add(code diag.Code, sev hcl.DiagnosticSeverity, rng hcl.Range, line, summary, detail string) {
	if len(p.diags) >= maxProblems {
		p.more++
		p.last = rng
		return
	}
	p.diags = append(p.diags, &hcl.Diagnostic{
		Severity: sev,
		Summary:  summary,
		Detail:   detail,
		Subject:  &rng,
		Extra:    diag.Info{Code: code, Line: line},
	})
}

// done returns what was collected, with a last one that counts what was not.
func (p *problems) done() hcl.Diagnostics {
	if p.more == 0 {
		return p.diags
	}
	return append(p.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "More bad lines",
		Detail:   fmt.Sprintf("%d more problems were found in this file; correct those shown and read it again.", p.more),
		Subject:  &p.last,
		Extra:    diag.Info{Code: diag.CodeDumpSyntax},
	})
}

// line is one line of a file with its place.
type line struct {
	file   string
	number int
	offset int // of its first byte in the file
	text   string
	wide   bool // it has characters of several bytes
}

// span is the range of bytes from..to of the line. Columns count characters.
func (l line) span(from, to int) hcl.Range {
	pos := func(at int) hcl.Pos {
		column := at + 1
		if l.wide {
			column = utf8.RuneCountInString(l.text[:at]) + 1
		}
		return hcl.Pos{Line: l.number, Column: column, Byte: l.offset + at}
	}
	return hcl.Range{Filename: l.file, Start: pos(from), End: pos(to)}
}

func (l line) whole() hcl.Range { return l.span(0, len(l.text)) }

// eachLine calls f for each line of text, without its newline; ended tells
// whether there was one.
func eachLine(filename, text string, f func(l line, ended bool)) {
	l := line{file: filename}
	for rest := text; rest != ""; {
		var ended bool
		l.number++
		l.offset = len(text) - len(rest)
		l.text, rest, ended = strings.Cut(rest, "\n")
		l.wide = utf8.RuneCountInString(l.text) != len(l.text)
		f(l, ended)
	}
}
