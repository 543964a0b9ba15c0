package saved

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Content is what a part of a file contains.
type Content string

// The contents, in words for messages.
const (
	Rules4 Content = "IPv4 rules"
	Rules6 Content = "IPv6 rules"
	Sets   Content = "sets"
)

// Part is the text of one kind in a file. It has the lines of the file, with those of
// other parts emptied, so that line numbers in it are those of the file.
type Part struct {
	Holds Content
	Text  string
	// Listing is set for the output of iptables -S: commands of the filter table without
	// the lines *filter and COMMIT.
	Listing bool
}

// ParseRules parses the rules of a part that has rules, in the form that they have there. path is the
// name of the file in diagnostics.
func (p Part) ParseRules(path string) (*iptables.RulesFile, hcl.Diagnostics) {
	if p.Listing {
		return iptables.ParseListing(strings.NewReader(p.Text), path, "filter")
	}
	return iptables.ParseRules(strings.NewReader(p.Text), path)
}

// File is a file split into its parts.
type File struct {
	// Parts is empty if the file is nothing that this package recognizes.
	Parts []Part
	// Notes are remarks for the user about how the file was read.
	Notes []string

	name  string
	lines []string // of the file, decoded
}

// Read splits a file into its parts. Diagnostics are about single lines; an error names
// what the file as a whole is, and what to run instead.
func Read(name string, raw []byte) (*File, hcl.Diagnostics, error) {
	text, err := decode(name, raw)
	if err != nil {
		return nil, nil, err
	}
	f := &File{name: name, lines: strings.Split(text, "\n")}
	if strings.TrimSpace(text) == "" {
		if holds := byName(name); holds != "" {
			f.Parts = []Part{{Holds: holds, Text: text}}
		}
		return f, nil, nil
	}
	s := &splitter{file: f}
	s.split()
	if len(s.dumps) == 0 && !s.hasSets {
		return f, nil, otherFormat(name, text)
	}
	diags := s.diagnostics()
	if diags.HasErrors() {
		return f, diags, nil
	}
	if err := s.parts(); err != nil {
		return f, nil, err
	}
	if strings.Contains(text, "\r\n") && len(s.dumps) > 0 {
		f.Notes = append(f.Notes, fmt.Sprintf("%s has Windows line endings (CR LF). They were read as LF; iptables-restore would refuse the file.", name))
	}
	return f, nil, nil
}

// Relocate changes diagnostics about the text of a part to refer to the line of the file.
// The two differ where the file is indented, and for the output of ipset list, which the
// part has as ipset save would print it.
func (f *File) Relocate(p Part, diags hcl.Diagnostics) {
	lines := strings.Split(p.Text, "\n")
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Start.Line > len(f.lines) {
			continue
		}
		n := d.Subject.Start.Line - 1
		line := strings.TrimRight(f.lines[n], "\r")
		info := diag.InfoOf(d)
		if info.Line == "" || line == lines[n] {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		rng := *d.Subject
		if trim(line) == lines[n] {
			rng.Start.Column += indent
			rng.End.Column += indent
		} else {
			rng = whole(f.name, n, line)
		}
		info.Line = line
		d.Subject, d.Extra = &rng, info
	}
}

// whole returns the range of line n, counted from 0.
func whole(file string, n int, line string) hcl.Range {
	return within(file, n, line, 0, len(line))
}

// within returns the range of bytes from..to of a line. Columns count characters.
func within(file string, n int, line string, from, to int) hcl.Range {
	column := func(at int) hcl.Pos {
		return hcl.Pos{Line: n + 1, Column: 1 + len([]rune(line[:at]))}
	}
	return hcl.Range{Filename: file, Start: column(from), End: column(to)}
}

func problem(rng hcl.Range, line, summary, detail string, args ...any) *hcl.Diagnostic {
	d := diag.New(diag.CodeDumpSyntax, rng, summary, fmt.Sprintf(detail, args...))
	d.Extra = diag.Info{Code: diag.CodeDumpSyntax, Line: line}
	return d
}

// trim removes leading and trailing spaces, tabs and CR.
func trim(line string) string { return strings.Trim(line, " \t\r") }
