package suggest

import (
	"fmt"
	"slices"
	"testing"
)

func TestTheNearestNameIsSuggested(t *testing.T) {
	var fleet []string
	for i := range 500 {
		fleet = append(fleet, fmt.Sprintf("web%03d", i))
	}
	protocols := []string{"tcp", "udp", "sctp", "icmp"}
	for _, c := range []struct {
		written string
		known   []string
		want    string
	}{
		{"wbe001", fleet, "web001"},
		{"wbe010", fleet, "web010"}, // and not web001, which has the same letters
		{"WEB001", fleet, "web001"},
		{"web001 ", fleet, "web001"},
		{"web-007", fleet, "web007"},
		{"web999", fleet, "web099"},
		{"database", fleet, ""},
		{"", fleet, ""},
		{"tpc", protocols, "tcp"},
		{"TCP", protocols, "tcp"},
		{"tcp", nil, ""},
		{"a", []string{"b", "c"}, ""},
		{"A", []string{"b", "a"}, "a"},
		{"ab", []string{"b", "x"}, ""},
		{"ba", []string{"ab", "b"}, "ab"},
		{"mian", []string{"HEAD", "main"}, "main"},
		{"head", []string{"HEAD", "main"}, "HEAD"},
	} {
		got := ""
		if near := Nearest(c.written, c.known); len(near) > 0 {
			got = near[0]
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.written, got, c.want)
		}
	}
}

func TestManyNamesAreCountedAndFewAreListed(t *testing.T) {
	var fleet []string
	for i := range 500 {
		fleet = append(fleet, fmt.Sprintf("web%03d", i))
	}
	for _, c := range []struct {
		written string
		known   []string
		want    string
	}{
		{"web01", []string{"web1"}, `Did you mean "web1"? The policy has the host web1.`},
		{"db", []string{"web1", "web2"}, "The policy has the hosts web1, web2."},
		{"db", fleet, "The policy has 500 hosts, such as web000, web001, web002."},
		{"wbe345", fleet, `Did you mean "web345"? The policy has 500 hosts, such as web345, web000, web001.`},
	} {
		before := slices.Clone(c.known)
		if got := FromList(c.written, c.known, "The policy has", "host"); got != c.want {
			t.Errorf("%q:\n%s\nwant:\n%s", c.written, got, c.want)
		}
		if !slices.Equal(before, c.known) {
			t.Errorf("%q changed the names", c.written)
		}
	}
}
