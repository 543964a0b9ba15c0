package iptables_test

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/iptables"
)

func rule(t *testing.T, text string) *iptables.Rule {
	t.Helper()
	file, diags := iptables.ParseRules(strings.NewReader("*filter\n-A U "+text+"\nCOMMIT\n"), "rules")
	for _, d := range diags {
		t.Errorf("%s: %v", text, d)
	}
	if t.Failed() {
		t.FailNow()
	}
	return file.Blocks[0].Commands[0].Rule
}

// Each row is what iptables-nft-save 1.8.9 printed: docs/contributing/netfilter.md,
// "Canonical form".
func TestCanonicalRulesAreWhatIptablesSavePrints(t *testing.T) {
	v4 := map[string]string{
		"-m state --state ESTABLISHED,RELATED":                "-m state --state RELATED,ESTABLISHED",
		"-m conntrack --ctstate DNAT,ESTABLISHED,RELATED,NEW": "-m conntrack --ctstate NEW,RELATED,ESTABLISHED,DNAT",
		"-m set ! --match-set A src -i eth0 -j DROP":          "-i eth0 -m set ! --match-set A src -j DROP",
		"-m set --set A src":                                  "-m set --match-set A src",
		"-p tcp --dport 80":                                   "-p tcp -m tcp --dport 80",
		"-p 6 --dport 80:80":                                  "-p tcp -m tcp --dport 80",
		"-p TCP --dport :1024":                                "-p tcp -m tcp --dport 0:1024",
		"-p tcp --dport 1024:":                                "-p tcp -m tcp --dport 1024:65535",
		"-p tcp --dport 0:65535":                              "-p tcp -m tcp",
		"-p sctp --dport 0:65535":                             "-p sctp -m sctp --dport 0:65535",
		"-p tcp --dpor 80":                                    "-p tcp -m tcp --dport 80",
		"-p tcp -m tcp --dport=80":                            "-p tcp -m tcp --dport 80",
		"-p udp --dport 53 --sport 5":                         "-p udp -m udp --sport 5 --dport 53",
		"-p tcp -m multiport --dport 443,80":                  "-p tcp -m multiport --dports 443,80",
		"-p tcp --sport 5 -m multiport --dports 80 --dport 6": "-p tcp -m tcp --sport 5 --dport 6 -m multiport --dports 80",
		"-p udp -m conntrack --ctstate NEW --dport 53 -m comment --comment x --sport 1": "-p udp -m conntrack --ctstate NEW -m udp --sport 1 --dport 53 -m comment --comment x",
		"-p all -s 0.0.0.0/0 -d 1.2.3.4/0 -i + -j DROP":                                 "-j DROP",
		"-p 47":                            "-p gre",
		"-p 132":                           "-p sctp",
		"-p 253":                           "-p 253",
		"-p 0x06":                          "-p tcp",
		"-p mh":                            "-p mobility-header",
		"! -p icmpv6":                      "! -p ipv6-icmp",
		"-p icmp --icmp-type echo-request": "-p icmp -m icmp --icmp-type 8",
		"-p icmp --icmp-type fragmentation-needed":                 "-p icmp -m icmp --icmp-type 3/4",
		"-p icmp --icmp-type 8/0":                                  "-p icmp -m icmp --icmp-type 8/0",
		"-p icmp --icmp-type any":                                  "-p icmp -m icmp --icmp-type any",
		"-m conntrack --ctproto tcp":                               "-m conntrack --ctproto 6",
		"-m conntrack --ctdir original --ctorigdst 10.0.0.1/32":    "-m conntrack --ctorigdst 10.0.0.1 --ctdir ORIGINAL",
		"-m conntrack --ctorigdst 10.0.0.5/24":                     "-m conntrack --ctorigdst 10.0.0.5/24",
		"-m conntrack --ctstatus CONFIRMED,ASSURED --ctexpire 5:5": "-m conntrack --ctstatus ASSURED,CONFIRMED --ctexpire 5",
		"-m limit --limit 60/min":                                  "-m limit --limit 1/sec",
		"-m limit --limit 1/second --limit-burst 5":                "-m limit --limit 1/sec",
		"-m limit --limit 120/min":                                 "-m limit --limit 2/sec",
		"-m limit --limit 7/min":                                   "-m limit --limit 7/min",
		"-m limit --limit 25/h":                                    "-m limit --limit 25/hour",
		"-m limit --limit 1441/day":                                "-m limit --limit 1441/day",
		"-m limit":                                                 "-m limit --limit 3/hour",
		"-m hashlimit --hashlimit-above 10/sec --hashlimit-mode srcip --hashlimit-name f": "-m hashlimit --hashlimit-above 10/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name f",
		"-m hashlimit --hashlimit-upto 512kb/s --hashlimit-name x":                        "-m hashlimit --hashlimit-upto 512kb/s --hashlimit-name x",
		"-m connlimit --connlimit-above 10":                                               "-m connlimit --connlimit-above 10 --connlimit-mask 32 --connlimit-saddr",
		"-j LOG --log-level warning":                                                      "-j LOG",
		"-j LOG --log-uid --log-level info --log-prefix DROP:":                            `-j LOG --log-prefix "DROP:" --log-level 6 --log-uid`,
		"-j NFLOG --nflog-threshold 3 --nflog-group 0 --nflog-prefix p":                   "-j NFLOG --nflog-prefix p --nflog-threshold 3",
		"-j REJECT":                                                     "-j REJECT --reject-with icmp-port-unreachable",
		"-j REJECT --reject-with admin-prohib":                          "-j REJECT --reject-with icmp-admin-prohibited",
		"-j REJECT --reject-with tcp-rst -p tcp":                        "-p tcp -j REJECT --reject-with tcp-reset",
		"-m mark --mark 1":                                              "-m mark --mark 0x1",
		"-m mark --mark 16/0xff":                                        "-m mark --mark 0x10/0xff",
		"-j MARK --set-mark 1":                                          "-j MARK --set-xmark 0x1/0xffffffff",
		"-j MARK --set-mark 3/0xf0":                                     "-j MARK --set-xmark 0x3/0xf3",
		"-j MARK --and-mark 3":                                          "-j MARK --set-xmark 0x0/0xfffffffc",
		"-j MARK --or-mark 3":                                           "-j MARK --set-xmark 0x3/0x3",
		"-j CONNMARK --restore-mark --mask 0xff":                        "-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
		"-m addrtype --dst-type multicast,local --src-type unicast":     "-m addrtype --src-type UNICAST --dst-type LOCAL,MULTICAST",
		"-m mac --mac-source 00:11:22:AA:BB:CC":                         "-m mac --mac-source 00:11:22:aa:bb:cc",
		"-m time --timestart 08:00 --timestop 18:00 --weekdays Tue,Mon": "-m time --timestart 08:00:00 --timestop 18:00:00 --weekdays Mon,Tue --datestop 2038-01-19T03:14:07",
		"-p tcp --syn":                                                  "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
		"-p tcp ! --syn":                                                "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN",
		"-p tcp --tcp-flags ALL ACK,SYN":                                "-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG SYN,ACK",
		"-s 1.2.3.4":                                                    "-s 1.2.3.4/32",
		"-s 1.2.3.4/24":                                                 "-s 1.2.3.0/24",
		"-s 1.2.3.4/255.255.255.0":                                      "-s 1.2.3.0/24",
		"-s 1.2.3.4/255.0.255.0":                                        "-s 1.0.3.0/255.0.255.0",
		"-s 010.0.0.1 -d 10.1":                                          "-s 8.0.0.1/32 -d 10.1.0.0/32",
		"-d ! 1.2.3.4 -i ! eth0":                                        "! -d 1.2.3.4/32 ! -i eth0",
		"--source 1.2.3.4 --in-interface eth0 --jum DROP":               "-s 1.2.3.4/32 -i eth0 -j DROP",
		"! -f -i eth0 -j DROP":                                          "-i eth0 ! -f -j DROP",
		"-j LOG -m comment --comment x --log-prefix foo":                "-m comment --comment x -j LOG --log-prefix foo",
		"-m recent --update --seconds 5 --rdest":                        "-m recent --update --seconds 5 --name DEFAULT --mask 255.255.255.255 --rdest",
		"-m recent --set":                                               "-m recent --set --name DEFAULT --mask 255.255.255.255 --rsource",
		"-j NOTRACK":                                                    "-j CT --notrack",
		"-m length --length 100:":                                       "-m length --length 100:65535",
		"-m iprange --src-range 1.2.3.4":                                "-m iprange --src-range 1.2.3.4-1.2.3.4",
		"-m ttl --ttl 5":                                                "-m ttl --ttl-eq 5",
		"-m string --string foo --algo bm --icase --from 5":             `-m string --string "foo" --algo bm --from 5 --icase`,
		"-m physdev --physdev-is-bridged --physdev-in eth0":             "-m physdev --physdev-in eth0 --physdev-is-bridged",
		"-m quux --frobnicate 1 b ! --other -m tcp2 --port ! 80 -s 1.2.3.4 -j CLUSTER --a b c": "-s 1.2.3.4/32 -m quux --frobnicate 1 b ! --other -m tcp2 ! --port 80 -j CLUSTER --a b c",
	}
	for written, want := range v4 {
		if got := rule(t, written).Canonical(iptables.IPv4); got != want {
			t.Errorf("%s\n got  %s\n want %s", written, got, want)
		}
		if got := rule(t, want).Canonical(iptables.IPv4); got != want {
			t.Errorf("not stable: %s\n got  %s", want, got)
		}
	}
	v6 := map[string]string{
		"-s ::/0 -j DROP":                        "-j DROP",
		"-s 2001:DB8:0:0::1/64":                  "-s 2001:db8::/64",
		"-s ::1":                                 "-s ::1/128",
		"-p 58":                                  "-p ipv6-icmp",
		"-m connlimit --connlimit-upto 2":        "-m connlimit --connlimit-upto 2 --connlimit-mask 128 --connlimit-saddr",
		"-p icmpv6 --icmpv6-type packet-too-big": "-p ipv6-icmp -m icmp6 --icmpv6-type 2",
		"-j REJECT":                              "-j REJECT --reject-with icmp6-port-unreachable",
		"-j REJECT --reject-with adm-prohibited": "-j REJECT --reject-with icmp6-adm-prohibited",
	}
	for written, want := range v6 {
		if got := rule(t, written).Canonical(iptables.IPv6); got != want {
			t.Errorf("%s\n got  %s\n want %s", written, got, want)
		}
	}
}

// docs/contributing/netfilter.md, "Quotes".
func TestCommentsAreQuotedAsIptablesSaveQuotesThem(t *testing.T) {
	for written, saved := range map[string]string{
		`"plain"`:         `plain`,
		`"two words"`:     `"two words"`,
		`"esc \"q\""`:     `"esc \"q\""`,
		`"back\\slash"`:   `"back\\slash"`,
		`it's`:            `"it\'s"`,
		`"n\n"`:           `nn`,
		`"a:b/c.d_e-f@g"`: `"a:b/c.d_e-f@g"`,
		`#hash`:           `"#hash"`,
		`!`:               `"!"`,
		`café`:            `"café"`,
		`-foo`:            `-foo`,
		`"-foo bar"`:      `"-foo bar"`,
		`-j`:              `-j`,
		`""`:              `""`,
		`a"b c"`:          `"ab c"`,
		"\"a\tb\"":        "\"a\tb\"",
	} {
		r := rule(t, "-m comment --comment "+written+" -j DROP")
		want := "-m comment --comment " + saved + " -j DROP"
		if r.Text != want || r.Canonical(iptables.IPv4) != want {
			t.Errorf("%s\n text %s\n canonical %s\n want %s", written, r.Text, r.Canonical(iptables.IPv4), want)
		}
		if r.Jump != "DROP" {
			t.Errorf("%s: jumps to %q", written, r.Jump)
		}
	}
}

func TestOptionsBelongToTheMatchThatHasThem(t *testing.T) {
	r := rule(t, "-p tcp --dport 80 -m set --match-set A src,dst -m foo --bar a b -j LOG --log-prefix -x")
	if len(r.Matches) != 3 || len(r.Target) != 1 {
		t.Fatalf("got %+v", r)
	}
	if m := r.Matches[0]; m.Name != "tcp" || !m.Implied || m.Option("--dport").Value() != "80" {
		t.Errorf("tcp: %+v", m)
	}
	if o := r.Matches[1].Option("--match-set"); o == nil || strings.Join(o.Values, " ") != "A src,dst" || o.Opaque {
		t.Errorf("set: %+v", o)
	}
	if o := r.Matches[2].Option("--bar"); o == nil || !o.Opaque || len(o.Values) != 2 {
		t.Errorf("foo: %+v", o)
	}
	if o := r.Target[0]; o.Name != "--log-prefix" || o.Value() != "-x" || o.Range.Start.Column != 77 {
		t.Errorf("LOG: %+v", o)
	}
}

func TestOptionsOfUnknownMatchesAreNotAbbreviations(t *testing.T) {
	r := rule(t, "-m foo --jum 5 -j DROP")
	if r.Jump != "DROP" || r.Matches[0].Option("--jum") == nil {
		t.Errorf("got %+v", r)
	}
}

func TestProtocolNamesAndNumbersAreEqual(t *testing.T) {
	for _, pair := range [][2]string{{"47", "gre"}, {"58", "icmpv6"}, {"112", "VRRP"}, {"0", "all"}, {"135", "ipv6-mh"}} {
		a, ok1 := iptables.ProtocolNumber(pair[0])
		b, ok2 := iptables.ProtocolNumber(pair[1])
		if !ok1 || !ok2 || a != b {
			t.Errorf("%v: %d %d", pair, a, b)
		}
	}
	if _, ok := iptables.ProtocolNumber("300"); ok {
		t.Error("300 is a protocol")
	}
}
