//go:build linux

package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// With an input block everything that no rule lists is closed on a host with a real engine:
// what docker-proxy answers over IPv6, containers in the host's network, and services of the
// host. What the policy publishes has the same clients on both paths.
func TestAnInputBlockClosesWhatDockerProxyAnswers(t *testing.T) {
	inputBlockBesideAnEngine(t, false)
}

func TestATableClosesWhatDockerProxyAnswers(t *testing.T) {
	inputBlockBesideAnEngine(t, true)
}

func inputBlockBesideAnEngine(t *testing.T, table bool) {
	lab.Require(t, "dockerd", "iptables-nft", "iptables-legacy", "ipset", "busybox")
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			site := lab.NewLab(t)
			engine := site.StartEngine(lab.EngineOptions{Backend: backend})
			b := newBench(t, site, engine, backend)
			b.table = table
			b.web("8080:80/tcp", "8443:81/tcp", "5353:53/udp")
			b.engine.Docker("run", "--detach", "--name", "hostnet", "--network", "host", "lab", "/bin/busybox", "httpd", "-f", "-p", "7070", "-h", "/")
			b.Host.Serve("22/tcp")
			host, v6 := b.Host.At, b.Host.At6
			linkLocal := linkLocalOf(t, b.Host, b.Other)
			// httpd does not answer as a lab server does.
			hostNetwork := func(want bool) {
				t.Helper()
				to := []endpoint{{"tcp", host(7070)}, {"tcp", v6(7070)}}
				for i, got := range b.connect(b.Other, to) {
					if got == lab.TimedOut == want || got == lab.Refused {
						t.Errorf("network_mode: host at %s: %s; reachable is to be %t", to[i].to, got, want)
					}
				}
			}
			for end := time.Now().Add(10 * time.Second); b.Other.Connect("tcp", host(7070)) == lab.Refused && time.Now().Before(end); {
				time.Sleep(100 * time.Millisecond) // until it listens
			}
			hostNetwork(true)
			b.expectAll("without rules", []try{
				{b.Other, "tcp", v6(8080), lab.Answered},
				{b.Other, "tcp", linkLocal(8080), lab.Answered},
				{b.Other, "udp", v6(5353), lab.Answered},
			})
			// Over IPv4, where the rules of the engine track connections: docs/contributing/netfilter.md,
			// "Sessions that began before connection tracking".
			session := b.Other.OpenSession("tcp", host(22))
			b.load(`
host {
  external_interfaces = ["eth0"]
}
ipset "clients" {
  entries = ["198.51.100.2", "2001:db8:1::2"]
}
accept "public" {
  protocol        = "tcp"
  published_ports = [8443]
}
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.clients]
  }
}
`)
			if got := session.Ping(); got != lab.Answered {
				t.Errorf("the open session: %s", got)
			}
			closed := func(when string) {
				t.Helper()
				tries := []try{
					{b.Allowed, "tcp", host(22), lab.Answered},
					{b.Allowed, "tcp", v6(22), lab.Answered},
					{b.Allowed, "tcp", v6(8080), lab.TimedOut},
					{b.Inside, "tcp", v6(8080), lab.Answered},
				}
				for _, to := range []func(uint16) string{host, v6, linkLocal} {
					tries = append(tries,
						try{b.Other, "tcp", to(8080), lab.TimedOut},
						try{b.Other, "udp", to(5353), lab.TimedOut},
						try{b.Other, "tcp", to(22), lab.TimedOut},
						try{b.Other, "tcp", to(8443), lab.Answered},
					)
				}
				var wait sync.WaitGroup
				wait.Go(func() { hostNetwork(false) })
				b.expectAll(when, tries)
				wait.Wait()
			}
			closed("closed")
			// Without DNAT, docker-proxy answers over IPv4 as well.
			if err := b.engine.Tools.IPTables(backend, 4, "-t", "nat", "-F"); err != nil {
				t.Fatal(err)
			}
			closed("without the nat table")
			if table {
				b.requireOnlyTheTable()
				return
			}
			saved := b.engine.Tools.IPTablesSave(backend, 6, "filter")
			if !strings.Contains(saved, "-j DOCKERFW-HOST") {
				t.Errorf("no jump to the chain of the input block:\n%s", saved)
			}
		})
	}
}
