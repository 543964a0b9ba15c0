package escape

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Markdown is Markdown of this program, or escaped. The writers here do not escape it.
type Markdown string

// MarkdownText is s for Markdown outside of code, also in cells of tables: it renders as
// the result of Terminal, without markup. A zero-width space breaks what code hosts search
// in rendered text: mentions, references, emoji, addresses, commits.
func MarkdownText(s string) Markdown {
	s = string(Terminal(s))
	for range 2 { // the second time for those that overlap
		s = hostReference.ReplaceAllString(s, "$1$3$5$7\u200b$2$4$6$8")
	}
	var b strings.Builder
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' && i > 0 || r >= 0x80 && r != '\u200b'
		// Characters that are markup only at the beginning of a line.
		inside := i > 0 && (strings.ContainsRune(` ,.-/()'";?+`, r) || r == ':' && strings.HasPrefix(s[i:], ": "))
		if letter || inside {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return Markdown(b.String())
}

// hostReference are the places where a zero-width space breaks references of GitHub, GitLab
// and Gitea: @user, #1, !1, ~label, :emoji:, http://, www., a@b.c, GH-1, commits.
var hostReference = regexp.MustCompile(`([@#!$%&~^:])([^ \x{200b}])|([wW]{3})(\.)|([A-Z]-|\b[gG][hH]-)([0-9])|([0-9a-fA-F]{6})([0-9a-fA-F])`)

// MarkdownCode is s as a span of code, also in cells of tables. It contains no pipe,
// because renderers differ about pipes after a backslash.
func MarkdownCode(s string) Markdown {
	s = strings.ReplaceAll(string(Terminal(s)), "|", `\x7c`)
	if s == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.HasPrefix(s, " ") && strings.HasSuffix(s, " ") {
		s = " " + s + " "
	}
	return Markdown(fence + s + fence)
}

// MarkdownBlock is a fenced block of escaped text, in a language such as "diff", or "".
func MarkdownBlock(language Literal, body Safe) Markdown {
	fence := strings.Repeat("`", max(3, longestRun(string(body), '`')+1))
	return Markdown(fence + string(language) + "\n" + strings.TrimSuffix(string(body), "\n") + "\n" + fence)
}

func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// FprintMarkdown is Fprintf with MarkdownText applied to all arguments that are not Markdown.
func FprintMarkdown(w io.Writer, format Literal, args ...any) error {
	safe := make([]any, len(args))
	for i, a := range args {
		if m, ok := a.(Markdown); ok {
			safe[i] = argument{Safe(m), nil}
		} else {
			safe[i] = argument{a, func(s string) Safe { return Safe(MarkdownText(s)) }}
		}
	}
	_, err := io.WriteString(w, string(lines(fmt.Sprintf(string(format), safe...))))
	return err
}
