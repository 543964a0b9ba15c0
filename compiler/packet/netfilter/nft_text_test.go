package netfilter

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// nftSets are sets of the tables below; ipsets are the same for iptables.
const (
	nftSets = `
	set office {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.0/25, 198.51.100.7,
			     203.0.113.4-203.0.113.9 }
	}
	set office-v6 {
		type ipv6_addr
		flags interval
		elements = { 2001:db8::/48, 2001:db8:5::9 comment "x" }
	}
	set banned {
		type ipv4_addr
		flags interval,timeout
	}
	set counts {
		type ipv4_addr
		size 65535
		flags dynamic
	}
	set counts-v6 {
		type ipv6_addr
		size 65535
		flags dynamic
	}
`
	ipsets4 = "create office hash:net family inet\nadd office 192.0.2.0/25\nadd office 198.51.100.7\nadd office 203.0.113.4/30\nadd office 203.0.113.8/31\n"
	ipsets6 = "create office-v6 hash:net family inet6\nadd office-v6 2001:db8::/48\nadd office-v6 2001:db8:5::9\n"
)

// textProgram returns the program of the base chain of a table with these rules.
func textProgram(t *testing.T, f ir.Family, rules ...string) *packet.Program {
	t.Helper()
	text := "table inet dockerfw {" + nftSets + "\tchain other {\n\t\tdrop\n\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy accept;\n\t\t" + strings.Join(rules, "\n\t\t") + "\n\t}\n}\n"
	r, diags := nft.ParseText([]byte(text), "text")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	table := r.Tables[0]
	return NFTProgram(table, table.Chain("forward"), f)
}

// savedProgram returns the program of the chain FORWARD with these rules of iptables.
func savedProgram(t *testing.T, f ir.Family, rules ...string) *packet.Program {
	t.Helper()
	text := "*filter\n:FORWARD ACCEPT [0:0]\n:other - [0:0]\n-A other -j DROP\n"
	for _, r := range rules {
		text += "-A FORWARD " + r + "\n"
	}
	file, diags := iptables.ParseRules(strings.NewReader(text+"COMMIT\n"), "rules")
	host := iptables.NewRuleset(iptables.Family(f))
	sets := map[ir.Family]string{ir.IPv4: ipsets4, ir.IPv6: ipsets6}[f]
	setFile, setDiags := iptables.ParseSets(strings.NewReader(sets), "sets")
	hostSets := &iptables.Sets{}
	diags = append(append(append(diags, setDiags...), hostSets.Load(setFile)...), host.Load(file)...)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return Program(host.Table("filter"), f, "FORWARD", NewSets(hostSets, nil))
}

// A rule of nft has the verdicts of the rule of iptables that means the same, and of no other in
// the list, for each packet.
func TestRulesOfNFTAndIPTablesAreTheSameProgram(t *testing.T) {
	const none = "-p 253 -j ACCEPT" // no packet is dropped
	both := func(nft, iptables string) [3]string { return [3]string{nft, iptables, iptables} }
	rules := [][3]string{
		both(`iifname "eth0" drop`, `-i eth0 -j DROP`),
		both(`iifname != "eth0" drop`, `! -i eth0 -j DROP`),
		both(`iifname "wg*" oifname "br-*" drop`, `-i wg+ -o br-+ -j DROP`),
		both(`ct state established,related drop`, `-m conntrack --ctstate RELATED,ESTABLISHED -j DROP`),
		both(`ct state invalid drop`, `-m conntrack --ctstate INVALID -j DROP`),
		both(`ct state established ct direction reply drop`, `-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j DROP`),
		both(`ct status dnat ct direction original meta l4proto tcp ct original proto-dst 443 drop`, `-p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -j DROP`),
		both(`ct status dnat ct direction original meta l4proto udp ct original proto-dst 8000-8010 drop`, `-p udp -m conntrack --ctstate DNAT --ctorigdstport 8000:8010 --ctdir ORIGINAL -j DROP`),
		{`ct status dnat ct direction original ct original ip daddr 198.51.100.1 drop`, `-m conntrack --ctstate DNAT --ctorigdst 198.51.100.1 --ctdir ORIGINAL -j DROP`, none},
		{`ct status dnat ct direction original ct original ip6 daddr 2001:db8::80 drop`, none, `-m conntrack --ctstate DNAT --ctorigdst 2001:db8::80 --ctdir ORIGINAL -j DROP`},
		both(`meta l4proto gre drop`, `-p 47 -j DROP`),
		both(`meta l4proto manet drop`, `-p 138 -j DROP`),
		both(`meta l4proto != tcp drop`, `! -p tcp -j DROP`),
		both(`tcp dport 5432 drop`, `-p tcp -m tcp --dport 5432 -j DROP`),
		both(`tcp sport 1024-65535 drop`, `-p tcp -m tcp --sport 1024:65535 -j DROP`),
		both(`tcp dport { 22, 80-90 } drop`, `-p tcp -m multiport --dports 22,80:90 -j DROP`),
		both(`meta l4proto tcp th dport 443 drop`, `-p 6 -m multiport --dports 443 -j DROP`),
		both(`udp dport 53 drop`, `-p udp -m udp --dport 53 -j DROP`),
		both(`sctp dport 99 drop`, `-p sctp -m sctp --dport 99 -j DROP`),
		{`meta nfproto ipv4 drop`, `-j DROP`, none},
		{`meta nfproto ipv6 drop`, none, `-j DROP`},
		{`meta nfproto != ipv6 drop`, `-j DROP`, none},
		{`meta l4proto tcp meta nfproto != ipv4 reject with tcp reset`, none, `-p tcp -j REJECT --reject-with tcp-reset`},
		{`ip saddr @office drop`, `-m set --match-set office src -j DROP`, none},
		{`ip saddr != @office drop`, `-m set ! --match-set office src -j DROP`, none},
		{`ip6 daddr != @office-v6 drop`, none, `-m set ! --match-set office-v6 dst -j DROP`},
		{`ip saddr @banned drop`, `-m set --match-set banned src -j DROP`, none},
		{`ip saddr != @banned drop`, `-m set ! --match-set banned src -j DROP`, none},
		{`ip saddr 192.0.2.0/24 drop`, `-s 192.0.2.0/24 -j DROP`, none},
		{`ip saddr != 192.0.2.7 drop`, `! -s 192.0.2.7 -j DROP`, none},
		{`ip daddr 192.0.2.1-192.0.2.9 drop`, `-m iprange --dst-range 192.0.2.1-192.0.2.9 -j DROP`, none},
		{`ip6 saddr fe80::/10 drop`, none, `-s fe80::/10 -j DROP`},
		{`icmp type echo-request drop`, `-p icmp -m icmp --icmp-type 8 -j DROP`, none},
		{`icmp type destination-unreachable icmp code frag-needed drop`, `-p icmp -m icmp --icmp-type 3/4 -j DROP`, none},
		{`icmp type 3 icmp code 5 drop`, `-p icmp -m icmp --icmp-type 3/5 -j DROP`, none},
		{`icmpv6 type echo-request drop`, none, `-p icmpv6 -m icmp6 --icmpv6-type 128 -j DROP`},
		{`icmpv6 type destination-unreachable icmpv6 code no-route drop`, none, `-p icmpv6 -m icmp6 --icmpv6-type 1/0 -j DROP`},
		both(`meta time < "2026-11-27 08:00:00" drop`, `-m time --datestop 2026-11-27T07:59:59 -j DROP`),
		both(`meta l4proto tcp reject with tcp reset`, `-p tcp -j REJECT --reject-with tcp-reset`),
		{`reject with icmpx admin-prohibited`, `-j REJECT --reject-with icmp-admin-prohibited`, `-j REJECT --reject-with icmp6-adm-prohibited`},
		{`reject`, `-j REJECT --reject-with icmp-port-unreachable`, `-j REJECT --reject-with icmp6-port-unreachable`},
		{`reject with icmpx no-route`, `-j REJECT --reject-with icmp-net-unreachable`, `-j REJECT --reject-with icmp6-no-route`},
		{`reject with icmpx host-unreachable`, `-j REJECT --reject-with icmp-host-unreachable`, `-j REJECT --reject-with icmp6-addr-unreachable`},
		{`reject with icmp prot-unreachable`, `-j REJECT --reject-with icmp-proto-unreachable`, none},
		both(`counter packets 1 bytes 2 log prefix "x: " level info iifname "eth3" drop`, `-i eth3 -j DROP`),
		both(`iifname "eth2" jump other comment "dockerfw forward"`, `-i eth2 -j other`),
		both(`iifname "eth4" goto other`, `-i eth4 -g other`),
		both(`meta mark & 0x00000040 == 0x00000040 drop`, `-m mark --mark 0x40/0x40 -j DROP`),
		both(`drop`, `-j DROP`),
	}
	// Further forms that mean the same as one of the list.
	same := map[string]string{
		`meta time < 1795766400 drop`:                    `meta time < "2026-11-27 08:00:00" drop`,
		`icmp type 8-8 drop`:                             `icmp type echo-request drop`,
		`iifname { "eth0" } drop`:                        `iifname "eth0" drop`,
		`ct state { established, related } drop`:         `ct state established,related drop`,
		`ip saddr { 192.0.2.0/25, 192.0.2.128/25 } drop`: `ip saddr 192.0.2.0/24 drop`,
		`ip saddr { 192.0.2.0-192.0.2.255 } drop`:        `ip saddr 192.0.2.0/24 drop`,
		`meta l4proto tcp tcp dport 5432 drop`:           `tcp dport 5432 drop`,
		`tcp dport { 5432 } drop`:                        `tcp dport 5432 drop`,
		`ct status dnat ct direction original meta l4proto tcp ct original proto-dst 0x1bb [invalid type] drop`: `ct status dnat ct direction original meta l4proto tcp ct original proto-dst 443 drop`,
		`limit rate 1/minute burst 5 packets log prefix "x"`:                                                    "",
	}
	for i, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		var programs []*packet.Program
		for _, r := range rules {
			programs = append(programs, textProgram(t, f, r[0]), savedProgram(t, f, r[1+i]))
		}
		space := space(t, programs...)
		for k, r := range rules {
			for l, other := range rules {
				d, err := packet.Compare(space.Programs()[2*k], space.Programs()[2*l+1], 1)
				if err != nil {
					t.Fatal(err)
				}
				if equal := d.Changed.IsEmpty(); equal != (r[1+i] == other[1+i]) {
					p, _ := d.Changed.Witness()
					t.Errorf("%s: %s and %s: equal %v (%s)", f, r[0], other[1+i], equal, p)
				}
			}
		}
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		for text, as := range same {
			space := space(t, textProgram(t, f, text), textProgram(t, f, as))
			d, err := packet.Compare(space.Programs()[0], space.Programs()[1], 1)
			if err != nil || !d.Changed.IsEmpty() {
				t.Errorf("%s: %s is not %s", f, text, as)
			}
		}
	}
}

func rulesText(p *packet.Program) string {
	var out []string
	for _, r := range p.Chains[0].Rules {
		out = append(out, joined(r.Matches, "; "))
	}
	return strings.Join(out, "\n")
}

func TestLimitsOfNFTAreConditionsWithTheirNumbers(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{`limit rate 90/minute burst 5 packets accept`, `limit rate 90/minute burst 5 packets`},
		{`limit rate over 90/minute drop`, `not (limit rate 90/minute burst 5 packets)`},
		{`ct count over 50 drop`, `not (ct count 50)`},
		{`add @counts { ip saddr ct count over 50 } drop`, `any packet and not (ip saddr ct count 50)`},
		{`add @counts { ip saddr & 255.255.255.0 ct count 50 } drop`, `any packet and ip saddr & 255.255.255.0 ct count 50`},
		{`update @counts { ip saddr limit rate 20/second burst 40 packets } accept`, `any packet and ip saddr limit rate 20/second burst 40 packets`},
		{`update @counts-v6 { ip6 saddr limit rate 20/second burst 40 packets } accept`, `no packet and ip6 saddr limit rate 20/second burst 40 packets`},
		{`limit name "x" accept`, `limit name "x" (table inet dockerfw, chain forward, rule 1)`},
		{`ip saddr @counts drop`, `ip saddr @counts (table inet dockerfw, chain forward, rule 1)`},
	} {
		if got := rulesText(textProgram(t, ir.IPv4, c.rule)); got != c.want {
			t.Errorf("%s: %s, want %s", c.rule, got, c.want)
		}
	}
	// A set in which two rules count is part of the condition.
	got := rulesText(textProgram(t, ir.IPv4, `update @counts { ip saddr limit rate 20/second } accept`, `update @counts { ip saddr limit rate 20/second } drop`))
	if !strings.Contains(got, "in set counts") {
		t.Error(got)
	}
}

func TestNamedSetsOfNFTAreConvertedOnce(t *testing.T) {
	r, diags := nft.ParseText([]byte("table inet dockerfw {"+nftSets+"\tchain c {\n\t\ttype filter hook forward priority 0; policy accept;\n\t\tip saddr @office accept\n\t\tip saddr @office drop\n\t\tip saddr @banned drop\n\t}\n}\n"), "x")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	table := r.Tables[0]
	sets := NewNFTSets(table)
	var found []*packet.AddrSet
	for _, p := range []*packet.Program{sets.Program(table.Chain("c"), ir.IPv4), sets.Hiding(func(name string) bool { return name == "x" }).Program(table.Chain("c"), ir.IPv4)} {
		for _, rule := range p.Chains[0].Rules {
			packet.Walk(packet.All(rule.Matches), func(c packet.Cond) bool {
				if a, ok := c.(packet.Addr); ok {
					found = append(found, a.In)
				}
				return true
			})
		}
	}
	if len(found) != 4 || found[0] != found[1] || found[0] != found[2] || found[0] != found[3] || found[0].Name != "office" {
		t.Errorf("sets %v", found)
	}
	if got := len(sets.Addresses()); got != 2 {
		t.Errorf("%d sets with known addresses", got)
	}
	hidden := sets.Hiding(func(name string) bool { return name == "office" })
	if got := rulesText(hidden.Program(table.Chain("c"), ir.IPv4)); !strings.HasPrefix(got, "any packet and "+InUnknownSet("office", packet.Source).Text) || hidden.Addresses()["office"] != nil {
		t.Errorf("hidden: %s", got)
	}
}
