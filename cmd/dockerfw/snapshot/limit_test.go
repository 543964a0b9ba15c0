package snapshot

import (
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// The kernel and the two tools write one limit in several ways.
func TestLimitsOfBothTargetsAreTheSame(t *testing.T) {
	for _, c := range []struct {
		family        ir.Family
		iptables, nft string
		same          bool
	}{
		{ir.IPv4, "hashlimit --hashlimit-upto 20/sec --hashlimit-burst 40 --hashlimit-mode srcip --hashlimit-htable-expire 2000", "ip saddr limit rate 20/second burst 40 packets", true},
		{ir.IPv4, "hashlimit --hashlimit-upto 20/sec --hashlimit-burst 40 --hashlimit-mode srcip --hashlimit-htable-expire 2000", "ip saddr limit rate 21/second burst 40 packets", false},
		{ir.IPv4, "hashlimit --hashlimit-upto 20/sec --hashlimit-burst 40 --hashlimit-mode srcip", "ip saddr limit rate 20/second burst 41 packets", false},
		{ir.IPv4, "hashlimit --hashlimit-upto 20/sec --hashlimit-burst 40", "ip saddr limit rate 20/second burst 40 packets", false},
		{ir.IPv4, "hashlimit --hashlimit-upto 20/sec --hashlimit-burst 40", "limit rate 20/second burst 40 packets", true},
		{ir.IPv6, "hashlimit --hashlimit-upto 1/sec --hashlimit-burst 5 --hashlimit-mode srcip", "ip6 saddr limit rate 60/minute burst 5 packets in set web.rate-v6", true},
		{ir.IPv4, "hashlimit --hashlimit-upto 10/hour --hashlimit-burst 5", "limit rate 10/hour", true}, // nft 1.0.6
		{ir.IPv4, "hashlimit --hashlimit-upto 1428571/day --hashlimit-burst 5", "limit rate 1428572/day burst 5 packets", true},
		{ir.IPv4, "connlimit --connlimit-upto 50 --connlimit-mask 32 --connlimit-saddr", "ip saddr ct count 50", true},
		{ir.IPv4, "connlimit --connlimit-upto 50 --connlimit-mask 24 --connlimit-saddr", "ip saddr & 255.255.255.0 ct count 50", true},
		{ir.IPv4, "connlimit --connlimit-upto 50 --connlimit-mask 24 --connlimit-saddr", "ip saddr & 255.255.254.0 ct count 50", false},
		{ir.IPv6, "connlimit --connlimit-upto 50 --connlimit-mask 56 --connlimit-saddr", "ip6 saddr & ffff:ffff:ffff:ff00:: ct count 50", true},
		{ir.IPv6, "connlimit --connlimit-upto 50 --connlimit-mask 128 --connlimit-saddr", "ip6 saddr ct count 51", false},
	} {
		a, ok1 := ParseLimit(c.iptables, c.family)
		b, ok2 := ParseLimit(c.nft, c.family)
		if got := a.key(c.family) == b.key(c.family); !ok1 || !ok2 || got != c.same {
			t.Errorf("%s and %s: the same %t, want %t (%q, %q)", c.iptables, c.nft, got, c.same, a.key(c.family), b.key(c.family))
		}
	}
	for _, text := range []string{"", "limit --limit 10/min", "source in set bans (members unknown)", "ct count 5", "ip saddr & x ct count 5", "limit rate x/second"} {
		if l, ok := ParseLimit(text, ir.IPv4); ok {
			t.Errorf("%q is the limit %+v", text, l)
		}
	}
}
