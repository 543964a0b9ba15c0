package addrlist

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// jsonReader reads an array of strings byte by byte. The standard decoder would keep a
// whole element of any size in memory, and does not report positions within a line.
type jsonReader struct {
	*list
	pos  hcl.Pos // of the next byte
	rest int     // bytes of the code point being read that are still to come
	head []byte  // the line being read, up to pos; at most maxHead bytes
	err  error   // why there is no next byte
	val  []byte  // the element being read
}

// maxHead is more of a line than is shown, so that truncation is noticed.
const maxHead = maxShown + utf8.UTFMax

func (l *list) readJSON() {
	r := &jsonReader{list: l, pos: hcl.Pos{Line: 1, Column: 1, Byte: l.base}}
	r.peekToken()
	r.next() // the [ that was seen before
	if c, ok := r.peekToken(); ok && c == ']' {
		r.next()
		r.end()
		return
	}
	for {
		if !r.element() {
			return
		}
		switch c, ok := r.peekToken(); {
		case ok && c == ',':
			r.next()
		case ok && c == ']':
			r.next()
			r.end()
			return
		default:
			r.malformed("Write a comma between two elements, and ] after the last.")
			return
		}
	}
}

// peek returns the next byte without moving on.
func (r *jsonReader) peek() (byte, bool) {
	b, err := r.br.Peek(1)
	if err != nil {
		r.err = err
		return 0, false
	}
	return b[0], true
}

func (r *jsonReader) next() {
	c, err := r.br.ReadByte()
	if err != nil {
		return
	}
	r.pos.Byte++
	switch {
	case c == '\n':
		r.pos.Line++
		r.pos.Column = 1
		r.head = r.head[:0]
		return
	case r.rest > 0:
		r.rest--
	case c < utf8.RuneSelf:
		r.pos.Column++
	default:
		r.pos.Column++
		r.rest = r.runeSize(c) - 1
	}
	if len(r.head) < maxHead {
		r.head = append(r.head, c)
	}
}

// runeSize returns how many bytes the code point has that begins with c, the
// byte read last; a byte that is not UTF-8 counts as one.
func (r *jsonReader) runeSize(c byte) int {
	b, _ := r.br.Peek(utf8.UTFMax - 1) // fewer at the end
	_, size := utf8.DecodeRune(append([]byte{c}, b...))
	return size
}

// peekToken skips blanks and returns the byte after them.
func (r *jsonReader) peekToken() (byte, bool) {
	for {
		c, ok := r.peek()
		if !ok || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, ok
		}
		r.next()
	}
}

// element reads one element and reports whether reading can continue.
func (r *jsonReader) element() bool {
	c, ok := r.peekToken()
	switch {
	case !ok, c == ',', c == ']', c == '}', c == ':':
		return r.malformed("Write a string in double quotes here; there is no comma after the last element.")
	case c == '"':
		return r.str()
	}
	return r.other()
}

// str reads a string and yields the entry in it.
func (r *jsonReader) str() bool {
	open := r.pos
	r.next()
	start := r.pos
	r.val = r.val[:0]
	escaped := false
	for {
		c, ok := r.peek()
		switch {
		case !ok:
			return r.malformed("Write the \" that ends the string, and ] after the last element.")
		case c < ' ':
			return r.malformed("Write the \" that ends the string; it cannot contain line breaks or control characters.")
		case len(r.val) == maxLine:
			return r.tooLong(open)
		}
		if c == '"' {
			break
		}
		r.val = append(r.val, c)
		r.next()
		if c == '\\' {
			escaped = true
			if c, ok := r.peek(); ok && c >= ' ' {
				r.val = append(r.val, c)
				r.next()
			}
		}
	}
	end := r.pos
	r.next()
	if !utf8.Valid(r.val) {
		r.stop(hcl.Range{Start: start, End: end}, r.line(start.Column), "malformed JSON", "Write the file in UTF-8.")
		return false
	}
	text := string(r.val)
	if escaped {
		var err error
		if text, err = unescape(text); err != nil {
			r.stop(hcl.Range{Start: start, End: end}, r.line(start.Column), "malformed JSON",
				fmt.Sprintf("The string has a bad escape (%v); an address needs none.", err))
			return false
		}
	}
	entry, p := ParseEntry(text)
	if p == nil {
		r.yield(entry, hcl.Range{Filename: r.out.filename, Start: start, End: end})
		return true
	}
	rng := hcl.Range{Start: start, End: end}
	switch {
	case text == "":
		rng = hcl.Range{Start: open, End: r.pos}
	case !escaped:
		at := func(i int) hcl.Pos {
			return hcl.Pos{Line: start.Line, Column: start.Column + utf8.RuneCountInString(text[:i]), Byte: start.Byte + i}
		}
		rng = hcl.Range{Start: at(p.Offset), End: at(p.Offset + p.Length)}
	}
	line := ""
	if !r.out.full() {
		line = r.line(rng.Start.Column)
	}
	r.out.add(p, rng, line)
	return true
}

func unescape(text string) (plain string, err error) {
	err = json.Unmarshal([]byte(`"`+text+`"`), &plain)
	return plain, err
}

// other reads an element that is not a string and reports it.
func (r *jsonReader) other() bool {
	start, line := r.pos, r.line(r.pos.Column)
	r.val = r.val[:0]
	for depth, quoted := 0, false; ; {
		c, ok := r.peek()
		if !ok {
			return r.malformed("The array is not closed; write ] after the last element.")
		}
		if len(r.val) == maxLine {
			return r.tooLong(start)
		}
		if depth == 0 && !quoted && bytes.IndexByte([]byte(" \t\r\n,]}"), c) >= 0 {
			break
		}
		r.val = append(r.val, c)
		r.next()
		switch {
		case quoted && c == '\\':
			if c, ok := r.peek(); ok {
				r.val = append(r.val, c)
				r.next()
			}
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			depth++
		case c == ']', c == '}':
			depth--
		}
		if depth == 0 && (c == ']' || c == '}') && !quoted {
			break
		}
	}
	rng := hcl.Range{Start: start, End: r.pos}
	if !json.Valid(r.val) {
		r.stop(rng, line, "malformed JSON", "Write each address as a string in double quotes.")
		return false
	}
	r.out.add(&Problem{
		Code: diag.CodeListSyntax, Summary: "JSON element that is not a string",
		Detail: "Write each address as a string in double quotes; the array must not contain anything else.",
	}, rng, line)
	return true
}

// end looks for text after the array.
func (r *jsonReader) end() {
	if _, ok := r.peekToken(); ok {
		r.fail("text after the JSON array", "A list is one array; remove what is after its ].")
	} else if r.err != io.EOF {
		r.readFailed(r.err, r.pos)
	}
}

func (r *jsonReader) malformed(detail string) bool {
	r.fail("malformed JSON", detail)
	return false
}

// fail reports an error at the next byte, or why there is none.
func (r *jsonReader) fail(summary, detail string) {
	c, ok := r.peek()
	if !ok && r.err != io.EOF {
		r.readFailed(r.err, r.pos)
		return
	}
	rng := hcl.Range{Start: r.pos, End: r.pos}
	if ok && c != '\n' {
		r.next()
		for r.rest > 0 {
			r.next()
		}
		rng.End = r.pos
	}
	r.stop(rng, r.line(rng.Start.Column), summary, detail)
}

func (r *jsonReader) tooLong(start hcl.Pos) bool {
	r.stop(hcl.Range{Start: start, End: r.pos}, "", "JSON element too long", "Write one address per string; an element may have at most 4096 bytes.")
	return false
}

func (r *jsonReader) stop(rng hcl.Range, line, summary, detail string) {
	r.out.fatal(&Problem{Code: diag.CodeListSyntax, Summary: summary, Detail: detail}, rng, line)
}

// line returns the line being read, as far as it is shown.
func (r *jsonReader) line(column int) string {
	line := bytes.Clone(r.head)
	if len(line) < maxHead {
		rest, _ := r.br.Peek(maxHead) // what cannot be read is not shown
		rest, _, _ = bytes.Cut(rest, []byte("\n"))
		line = append(line, rest...)
	}
	return shown(bytes.TrimSuffix(line, []byte("\r")), column)
}
