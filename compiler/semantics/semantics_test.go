package semantics

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// policyOf returns the policy of the only host in text.
func policyOf(t *testing.T, text string) *parser.Policy {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	source, diags := parser.Load(path, parser.Inputs{}, false)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	defer source.Close()
	policy, diags := source.Evaluate(source.Hosts()[0], time.Time{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return policy
}

// publishedTo returns the first packet of a TCP connection to a published port, translated
// by Docker to a container in the client's family.
func publishedTo(from string, port, containerPort uint16) packet.Packet {
	p := packet.Packet{
		In: "eth0", Out: "docker0",
		Source: netip.MustParseAddr(from), SourcePort: 40000,
		Destination: netip.MustParseAddr("172.17.0.2"), DestinationPort: containerPort,
		Protocol: parser.TCP, State: ir.CTNew, Direction: ir.CTOriginal,
		DNAT: true, OriginalDestination: netip.MustParseAddr("198.51.100.1"), OriginalPort: port,
	}
	if p.Source.Is6() {
		p.Destination, p.OriginalDestination = netip.MustParseAddr("fd00::2"), netip.MustParseAddr("2001:db8:1::1")
	}
	return p
}

// change returns p with changes.
func change(p packet.Packet, f func(*packet.Packet)) packet.Packet {
	f(&p)
	return p
}

// ping returns an echo request from a client to a container.
func ping(from string) packet.Packet {
	return change(publishedTo(from, 0, 0), func(p *packet.Packet) {
		p.Protocol, p.ICMPType, p.DNAT = parser.ICMP, 8, false
		if p.Source.Is6() {
			p.Protocol, p.ICMPType = parser.ICMPv6, 128
		}
	})
}

// leaving returns the first packet of a TCP connection from a container.
func leaving(to string) packet.Packet {
	return packet.Packet{
		In: "docker0", Out: "eth0",
		Source: netip.MustParseAddr("172.17.0.2"), SourcePort: 40000,
		Destination: netip.MustParseAddr(to), DestinationPort: 443,
		Protocol: parser.TCP, State: ir.CTNew, Direction: ir.CTOriginal,
	}
}

const forwardPolicy = `
host {
  external_interfaces = ["eth0"]
}
ipset "office" { entries = ["192.0.2.0/24", "2001:db8::/48"] }
ipset "guests" {
  entries = ["198.51.100.0/24"]
  exclude = ["198.51.100.128/25"]
}
ipset "clients" {
  type    = "list:set"
  members = [ipset.office, ipset.guests]
}
ipset "banned" { managed = false }
established { drop_invalid = true }
deny "banned" {
  source = [ipset.banned]
  action = "reject"
}
deny "one" { source = ["192.0.2.66"] }
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}
accept "db" {
  protocol        = "tcp"
  container_ports = [5432]
  source          = [ipset.office]
  rate { limit = "90/minute" }
}
accept "ping" { icmp_types = ["echo-request"] }
default { allow = [ipset.clients] }
egress {
  deny "lan" { destination = ["10.0.0.0/8"] }
  default { allow = ["203.0.113.0/24"] }
}
`

func TestVerdictsOnForwardedPackets(t *testing.T) {
	policy := policyOf(t, forwardPolicy)
	for _, c := range []struct {
		name   string
		packet packet.Packet
		want   string
	}{
		{"a published port", publishedTo("203.0.113.9", 443, 8443), "accept by accept web"},
		{"another published port", publishedTo("203.0.113.9", 80, 8443), "drop by default"},
		{"the container port does not count as published", publishedTo("203.0.113.9", 8443, 443), "drop by default"},
		{"a deny is before an accept", publishedTo("192.0.2.66", 443, 8443), "drop by deny one"},
		{"an unmanaged set that contains the client", change(publishedTo("192.0.2.9", 443, 8443), func(p *packet.Packet) {
			p.Conditions = map[string]bool{InUnmanaged("banned", packet.Source).String(): true}
		}), "reject tcp-reset by deny banned"},
		{"a client in an allowed set", publishedTo("192.0.2.9", 80, 8443), "docker by no rule"},
		{"an IPv6 client in an allowed set", publishedTo("2001:db8::9", 80, 8443), "docker by no rule"},
		{"an IPv6 client outside the sets", publishedTo("2001:db8:9::9", 80, 8443), "drop by default"},
		{"a client in a member of a list:set", publishedTo("198.51.100.9", 80, 8443), "docker by no rule"},
		{"a client that a member excludes", publishedTo("198.51.100.200", 80, 8443), "drop by default"},
		{"another incoming interface", change(publishedTo("203.0.113.9", 80, 8443), func(p *packet.Packet) { p.In = "eth1" }), "docker by no rule"},
		{"a new connection within the rate", change(publishedTo("192.0.2.9", 1, 5432), func(p *packet.Packet) {
			p.Conditions = map[string]bool{RateOf("db").String(): true}
		}), "accept by accept db"},
		{"a new connection above the rate", publishedTo("192.0.2.9", 1, 5432), "docker by no rule"},
		{"an established connection", change(publishedTo("203.0.113.9", 80, 8443), func(p *packet.Packet) { p.State = ir.CTEstablished }), "accept by established"},
		{"no valid connection", change(publishedTo("203.0.113.9", 443, 8443), func(p *packet.Packet) { p.State = ir.CTInvalid }), "drop by established"},
		{"an echo request", ping("203.0.113.9"), "accept by accept ping"},
		{"an IPv6 echo request", ping("2001:db8:9::9"), "accept by accept ping"},
		{"another ICMP type", change(ping("203.0.113.9"), func(p *packet.Packet) { p.ICMPType = 13 }), "drop by default"},
		{"a container to a denied network", leaving("10.1.2.3"), "drop by deny lan"},
		{"a container to an allowed network", leaving("203.0.113.9"), "docker by no rule"},
		{"a container to other addresses", leaving("192.0.2.9"), "drop by default"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := verdictOf(Program(policy, ir.FamilyOf(c.packet.Source), nil), c.packet); got != c.want {
				t.Errorf("%s: got %q, want %q", c.packet, got, c.want)
			}
		})
	}
}

// verdictOf returns the verdict and the rule that gave it.
func verdictOf(p *packet.Program, packet packet.Packet) string {
	d := p.Decide(packet)
	by := "no rule"
	if r := p.Rule(d.At); r != nil {
		by = r.Text
	}
	return d.Verdict.String() + " by " + by
}

const inputPolicy = `
host {
  external_interfaces = ["eth0"]
  proxy_ports         = ["5353/udp"]
}
deny "db" {
  protocol        = "tcp"
  published_ports = [5432]
  container_ports = [5432]
  source          = ["192.0.2.66"]
}
deny "container" {
  protocol        = "tcp"
  container_ports = [5432]
}
accept "web" {
  protocol          = "tcp"
  published_ports   = [443]
  published_address = ["198.51.100.1"]
}
accept "inner" {
  protocol        = "tcp"
  published_ports = [8443]
  container_ports = [443]
}
default { allow = ["192.0.2.0/24"] }
`

// toHost returns the first packet of a connection to a port of the host.
func toHost(from string, protocol uint8, port uint16) packet.Packet {
	return packet.Packet{
		In: "eth0", Source: netip.MustParseAddr(from), SourcePort: 40000,
		Destination: netip.MustParseAddr("198.51.100.1"), DestinationPort: port,
		Protocol: protocol, State: ir.CTNew, Direction: ir.CTOriginal,
	}
}

func TestVerdictsOnPacketsToTheHost(t *testing.T) {
	policy := policyOf(t, inputPolicy)
	for _, c := range []struct {
		name   string
		packet packet.Packet
		want   string
	}{
		{"a protected port that an accept opens", toHost("203.0.113.9", parser.TCP, 443), "docker by accept web"},
		{"the same port of another address", change(toHost("203.0.113.9", parser.TCP, 443), func(p *packet.Packet) {
			p.Destination = netip.MustParseAddr("198.51.100.2")
		}), "drop by default"},
		{"an accept with a condition on the container", toHost("203.0.113.9", parser.TCP, 8443), "drop by default"},
		{"a deny with published ports and a condition on the container", toHost("192.0.2.66", parser.TCP, 5432), "drop by deny db"},
		{"a deny with only a condition on the container", toHost("192.0.2.9", parser.TCP, 5432), "docker by no rule"},
		{"a port in proxy_ports", toHost("203.0.113.9", parser.UDP, 5353), "drop by default"},
		{"the same port with another protocol", toHost("203.0.113.9", parser.TCP, 5353), "docker by " + Unprotected},
		{"a port that is not protected", toHost("203.0.113.9", parser.TCP, 22), "docker by " + Unprotected},
		{"a reply", change(toHost("203.0.113.9", parser.TCP, 5432), func(p *packet.Packet) { p.State, p.Direction = ir.CTEstablished, ir.CTReply }), "docker by established"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := verdictOf(Input(policy, ir.IPv4, nil), c.packet); got != c.want {
				t.Errorf("%s: got %q, want %q", c.packet, got, c.want)
			}
		})
	}
}

func TestWithoutInputProtectionTheHostsOwnRulesGetAllPackets(t *testing.T) {
	policy := policyOf(t, inputPolicy)
	policy.Host.InputGuard = false
	if got, want := verdictOf(Input(policy, ir.IPv4, nil), toHost("203.0.113.9", parser.UDP, 5353)), "docker by no rule"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
