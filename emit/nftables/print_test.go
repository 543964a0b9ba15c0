package nftables

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/sealed"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func ranges(list ...string) []netipx.IPRange {
	var out []netipx.IPRange
	for _, s := range list {
		out = append(out, netipx.MustParseIPRange(s))
	}
	return out
}

var matchTexts = []struct {
	match Match
	want  string
}{
	{Interface{Src, []string{"eth0"}}, `iifname "eth0"`},
	{Interface{Dst, []string{"br-*", "docker0"}}, `oifname { "br-*", "docker0" }`},
	{State{ir.CTNew}, "ct state new"},
	{State{ir.CTRelated | ir.CTEstablished}, "ct state established,related"},
	{State{ir.CTInvalid | ir.CTNew | ir.CTUntracked}, "ct state invalid,new,untracked"},
	{Translated{}, "ct status dnat"},
	{CTDirection{ir.CTOriginal}, "ct direction original"},
	{CTDirection{ir.CTReply}, "ct direction reply"},
	{Protocol{[]uint8{6}}, "meta l4proto tcp"},
	{Protocol{[]uint8{1, 6, 17, 33, 47, 50, 51, 58, 89, 132, 136}}, "meta l4proto { icmp, tcp, udp, dccp, gre, esp, ah, ipv6-icmp, 89, sctp, udplite }"},
	{Ports{6, Dst, []ir.PortRange{{First: 80, Last: 80}}}, "tcp dport 80"},
	{Ports{0, Src, []ir.PortRange{{First: 53, Last: 53}, {First: 1024, Last: 65535}}}, "th sport { 53, 1024-65535 }"},
	{ICMP{ir.IPv4, []uint8{0, 8, 40}, -1}, "icmp type { echo-reply, echo-request, 40 }"},
	{ICMP{ir.IPv4, []uint8{3}, 4}, "icmp type destination-unreachable icmp code 4"},
	{ICMP{ir.IPv6, []uint8{128}, 0}, "icmpv6 type echo-request icmpv6 code 0"},
	{Family{Family: ir.IPv4}, "meta nfproto ipv4"},
	{Family{Family: ir.IPv6, Not: true}, "meta nfproto != ipv6"},
	{OriginalAddress{[]netip.Addr{addr("198.51.100.1")}}, "ct original ip daddr 198.51.100.1"},
	{OriginalAddress{[]netip.Addr{addr("2001:db8::1"), addr("2001:db8::2")}}, "ct original ip6 daddr { 2001:db8::1, 2001:db8::2 }"},
	{OriginalPort{ir.PortRange{First: 8000, Last: 8010}}, "ct original proto-dst 8000-8010"},
	{Address{Src, false, ranges("192.0.2.1-192.0.2.1")}, "ip saddr 192.0.2.1"},
	{Address{Dst, true, ranges("192.0.2.0-192.0.2.255", "198.51.100.1-198.51.100.6")}, "ip daddr != { 192.0.2.0/24, 198.51.100.1-198.51.100.6 }"},
	{Address{Src, false, ranges("::1:2-::1:2", "::ffff:1.2.3.4-::ffff:1.2.3.4", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")}, "ip6 saddr { ::0.1.0.2, ::ffff:1.2.3.4, 2001:db8::/32 }"},
	{SetMatch{"office.00000000", ir.IPv4, Src, false}, "ip saddr @office.00000000"},
	{SetMatch{"office-v6.00000000", ir.IPv6, Dst, true}, "ip6 daddr != @office-v6.00000000"},
	{Time{time.Date(2027, 2, 1, 0, 0, 0, 0, time.FixedZone("", 3600))}, "meta time < 1801436400"},
	{Limit{Rate{ir.Frequency{Count: 10, Seconds: 60}, 5}, false}, "limit rate 10/minute burst 5 packets"},
	{Limit{Rate{ir.Frequency{Count: 1, Seconds: 86400}, 1}, true}, "limit rate over 1/day burst 1 packets"},
	{SourceLimit{Rate{ir.Frequency{Count: 5, Seconds: 1}, 10}, false, "web.rate.00000000", ir.IPv4}, "update @web.rate.00000000 { ip saddr limit rate 5/second burst 10 packets }"},
	{SourceLimit{Rate{ir.Frequency{Count: 5, Seconds: 3600}, 10}, true, "web.rate-v6.00000000", ir.IPv6}, "update @web.rate-v6.00000000 { ip6 saddr limit rate over 5/hour burst 10 packets }"},
	{SourceConnections{3, false, 32, "web.connections.00000000", ir.IPv4}, "add @web.connections.00000000 { ip saddr ct count 3 }"},
	{SourceConnections{3, true, 25, "web.connections.00000000", ir.IPv4}, "add @web.connections.00000000 { ip saddr & 255.255.255.128 ct count over 3 }"},
	{SourceConnections{3, true, 56, "web.connections-v6.00000000", ir.IPv6}, "add @web.connections-v6.00000000 { ip6 saddr & ffff:ffff:ffff:ff00:: ct count over 3 }"},
}

var verdictTexts = []struct {
	verdict Verdict
	want    string
}{
	{Accept{}, "accept"},
	{Return{}, "return"},
	{Drop{}, "drop"},
	{Reject{TCPReset: true}, "reject with tcp reset"},
	{Reject{}, "reject with icmpx admin-prohibited"},
	{Jump{"dockerfw-in"}, "jump dockerfw-in"},
	{Log{"dockerfw web: ", 4}, `log prefix "dockerfw web: "`},
	{Log{"x", 3}, `log prefix "x" level err`},
	{NFLog{"x", 0}, `log prefix "x" group 0`},
}

func TestEveryKindOfMatchAndVerdictIsPrinted(t *testing.T) {
	printed := map[string]bool{}
	for _, c := range matchTexts {
		printed[reflect.TypeOf(c.match).Name()] = true
		if got := match(c.match); got != c.want {
			t.Errorf("%+v is printed as %s, want %s", c.match, got, c.want)
		}
		rank(c.match)
	}
	for _, c := range verdictTexts {
		printed[reflect.TypeOf(c.verdict).Name()] = true
		if got := verdict(c.verdict); got != c.want {
			t.Errorf("%+v is printed as %s, want %s", c.verdict, got, c.want)
		}
	}
	for _, kind := range append(sealed.Types(t, ".", "isMatch"), sealed.Types(t, ".", "isVerdict")...) {
		if !printed[kind] {
			t.Errorf("%s: no sample", kind)
		}
	}
}

func TestATableIsPrintedAsNFTListsIt(t *testing.T) {
	tables := &Tables{
		Sets: []*Set{
			{Name: "a.00000000", Family: ir.IPv4, Prefixes: ir.PrefixesOf(prefix("0.0.0.0/1"), prefix("192.0.2.1/32"), prefix("198.51.100.0/24"))},
			{Name: "a-v6.00000000", Family: ir.IPv6, Prefixes: ir.PrefixesOf(prefix("::1.2.3.0/120"), prefix("2001:db8::/32"))},
			{Name: "empty.00000000", Family: ir.IPv6},
			{Name: "banned", Family: ir.IPv4, Kind: Unmanaged, Size: 9},
			{Name: "r", Family: ir.IPv4, Kind: Dynamic, Size: 65535, Timeout: 3661 * time.Second},
			{Name: "c", Family: ir.IPv6, Kind: Dynamic, Size: 65535},
		},
		Chains: []*Chain{
			{Name: "forward", Base: true, Rules: []*Rule{{ID: ir.RuleID{Phase: ir.PhaseForward}, Verdict: Jump{"dockerfw-in"}}}},
			{Name: "dockerfw-in", Rules: []*Rule{{ID: ir.RuleID{Phase: ir.PhaseDeny, Name: "x"}, Matches: []Match{Family{Family: ir.IPv4}}, Verdict: Drop{}}}},
		},
	}
	want := `# header
table inet dockerfw
flush table inet dockerfw
table inet dockerfw {
	set a.00000000 {
		type ipv4_addr
		flags interval
		elements = { 0.0.0.0/1, 192.0.2.1,
			     198.51.100.0/24 }
	}

	set a-v6.00000000 {
		type ipv6_addr
		flags interval
		elements = { ::1.2.3.0/120,
			     2001:db8::/32 }
	}

	set empty.00000000 {
		type ipv6_addr
		flags interval
	}

	set banned {
		type ipv4_addr
		size 9
		flags interval,timeout
	}

	set r {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1h1m1s
	}

	set c {
		type ipv6_addr
		size 65535
		flags dynamic
	}

	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		jump dockerfw-in comment "dockerfw forward"
	}

	chain dockerfw-in {
		meta nfproto ipv4 drop comment "dockerfw deny x"
	}
}
`
	if got := string(Table(tables, "header")); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := string(Removal("header")); got != "# header\ntable inet dockerfw\ndelete table inet dockerfw\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestStringsThatNFTWouldReadOtherwiseAreNotPrinted(t *testing.T) {
	for _, text := range []string{`"`, `\`, "\n", "ü"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is printed", text)
				}
			}()
			quote(text)
		}()
	}
	if got := quote(strings.Repeat("a ", 3)); got != `"a a a "` {
		t.Error(got)
	}
}
