package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Rules of the input block are checked like those for forwarded packets.
func TestFindingsInInput(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\"]\n}\naccept \"https\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n}\n"
	const ssh = "accept \"ssh\" {\n  protocol = \"tcp\"\n  ports = [22]\n}\n"
	for _, c := range []struct {
		name, input string
		want        []string
	}{
		{"nothing", ssh, nil},
		{"an accept that another one covers", ssh + "accept \"again\" {\n  protocol = \"tcp\"\n  ports = [22]\n  source = [\"192.0.2.1\"]\n}\n", []string{"covered"}},
		{"a deny of what default drops", ssh + "deny \"telnet\" {\n  protocol = \"tcp\"\n  ports = [23]\n}\n", []string{"redundant"}},
		{"an accept of what default leaves alone", ssh + "accept \"ping\" {\n  icmp_types = [\"echo-request\"]\n}\n", []string{"redundant"}},
		{"an accept that denies cover", ssh + "deny \"net\" {\n  source = [\"192.0.2.0/24\"]\n}\naccept \"client\" {\n  protocol = \"tcp\"\n  ports = [8080]\n  source = [\"192.0.2.1\"]\n}\n", []string{"denied"}},
		{"a published port, about which the policy's rules decide", ssh + "accept \"web\" {\n  protocol = \"tcp\"\n  ports = [443]\n}\n", []string{"covered"}},
		{"one port of two", ssh + "accept \"web\" {\n  protocol = \"tcp\"\n  ports = [443, 8443]\n}\n", []string{"covered"}},
		{"an accept of what allow admits", "default {\n  allow = [\"192.0.2.0/24\"]\n}\naccept \"ssh\" {\n  protocol = \"tcp\"\n  ports = [22]\n  source = [\"192.0.2.1\"]\n}\n", []string{"redundant"}},
		{"an interface that is not external", ssh + "accept \"dns\" {\n  protocol = \"udp\"\n  ports = [53]\n  interfaces = [\"wg0\"]\n}\n", []string{"not-external", "redundant"}},
		{"ssh closed", "", []string{"ssh-closed"}},
		{"ssh closed by ports", "accept \"other\" {\n  protocol = \"tcp\"\n  ports = [2222]\n}\n", []string{"ssh-closed"}},
		{"ssh closed by protocol", "accept \"other\" {\n  protocol = \"udp\"\n}\n", []string{"ssh-closed"}},
		{"ssh open to everyone", "accept \"office\" {\n  source = [\"192.0.2.1\"]\n}\n", nil},
		{"ssh left to the host", "deny \"net\" {\n  source = [\"192.0.2.0/24\"]\n}\ndefault {\n  action = \"return\"\n}\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, text := codes(t, host+"input {\n"+c.input+"}\n")
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q\n%s", got, c.want, text)
			}
		})
	}
}

func TestOpenPortsOfTheHostAreListed(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\", \"eth1\"]\n}\n"
	const web = "accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n}\n"
	const ssh = "accept \"ssh\" {\n  protocol = \"tcp\"\n  ports = [22]\n}\n"
	for _, c := range []struct{ policy, input, want string }{
		{"", ssh, `ports open to everyone: 22/tcp of the host (accept "ssh").`},
		{web, ssh, `ports open to everyone: 443/tcp (accept "web"); 22/tcp of the host (accept "ssh").`},
		{"", "accept \"dns\" {\n  protocol = [\"tcp\", \"udp\"]\n  ports = [53, \"5300-5301\"]\n  interfaces = [\"eth1\"]\n}\n", `53/tcp+udp, 5300-5301/tcp+udp of the host on eth1 (accept "dns").`},
		{"", "accept \"any\" {\n  protocol = \"udp\"\n}\n", `all udp ports of the host (accept "any").`},
		{"", "accept \"any\" {\n}\n", `all ports of the host (accept "any").`},
		{"", ssh + "deny \"net\" {\n  source = [\"192.0.2.0/24\"]\n}\n", `22/tcp of the host (accept "ssh"), except what deny "net" refuses.`},
		{"", "accept \"ssh\" {\n  protocol = \"tcp\"\n  ports = [22]\n  source = [\"192.0.2.1\"]\n}\n", ""},
		{"", ssh + "deny \"ssh-all\" {\n  protocol = \"tcp\"\n  ports = [22]\n}\n", ""},
		{"", "accept \"ssh\" {\n  protocol = \"tcp\"\n  ports = [22]\n  interfaces = [\"wg0\"]\n}\n", ""},
		{"", "accept \"ping\" {\n  icmp_types = [\"echo-request\"]\n}\naccept \"gre\" {\n  protocol = 47\n}\n", ""},
		// The policy's own rules are about published ports.
		{web, "accept \"web-too\" {\n  protocol = \"tcp\"\n  ports = [443]\n}\n", `published ports open to everyone: 443/tcp (accept "web").`},
	} {
		_, text := codes(t, host+c.policy+"input {\n"+c.input+"}\n")
		if !strings.Contains(text, c.want) || c.want == "" && strings.Contains(text, "open to everyone") {
			t.Errorf("%q is not in %s\n%s", c.want, text, c.input)
		}
	}
}

func TestProxyOpen(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\"]\n}\n"
	for policy, want := range map[string]bool{
		host: true,
		host + "default {\n  allow = [\"192.0.2.1\"]\n}\n":         true,
		host + "default {\n  action = \"reject\"\n}\n":             true,
		host + "default {\n  action = \"return\"\n}\n":             false,
		host + "input {\n}\n":                                      false,
		host + "input {\n default {\n action = \"return\"\n}\n}\n": false,
	} {
		result, _ := compile(t, policy)
		got := false
		for _, d := range result.Lint() {
			got = got || diag.InfoOf(d).Code == diag.CodeProxyOpen
		}
		if got != want {
			t.Errorf("proxy-open: %t, want %t\n%s", got, want, policy)
		}
	}
}
