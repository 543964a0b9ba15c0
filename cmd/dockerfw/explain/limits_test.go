package explain

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

func TestAnEndIsInWords(t *testing.T) {
	early, late := packet.Until{End: 1_801_440_000}, packet.Until{End: 1_803_859_200}
	a := &Answer{limits: map[string]limit{
		early.String(): (&explainer{state: &snapshot.Host{}}).end(early, packet.Origin{Chain: "X"}),
		late.String():  (&explainer{state: &snapshot.Host{}}).end(late, packet.Origin{Chain: "X"}),
	}}
	if got, want := a.condition(early.String(), true), "a rule of X has not ended (until 2027-01-31)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := a.condition(early.String(), false), "a rule of X has ended (after 2027-01-31)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := a.why(early, nil), "it has ended (after 2027-01-31)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range []struct{ early, late, possible bool }{{true, true, true}, {false, true, true}, {false, false, true}, {true, false, false}} {
		if got := a.possible(map[string]bool{early.String(): c.early, late.String(): c.late}); got != c.possible {
			t.Errorf("%+v: possible is %t", c, got)
		}
	}
}

func TestLimitsAreInWords(t *testing.T) {
	for _, c := range []struct{ text, matches, fails string }{
		{"hashlimit --hashlimit-upto 20/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name dfw-web-3b3836", "the client stays within the rate 20/second", "the client exceeds the rate 20/second"},
		{"hashlimit --hashlimit-above 100/min --hashlimit-burst 200 --hashlimit-name dfw-web-3b3836", "all clients together exceed the rate 100/minute", "all clients together stay within the rate 100/minute"},
		{"connlimit --connlimit-upto 50 --connlimit-mask 24 --connlimit-saddr", "the client's /24 network has at most 50 open connections", "the client's /24 network has more than 50 open connections"},
		{"connlimit --connlimit-above 5 --connlimit-mask 128 --connlimit-saddr", "the client has more than 5 open connections", "the client has at most 5 open connections"},
		{"ip saddr limit rate 20/second burst 40 packets", "the client stays within the rate 20/second", "the client exceeds the rate 20/second"},
		{"limit rate 100/minute burst 200 packets", "all clients together stay within the rate 100/minute", "all clients together exceed the rate 100/minute"},
		{"ip saddr & 255.255.255.0 ct count 50", "the client's /24 network has at most 50 open connections", "the client's /24 network has more than 50 open connections"},
		{"ip6 saddr & ffff:ffff:ffff:ffff:: ct count 5 in set web.conns-v6", "the client's /64 network has at most 5 open connections", "the client's /64 network has more than 5 open connections"},
	} {
		f := ir.IPv4
		if strings.Contains(c.text, "ip6") || strings.Contains(c.text, "128") {
			f = ir.IPv6
		}
		l, ok := parseLimit(c.text, f)
		if got := l.state(true); !ok || got != c.matches {
			t.Errorf("%s matches: %q", c.text, got)
		}
		if got := l.state(false); got != c.fails {
			t.Errorf("%s does not match: %q", c.text, got)
		}
	}
	if _, ok := parseLimit("limit --limit 10/min", ir.IPv4); ok {
		t.Error("a limit of a log became one of a rule")
	}
}
