package plan_test

import (
	"net/netip"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// What the input block of a policy leaves open of the host at a boot at which nothing can be
// loaded. 192.0.2.10 and 2001:db8::10 are in no set of the policies.
func TestClosedKeepsTheHostClosed(t *testing.T) {
	const begin = `
host { external_interfaces = ["eth0"] }
ipset "office" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
`
	type ports map[uint16]bool // whether a new TCP connection to the host passes
	for name, c := range map[string]struct {
		input string
		want  ports
	}{
		"nothing is accepted":      {`input {}`, ports{22: false, 80: false}},
		"ssh for everyone":         {"input {\n accept \"ssh\" {\n protocol = \"tcp\"\n ports = [22]\n }\n}", ports{22: true, 80: false}},
		"ssh for a set":            {"input {\n accept \"ssh\" {\n protocol = \"tcp\"\n ports = [22]\n source = [ipset.office]\n }\n}", ports{22: true, 80: false}},
		"limited ssh":              {"input {\n accept \"ssh\" {\n protocol = \"tcp\"\n ports = [22]\n source = [ipset.office]\n rate { limit = \"6/minute\" }\n }\n}", ports{22: true, 80: false}},
		"sshd on another port":     {"input {\n accept \"ssh\" {\n protocol = \"tcp\"\n ports = [2222]\n source = [ipset.office]\n }\n}", ports{22: false, 2222: true, 80: false}},
		"a set is denied":          {"input {\n deny \"office\" { source = [ipset.office] }\n accept \"ssh\" {\n protocol = \"tcp\"\n ports = [22]\n }\n}", ports{22: true, 80: false}},
		"a port is denied":         {"input {\n deny \"mail\" {\n protocol = \"tcp\"\n ports = [25]\n }\n accept \"all\" { protocol = \"tcp\" }\n}", ports{22: true, 25: false, 80: true}},
		"the default allows a set": {"input {\n default {\n allow = [ipset.office]\n action = \"reject\"\n }\n}", ports{22: true, 80: false}},
		"the default returns":      {"input {\n deny \"mail\" {\n protocol = \"tcp\"\n ports = [25]\n }\n default { action = \"return\" }\n}", ports{22: true, 25: false, 80: true}},
	} {
		t.Run(name, func(t *testing.T) {
			want := compile(t, begin+c.input)
			closed, err := plan.Closed(want)
			if err != nil {
				t.Fatal(err)
			}
			m := &machine{Host: newHost(t, dockers, "")}
			m.load(t, closed)
			if n := len(inRules(m.Host)); n > 0 {
				t.Errorf("the rules use %d sets", n)
			}
			policy := &machine{Host: newHost(t, dockers, "")}
			policy.load(t, want)
			for _, f := range families {
				p := packet.Packet{Source: netip.MustParseAddr("192.0.2.10"), Destination: netip.MustParseAddr("192.0.2.1"), Protocol: packet.ProtoTCP, SourcePort: 40000, In: "eth0", State: ir.CTNew, Direction: ir.CTOriginal}
				if f == ir.IPv6 {
					p.Source, p.Destination = netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("2001:db8::1")
				}
				for port, open := range c.want {
					p.DestinationPort = port
					if passes(m.Host, f, "INPUT", p) != open {
						t.Errorf("%v: port %d passes: %t", f, port, !open)
					}
				}
				// A port of docker-proxy is closed, also where the policy opens it.
				p.DestinationPort = 443
				if passes(m.Host, f, "INPUT", p) {
					t.Errorf("%v: port 443 of docker-proxy is open", f)
				}
				p.DestinationPort, p.State = 80, ir.CTEstablished
				if !passes(m.Host, f, "INPUT", p) {
					t.Errorf("%v: an open connection is cut", f)
				}
				// Who reaches sshd by the policy still does.
				office := p
				office.Source, office.State, office.DestinationPort = netip.MustParseAddr("203.0.113.1"), ir.CTNew, 22
				if f == ir.IPv6 {
					office.Source = netip.MustParseAddr("2001:db8:f::1")
				}
				for _, p := range []packet.Packet{p, office} {
					p.State, p.DestinationPort = ir.CTNew, 22
					if passes(policy.Host, f, "INPUT", p) && !passes(m.Host, f, "INPUT", p) {
						t.Errorf("%v: the policy lets %v reach sshd, the closed version does not", f, p.Source)
					}
				}
				p.DestinationPort, p.State, p.In = 80, ir.CTNew, "docker0"
				if !passes(m.Host, f, "INPUT", p) {
					t.Errorf("%v: a container does not reach the host", f)
				}
			}
		})
	}
}
