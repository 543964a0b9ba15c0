package explain

import "testing"

func TestLimitsAreInWords(t *testing.T) {
	for _, c := range []struct{ text, matches, fails string }{
		{"hashlimit --hashlimit-upto 20/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name dfw-web-3b3836", "the client stays within the rate 20/second", "the client exceeds the rate 20/second"},
		{"hashlimit --hashlimit-above 100/min --hashlimit-burst 200 --hashlimit-name dfw-web-3b3836", "all clients together exceed the rate 100/minute", "all clients together stay within the rate 100/minute"},
		{"connlimit --connlimit-upto 50 --connlimit-mask 24 --connlimit-saddr", "the client's /24 network has at most 50 open connections", "the client's /24 network has more than 50 open connections"},
		{"connlimit --connlimit-above 5 --connlimit-mask 128 --connlimit-saddr", "the client has more than 5 open connections", "the client has at most 5 open connections"},
	} {
		l, ok := parseLimit(c.text)
		if got := l.state(true); !ok || got != c.matches {
			t.Errorf("%s matches: %q", c.text, got)
		}
		if got := l.state(false); got != c.fails {
			t.Errorf("%s does not match: %q", c.text, got)
		}
	}
	if _, ok := parseLimit("limit --limit 10/min"); ok {
		t.Error("a limit of a log became one of a rule")
	}
}
