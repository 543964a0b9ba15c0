package iptables

import (
	"strings"
)

// Limits of iptables-restore 1.8 (facts 1.2).
const (
	maxRuleLine = 10239
	maxWord     = 1023
	maxWords    = 250
)

// word is one word of a line, quotes and escapes taken away.
type word struct {
	text     string
	quoted   bool
	from, to int // bytes of the line
}

// splitWords splits a line as iptables-restore does: only the double quote
// quotes, a backslash escapes inside quotes only, and a closing quote ends the
// word even where no blank follows. It returns ok false for a quote left open.
func splitWords(text string, at int) (words []word, ok bool) {
	// A word without quotes is a part of the text; only others are copied.
	var buf strings.Builder
	var quoted, open, escaped bool
	words = make([]word, 0, strings.Count(text[at:], " ")+1)
	start := -1
	end := func(i int) {
		w := word{text: text[start:i], quoted: quoted, from: start, to: i}
		if quoted {
			w.text = buf.String()
			buf.Reset()
		}
		words = append(words, w)
		quoted, start = false, -1
	}
	for i := at; i < len(text); i++ {
		c := text[i]
		if start < 0 && c != ' ' && c != '\t' {
			start = i
		}
		switch {
		case open && escaped:
			buf.WriteByte(c)
			escaped = false
		case open && c == '\\':
			escaped = true
		case open && c == '"':
			open = false
			end(i + 1)
		case open:
			buf.WriteByte(c)
		case c == '"':
			if !quoted {
				buf.WriteString(text[start:i])
			}
			open, quoted = true, true
		case c == ' ' || c == '\t':
			if start >= 0 {
				end(i)
			}
		}
	}
	if start >= 0 {
		end(len(text))
	}
	return words, !open
}

// quoting tells how iptables-save prints the value of an option.
type quoting int

const (
	bare      quoting = iota // as it is: an address, a port, a name
	text                     // quoted when it holds anything but letters, digits, - and _
	always                   // always in quotes
	asWritten                // of an opaque option: as text where it was quoted
)

// quote writes a word so that splitWords gives it back.
func quote(s string, how quoting) string {
	need, escape := how == always, `"\`
	switch how {
	case text:
		need = s == "" || strings.ContainsFunc(s, func(r rune) bool { return !plain(r) })
		escape = `"\'` // the tool escapes single quotes too
	case bare:
		need = s == "" || strings.ContainsAny(s, " \t\"\r\n")
	}
	if !need {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if strings.IndexByte(escape, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

func plain(r rune) bool {
	return r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// optionLike tells whether a word starts an option rather than being a value of
// one whose arity is not known: - or -- and a letter.
func optionLike(s string) bool {
	s, ok := strings.CutPrefix(s, "-")
	if !ok {
		return false
	}
	s = strings.TrimPrefix(s, "-")
	return s != "" && ('a' <= s[0]|0x20 && s[0]|0x20 <= 'z') && !strings.ContainsAny(s, " \t\"")
}
