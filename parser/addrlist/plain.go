package addrlist

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

func (l *list) readPlain() {
	for number, base := 1, l.base; ; number++ {
		line, size, err := l.nextLine()
		if err != nil && err != io.EOF {
			// The last line may end in the middle of an address.
			l.readFailed(err, hcl.Pos{Line: number, Column: 1, Byte: base})
			return
		}
		l.line(line, number, base)
		if err != nil {
			return
		}
		base += size
	}
}

// nextLine returns the next line without its newline, and its size with it. A line that is
// too long is truncated.
func (l *list) nextLine() (line []byte, size int, err error) {
	line, err = l.br.ReadSlice('\n')
	size = len(line)
	if err == bufio.ErrBufferFull {
		line = bytes.Clone(line[:maxLine+2]) // one more for a CR, which does not count
		for err == bufio.ErrBufferFull {
			var rest []byte
			rest, err = l.br.ReadSlice('\n')
			size += len(rest)
		}
	}
	return bytes.TrimSuffix(line, []byte("\n")), size, err
}

// line reads one line, which begins at byte base of the file.
func (l *list) line(line []byte, number, base int) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > maxLine {
		l.badLine(line, number, base, &Problem{
			diag.CodeListSyntax, "line too long",
			"Write one entry per line; a line may have at most 4096 bytes, including comments.", 0, maxLine,
		})
		return
	}
	if i := bytes.IndexByte(line, 0); i >= 0 {
		l.badLine(line, number, base, binaryData(i))
		return
	}
	start, end := 0, len(line)
	for i, c := range line {
		if c == '#' || c == ';' {
			end = i
			break
		}
	}
	for start < end && isBlank(line[start]) {
		start++
	}
	for start < end && isBlank(line[end-1]) {
		end--
	}
	if start == end {
		return
	}
	stop := start + entryLen(line[start:end])
	entry, plain := plainEntry(line[start:stop])
	var text string
	var p *Problem
	if !plain {
		text = string(line[start:stop])
		entry, p = ParseEntry(text)
	}
	switch {
	case p != nil:
		if i := strings.IndexFunc(text, notText); i >= 0 {
			p = binaryData(i)
		} else if other := punctuation(text); other != nil {
			p = other
		}
		p.Offset += start
		l.badLine(line, number, base, p)
	case stop < end:
		for isBlank(line[stop]) {
			stop++
		}
		l.badLine(line, number, base, &Problem{
			diag.CodeListSyntax, "text after an entry",
			"Write one entry per line, and # or ; before a comment.", stop, end - stop,
		})
	default:
		// Everything before the end of an entry is ASCII: columns are bytes.
		l.yield(entry, hcl.Range{
			Filename: l.out.filename,
			Start:    hcl.Pos{Line: number, Column: start + 1, Byte: base + start},
			End:      hcl.Pos{Line: number, Column: stop + 1, Byte: base + stop},
		})
	}
}

// punctuation reports quotes and commas around entries, as in programming languages.
func punctuation(text string) *Problem {
	if i := strings.IndexByte(text, ','); i >= 0 {
		return &Problem{diag.CodeListSyntax, "comma in a line", "Write one entry per line, without commas.", i, 1}
	}
	if text[0] == '"' || text[0] == '\'' {
		return &Problem{diag.CodeListSyntax, "entry in quotes", "Write the entry without quotes.", 0, 1}
	}
	return nil
}

func (l *list) badLine(line []byte, number, base int, p *Problem) {
	pos := func(i int) hcl.Pos {
		return hcl.Pos{Line: number, Column: 1 + utf8.RuneCount(line[:i]), Byte: base + i}
	}
	rng := hcl.Range{Start: pos(p.Offset), End: pos(p.Offset + p.Length)}
	text := ""
	if !l.out.full() {
		text = shown(line, rng.Start.Column)
	}
	l.out.add(p, rng, text)
}

// entryLen returns the length of the entry at the beginning of s, including blanks around
// the - of a range. s neither begins nor ends with a blank.
func entryLen(s []byte) int {
	i := fieldLen(s)
	if i == len(s) {
		return i
	}
	next := i
	for isBlank(s[next]) {
		next++
	}
	if s[next] == '-' {
		next++
		for next < len(s) && isBlank(s[next]) {
			next++
		}
	} else if s[i-1] != '-' {
		return i
	}
	return next + fieldLen(s[next:])
}

func fieldLen(s []byte) int {
	for i, c := range s {
		if isBlank(c) {
			return i
		}
	}
	return len(s)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// notText reports whether r does not occur in text files; utf8.RuneError stands for bytes
// that are not UTF-8.
func notText(r rune) bool {
	return r < ' ' && r != '\t' || r == 0x7f || r == utf8.RuneError
}

func binaryData(offset int) *Problem {
	return &Problem{
		diag.CodeListSyntax, "binary data",
		"A list is UTF-8 text with one entry per line; check that this is the right file.", offset, 1,
	}
}
