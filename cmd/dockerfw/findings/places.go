package findings

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// places finds the places of findings in the files whose bytes it has.
type places struct{ sources map[string][]byte }

// of is a range with columns that count code points from 1; the end is exclusive. It is nil for
// a value that is in no file; origin is where that comes from.
func (p places) of(r hcl.Range) (_ *placeRecord, origin string) {
	if name, ok := diag.OutsideName(r); ok {
		return nil, name
	}
	out := &placeRecord{
		File: filepath.ToSlash(r.Filename), Line: r.Start.Line, EndLine: r.End.Line,
		Column: p.column(r.Filename, r.Start), EndColumn: p.column(r.Filename, r.End),
	}
	if !utf8.ValidString(out.File) {
		// JSON has no such names: one that people can read, and one that is exact.
		out.File, out.URI = validName(out.File), fileURI(out.File)
	}
	return out, ""
}

// column is the column of a position in code points. HCL counts grapheme clusters; positions in
// address lists and saved rules, whose bytes are not in sources, count code points already.
func (p places) column(file string, at hcl.Pos) int {
	src, ok := p.sources[file]
	if !ok || at.Byte > len(src) {
		return at.Column
	}
	line := bytes.LastIndexByte(src[:at.Byte], '\n') + 1
	return 1 + utf8.RuneCount(bytes.TrimPrefix(src[line:at.Byte], byteOrderMark))
}

// byteOrderMark may begin a file; it does not count as a column.
var byteOrderMark = []byte("\ufeff")

// validName is a name in which bytes that are not UTF-8 are \xNN.
func validName(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && n == 1 {
			b.WriteString(fmt.Sprintf(`\x%02x`, name[0]))
		} else {
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

// subjectOf is the place of a finding for code hosts, which need one: for a value that is in no
// file it is the place that uses the value. It is nil if there is none.
func subjectOf(where places, d *hcl.Diagnostic) *placeRecord {
	if d.Subject == nil {
		return nil
	}
	p, _ := where.of(*d.Subject)
	if used := diag.InfoOf(d).UsedAt; p == nil && used != nil {
		p, _ = where.of(*used)
	}
	return p
}

// messageOf is a finding as one text, with the origins that are not places in files.
func messageOf(d *hcl.Diagnostic) string {
	info := diag.InfoOf(d)
	text := d.Summary
	if d.Subject != nil {
		if origin, ok := diag.OutsideName(*d.Subject); ok {
			text = origin + ": " + text
		}
	}
	if hosts := info.HostsText(); hosts != "" {
		text += " (" + hosts + ")"
	}
	if d.Detail != "" {
		text += ". " + d.Detail
	}
	for _, o := range info.Related {
		if origin, ok := diag.OutsideName(o.Range); ok {
			text += "\n" + origin + ": " + o.Message
		}
	}
	return text
}
