package iptables

import (
	"strings"
)

// Limits of iptables-restore: docs/contributing/netfilter.md, "Restore lines".
const (
	maxRuleLine = 10239
	maxWord     = 1023
	maxWords    = 250
)

// word is one word of a line, without quotes and escapes.
type word struct {
	text     string
	quoted   bool
	from, to int // bytes of the line
}

// splitWords splits a line as iptables-restore does (docs/contributing/netfilter.md,
// "Quotes"): only double quotes quote, a backslash escapes only inside quotes, and a
// closing quote ends the word even if no space follows. ok is false for an open quote.
func splitWords(text string, at int) (words []word, ok bool) {
	// A word without quotes is a substring of text; only others are copied.
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

// quoting is how iptables-save quotes the value of an option.
type quoting int

const (
	bare      quoting = iota // unquoted: an address, a port, a name
	text                     // quoted if it has anything but letters, digits, - and _
	always                   // always quoted
	asWritten                // of an opaque option: like text if it was quoted, otherwise like bare
)

// quote returns a word in the form from which splitWords reads it back.
func quote(s string, how quoting) string {
	need, escape := how == always, `"\`
	switch how {
	case text:
		need = s == "" || strings.ContainsFunc(s, func(r rune) bool { return !plain(r) })
		escape = `"\'` // iptables-save escapes single quotes too
	case bare:
		need = s == "" || strings.ContainsAny(s, " \t\"\r\n")
	}
	if !need {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2)
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

// optionLike reports whether a word looks like an option, not like a value of an opaque
// one: - or -- and a letter.
func optionLike(s string) bool {
	s, ok := strings.CutPrefix(s, "-")
	if !ok {
		return false
	}
	s = strings.TrimPrefix(s, "-")
	return s != "" && ('a' <= s[0]|0x20 && s[0]|0x20 <= 'z') && !strings.ContainsAny(s, " \t\"")
}
