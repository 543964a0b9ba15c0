package lsp

import (
	"bytes"
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"
	"go.lsp.dev/protocol"
)

// document is a file that an editor has open, or that is read from the disk.
type document struct {
	path    string
	version int32
	text    []byte
	// lines are the offsets in bytes at which the lines begin.
	lines []int
}

func newDocument(path string, version int32, text []byte) *document {
	d := &document{path: path, version: version, text: text, lines: []int{0}}
	for i, c := range text {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	return d
}

// offset returns the offset in bytes of a position, which counts lines from 0 and UTF-16 code
// units within the line. Positions behind the end of a line are at its end, as the protocol
// says.
func (d *document) offset(p protocol.Position) int {
	if int(p.Line) >= len(d.lines) {
		return len(d.text)
	}
	at := d.lines[p.Line]
	line := d.line(int(p.Line))
	for units := uint32(0); units < p.Character && len(line) > 0; {
		r, size := utf8.DecodeRune(line)
		units += uint32(units16(r))
		line = line[size:]
		at += size
	}
	return at
}

// position is the inverse of offset.
func (d *document) position(offset int) protocol.Position {
	offset = min(max(offset, 0), len(d.text))
	line := sort.SearchInts(d.lines, offset+1) - 1
	units := 0
	for _, r := range string(d.text[d.lines[line]:offset]) {
		units += units16(r)
	}
	return protocol.Position{Line: uint32(line), Character: uint32(units)}
}

// units16 is the number of UTF-16 code units of a rune.
func units16(r rune) int {
	if r >= 0x10000 {
		return 2
	}
	return 1
}

// line returns the text of a line without its end.
func (d *document) line(n int) []byte {
	end := len(d.text)
	if n+1 < len(d.lines) {
		end = d.lines[n+1]
	}
	return bytes.TrimRight(d.text[d.lines[n]:end], "\r\n")
}

// pos returns a position as HCL counts it: columns are grapheme clusters, from 1.
func (d *document) pos(p protocol.Position) hcl.Pos {
	offset := d.offset(p)
	line := sort.SearchInts(d.lines, offset+1) - 1
	clusters, err := textseg.TokenCount(d.text[d.lines[line]:offset], textseg.ScanGraphemeClusters)
	if err != nil {
		clusters = offset - d.lines[line]
	}
	return hcl.Pos{Line: line + 1, Column: clusters + 1, Byte: offset}
}

// rangeOf returns a range of HCL as the protocol counts it.
func (d *document) rangeOf(rng hcl.Range) protocol.Range {
	return protocol.Range{Start: d.position(rng.Start.Byte), End: d.position(rng.End.Byte)}
}

// whole is the range of the whole document.
func (d *document) whole() protocol.Range {
	return protocol.Range{End: d.position(len(d.text))}
}

// change returns the document after an edit. A nil range replaces all of the text.
func (d *document) change(version int32, rng *protocol.Range, text string) *document {
	if rng == nil {
		return newDocument(d.path, version, []byte(text))
	}
	start, end := d.offset(rng.Start), d.offset(rng.End)
	if end < start {
		start, end = end, start
	}
	return newDocument(d.path, version, slices.Concat(d.text[:start], []byte(text), d.text[end:]))
}
