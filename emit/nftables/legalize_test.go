package nftables

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// lines returns the rules as "CHAIN: RULE", without the comments.
func lines(t *Tables) []string {
	var out []string
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			text, _, _ := strings.Cut(Spec(r), ` comment "`)
			out = append(out, c.Name+": "+text)
		}
	}
	return out
}

func named(phase ir.Phase, name string, change func(*ir.Rule)) *ir.Rule {
	r := &ir.Rule{Phase: phase, Origin: ir.Origin{Block: phase.String(), Name: name}, Name: name, Verdict: ir.Accept{}}
	if phase != ir.PhaseAccept {
		r.Verdict = ir.Drop{}
	}
	change(r)
	return r
}

func accept(change func(*ir.Rule)) *ir.Rule { return named(ir.PhaseAccept, "web", change) }

func deny(change func(*ir.Rule)) *ir.Rule { return named(ir.PhaseDeny, "web", change) }

func managed(name string, f ir.Family) *ir.Set {
	return &ir.Set{Name: name, Family: f, Type: ir.HashNet, Managed: true}
}

func TestRulesAreLegalized(t *testing.T) {
	a, b := managed("a", ir.IPv4), managed("b", ir.IPv4)
	list := &ir.Set{Name: "list", Family: ir.IPv4, Type: ir.ListSet, Managed: true, Members: []string{"a", "b"}}
	prefixes := func(list ...string) ir.Addresses {
		var out ir.Addresses
		for _, s := range list {
			out.Prefixes = append(out.Prefixes, prefix(s))
		}
		return out
	}
	rate := &ir.Rate{Frequency: ir.Frequency{Count: 5, Seconds: 1}, Burst: 10}
	perSource := &ir.Rate{Frequency: ir.Frequency{Count: 5, Seconds: 1}, Burst: 11, PerSource: true}
	ports := func(list ...uint16) []ir.PortRange {
		var out []ir.PortRange
		for _, p := range list {
			out = append(out, ir.PortRange{First: p, Last: p})
		}
		return out
	}
	for _, c := range []struct {
		name string
		rule *ir.Rule
		// want are the rules of chain forward, or of other chains with their names in front; names of sets are
		// without digests.
		want []string
	}{
		{"no condition", accept(func(*ir.Rule) {}), []string{"meta nfproto ipv4 accept"}},
		{"interfaces as one set", deny(func(r *ir.Rule) { r.Out = []string{"eth1", "eth0"} }), []string{`oifname { "eth0", "eth1" } meta nfproto ipv4 jump dockerfw-in`, `dockerfw-in: drop`}},
		{"ports that touch", accept(func(r *ir.Rule) { r.Protocols, r.DestinationPorts = []uint8{6}, ports(81, 80, 443) }), []string{"tcp dport { 80, 81, 443 } meta nfproto ipv4 accept"}},
		{"only ports that touch", accept(func(r *ir.Rule) { r.Protocols, r.DestinationPorts = []uint8{6}, ports(81, 80) }), []string{"tcp dport 80-81 meta nfproto ipv4 accept"}},
		{"port ranges, which exclude each other", accept(func(r *ir.Rule) {
			r.Protocols, r.Rate, r.DestinationPorts = []uint8{6}, perSource, append(ports(443, 22), ir.PortRange{First: 8000, Last: 8010}, ir.PortRange{First: 8005, Last: 8020}, ir.PortRange{First: 9000, Last: 9002})
		}), []string{
			"ct state new tcp dport { 22, 443 } update @web.rate { ip saddr limit rate 5/second burst 11 packets } accept",
			"ct state new tcp dport 8000-8020 update @web.rate { ip saddr limit rate 5/second burst 11 packets } accept",
			"ct state new tcp dport 9000-9002 update @web.rate { ip saddr limit rate 5/second burst 11 packets } accept",
		}},
		{"a port and a range on one side, of two protocols", accept(func(r *ir.Rule) {
			r.Protocols, r.SourcePorts, r.DestinationPorts = []uint8{17, 6}, ports(53), append(ports(80), ir.PortRange{First: 90, Last: 95})
		}), []string{
			"udp sport 53 udp dport 80 meta nfproto ipv4 accept", "udp sport 53 udp dport 90-95 meta nfproto ipv4 accept",
			"tcp sport 53 tcp dport 80 meta nfproto ipv4 accept", "tcp sport 53 tcp dport 90-95 meta nfproto ipv4 accept",
		}},
		{"ports of two protocols", accept(func(r *ir.Rule) { r.Protocols, r.DestinationPorts = []uint8{17, 6}, ports(53) }), []string{"meta l4proto { tcp, udp } th dport 53 meta nfproto ipv4 accept"}},
		{"one port on each side, of two protocols", accept(func(r *ir.Rule) {
			r.Protocols, r.SourcePorts, r.DestinationPorts = []uint8{17, 6}, ports(53), ports(80)
		}), []string{"udp sport 53 udp dport 80 meta nfproto ipv4 accept", "tcp sport 53 tcp dport 80 meta nfproto ipv4 accept"}},
		{"ports on each side, of two protocols", accept(func(r *ir.Rule) {
			r.Protocols, r.SourcePorts, r.DestinationPorts = []uint8{17, 6}, ports(53), ports(80, 90)
		}), []string{"meta l4proto { tcp, udp } th sport 53 th dport { 80, 90 } meta nfproto ipv4 accept"}},
		{"published ports of two protocols", accept(func(r *ir.Rule) { r.Protocols, r.PublishedPorts = []uint8{6, 17}, ports(53, 80) }), []string{
			"ct status dnat ct direction original meta l4proto tcp meta nfproto ipv4 ct original proto-dst 53 accept",
			"ct status dnat ct direction original meta l4proto tcp meta nfproto ipv4 ct original proto-dst 80 accept",
			"ct status dnat ct direction original meta l4proto udp meta nfproto ipv4 ct original proto-dst 53 accept",
			"ct status dnat ct direction original meta l4proto udp meta nfproto ipv4 ct original proto-dst 80 accept",
		}},
		{"a published port and that of the container", accept(func(r *ir.Rule) {
			r.Protocols, r.PublishedPorts, r.DestinationPorts = []uint8{6}, ports(443), ports(8443)
		}), []string{"ct status dnat ct direction original tcp dport 8443 meta nfproto ipv4 ct original proto-dst 443 accept"}},
		{"published addresses", accept(func(r *ir.Rule) {
			r.PublishedAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}
		}), []string{"ct status dnat ct direction original ct original ip daddr { 192.0.2.1, 192.0.2.2 } accept"}},
		{"addresses that touch and sets", accept(func(r *ir.Rule) {
			r.Source.In = prefixes("198.51.100.0/25", "192.0.2.10/31", "192.0.2.12/32", "198.51.100.128/25")
			r.Source.In.Sets = []*ir.Set{a}
		}), []string{"ip saddr @web.src accept", "ip saddr @a accept"}},
		{"addresses that touch as one range", accept(func(r *ir.Rule) { r.Source.In = prefixes("192.0.2.12/32", "192.0.2.10/31") }), []string{"ip saddr 192.0.2.10-192.0.2.12 accept"}},
		{"single addresses", deny(func(r *ir.Rule) {
			r.Source.NotIn, r.Destination.In = prefixes("192.0.2.9/32", "192.0.2.10/32", "192.0.2.1/32", "192.0.2.9/32"), prefixes("198.51.100.1/32", "198.51.100.9/32")
		}), []string{"ip saddr != { 192.0.2.1, 192.0.2.9, 192.0.2.10 } ip daddr { 198.51.100.1, 198.51.100.9 } drop"}},
		{"networks on both sides", deny(func(r *ir.Rule) {
			r.Source.In, r.Source.NotIn = prefixes("10.0.0.0/8", "192.0.2.1/32"), prefixes("10.1.0.0/16", "10.2.0.0/16", "10.4.0.0/16")
			r.Destination.In, r.Destination.NotIn = prefixes("10.0.0.0/8", "192.0.2.1/32"), prefixes("10.1.0.0/16", "10.2.0.0/16", "10.4.0.0/16")
		}), []string{"ip saddr != @web.src-not ip saddr @web.src ip daddr != @web.dst-not ip daddr @web.dst drop"}},
		{"networks of the default", named(ir.PhaseDefault, "default", func(r *ir.Rule) { r.Source.NotIn = prefixes("10.0.0.0/8", "192.0.2.1/32") }), []string{"ip saddr != @default.allow drop"}},
		{"excluded addresses and sets", deny(func(r *ir.Rule) {
			r.Destination.NotIn = prefixes("192.0.2.1/32")
			r.Destination.NotIn.Sets = []*ir.Set{list, b}
		}), []string{"ip daddr != 192.0.2.1 ip daddr != @a ip daddr != @b drop"}},
		{"a list of sets", deny(func(r *ir.Rule) { r.Source.In.Sets = []*ir.Set{list} }), []string{"ip saddr @a drop", "ip saddr @b drop"}},
		{"ICMP types with and without a code", accept(func(r *ir.Rule) {
			r.Protocols, r.ICMP = []uint8{1}, []ir.ICMP{{Type: 8, Code: -1}, {Type: 3, Code: 4}, {Type: 0, Code: -1}}
		}), []string{"icmp type { echo-reply, echo-request } accept", "icmp type destination-unreachable icmp code 4 accept"}},
		{"ICMP without types", accept(func(r *ir.Rule) { r.Protocols = []uint8{1} }), []string{"meta l4proto icmp meta nfproto ipv4 accept"}},
		{"reject of any protocol", deny(func(r *ir.Rule) { r.Verdict = ir.Reject{} }), []string{
			"meta l4proto tcp meta nfproto != ipv6 reject with tcp reset", "meta nfproto ipv4 reject with icmpx admin-prohibited",
		}},
		{"reject of protocols", deny(func(r *ir.Rule) { r.Verdict, r.Protocols, r.SourcePorts = ir.Reject{}, []uint8{17, 6}, ports(9) }), []string{
			"tcp sport 9 meta nfproto != ipv6 reject with tcp reset", "udp sport 9 meta nfproto ipv4 reject with icmpx admin-prohibited",
		}},
		{"a limited reject of any protocol answers all alike", deny(func(r *ir.Rule) { r.Verdict, r.Rate = ir.Reject{}, rate }), []string{
			"ct state new meta nfproto ipv4 limit rate over 5/second burst 10 packets reject with icmpx admin-prohibited",
		}},
		{"a rate for each source", accept(func(r *ir.Rule) { r.Rate = perSource }), []string{
			"ct state new update @web.rate { ip saddr limit rate 5/second burst 11 packets } accept",
		}},
		{"with rechecked sessions", accept(func(r *ir.Rule) { r.Rate, r.SessionsRechecked = perSource, true }), []string{
			"ct state established meta nfproto ipv4 accept",
			"ct state new update @web.rate { ip saddr limit rate 5/second burst 11 packets } accept",
		}},
		{"several alternatives of a limited rule exclude each other", deny(func(r *ir.Rule) {
			r.Connections = &ir.Connections{Max: 3, PrefixLength: 24}
			r.Source.In = prefixes("192.0.2.1/32")
			r.Source.In.Sets = []*ir.Set{a, b}
		}), []string{
			"ct state new ip saddr 192.0.2.1 add @web.connections { ip saddr & 255.255.255.0 ct count over 3 } drop",
			"ct state new ip saddr != 192.0.2.1 ip saddr @a add @web.connections { ip saddr & 255.255.255.0 ct count over 3 } drop",
			"ct state new ip saddr != 192.0.2.1 ip saddr != @a ip saddr @b add @web.connections { ip saddr & 255.255.255.0 ct count over 3 } drop",
		}},
		{"one count for several rules", deny(func(r *ir.Rule) {
			r.Rate, r.Source.In.Sets, r.Log = rate, []*ir.Set{a, b}, &ir.Log{Prefix: "x", Level: 6, Limit: ir.Frequency{Count: 1, Seconds: 60}}
		}), []string{
			"ip saddr @a jump deny.web.forward", "ip saddr != @a ip saddr @b jump deny.web.forward",
			`deny.web.forward: ct state new limit rate over 5/second burst 10 packets limit rate 1/minute burst 5 packets log prefix "x" level info`,
			"deny.web.forward: ct state new limit rate over 5/second burst 10 packets drop",
		}},
		{"a log of new connections that are accepted", accept(func(r *ir.Rule) {
			group := uint16(7)
			r.Log = &ir.Log{Prefix: "x", Group: &group, Limit: ir.Frequency{Count: 10, Seconds: 60}}
		}), []string{
			`ct state new meta nfproto ipv4 limit rate 10/minute burst 5 packets log prefix "x" group 7`, "meta nfproto ipv4 accept",
		}},
		{"a return does not leave a chain of its own", named(ir.PhaseAccept, "web", func(r *ir.Rule) {
			r.Scope, r.Verdict, r.Source.In.Sets, r.Log = ir.ScopeProxy, ir.Return{}, []*ir.Set{a, b}, &ir.Log{Prefix: "x", Level: 4, Limit: ir.Frequency{Count: 1, Seconds: 1}}
		}), []string{
			`dockerfw-proxy: ct state new ip saddr @a limit rate 1/second burst 5 packets log prefix "x"`, "dockerfw-proxy: ip saddr @a return",
			`dockerfw-proxy: ct state new ip saddr @b limit rate 1/second burst 5 packets log prefix "x"`, "dockerfw-proxy: ip saddr @b return",
		}},
		{"published ports where Docker has not translated them", named(ir.PhaseAccept, "web", func(r *ir.Rule) {
			r.Scope, r.Verdict, r.Protocols, r.PublishedPorts = ir.ScopeProxy, ir.Return{}, []uint8{6}, ports(80, 443)
			r.PublishedAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		}), []string{"dockerfw-proxy: tcp dport { 80, 443 } ip daddr 192.0.2.1 return"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs := ruleset(c.rule)
			rs.Sets = []*ir.Set{list, a, b}
			tables := legal(t, rs)
			var got []string
			for _, line := range lines(tables) {
				for _, s := range tables.Sets {
					if i := strings.LastIndex(s.Name, "."); i > 0 {
						line = strings.ReplaceAll(line, s.Name, s.Name[:i])
					}
				}
				got = append(got, strings.TrimPrefix(line, "forward: "))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// In each family the rules are in the order of the IR, whatever the other family has.
func TestRulesOfBothFamiliesKeepTheirOrder(t *testing.T) {
	rule := func(phase ir.Phase, name string, place int, change ...func(*ir.Rule)) *ir.Rule {
		r := named(phase, name, func(r *ir.Rule) { r.Place = place })
		for _, f := range change {
			f(r)
		}
		return r
	}
	address := func(s string) func(*ir.Rule) {
		return func(r *ir.Rule) { r.Source.In.Prefixes = []netip.Prefix{prefix(s)} }
	}
	protocol := func(n uint8) func(*ir.Rule) { return func(r *ir.Rule) { r.Protocols = []uint8{n} } }
	rs := &ir.Ruleset{Target: ir.TargetNFTables, Programs: []*ir.Program{
		{Family: ir.IPv4, Rules: []*ir.Rule{
			rule(ir.PhaseEstablished, "", 1), rule(ir.PhaseDeny, "a", 3), rule(ir.PhaseAccept, "only4", 6, protocol(1)), rule(ir.PhaseAccept, "both", 8, address("192.0.2.1/32")), rule(ir.PhaseDefault, "", 10),
		}},
		{Family: ir.IPv6, Rules: []*ir.Rule{
			rule(ir.PhaseEstablished, "", 2), rule(ir.PhaseDeny, "a", 4), rule(ir.PhaseDeny, "only6", 5, protocol(58)), rule(ir.PhaseAccept, "later6", 7, protocol(17)), rule(ir.PhaseAccept, "both", 9, address("2001:db8::1/128")), rule(ir.PhaseDefault, "", 11),
		}},
	}}
	want := []string{
		"forward: drop", "forward: drop",
		"forward: meta l4proto ipv6-icmp meta nfproto ipv6 drop",
		"forward: meta l4proto icmp meta nfproto ipv4 accept",
		"forward: meta l4proto udp meta nfproto ipv6 accept",
		"forward: ip saddr 192.0.2.1 accept", "forward: ip6 saddr 2001:db8::1 accept",
		"forward: drop",
	}
	if diff := cmp.Diff(want, lines(legal(t, rs))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A packet counts once in the set of a limit, also where several rules of nft answer a rejected one.
func TestARejectedSourceIsCountedOnce(t *testing.T) {
	rule := func(network string) *ir.Rule {
		return deny(func(r *ir.Rule) {
			r.Protocols, r.PublishedPorts = []uint8{6, 17}, []ir.PortRange{{First: 80, Last: 80}}
			r.Source.In.Prefixes, r.Verdict = []netip.Prefix{prefix(network)}, ir.Reject{}
			r.Rate = &ir.Rate{Frequency: ir.Frequency{Count: 5, Seconds: 1}, Burst: 10, PerSource: true}
			r.Log = &ir.Log{Prefix: "x", Level: 4, Limit: ir.Frequency{Count: 1, Seconds: 60}}
		})
	}
	rs := &ir.Ruleset{Target: ir.TargetNFTables, Programs: []*ir.Program{
		{Family: ir.IPv4, Rules: []*ir.Rule{rule("192.0.2.0/24")}}, {Family: ir.IPv6, Rules: []*ir.Rule{rule("2001:db8::/32")}},
	}}
	counted := map[string]int{}
	for _, line := range lines(legal(t, rs)) {
		before, after, counts := strings.Cut(line, "update @web.rate")
		if !counts {
			continue
		}
		family, _, _ := strings.Cut(after, " ")
		for _, protocol := range []string{"tcp", "udp"} {
			if strings.Contains(before, "meta l4proto "+protocol+" ") || !strings.Contains(before, "l4proto") {
				counted[family+" "+protocol]++
			}
		}
		if strings.Contains(before, "{") {
			t.Errorf("other protocols: %s", line)
		}
	}
	if len(counted) != 4 {
		t.Errorf("%v", counted)
	}
	for packets, n := range counted {
		if n != 1 {
			t.Errorf("%s: counted %d times", packets, n)
		}
	}
}

func TestSetsAreNamedByTheirContent(t *testing.T) {
	name := func(s *ir.Set) string {
		rs := ruleset()
		rs.Sets = []*ir.Set{s}
		return legal(t, rs).Sets[0].Name
	}
	first := managed("office", ir.IPv4)
	first.Prefixes = ir.PrefixesOf(prefix("192.0.2.0/24"))
	other := managed("office", ir.IPv4)
	other.Prefixes = ir.PrefixesOf(prefix("192.0.2.0/25"))
	if a, b := name(first), name(other); a == b || !strings.HasPrefix(a, "office.") || len(a) != len("office.")+8 {
		t.Errorf("%s and %s", a, b)
	}
	// A digest depends neither on the place in the policy nor on the rest of it.
	moved := *first
	moved.Origin.Range.Start.Line = 9
	if a, b := name(first), name(&moved); a != b {
		t.Errorf("%s and %s", a, b)
	}
	unmanaged := &ir.Set{Name: "banned", Family: ir.IPv6, IPv6Name: "banned6", Type: ir.HashNet}
	if got := name(unmanaged); got != "banned6" {
		t.Error(got)
	}
}

func TestOverlappingEntriesAreLeftOut(t *testing.T) {
	s := managed("a", ir.IPv4)
	s.Prefixes = ir.PrefixesOf(prefix("10.0.0.0/8"), prefix("10.0.0.0/16"), prefix("10.2.0.0/16"), prefix("11.0.0.0/8"), prefix("11.255.255.255/32"), prefix("12.0.0.1/32"))
	rs := ruleset()
	rs.Sets = []*ir.Set{s}
	var got []string
	for p := range legal(t, rs).Sets[0].Prefixes.All() {
		got = append(got, p.String())
	}
	if diff := cmp.Diff([]string{"10.0.0.0/8", "11.0.0.0/8", "12.0.0.1/32"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The rules of both families and scopes share the sets of addresses that they list, which are those of one content.
func TestSetsOfListedAddressesAreNamedByRuleAndContent(t *testing.T) {
	rule := func(phase ir.Phase, networks ...string) *ir.Rule {
		return named(phase, "80", func(r *ir.Rule) {
			for _, n := range networks {
				r.Source.In.Prefixes = append(r.Source.In.Prefixes, prefix(n))
			}
		})
	}
	rs := &ir.Ruleset{Target: ir.TargetNFTables, Programs: []*ir.Program{
		{Family: ir.IPv4, Rules: []*ir.Rule{
			rule(ir.PhaseDeny, "10.1.0.0/16", "192.0.2.1/32"), rule(ir.PhaseAccept, "192.0.2.1/32", "10.1.0.0/16", "10.1.1.1/32"), rule(ir.PhaseAccept, "10.1.0.0/16", "192.0.2.2/32"),
		}},
		{Family: ir.IPv6, Rules: []*ir.Rule{rule(ir.PhaseAccept, "2001:db8::/48", "2001:db8:1::1/128")}},
	}}
	var got []string
	for _, s := range legal(t, rs).Sets {
		base, digest, _ := strings.Cut(s.Name, ".src")
		var elements []string
		for p := range s.Prefixes.All() {
			elements = append(elements, p.String())
		}
		got = append(got, base+" "+digest[:len(digest)-8]+" "+strings.Join(elements, " "))
	}
	want := []string{"_80 . 10.1.0.0/16 192.0.2.1/32", "_80 -v6. 2001:db8::/48 2001:db8:1::1/128", "_80 . 10.1.0.0/16 192.0.2.2/32"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A name in nft does not begin with a digit. The counts of a limit survive a reload, unless the limit is another.
func TestSetsOfLimitsAreNamedByRuleAndLimit(t *testing.T) {
	name := func(count int) string {
		r := named(ir.PhaseAccept, "443", func(r *ir.Rule) {
			r.Rate = &ir.Rate{Frequency: ir.Frequency{Count: count, Seconds: 60}, Burst: 5, PerSource: true}
		})
		sets := legal(t, ruleset(r)).Sets
		return sets[len(sets)-1].Name
	}
	if a, b := name(1), name(2); a == b || a != name(1) || !strings.HasPrefix(a, "_443.rate.") {
		t.Errorf("%s and %s", a, b)
	}
}

// Releases of nft print an anonymous set of names in different orders, unless both orders are the same.
func TestInterfacesAreOneSetIfAllReleasesPrintItAlike(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  []string
	}{
		{[]string{"eth1", "eth0"}, []string{`iifname { "eth0", "eth1" }`}},
		{[]string{"eth0", "wg+"}, []string{`iifname "eth0"`, `iifname "wg*"`}},
		{[]string{"eth0", "wg0", "wg+", "wg1+"}, []string{`iifname "eth0"`, `iifname "wg*"`}},
		{[]string{"br+", "eth1", "veth+", "eth0"}, []string{`iifname { "eth0", "eth1" }`, `iifname "br*"`, `iifname "veth*"`}},
		{[]string{"wg0", "wg+"}, []string{`iifname "wg*"`}},
		{[]string{"eth0", "br0"}, []string{`iifname { "br0", "eth0" }`}},
		{[]string{"eth0", "wg0"}, []string{`iifname "eth0"`, `iifname "wg0"`}},
		{[]string{"wlan0", "ens18"}, []string{`iifname "ens18"`, `iifname "wlan0"`}},
	} {
		var got []string
		for _, choose := range interfaces(c.names, Src) {
			got = append(got, match(choose(combination{}).matches[0]))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.names, diff)
		}
	}
}

// Rules for the interfaces of the host, or for some of them, are in a chain whose jump matches the interfaces.
func TestInterfacesOfTheHostAreMatchedOnce(t *testing.T) {
	rule := func(phase ir.Phase, in, out []string) *ir.Rule {
		return named(phase, "", func(r *ir.Rule) { r.In, r.Out = in, out })
	}
	in, out := []string{"eth0", "wg+"}, []string{"docker0", "br-+"}
	for _, c := range []struct {
		name  string
		rules []*ir.Rule
		want  []string
	}{
		{"all interfaces of the host", []*ir.Rule{rule(ir.PhaseEstablished, in, out), rule(ir.PhaseDefault, in, out)}, []string{
			`forward: iifname "eth0" oifname "docker0" meta nfproto ipv4 jump dockerfw-in`, `forward: iifname "wg*" oifname "docker0" meta nfproto ipv4 jump dockerfw-in`,
			`forward: iifname "eth0" oifname "br-*" meta nfproto ipv4 jump dockerfw-in`, `forward: iifname "wg*" oifname "br-*" meta nfproto ipv4 jump dockerfw-in`,
			"dockerfw-in: drop", "dockerfw-in: drop",
		}},
		{"some of them", []*ir.Rule{rule(ir.PhaseEstablished, in, nil), rule(ir.PhaseAccept, []string{"wg1"}, []string{"br-dmz"}), rule(ir.PhaseDefault, in, nil)}, []string{
			`forward: iifname "eth0" meta nfproto ipv4 jump dockerfw-in`, `forward: iifname "wg*" meta nfproto ipv4 jump dockerfw-in`,
			"dockerfw-in: drop", `dockerfw-in: iifname "wg1" oifname "br-dmz" accept`, "dockerfw-in: drop",
		}},
		{"another one", []*ir.Rule{rule(ir.PhaseEstablished, in[:1], nil), rule(ir.PhaseAccept, []string{"eth1"}, nil), rule(ir.PhaseDefault, in[:1], nil)}, []string{
			`forward: iifname "eth0" meta nfproto ipv4 drop`, `forward: iifname "eth1" meta nfproto ipv4 accept`, `forward: iifname "eth0" meta nfproto ipv4 drop`,
		}},
		{"a wider one", []*ir.Rule{rule(ir.PhaseEstablished, []string{"wg1"}, nil), rule(ir.PhaseAccept, []string{"wg+"}, nil)}, []string{
			`forward: iifname "wg1" meta nfproto ipv4 drop`, `forward: iifname "wg*" meta nfproto ipv4 accept`,
		}},
		{"any", []*ir.Rule{rule(ir.PhaseEstablished, in[:1], nil), rule(ir.PhaseAccept, nil, nil)}, []string{
			`forward: iifname "eth0" meta nfproto ipv4 drop`, "forward: meta nfproto ipv4 accept",
		}},
	} {
		if diff := cmp.Diff(c.want, lines(legal(t, ruleset(c.rules...)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestTooManyRulesOrSetsAreErrors(t *testing.T) {
	var sets []*ir.Set
	for i := range 40 {
		sets = append(sets, managed(fmt.Sprintf("s%d", i), ir.IPv4))
	}
	rs := ruleset(deny(func(r *ir.Rule) { r.Source.NotIn.Sets = sets }))
	rs.Sets = sets
	if _, diags := Legalize(rs); len(diags) != 1 || diag.InfoOf(diags[0]).Code != diag.CodeTooMany {
		t.Error(diags)
	}
	var ports []ir.PortRange
	for i := range 200 {
		ports = append(ports, ir.PortRange{First: uint16(2*i + 1), Last: uint16(2*i + 1)})
	}
	rs = ruleset(accept(func(r *ir.Rule) {
		r.Protocols, r.PublishedPorts, r.Source.In.Sets, r.Destination.In.Sets = []uint8{6}, ports, sets, sets
	}))
	rs.Sets = sets
	if _, diags := Legalize(rs); len(diags) != 1 || diag.InfoOf(diags[0]).Code != diag.CodeBudget {
		t.Error(diags)
	}
}
