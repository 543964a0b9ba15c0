package parser

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// maxHidden is how many lines of a file are reported for what they hide.
const maxHidden = 100

// hiddenCharacters reports what makes a file look different from what it contains, in
// comments and strings too: characters that change the direction of text, control
// characters, bytes that are not UTF-8 (CVE-2021-42574, "Trojan Source"). It reports the
// first of a line, and none if the line has an error in reported.
func hiddenCharacters(text []byte, name string, reported hcl.Diagnostics) hcl.Diagnostics {
	known := map[int]bool{}
	for _, d := range reported {
		if d.Subject != nil {
			known[d.Subject.Start.Line] = true
		}
	}
	var diags hcl.Diagnostics
	number, start := 0, 0
	for line := range bytes.Lines(text) {
		number, start = number+1, start+len(line)
		at, n := firstHidden(line)
		if n == 0 || known[number] {
			continue
		}
		if len(diags) == maxHidden {
			break
		}
		from := hcl.Pos{Line: number, Column: columnAfter(line[:at]), Byte: start - len(line) + at}
		to := hcl.Pos{Line: number, Column: from.Column + 1, Byte: from.Byte + n}
		rng := hcl.Range{Filename: name, Start: from, End: to}
		r, _ := utf8.DecodeRune(line[at:])
		if r == utf8.RuneError {
			diags = append(diags, diag.New(diag.CodeHidden, rng, fmt.Sprintf("byte 0x%02x is not UTF-8", line[at]),
				"A policy must be UTF-8 text, including comments. Save the file as UTF-8."))
			continue
		}
		diags = append(diags, diag.New(diag.CodeHidden, rng, fmt.Sprintf("hidden character U+%04X", r),
			fmt.Sprintf("An editor or a review may show this line differently from what it contains. Delete the character; in a quoted string, write \\u%04x.", r)))
	}
	return diags
}

// columnAfter is the column after a text at the beginning of a line, as HCL counts columns.
func columnAfter(text []byte) int {
	scanner := hcl.NewRangeScanner(text, "", func(data []byte, _ bool) (int, []byte, error) { return len(data), data, nil })
	if !scanner.Scan() {
		return 1
	}
	return scanner.Range().End.Column
}

// firstHidden finds the first hidden character of a line and its length; 0 without one.
func firstHidden(line []byte) (at, n int) {
	for at < len(line) {
		if n := hiddenAt(line[at:]); n > 0 {
			return at, n
		}
		_, size := utf8.DecodeRune(line[at:])
		at += size
	}
	return at, 0
}

// hiddenAt is the length of the hidden character that data begins with; 0 if it begins
// with none. A carriage return is one unless it ends a line.
func hiddenAt(data []byte) int {
	r, n := utf8.DecodeRune(data)
	switch {
	case n == 0 || r == '\n' || r == '\t':
		return 0
	case r == '\r':
		if len(data) > 1 && data[1] == '\n' {
			return 0
		}
		return n
	case r == utf8.RuneError && n == 1, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
		return n
	}
	return 0
}
