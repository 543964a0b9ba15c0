// Package escapetest checks in tests whether a text is interpreted by a terminal, by a CI
// runner, or as Markdown.
//
// In: output that a test has captured. Out: what in it would be interpreted, or nothing. It
// follows the behavior of terminals, runners and a renderer, and does not know package escape.
package escapetest

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Colors are the sequences that dockerfw writes (ECMA-48, SGR).
var colors = regexp.MustCompile(`^\x1b\[(0|1|31|33|1;31|1;33)m`)

// Terminal returns a part of a text that a terminal would interpret, other than newlines,
// or would show in another order or not at all; "" if there is none. Colors are allowed if
// color is true.
func Terminal(text string, color bool) string {
	for i := 0; i < len(text); {
		if sgr := colors.FindString(text[i:]); color && sgr != "" {
			i += len(sgr)
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		what := ""
		switch {
		case r == utf8.RuneError && n == 1:
			what = "a byte that is not UTF-8"
		case r == '\n':
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			what = "a control character"
		case r == 0x2028 || r == 0x2029:
			what = "a line separator"
		case unicode.Is(unicode.Bidi_Control, r):
			what = "a bidi control"
		case unicode.Is(unicode.Cf, r):
			what = "a character without width"
		}
		if what != "" {
			return fmt.Sprintf("%s at byte %d: %+q", what, i, text[max(0, i-20):min(len(text), i+20)])
		}
		i += n
	}
	return ""
}

// Runner returns a line of a text that a CI runner would execute; "" if there is none.
// GitHub's runner trims a line and executes ::name::data, and finds ##[name] anywhere in it
// (actions/runner, ActionCommand.cs); Azure's finds ##vso[name] in the same way.
func Runner(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "::"); ok {
			if name, _, ok := strings.Cut(rest, "::"); ok && name != "" && unicode.IsLetter([]rune(name)[0]) {
				return line
			}
		}
		for _, prefix := range []string{"##[", "##vso[", "##teamcity["} {
			if strings.Contains(line, prefix) {
				return line
			}
		}
	}
	return ""
}
