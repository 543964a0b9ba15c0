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

// Literal is the format of a writer here. An untyped constant is one by itself; a string
// that was computed is not, and the compiler refuses it. Never convert one.
type Literal string

// Safe is text for terminals and logs that is escaped, or a colour of ours. Writers here
// leave it as it is.
type Safe string

// Terminal shows what a terminal, a log viewer or a CI runner would act on, or would not
// show, as an escape of Go: control characters, line and paragraph separators, what turns
// the direction of text, what has no width, blanks other than U+0020, bytes that are not
// UTF-8. The brackets of "##[error]", "##vso[…]" and "##teamcity[…]" too: runners search
// whole lines for these.
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

// plain tells whether Terminal has nothing to do, without looking closely.
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

// live tells which characters Terminal escapes. U+FE0F stays: it makes an emoji of the
// character before it, and nothing else.
func live(r rune) bool {
	return !strconv.IsPrint(r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.Is(unicode.Variation_Selector, r) && r != 0xfe0f
}

var (
	inlineCommand = regexp.MustCompile(`(##[A-Za-z]*)\[`)
	// lineCommand is ::name …::data with blanks before it, as GitHub's runner reads lines
	// (actions/runner, ActionCommand.TryParseV2). A "::" that nothing ends is an address.
	lineCommand = regexp.MustCompile(`(?m)^([ \t]*):(:[^ \t/:0-9].*::)`)
)

// Sprintf is fmt.Sprintf with each argument as Terminal shows it, but for those that are
// Safe. No line of what comes out is a workflow command.
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

// Write writes what was collected with Fprintf, also where a line was put together of
// several pieces.
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

// Lines is Terminal for text of several lines, such as a file: newlines and tabs stay.
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

// argument formats what it holds and then escapes it; widths, such as that of %-8s, are
// those of the text before.
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
