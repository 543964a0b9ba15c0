//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// publishing is a lab whose host publishes a container as Docker does: port 8080 is its
// 80/tcp, 5353 its 53/udp, over both families.
type publishing struct {
	*lab.Lab
	host      *target
	container *lab.Node
}

func newPublishing(t *testing.T, backend lab.Backend) *publishing {
	t.Helper()
	s := newContainer(t, backend)
	s.host.addDockerChains(backend)
	for family, ends := range map[int][3]string{4: {"172.17.0.2:80", "172.17.0.2:53", "172.17.0.0/16"}, 6: {"[fd00:17::2]:80", "[fd00:17::2]:53", "fd00:17::/64"}} {
		nat := fmt.Sprintf("*nat\n-A PREROUTING ! -i docker0 -p tcp --dport 8080 -m addrtype --dst-type LOCAL -j DNAT --to-destination %s\n"+
			"-A PREROUTING ! -i docker0 -p udp --dport 5353 -m addrtype --dst-type LOCAL -j DNAT --to-destination %s\n"+
			"-A POSTROUTING -s %s ! -o docker0 -j MASQUERADE\nCOMMIT\n", ends[0], ends[1], ends[2])
		if err := s.host.IPTablesRestore(backend, family, nat); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// newContainer is the host with the container, without rules of an engine.
func newContainer(t *testing.T, backend lab.Backend) *publishing {
	t.Helper()
	lab.Require(t, "iptables-nft", "iptables-legacy", "ipset", "conntrack")
	site := lab.NewLab(t)
	s := &publishing{site, targetIn(t, backend, site.Host.Namespace), &lab.Node{
		Namespace: lab.NewNamespace(t, "dfw-container"), Name: "web",
		V4: netip.MustParseAddr("172.17.0.2"), V6: netip.MustParseAddr("fd00:17::2"),
	}}
	site.Host.MustRun("ip", "link", "add", "docker0", "type", "veth", "peer", "name", "eth0", "netns", s.container.Namespace.Name)
	for _, command := range []struct {
		ns   *lab.Namespace
		text string
	}{
		{site.Host.Namespace, "address add 172.17.0.1/16 dev docker0"},
		{site.Host.Namespace, "address add fd00:17::1/64 dev docker0 nodad"},
		{site.Host.Namespace, "link set docker0 up"},
		{s.container.Namespace, "address add 172.17.0.2/16 dev eth0"},
		{s.container.Namespace, "address add fd00:17::2/64 dev eth0 nodad"},
		{s.container.Namespace, "link set eth0 up"},
		{s.container.Namespace, "route add default via 172.17.0.1"},
		{s.container.Namespace, "-6 route add default via fd00:17::1"},
	} {
		command.ns.MustRun(append([]string{"ip"}, strings.Fields(command.text)...)...)
	}
	site.Host.Sysctl("net.ipv4.ip_forward", "1")
	site.Host.Sysctl("net.ipv6.conf.all.forwarding", "1")
	s.container.Serve("80/tcp", "53/udp")
	site.Host.Serve("22/tcp")
	site.Inside.Serve("7000/tcp")
	return s
}

// open opens a connection of each kind.
func (s *publishing) open() map[string]*lab.Session {
	host := s.Host
	out := map[string]*lab.Session{
		"egress": s.container.OpenSession("tcp", s.Inside.At(7000)),
		"ssh":    s.Other.OpenSession("tcp", host.At(22)),
	}
	for _, who := range []*lab.Node{s.Allowed, s.Other} {
		out[who.Name+" tcp"] = who.OpenSession("tcp", host.At(8080))
		out[who.Name+" udp"] = who.OpenSession("udp", host.At(5353))
		out[who.Name+" tcp6"] = who.OpenSession("tcp", host.At6(8080))
		out[who.Name+" udp6"] = who.OpenSession("udp", host.At6(5353))
	}
	return out
}

const cutHost = `
host { external_interfaces = ["eth0", "eth1"] }
ipset "allowed" { entries = ["198.51.100.2", "2001:db8:1::2"] }
ipset "all" { entries = ["198.51.100.0/24", "2001:db8:1::/64"] }
`

func TestCutEndsOnlyConnectionsThatTheNewRulesRefuse(t *testing.T) {
	t.Parallel()
	others := []string{"other tcp", "other udp", "other tcp6", "other udp6"}
	cases := []struct {
		name, rules string
		ended       []string
	}{
		{"a source that was removed from the set", `default { allow = [ipset.allowed] }`, others},
		{"a source in no set of a list", `
ipset "known" {
  type    = "list:set"
  members = [ipset.allowed]
}
default { allow = [ipset.known] }`, others},
		{"all but a source", `
deny "others" { source_not = [ipset.allowed] }
default { allow = [ipset.all] }`, others},
		{"a published port", `
deny "web" {
  source          = ["198.51.100.3", "2001:db8:1::3"]
  protocol        = "tcp"
  published_ports = [8080]
}
default { allow = [ipset.all] }`, []string{"other tcp", "other tcp6"}},
		{"a published address", `
deny "v4" {
  source            = ["198.51.100.0/24"]
  source_not        = [ipset.allowed]
  published_address = ["198.51.100.1"]
}
default { allow = [ipset.all] }`, []string{"other tcp", "other udp"}},
		{"a prefix of IPv6", `
deny "v6" { source = ["2001:db8:1:0:0:0:0:3/128", "2001:db8:1:8000::/66"] }
default { allow = [ipset.all] }`, []string{"other tcp6", "other udp6"}},
		{"an outgoing connection", `
default { allow = [ipset.all] }
egress {
  deny "inside" { destination = ["203.0.113.2"] }
}`, []string{"egress"}},
		{"a limit, which keeps connections", `
accept "slowly" {
  protocol        = "tcp"
  published_ports = [8080]
  rate { limit = "1/hour" }
}
default { allow = [ipset.all] }`, nil},
	}
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			s := newPublishing(t, backend)
			before := compileFolder(t, "all", cutHost+"default { allow = [ipset.all] }\n")
			for _, c := range cases {
				s.host.succeeds(before, nil)
				sessions := s.open()
				s.host.succeeds(compileFolder(t, c.name, cutHost+c.rules), []string{"--cut"}, ended(len(c.ended)))
				var wait sync.WaitGroup
				for name, session := range sessions {
					wait.Go(func() {
						got := session.Ping()
						if want := !slices.Contains(c.ended, name); want != (got == lab.Answered) {
							t.Errorf("%s: %s: %s", c.name, name, got)
						}
						session.Close()
					})
				}
				wait.Wait()
				// Late packets of the closed connections create new entries.
				eventually(t, "connection tracking has no entries", func() bool {
					s.host.MustRun("conntrack", "-F")
					time.Sleep(300 * time.Millisecond)
					return strings.TrimSpace(s.host.MustRun("conntrack", "-C")) == "0"
				})
			}
		})
	}
}

// The administrator's own session is one to the host itself: --cut alone keeps it. It does not keep
// those to a published port that docker-proxy answers.
func TestCutKeepsConnectionsToTheHostItself(t *testing.T) {
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			s := newPublishing(t, backend)
			s.Host.Serve("8443/tcp") // stands for docker-proxy
			s.host.succeeds(compileFolder(t, "all", cutHost+"default { allow = [ipset.all] }\n"), nil)
			closed := compileFolder(t, "closed", cutHost+`
accept "web" {
  protocol        = "tcp"
  published_ports = [8443]
  source          = [ipset.allowed]
}
default { allow = [ipset.allowed] }
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.allowed]
  }
}
`)
			allowed, ssh, ssh6 := s.Allowed.OpenSession("tcp", s.Host.At(22)), s.Other.OpenSession("tcp", s.Host.At(22)), s.Other.OpenSession("tcp", s.Host.At6(22))
			proxy := s.Other.OpenSession("tcp", s.Host.At(8443))
			s.host.succeeds(closed, []string{"--cut"}, ended(1), ":8443: default refuses it",
				"kept tcp 198.51.100.3:", ":22: default refuses it", "kept 2 connections that the rules refuse: they end at the host itself")
			for name, session := range map[string]*lab.Session{"allowed": allowed, "ssh": ssh, "ssh over IPv6": ssh6} {
				if got := session.Ping(); got != lab.Answered {
					t.Errorf("%s after --cut: %s", name, got)
				}
			}
			if got := proxy.Ping(); got == lab.Answered {
				t.Error("a published port after --cut: answered")
			}
			s.host.succeeds(closed, []string{"--cut", "--cut-host"}, ended(2), "ended tcp 198.51.100.3:")
			for name, session := range map[string]*lab.Session{"ssh": ssh, "ssh over IPv6": ssh6} {
				if got := session.Ping(); got == lab.Answered {
					t.Errorf("%s after --cut-host: answered", name)
				}
			}
			if got := allowed.Ping(); got != lab.Answered {
				t.Errorf("allowed after --cut-host: %s", got)
			}
		})
	}
}

// ended is how apply reports how many connections it ended.
func ended(n int) string {
	if n == 1 {
		return "ended 1 connection that the rules refuse"
	}
	return fmt.Sprintf("ended %d connections", n)
}
