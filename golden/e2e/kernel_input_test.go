//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

const closedHost = `
host {
  external_interfaces = ["eth0"]
}
ipset "allowed" {
  entries = ["198.51.100.2", "2001:db8:1::2"]
}
established {
  sessions     = %q
  drop_invalid = true
}
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}
accept "some" {
  protocol        = "tcp"
  published_ports = [8443]
  source          = [ipset.allowed]
}
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.allowed]
  }
  accept "dns" {
    protocol = "udp"
    ports    = [53]
  }
}
`

// A closed host is closed on its external interface only, for the protocols with ports, and
// keeps the sessions that are open when the rules are loaded. Sockets of the host stand for its
// services, for containers with network_mode: host and for docker-proxy.
func TestAnInputBlockClosesTheHost(t *testing.T) {
	t.Parallel()
	lab.Require(t, "busybox", "iptables-nft", "iptables-legacy", "ipset")
	for _, backend := range lab.Backends {
		for _, sessions := range []string{"keep", "recheck"} {
			t.Run(string(backend)+" "+sessions, func(t *testing.T) {
				t.Parallel()
				testClosedHost(t, backend, sessions)
			})
		}
	}
}

func testClosedHost(t *testing.T, backend lab.Backend, sessions string) {
	l := lab.NewLab(t)
	p, ok := compilePolicy(t, t.TempDir(), fmt.Sprintf(closedHost, sessions))
	if !ok {
		t.Fatal("the policy does not compile")
	}
	l.Host.Serve("22/tcp", "443/tcp", "8080/tcp", "8443/tcp", "53/udp", "5300/udp", "68/udp", "546/udp")
	l.Other.Serve("9000/tcp", "9000/udp")
	// The rules of an engine track connections.
	for _, family := range []int{4, 6} {
		p.must(t, backend, l.Host.IPTables(backend, family, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"))
	}
	open := map[string]*lab.Session{
		"other to sshd":          l.Other.OpenSession("tcp", l.Host.At(22)),
		"other to sshd, IPv6":    l.Other.OpenSession("tcp", l.Host.At6(22)),
		"other to a closed port": l.Other.OpenSession("tcp", l.Host.At(8080)),
		"other over UDP":         l.Other.OpenSession("udp", l.Host.At(5300)),
		"the host to other":      l.Host.OpenSession("tcp", l.Other.At(9000)),
	}
	for _, program := range p.programs {
		p.load(t, l.Host.Namespace, backend, program)
	}
	for name, session := range open {
		if got := session.Ping(); got != lab.Answered {
			t.Errorf("open session, %s: %s", name, got)
		}
	}
	// Neighbor discovery and ARP begin again.
	for _, node := range []*lab.Node{l.Host, l.Other, l.Allowed} {
		node.MustRun("ip", "neigh", "flush", "dev", "eth0")
	}

	linkLocal := linkLocalOf(t, l.Host, l.Other)
	const answered, refused = lab.Answered, lab.TimedOut
	var wait sync.WaitGroup
	for _, c := range []struct {
		what string
		try
	}{
		{"a published port", try{l.Other, "tcp", l.Host.At(443), answered}},
		{"a published port", try{l.Other, "tcp", l.Host.At6(443), answered}},
		{"a published port", try{l.Other, "tcp", linkLocal(443), answered}},
		{"a published port that is not for it", try{l.Other, "tcp", l.Host.At(8443), refused}},
		{"a published port that is not for it", try{l.Other, "tcp", l.Host.At6(8443), refused}},
		{"a published port", try{l.Allowed, "tcp", l.Host.At(8443), answered}},
		{"a published port", try{l.Allowed, "tcp", l.Host.At6(8443), answered}},
		{"ssh", try{l.Other, "tcp", l.Host.At(22), refused}},
		{"ssh", try{l.Other, "tcp", l.Host.At6(22), refused}},
		{"ssh", try{l.Other, "tcp", linkLocal(22), refused}},
		{"ssh", try{l.Allowed, "tcp", l.Host.At(22), answered}},
		{"ssh", try{l.Allowed, "tcp", l.Host.At6(22), answered}},
		{"no rule", try{l.Other, "tcp", l.Host.At(8080), refused}},
		{"no rule", try{l.Other, "tcp", l.Host.At6(8080), refused}},
		{"no rule", try{l.Other, "tcp", linkLocal(8080), refused}},
		{"no rule", try{l.Allowed, "tcp", l.Host.At(8080), refused}},
		{"no rule", try{l.Allowed, "tcp", l.Host.At6(8080), refused}},
		{"dns", try{l.Other, "udp", l.Host.At(53), answered}},
		{"dns", try{l.Other, "udp", l.Host.At6(53), answered}},
		{"no rule", try{l.Other, "udp", l.Host.At(5300), refused}},
		{"no rule", try{l.Other, "udp", l.Host.At6(5300), refused}},
		{"DHCP client", try{l.Other, "udp", l.Host.At(68), answered}},
		{"DHCP client of the other family", try{l.Other, "udp", l.Host.At6(68), refused}},
		{"DHCPv6 client", try{l.Other, "udp", l.Host.At6(546), answered}},
		{"DHCPv6 client", try{l.Other, "udp", linkLocal(546), answered}},
		{"DHCPv6 client of the other family", try{l.Other, "udp", l.Host.At(546), refused}},
		{"loopback", try{l.Host, "tcp", "127.0.0.1:8080", answered}},
		{"loopback", try{l.Host, "tcp", "[::1]:8080", answered}},
		{"the host's own address", try{l.Host, "tcp", l.Host.At(8080), answered}},
		{"the host's own address", try{l.Host, "udp", l.Host.At6(5300), answered}},
		{"an interface that is not external", try{l.Inside, "tcp", "203.0.113.1:8080", answered}},
		{"an interface that is not external", try{l.Inside, "udp", "[2001:db8:2::1]:5300", answered}},
		{"an interface that is not external", try{l.Inside, "tcp", l.Host.At(22), answered}},
		{"a connection of the host", try{l.Host, "tcp", l.Other.At6(9000), answered}},
		{"a connection of the host", try{l.Host, "udp", l.Other.At(9000), answered}},
	} {
		// All at once, because each dropped one takes until its timeout.
		wait.Go(func() {
			if got, _ := c.result(); got != c.want {
				t.Errorf("%s: %s over %s to %s: %s, want %s", c.what, c.from.Name, c.network, c.to, got, c.want)
			}
		})
	}
	wait.Wait()
	for _, address := range []netip.Addr{l.Host.V4, l.Host.V6} {
		// The larger one is sent in fragments, which connection tracking joins.
		for _, size := range []string{"56", "4000"} {
			if _, _, err := l.Other.Run("busybox", "ping", "-c", "1", "-W", "2", "-s", size, address.String()); err != nil {
				t.Errorf("ping with %s bytes: %v", size, err)
			}
		}
	}
	for _, program := range p.programs {
		p.must(t, backend, l.Host.IPTablesRestore(backend, int(program.Family), p.files[rulesFile(int(program.Family), "remove")]))
	}
	if got, _ := l.Other.AskFor(lab.LongPatience, "tcp", l.Host.At6(8080)); got != answered {
		t.Errorf("after removal: %s", got)
	}
}

// linkLocalOf returns the link-local address of a host with a port, as a client writes it. The
// zone is a number: the names of interfaces are looked up in the namespace of the test.
func linkLocalOf(t *testing.T, host, client *lab.Node) func(port uint16) string {
	t.Helper()
	fields := strings.Fields(host.MustRun("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "link"))
	if len(fields) < 4 {
		t.Fatalf("no link-local address: %q", fields)
	}
	prefix, err := netip.ParsePrefix(fields[3])
	if err != nil {
		t.Fatal(err)
	}
	index, _, _ := strings.Cut(client.MustRun("ip", "-o", "link", "show", "eth0"), ":")
	return func(port uint16) string {
		return netip.AddrPortFrom(prefix.Addr().WithZone(index), port).String()
	}
}
