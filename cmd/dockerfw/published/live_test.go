package published_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// openSide opens a policy, or the saved tables of a host in the texts of files.
func openSide(t *testing.T, files map[string]string) *snapshot.Host {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	side, diags, err := snapshot.Open(dir, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return side.Hosts[0]
}

func policy(t *testing.T, text string) *snapshot.Host {
	t.Helper()
	return openSide(t, map[string]string{"policy.hcl": text})
}

const (
	nat4 = `*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:8443
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.17.0.3:5432
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 172.17.0.3:90
COMMIT
`
	filter4 = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8443 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 5432 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 90 -j ACCEPT
COMMIT
`
	filter6 = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
COMMIT
`
	nat6 = `*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -s fe80::/10 ! -i docker0 -p tcp -m tcp --dport 5432 -j DNAT --to-destination [fd00::3]:5432
COMMIT
`
	onePort = `
host {
  external_interfaces = ["eth0"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443, 8443]
}
`
)

func proxy(address string, port, target uint16) published.Listener {
	return published.Listener{Protocol: 6, Address: netip.MustParseAddr(address), Port: port, Container: netip.AddrPortFrom(netip.MustParseAddr("172.17.0.3"), target)}
}

// Each case is a policy, the tables and the listening processes of a host on which the policy has
// been loaded, and words of the findings; those after "FAIL " are of faults.
func TestPublishedPortsOfHosts(t *testing.T) {
	proxies := []published.Listener{
		proxy("0.0.0.0", 443, 8443), proxy("::", 443, 8443),
		proxy("0.0.0.0", 5432, 5432), proxy("::", 5432, 5432), proxy("127.0.0.1", 9090, 90),
	}
	hostNetwork := published.Listener{Protocol: 6, Address: netip.IPv6Unspecified(), Port: 7070, ID: "3f2ab7"}
	everyone6 := "FAIL 5432/tcp (container 172.17.0.3:5432) is reachable over IPv6 through docker-proxy by everyone"
	for _, c := range []struct {
		name, policy string
		tables       []string // of iptables-save and ip6tables-save
		listeners    []published.Listener
		unknown      bool
		want         []string
		faults       int
	}{
		{"docker-proxy over IPv6", onePort, []string{nat4 + filter4, filter6}, proxies, false, []string{
			everyone6, "proxy_ports = [5432]", `open to everyone: 443/tcp (accept "https")`,
			`accept "https": 8443/tcp is not published`, "loopback address", "127.0.0.1:9090/tcp",
		}, 1},
		{"inferred from the nat rules", onePort, []string{nat4 + filter4, filter6}, nil, true, []string{everyone6, "published on 0.0.0.0 alone"}, 1},
		{"no docker-proxy", onePort, []string{nat4 + filter4, filter6}, nil, false, []string{"in no rule of the policy: 5432/tcp"}, 0},
		{"each port once", onePort + "input {}\n", []string{nat4 + filter4, nat6 + filter6}, proxies, false, []string{"in no rule of the policy: 5432/tcp\n"}, 0},
		{
			"no docker-proxy and no interface in the rules", onePort,
			[]string{strings.ReplaceAll(nat4, "! -i docker0 ", "") + filter4, filter6},
			nil, true,
			[]string{"in no rule of the policy: 5432/tcp"},
			0,
		},
		{"proxy_ports", strings.Replace(onePort, "\n}", "\n  proxy_ports = [5432]\n}", 1), []string{nat4 + filter4, filter6}, proxies, false, []string{"loopback address"}, 0},
		{"an input block", onePort + "input {}\n", []string{nat4 + filter4, filter6}, append(proxies, hostNetwork), false, []string{"in no rule of the policy: 5432/tcp"}, 0},
		{"the input block accepts the port for the host", onePort + "input {\n  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports = [5432]\n  }\n}\n", []string{nat4 + filter4, filter6}, proxies, false, []string{
			everyone6, `The input block accepts them (accept "ssh"): publish the container's port on another port of the host, or narrow that block`,
		}, 1},
		{"the host's own INPUT rules close it", onePort, []string{nat4 + filter4, strings.Replace(filter6, "INPUT ACCEPT", "INPUT DROP", 1)}, proxies, false, []string{"in no rule of the policy: 5432/tcp"}, 0},
		{"only link-local clients get to docker-proxy", onePort, []string{nat4 + filter4, nat6 + filter6}, proxies, false, []string{
			"FAIL 5432/tcp (container 172.17.0.3:5432) is reachable over IPv6 through docker-proxy by clients that the policy refuses, for example tcp [fe80:",
		}, 1},
		{"without nat rules, over IPv4 as well", onePort, []string{strings.SplitAfter(nat4, "LOCAL -j DOCKER\n")[0] + "COMMIT\n" + filter4, filter6}, proxies, false, []string{
			everyone6, "FAIL 5432/tcp (container 172.17.0.3:5432) is reachable over IPv4 through docker-proxy by everyone",
		}, 2},
		{"a policy without rules for IPv6", strings.Replace(onePort, "\n}", "\n  families = [\"ipv4\"]\n}", 1), []string{nat4 + filter4, filter6}, proxies, false, []string{
			everyone6, "The policy has no rules for IPv6: add it to families",
		}, 1},
		{
			"an open default", onePort + "default {\n  action = \"return\"\n}\n",
			[]string{nat4 + filter4, filter6},
			proxies, false,
			[]string{"open to everyone: 443/tcp", "5432/tcp", "in no rule of the policy: 5432/tcp"},
			0,
		},
		{
			"the example is a client that the policy refuses", onePort + "default {\n  allow = [\"2001:db8::/64\"]\n}\n",
			[]string{nat4 + filter4, filter6},
			proxies, false,
			[]string{everyone6 + ", for example tcp [2001:db8:ffff::1]:40000"},
			1,
		},
		{
			"a range of ports", onePort,
			[]string{nat4 + filter4, filter6},
			[]published.Listener{proxy("::", 6001, 6001), proxy("::", 6000, 6000), proxy("::", 6002, 6002), proxy("::", 6004, 6004)},
			false,
			[]string{
				"FAIL 6000-6002/tcp (container 172.17.0.3) is reachable over IPv6", `proxy_ports = ["6000-6002"]`, "FAIL 6004/tcp (container 172.17.0.3:6004)",
			},
			2,
		},
		{"a container in the host's network", onePort, []string{nat4 + filter4, filter6}, append(proxies, hostNetwork), false, []string{
			"network_mode: host, reachable by everyone because no input block closes them: 7070/tcp (container 3f2ab7) over IPv4, 7070/tcp (container 3f2ab7) over IPv6",
		}, 1},
		{"protection that is turned off", strings.Replace(onePort, "\n}", "\n  input_guard = false\n}", 1) + "accept \"pg\" {\n  protocol = \"tcp\"\n  published_ports = [5432]\n  source = [\"2001:db8::/32\"]\n}\n", []string{nat4 + filter4, filter6}, proxies, false, []string{everyone6}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := policy(t, c.policy)
			saved := openSide(t, map[string]string{"rules.v4": c.tables[0], "rules.v6": c.tables[1]})
			have, err := want.LoadedOnto(saved)
			if err != nil {
				t.Fatal(err)
			}
			exposed, err := published.Exposures(want, have, c.listeners, !c.unknown)
			if err != nil {
				t.Fatal(err)
			}
			faults := 0
			var text strings.Builder
			for _, f := range published.Findings(want, exposed) {
				if f.Fault {
					faults++
					text.WriteString("FAIL ")
				}
				text.WriteString(f.Text + "\n")
			}
			for _, w := range c.want {
				if !strings.Contains(text.String(), w) {
					t.Errorf("no %q in\n%s", w, text.String())
				}
			}
			if faults != c.faults {
				t.Errorf("%d faults, want %d:\n%s", faults, c.faults, text.String())
			}
		})
	}
}

// Rules that were compiled but not loaded do not close a port: the findings are about the host as
// it is.
func TestFindingsAreAboutTheRulesOfTheHost(t *testing.T) {
	want := policy(t, onePort+"input {}\n")
	have := openSide(t, map[string]string{"rules.v4": nat4 + filter4, "rules.v6": filter6})
	exposed, err := published.Exposures(want, have, []published.Listener{proxy("::", 443, 8443), proxy("::", 5432, 5432)}, true)
	if err != nil {
		t.Fatal(err)
	}
	found := published.Findings(want, exposed)
	if len(found) == 0 || !found[0].Fault || !strings.HasPrefix(found[0].Text, "5432/tcp") || !strings.HasSuffix(found[0].Text, "Run: dockerfw apply FOLDER") {
		t.Errorf("%+v", found)
	}
}

// A host that has no tables of a family is open over it. That is so where nothing has used
// ip6tables.
func TestAHostWithoutTablesOfAFamily(t *testing.T) {
	want := policy(t, onePort)
	have := openSide(t, map[string]string{"rules.v4": nat4 + filter4})
	have.Kind = snapshot.Live
	have.Rules[ir.IPv6] = iptables.NewRuleset(iptables.IPv6)
	exposed, err := published.Exposures(want, have, []published.Listener{proxy("::", 5432, 5432)}, true)
	if err != nil {
		t.Fatal(err)
	}
	if found := published.Findings(want, exposed); len(found) == 0 || !found[0].Fault || !strings.Contains(found[0].Text, "over IPv6") {
		t.Errorf("%+v", found)
	}
}

func TestAPartOfTheTablesOfAFamilyTellsNothing(t *testing.T) {
	have := openSide(t, map[string]string{"rules.v4": nat4 + filter4, "rules.v6": strings.Replace(filter6, ":INPUT ACCEPT [0:0]\n", "", 1)})
	exposed, err := published.Exposures(policy(t, onePort), have, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range exposed {
		if x.Family == ir.IPv6 {
			t.Errorf("%+v", x)
		}
	}
	if len(exposed) != 3 {
		t.Errorf("%d exposures over IPv4", len(exposed))
	}
}
