package iptables

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// maxProblems is the number of diagnostics that a reader can use. A file of the wrong
// kind has a problem in every line.
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

// done returns the collected diagnostics. If there were more, the last one has their
// number.
func (p *problems) done() hcl.Diagnostics {
	if p.more == 0 {
		return p.diags
	}
	return append(p.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "More bad lines",
		Detail:   fmt.Sprintf("This file has %d more problems. Fix those shown and run the command again.", p.more),
		Subject:  &p.last,
		Extra:    diag.Info{Code: diag.CodeDumpSyntax},
	})
}

// line is one line of a file with its position.
type line struct {
	file   string
	number int
	offset int // of its first byte in the file
	text   string
	wide   bool // it has characters of several bytes
}

// span returns the range of bytes from..to of the line. Columns count characters.
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

// eachLine calls f for each line of text, without its newline; ended reports whether
// there was one.
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
