package iptables

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

func portRange(first, last uint16) *ir.PortRange { return &ir.PortRange{First: first, Last: last} }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// matchTexts are matches as iptables-save prints them: docs/contributing/netfilter.md.
var matchTexts = []struct {
	match Match
	want  string
}{
	{Address{Prefix: prefix("192.0.2.1/32")}, "-s 192.0.2.1/32"},
	{Address{Prefix: prefix("10.0.0.0/8"), Not: true}, "! -s 10.0.0.0/8"},
	{Address{Prefix: prefix("10.1.2.3/8")}, "-s 10.0.0.0/8"},
	{Address{Dir: Dst, Prefix: prefix("172.17.0.2/32")}, "-d 172.17.0.2/32"},
	{Address{Dir: Dst, Not: true, Prefix: prefix("2001:DB8:0:0::1/128")}, "! -d 2001:db8::1/128"},
	{Address{Prefix: prefix("2001:db8::/32")}, "-s 2001:db8::/32"},
	{Interface{Name: "eth0"}, "-i eth0"},
	{Interface{Name: "br-+", Dir: Dst}, "-o br-+"},
	{Protocol{Number: 1}, "-p icmp"},
	{Protocol{Number: 6}, "-p tcp"},
	{Protocol{Number: 17}, "-p udp"},
	{Protocol{Number: 58}, "-p ipv6-icmp"},
	{Protocol{Number: 132}, "-p sctp"},
	{Protocol{Number: 253}, "-p 253"},
	{Ports{Protocol: 6, Dst: portRange(80, 80)}, "-m tcp --dport 80"},
	{Ports{Protocol: 17, Dst: portRange(1024, 65535)}, "-m udp --dport 1024:65535"},
	{Ports{Protocol: 132, Src: portRange(53, 53)}, "-m sctp --sport 53"},
	{Ports{Protocol: 6, Src: portRange(1, 1023), Dst: portRange(22, 22)}, "-m tcp --sport 1:1023 --dport 22"},
	{ICMP{Family: ir.IPv4, Type: 8, Code: -1}, "-m icmp --icmp-type 8"},
	{ICMP{Family: ir.IPv4, Type: 3, Code: 4}, "-m icmp --icmp-type 3/4"},
	{ICMP{Family: ir.IPv4, Type: 8, Code: 0}, "-m icmp --icmp-type 8/0"},
	{ICMP{Family: ir.IPv6, Type: 2, Code: -1}, "-m icmp6 --icmpv6-type 2"},
	{ICMP{Family: ir.IPv6, Type: 1, Code: 3}, "-m icmp6 --icmpv6-type 1/3"},
	{Conntrack{States: ir.CTEstablished | ir.CTRelated}, "-m conntrack --ctstate RELATED,ESTABLISHED"},
	{Conntrack{States: 1<<7 - 1}, "-m conntrack --ctstate INVALID,NEW,RELATED,ESTABLISHED,UNTRACKED,SNAT,DNAT"},
	{Conntrack{States: ir.CTEstablished, Dir: ir.CTReply}, "-m conntrack --ctstate ESTABLISHED --ctdir REPLY"},
	{
		Conntrack{States: ir.CTDNAT, OrigDst: netip.MustParseAddr("10.0.0.1"), OrigDstPort: portRange(8080, 8090), Dir: ir.CTOriginal},
		"-m conntrack --ctstate DNAT --ctorigdst 10.0.0.1 --ctorigdstport 8080:8090 --ctdir ORIGINAL",
	},
	{Conntrack{OrigDst: netip.MustParseAddr("2001:db8::1")}, "-m conntrack --ctorigdst 2001:db8::1"},
	{SetMatch{Set: "clients"}, "-m set --match-set clients src"},
	{SetMatch{Set: "web.dst-v6", Dir: Dst, Not: true}, "-m set ! --match-set web.dst-v6 dst"},
	{Time{Last: time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)}, "-m time --datestop 2027-01-31T23:59:59"},
	{
		HashLimit{Above: true, Rate: Rate{Count: 10, Unit: PerSecond}, Burst: 5, PerSource: true, Name: "f"},
		"-m hashlimit --hashlimit-above 10/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name f",
	},
	{
		HashLimit{Rate: Rate{Count: 7, Unit: PerMinute}, Burst: 20, Name: "f"},
		"-m hashlimit --hashlimit-upto 7/min --hashlimit-burst 20 --hashlimit-name f",
	},
	{ConnLimit{Above: true, Max: 10, PrefixLength: 32}, "-m connlimit --connlimit-above 10 --connlimit-mask 32 --connlimit-saddr"},
	{ConnLimit{Max: 3, PrefixLength: 64}, "-m connlimit --connlimit-upto 3 --connlimit-mask 64 --connlimit-saddr"},
	{Limit{Rate: Rate{Count: 1, Unit: PerSecond}, Burst: 5}, "-m limit --limit 1/sec"},
	{Limit{Rate: Rate{Count: 3, Unit: PerDay}, Burst: 2}, "-m limit --limit 3/day --limit-burst 2"},
}

var verdictTexts = []struct {
	verdict Verdict
	want    string
}{
	{Accept{}, "-j ACCEPT"},
	{Return{}, "-j RETURN"},
	{Drop{}, "-j DROP"},
	{Reject{With: "tcp-reset"}, "-j REJECT --reject-with tcp-reset"},
	{Reject{With: "icmp6-adm-prohibited"}, "-j REJECT --reject-with icmp6-adm-prohibited"},
	{Jump{Chain: "DOCKERFW-EGRESS"}, "-j DOCKERFW-EGRESS"},
	{Goto{Chain: "DOCKERFW-EGRESS"}, "-g DOCKERFW-EGRESS"},
	{Log{Prefix: "DROP:", Level: 4}, `-j LOG --log-prefix "DROP:"`},
	{Log{Prefix: "drop", Level: 6}, "-j LOG --log-prefix drop --log-level 6"},
	{Log{Prefix: "two words", Level: 0}, `-j LOG --log-prefix "two words" --log-level 0`},
	{NFLog{}, "-j NFLOG"},
	{NFLog{Prefix: "drop ", Group: 5}, `-j NFLOG --nflog-prefix "drop " --nflog-group 5`},
}

func TestMatchesArePrintedAsByIptablesSave(t *testing.T) {
	for _, c := range matchTexts {
		if got := match(c.match); got != c.want {
			t.Errorf("%#v:\n got %s\nwant %s", c.match, got, c.want)
		}
	}
}

func TestVerdictsArePrintedAsByIptablesSave(t *testing.T) {
	for _, c := range verdictTexts {
		if got := verdict(c.verdict); got != c.want {
			t.Errorf("%#v:\n got %s\nwant %s", c.verdict, got, c.want)
		}
	}
}

func TestSpecIsMatchesThenCommentThenVerdict(t *testing.T) {
	r := &Rule{
		ID:      ir.RuleID{Phase: ir.PhaseAccept, Name: "https"},
		Matches: []Match{Interface{Name: "eth0"}, Protocol{Number: 6}, Ports{Protocol: 6, Dst: portRange(443, 443)}},
		Verdict: Accept{},
	}
	want := `-i eth0 -p tcp -m tcp --dport 443 -m comment --comment "dockerfw accept https" -j ACCEPT`
	if got := Spec(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.Matches = nil
	if got, want := Spec(r), `-m comment --comment "dockerfw accept https" -j ACCEPT`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A character that ends a word early, or an unclosed quote, silently changes the meaning of
// the rest of the line: docs/contributing/netfilter.md, "Quotes".
func TestQuotePanicsOnUnquotableText(t *testing.T) {
	for _, bad := range []string{`a"b`, `a\b`, "a\nb", "a\rb", "a\x00b", "a\tb", "ü", "\x7f"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("quote(%q) = %s", bad, quote(bad))
				}
			}()
			quote(bad)
		}()
	}
	for text, want := range map[string]string{"": `""`, "a-b_C9": "a-b_C9", "a b": `"a b"`, "a.b": `"a.b"`, "it's": `"it's"`, "$x`y`": "\"$x`y`\""} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestLinePanicsAboveTheLimitOfIptablesRestore(t *testing.T) {
	table := newRestore("x", 0)
	table.line(strings.Repeat("a", maxLine))
	defer func() {
		if recover() == nil {
			t.Error("a line of maxLine+1 bytes was written")
		}
	}()
	table.line(strings.Repeat("a", maxLine+1))
}
