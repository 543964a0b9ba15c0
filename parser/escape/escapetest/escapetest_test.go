package escapetest_test

import (
	"testing"

	"github.com/dockerfw/dockerfw/parser/escape/escapetest"
)

func TestTheChecksFindWhatIsInterpreted(t *testing.T) {
	for _, text := range []string{"\x1b[32m", "\x1b]0;t\a", "a\rb", "\b", "\t", "\x9b", "\u009b", "\u202e", "\u200b", "\u2028", "\xff"} {
		if escapetest.Terminal(text, true) == "" {
			t.Errorf("%+q is taken for inert at a terminal", text)
		}
	}
	if escapetest.Terminal("\x1b[1m\x1b[31mx\x1b[0m\n", true) != "" || escapetest.Terminal("\x1b[1mx", false) == "" {
		t.Error("colors are recognized wrongly")
	}
	for _, text := range []string{"a\n  ::error::x", "::add-mask::", "x ##[error]y", "##vso[task.x]y"} {
		if escapetest.Runner(text) == "" {
			t.Errorf("%q is taken for inert at a runner", text)
		}
	}
	for _, text := range []string{"[l](http://evil)", "![i](x.png)", "<b>x", "x <img src=e> y", "<!-- x", "http://evil.com", "www.evil.com", "a@example.com", "@org/team", "#12", ":smile:", "~~x~~", "deadbeef", "    code", "&#64;user"} {
		got := escapetest.Markdown("a `" + text + "` b\n\n" + text + "\n")
		if len(got.Live) == 0 {
			t.Errorf("%q is taken for inert in Markdown: %q", text, got.Text)
		}
	}
}
