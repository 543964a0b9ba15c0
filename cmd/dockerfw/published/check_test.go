package published_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// port is a published TCP port of a container "c".
func port(number uint16, address string) published.Port {
	p := published.Port{Protocol: 6, First: number, Last: number, Target: 80, By: "c", At: hcl.Range{Filename: "ports"}}
	if address != "" {
		p.Address = netip.MustParseAddr(address)
	}
	return p
}

const closedHost = "host {\n  external_interfaces = [\"eth0\", \"eth1\"]\n}\n"

// Each case is a policy, ports and other containers, and the findings: level and class, and
// words of the text.
func TestWhatIsPublishedIsComparedWithAPolicy(t *testing.T) {
	const input = "input {}\n"
	accept := func(more string) string { return "accept \"a\" {\n  protocol = \"tcp\"\n" + more + "}\n" }
	any80 := accept("  published_ports = [80]\n")
	office80 := accept("  published_ports = [80]\n  source = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n")
	chosen := published.Port{Protocol: 6, First: published.EphemeralFirst, Last: published.EphemeralLast, Target: 80, By: "c", At: hcl.Range{Filename: "ports"}}
	udp := port(80, "")
	udp.Protocol = 17
	some := published.Port{Protocol: 6, First: 8000, Last: 8010, Target: 80, By: "c", At: hcl.Range{Filename: "ports"}}
	asleep := port(80, "")
	asleep.Inactive = "profile debug"
	for _, c := range []struct {
		name   string
		policy string
		ports  []published.Port
		others []published.Container
		want   []string
		text   string
	}{
		{"listed, open to everyone", any80, []published.Port{port(80, "")}, nil, []string{"note world-open"}, `80/tcp of c (accept "a")`},
		{"listed, for some clients", office80, []published.Port{port(80, "")}, nil, nil, ""},
		{"listed on one interface only", accept("  published_ports = [80]\n  interfaces = [\"eth1\"]\n"), []published.Port{port(80, "")}, nil, []string{"note world-open"}, ""},
		{"another port", any80, []published.Port{port(80, ""), port(81, "")}, nil, []string{"error published-open", "note world-open"}, "81/tcp of c is open through docker-proxy"},
		{"another protocol", any80, []published.Port{udp}, nil, []string{"error published-open", "warning not-published"}, "80/udp of c is open through docker-proxy"},
		{"another port, with an input block", any80 + input, []published.Port{port(80, ""), port(81, "")}, nil, []string{"note world-open", "warning unlisted-port"}, "refuses everyone"},
		{"an accept of the input block for the host's port", any80 + "input {\n  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports = [81]\n  }\n}\n", []published.Port{port(80, ""), port(81, "")}, nil, []string{"error published-open", "note world-open"}, `The input block accepts it (accept "ssh"): everyone reaches`},
		{"an open input block that accepts some", any80 + "input {\n  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports = [81]\n    source = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n  }\n  default {\n    action = \"return\"\n  }\n}\n", []published.Port{port(80, ""), port(81, "")}, nil, []string{"error published-open", "note world-open"}, "proxy_ports = [81]"},
		{"open on an IPv4 address, while nat rules are missing", any80, []published.Port{port(80, ""), port(81, "198.51.100.1")}, nil, []string{"error published-open", "note world-open"}, "over IPv4 while Docker's nat rules are missing"},
		{"open on an IPv6 address", any80, []published.Port{port(80, ""), port(81, "2001:db8::1")}, nil, []string{"error published-open", "note world-open"}, "over IPv6 where"},
		{"default.allow", input + "default {\n  allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n}\n", []published.Port{port(81, "")}, nil, []string{"note unlisted-port"}, "clients in default.allow reach it"},
		{"default.allow without an input block", "default {\n  allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n}\n", []published.Port{port(81, "")}, nil, []string{"error published-open"}, "everyone reaches"},
		{"an accept of all ports for some", input + accept("  source = [\"192.0.2.0/24\"]\n"), []published.Port{port(81, "")}, nil, []string{"note unlisted-port"}, ""},
		{"an open default", "default {\n  action = \"return\"\n}\n", []published.Port{port(81, "")}, nil, []string{"warning unlisted-port"}, "The default is open"},
		{"listed by the container's port", input + accept("  container_ports = [80]\n"), []published.Port{port(81, "")}, nil, []string{"note world-open"}, ""},
		{"listed on another address", input + accept("  published_ports = [81]\n  published_address = [\"198.51.100.2\"]\n"), []published.Port{port(81, "198.51.100.1")}, nil, []string{"warning not-published", "warning unlisted-port"}, ""},
		{"a deny lists it", input + "deny \"d\" {\n  protocol = \"tcp\"\n  published_ports = [81]\n}\n", []published.Port{port(81, "")}, nil, nil, ""},
		{"bans do not make it less open", "ipset \"bans\" {\n  managed = false\n}\ndeny \"bans\" {\n  source = [ipset.bans]\n}\n" + any80, []published.Port{port(80, "")}, nil, []string{"note world-open"}, ""},
		{"a rate is open to everyone below it", accept("  published_ports = [80]\n  rate {\n    limit = \"20/second\"\n  }\n"), []published.Port{port(80, "")}, nil, []string{"note world-open"}, ""},
		{"a port that the engine chooses", input, []published.Port{chosen}, nil, []string{"warning unlisted-port"}, "any port for 80/tcp of c is in no rule"},
		{"one of a range, listed in part", input + accept("  published_ports = [\"8000-8005\"]\n"), []published.Port{some}, nil, []string{"note world-open", "warning unlisted-port"}, "a rule has to list all of them"},
		{"one of a range, listed", input + accept("  published_ports = [\"8000-8100\"]\n"), []published.Port{some}, nil, []string{"note world-open"}, ""},
		{"on the loopback address", input, []published.Port{port(81, "127.0.0.1")}, nil, []string{"note loopback-port"}, "the policy refuses them"},
		{"on the loopback address, open", "default {\n  action = \"return\"\n}\n", []published.Port{port(81, "127.0.0.1")}, nil, []string{"warning loopback-port"}, "lets everyone through"},
		{"on the loopback address, listed", input + any80, []published.Port{port(80, "127.0.0.1")}, nil, []string{"warning loopback-port", "warning not-published"}, "80/tcp is published on a loopback address only"},
		{"a rule without a port", input + accept("  published_ports = [80, \"90-99\"]\n"), []published.Port{port(95, "")}, nil, []string{"note world-open", "warning not-published"}, `accept "a": 80/tcp is not published`},
		{"a service that is left out", input + any80, []published.Port{asleep}, nil, []string{"note inactive"}, "profile debug"},
		{"the host's network", any80, nil, []published.Container{{By: "n", At: hcl.Range{Filename: "ports"}}}, []string{"warning host-network", "warning not-published"}, "n uses the network of the host"},
		{"the host's network, closed", input, nil, []published.Container{{By: "n", At: hcl.Range{Filename: "ports"}}}, []string{"note host-network"}, ""},
		{"the host's network, with an open input block", "input {\n  default {\n    action = \"return\"\n  }\n}\n", nil, []published.Container{{By: "n", At: hcl.Range{Filename: "ports"}}}, []string{"warning host-network"}, ""},
		{"an address of its own", input, nil, []published.Container{{By: "n", Network: "lan", Driver: "macvlan", At: hcl.Range{Filename: "ports"}}}, []string{"warning own-address"}, "network lan (macvlan)"},
		{"a network that is not defined", input, nil, []published.Container{{By: "n", Network: "my lan", At: hcl.Range{Filename: "ports"}}}, []string{"note unknown-network"}, "n uses the network my lan, which is not known here: It is not defined in these files: if its driver is macvlan or ipvlan, a container there has an address of its own: packets for it pass no rules of the host, and all its ports are open to everyone in that network. The driver is shown, on the host, by:\n\n  docker network inspect --format '{{.Driver}}' 'my lan'\n"},
		{"two containers of it, and another network", input, nil, []published.Container{{By: "n", Network: "a", At: hcl.Range{Filename: "ports"}}, {By: "m", Network: "b", At: hcl.Range{Filename: "ports"}}, {By: "o", Network: "a", At: hcl.Range{Filename: "ports"}}}, []string{"note unknown-network", "note unknown-network"}, "n, o use the network a, which"},
		{"the network of a container", input, nil, []published.Container{{By: "n", Shares: "vpn", At: hcl.Range{Filename: "ports"}}}, []string{"note unknown-network"}, "n uses the network of container vpn, which is not known here: That container is not in these files."},
	} {
		t.Run(c.name, func(t *testing.T) {
			diags, err := published.Check(policy(t, closedHost+c.policy), published.List{Ports: c.ports, Others: c.others})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var text strings.Builder
			for _, d := range diags {
				got = append(got, diag.Level(d)+" "+diag.InfoOf(d).Code.String())
				text.WriteString(d.Summary + ": " + d.Detail + "\n")
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) || !strings.Contains(text.String(), c.text) {
				t.Errorf("got %q, want %q with %q\n%s", got, c.want, c.text, text.String())
			}
		})
	}
}

// Ports of a range have one finding, and one answer of the algebra.
func TestRangesAreComparedAsOne(t *testing.T) {
	var ports []published.Port
	for n := uint16(10000); n <= 30000; n++ {
		ports = append(ports, port(n, ""))
	}
	diags, err := published.Check(policy(t, closedHost+"accept \"a\" {\n  protocol = \"tcp\"\n  published_ports = [\"15000-16000\"]\n}\n"), published.List{Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range diags {
		got = append(got, d.Summary)
	}
	want := []string{"10000-14999/tcp of c is open through docker-proxy", "16001-30000/tcp of c is open through docker-proxy", "published ports open to everyone"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
