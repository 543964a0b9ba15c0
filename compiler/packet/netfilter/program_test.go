package netfilter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/google/go-cmp/cmp"
)

const saved = `*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -m set --match-set bad src -j DROP
-A DOCKER-USER -p icmp -m icmp --icmp-type echo-request -m limit --limit 5/sec -j ACCEPT
-A DOCKER-USER -p tcp -m multiport ! --dports 80,443,8000:9000 -m mark --mark 0x1/0xff -j REJECT
-A DOCKER-USER -m iprange --src-range 192.0.2.10-192.0.2.20 -m comment --comment "x" -j NFQUEUE --queue-num 3
-A DOCKER-USER -p tcp -m conntrack --ctstate NEW ! --ctorigdstport 443 -m string --string "a b" --algo bm -j LOG
-A DOCKER-USER -j RETURN
COMMIT
`

// readRule reads one rule of chain X of the IPv4 filter table.
func readRule(t *testing.T, rule string, sets *Sets) *packet.Rule {
	t.Helper()
	file, diags := iptables.ParseRules(strings.NewReader("*filter\n:X - [0:0]\n"+rule+"\nCOMMIT\n"), "rule")
	host := iptables.NewRuleset(iptables.IPv4)
	if diags.HasErrors() || host.Load(file).HasErrors() {
		t.Fatal(rule)
	}
	return Program(host.Table("filter"), ir.IPv4, "X", sets).Chains[0].Rules[0]
}

// xt_conntrack matches a packet that is not tracked by its state alone.
func TestConntrackMatchesWithoutConnection(t *testing.T) {
	p := packet.Packet{Family: ir.IPv4, Protocol: 6, State: ir.CTInvalid}
	for options, want := range map[string]bool{
		"--ctstate INVALID,NEW --ctdir REPLY": true,
		"--ctstate NEW --ctdir REPLY":         false,
		"--ctdir REPLY":                       false,
		"! --ctdir REPLY":                     false,
	} {
		r := readRule(t, "-A X -m conntrack "+options, nil)
		if got := packet.Holds(packet.All(r.Matches), &p); got != want {
			t.Errorf("%s: %v", options, got)
		}
	}
}

func TestRulesOfIPTablesSaveBecomeConditions(t *testing.T) {
	file, diags := iptables.ParseRules(strings.NewReader(saved), "saved")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	host := iptables.NewRuleset(iptables.IPv4)
	if diags := host.Load(file); diags.HasErrors() {
		t.Fatal(diags)
	}
	sets := KnownSets(map[string]*packet.AddrSet{"bad": cidrs("203.0.113.0/24")})
	p := Program(host.Table("filter"), ir.IPv4, "FORWARD", sets)
	var got []string
	for _, r := range p.Chains[slices.IndexFunc(p.Chains, func(c *packet.Chain) bool { return c.Name == "DOCKER-USER" })].Rules {
		got = append(got, joined(r.Matches, ", ")+": "+r.Verdict.String())
	}
	want := []string{
		"source 203.0.113.0/24: drop",
		"protocol icmp, ICMP type 8, limit --limit 5/sec: accept",
		"protocol tcp, protocol tcp, udp, sctp, dccp, udplite, not (destination port 80, 443, 8000-9000), mark 0x1/0xff: reject icmp-port-unreachable",
		"source 192.0.2.10/31, 192.0.2.12/30, 192.0.2.16/30, …: target NFQUEUE --queue-num 3",
		"protocol tcp, state NEW, not (original destination port 443), string --string a b --algo bm: continue",
		": return",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	e := space(t, p).Programs()[0]
	for text, want := range map[string]string{"198.51.100.1": "accept", "203.0.113.1": "drop", "192.0.2.12": "target NFQUEUE --queue-num 3"} {
		p := packet.Packet{
			Source: netip.MustParseAddr(text), Destination: netip.MustParseAddr("172.17.0.2"), Protocol: 6,
			DestinationPort: 80, In: "eth0", Out: "docker0",
		}
		if got := e.Decide(p).Verdict.String(); got != want {
			t.Errorf("from %s: %s, want %s", text, got, want)
		}
		for _, o := range e.Outcomes() {
			if o.Set.Contains(p) != (o.Verdict.String() == want) {
				t.Errorf("from %s: in the set of %v", text, o.Verdict)
			}
		}
	}
}
