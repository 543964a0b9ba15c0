//go:build linux

package e2e

import (
	"os"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
)

// The nftables backend of engine 29 has tables of its own. No Debian release has that engine: its
// tables, for the container of the lab, are in testdata, and packets are sent through their
// translation.
func TestTheTablesOfEngine29AreProtectedByBothTargets(t *testing.T) {
	t.Parallel()
	lab.Require(t, "nft")
	tables, err := os.ReadFile("testdata/engine29.nft")
	if err != nil {
		t.Fatal(err)
	}
	const policy = `
host {
  external_interfaces = ["eth0"]
  internal_interfaces = ["eth1"]
  proxy_ports         = [8080, "5353/udp"]
}
ipset "clients" {
  entries = ["198.51.100.2", "2001:db8:1::2"]
}
accept "public" {
  protocol        = "tcp"
  published_ports = [8443]
}
default {
  allow = [ipset.clients]
}
egress {
  deny "other" {
    destination = ["198.51.100.3", "2001:db8:1::3"]
  }
}
`
	for target, text := range map[string]string{"iptables": policy, "nftables": nftpolicy.Text(policy)} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			s := newContainer(t, lab.NFT)
			if _, stderr, err := s.Host.Input(string(tables), "nft", "-f", "-"); err != nil {
				t.Fatal(stderr)
			}
			b := &bench{T: t, Lab: s.Lab}
			s.Allowed.Serve("443/tcp")
			s.Other.Serve("443/tcp")
			host, v6 := s.Host.At, s.Host.At6
			b.expectAll("without rules of dockerfw", []try{
				{s.Other, "tcp", host(8080), lab.Answered},
				{s.Other, "tcp", v6(8080), lab.Answered},
				{s.Other, "udp", host(5353), lab.Answered},
				{s.container, "tcp", s.Other.At(443), lab.Answered},
			})
			p := compileFolder(t, target, text)
			s.host.succeeds(p, nil)
			protected := func(when string) {
				t.Helper()
				b.expectAll(when, []try{
					{s.Allowed, "tcp", host(8080), lab.Answered},
					{s.Allowed, "tcp", v6(8080), lab.Answered},
					{s.Allowed, "udp", host(5353), lab.Answered},
					{s.Allowed, "udp", v6(5353), lab.Answered},
					{s.Other, "tcp", host(8080), lab.TimedOut},
					{s.Other, "tcp", v6(8080), lab.TimedOut},
					{s.Other, "udp", host(5353), lab.TimedOut},
					{s.Other, "udp", v6(5353), lab.TimedOut},
					{s.Other, "tcp", host(8443), lab.Answered},
					{s.Other, "tcp", v6(8443), lab.Answered},
					{s.Other, "tcp", s.container.At(80), lab.TimedOut},
					{s.container, "tcp", s.Allowed.At(443), lab.Answered},
					{s.container, "tcp", s.Other.At(443), lab.TimedOut},
					{s.container, "tcp", s.Other.At6(443), lab.TimedOut},
				})
			}
			protected("loaded")
			s.host.expect(s.host.dockerfw("verify", p.dir), 0, "ok    interfaces")
			s.host.expect(s.host.dockerfw("explain", "live", "--from", "198.51.100.3", "--to-port", "8443"), 0, "public", "Accept")
			s.host.expect(s.host.dockerfw("explain", "live", "--from", "198.51.100.3", "--to-port", "8080"), 0, "Drop", "default")
			// The engine writes its tables anew at each start.
			for _, family := range []string{"ip", "ip6"} {
				s.Host.MustRun("nft", "delete", "table", family, "docker-bridges")
			}
			if _, stderr, err := s.Host.Input(string(tables), "nft", "-f", "-"); err != nil {
				t.Fatal(stderr)
			}
			protected("after a start of the engine")
		})
	}
}
