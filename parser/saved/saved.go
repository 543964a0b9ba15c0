package saved

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Content is what a part of a file holds.
type Content string

// What a part may hold, in words for messages.
const (
	Rules4 Content = "IPv4 rules"
	Rules6 Content = "IPv6 rules"
	Sets   Content = "sets"
)

// Part is what a file holds of one kind. Its text has the lines of the file, those of
// other parts emptied, so that a line's number in it is its number in the file.
type Part struct {
	Holds Content
	Text  string
	// Listing says that the rules are commands of the table filter without the lines
	// *filter and COMMIT, as iptables -S prints them.
	Listing bool
}

// File is a file taken apart.
type File struct {
	// Parts are empty where the file is nothing that this package knows.
	Parts []Part
	// Notes say how the file was read, where a user should know.
	Notes []string

	name  string
	lines []string // as they are in the file, decoded
}

// Read takes a file apart. The diagnostics are about its lines; an error says what the
// file as a whole is, and what to run instead.
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
		f.Notes = append(f.Notes, fmt.Sprintf("%s has line ends of Windows (CR LF). It was read as if they were LF; iptables-restore would not load it.", name))
	}
	return f, nil, nil
}

// Relocate moves diagnostics about a part's text to where they are in the file, and
// shows the file's line: blanks before a line are not in the part, and what ipset list
// prints is there as ipset save prints it.
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

// whole is the range of a line, which is the nth from 0.
func whole(file string, n int, line string) hcl.Range {
	return within(file, n, line, 0, len(line))
}

// within is the range of bytes from..to of a line; columns count characters.
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

// trim removes what no line of a dump begins or ends with.
func trim(line string) string { return strings.Trim(line, " \t\r") }
