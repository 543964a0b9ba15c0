package escape

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Literal is the format of a writer here. Untyped constants have this type; computed
// strings do not, and must not be converted to it.
type Literal string

// Safe is escaped text for terminals and logs, or a color. The writers here do not escape it.
type Safe string

// Terminal replaces what a terminal, a log viewer or a CI runner would interpret or not
// show by escapes of Go: control characters, line and paragraph separators, characters that
// change the direction of text or have no width, blanks other than U+0020, bytes that are
// not UTF-8, and the brackets of "##[error]", "##vso[…]" and "##teamcity[…]", which runners
// search in whole lines.
func Terminal(s string) Safe {
	if plain(s) {
		return Safe(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case live(r):
			b.WriteString(runeEscape(r))
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return Safe(inlineCommand.ReplaceAllString(b.String(), `$1\x5b`))
}

// plain is a quick check for text that Terminal does not change.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '#' {
			return false
		}
	}
	return true
}

func runeEscape(r rune) string {
	if r < 0x80 && r != '\n' && r != '\r' && r != '\t' {
		return fmt.Sprintf(`\x%02x`, r)
	}
	quoted := strconv.QuoteRuneToASCII(r)
	return quoted[1 : len(quoted)-1]
}

// live reports whether Terminal escapes a character. It does not escape U+FE0F, which only
// makes an emoji of the character before it.
func live(r rune) bool {
	return !strconv.IsPrint(r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.Is(unicode.Variation_Selector, r) && r != 0xfe0f
}

var (
	inlineCommand = regexp.MustCompile(`(##[A-Za-z]*)\[`)
	// lineCommand is ::name …::data with blanks before it, as GitHub's runner reads lines
	// (actions/runner, ActionCommand.TryParseV2). A "::" without an end is an address.
	lineCommand = regexp.MustCompile(`(?m)^([ \t]*):(:[^ \t/:0-9].*::)`)
)

// Sprintf is fmt.Sprintf with Terminal applied to all arguments that are not Safe. No line
// of the result is a workflow command.
func Sprintf(format Literal, args ...any) Safe {
	safe := make([]any, len(args))
	for i, a := range args {
		safe[i] = argument{a, Terminal}
	}
	return lines(fmt.Sprintf(string(format), safe...))
}

// Fprintf writes to w what Sprintf returns.
func Fprintf(w io.Writer, format Literal, args ...any) error {
	_, err := io.WriteString(w, string(Sprintf(format, args...)))
	return err
}

// Write writes text that was collected with Fprintf, also if a line consists of several parts.
func Write(w io.Writer, text Safe) error {
	_, err := io.WriteString(w, string(lines(string(text))))
	return err
}

func lines(s string) Safe {
	if !strings.Contains(s, "::") {
		return Safe(s)
	}
	return Safe(lineCommand.ReplaceAllString(s, `$1\x3a$2`))
}

// Lines is Terminal for text of several lines, such as a file: it keeps newlines and tabs.
func Lines(s string) Safe {
	out := strings.Split(s, "\n")
	for i, line := range out {
		parts := strings.Split(line, "\t")
		for k, p := range parts {
			parts[k] = string(Terminal(p))
		}
		out[i] = strings.Join(parts, "\t")
	}
	return lines(strings.Join(out, "\n"))
}

// argument formats its value and then escapes it; widths, such as that of %-8s, are those
// of the text before escaping.
type argument struct {
	value  any
	escape func(string) Safe
}

func (a argument) Format(f fmt.State, verb rune) {
	text := fmt.Sprintf(fmt.FormatString(f, verb), a.value)
	if _, ok := a.value.(Safe); !ok {
		text = string(a.escape(text))
	}
	io.WriteString(f, text)
}
