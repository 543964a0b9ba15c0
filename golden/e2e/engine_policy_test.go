//go:build linux

package e2e

import (
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

const onePublicPort = `
host {
  external_interfaces = ["eth0"]
}
ipset "clients" {
  type     = "hash:ip"
  hashsize = 1024
  maxelem  = 65536
  entries  = ["198.51.100.2", "2001:db8:1::2"]
}
accept "public" {
  protocol        = "tcp"
  published_ports = [8443]
}
default {
  allow = [ipset.clients]
}
`

func TestOnlyAllowedClientsReachPublishedPorts(t *testing.T) {
	onEngines(t, onlyAllowedClientsReachPublishedPorts)
}

func onlyAllowedClientsReachPublishedPorts(b *bench) {
	web := b.web("8080:80/tcp", "8443:80/tcp", "5353:53/udp")
	b.load(onePublicPort)
	b.Allowed.Serve("443/tcp", "53/udp")
	b.Other.Serve("443/tcp", "53/udp")
	host, v6 := b.Host.At, b.Host.At6
	b.expect("tutorial",
		try{b.Allowed, "tcp", host(8080), lab.Answered},
		try{b.Allowed, "udp", host(5353), lab.Answered},
		try{b.Allowed, "tcp", v6(8080), lab.Answered},
		try{b.Allowed, "udp", v6(5353), lab.Answered},
		try{b.Other, "tcp", host(8080), lab.TimedOut},
		try{b.Other, "udp", host(5353), lab.TimedOut},
		try{b.Other, "tcp", v6(8080), lab.TimedOut},
		try{b.Other, "udp", v6(5353), lab.TimedOut},
		// The custom accept admits everyone, and to the published port only.
		try{b.Other, "tcp", host(8443), lab.Answered},
		try{b.Other, "tcp", v6(8443), lab.Answered},
		try{b.Other, "tcp", web.At(80), lab.TimedOut},
		try{b.Other, "tcp", web.At6(80), lab.TimedOut},
		// An allowed client reaches published ports only: default.allow leaves the rest to
		// Docker's own rules.
		try{b.Allowed, "tcp", web.At(81), lab.TimedOut},
		// Outgoing connections of containers pass, to the other client too.
		try{web.Node, "tcp", b.Other.At(443), lab.Answered},
		try{web.Node, "udp", b.Other.At(53), lab.Answered},
		try{web.Node, "tcp", b.Other.At6(443), lab.Answered},
		try{web.Node, "tcp", b.Allowed.At(443), lab.Answered},
		// The policy has no rules for the other interface.
		try{b.Inside, "tcp", host(8080), lab.Answered},
		try{b.Inside, "udp", host(5353), lab.Answered},
		try{b.Inside, "tcp", v6(8080), lab.Answered},
	)
	// Neither loading the files again nor a restart of the engine changes anything.
	b.load(onePublicPort)
	b.engine.Stop()
	b.engine.Start()
	b.expect("after a reload and an engine restart",
		try{b.Allowed, "tcp", host(8080), lab.Answered},
		try{b.Other, "tcp", host(8080), lab.TimedOut},
		try{b.Other, "tcp", host(8443), lab.Answered},
	)
}

func TestTwoPublishedPortsOfOneContainerPortAdmitDifferentClients(t *testing.T) {
	onEngines(t, twoPublishedPortsAdmitDifferentClients)
}

func twoPublishedPortsAdmitDifferentClients(b *bench) {
	b.web("7777:80/tcp", "8888:80/tcp")
	b.load(`
host {
  external_interfaces = ["eth0"]
}
accept "allowed" {
  protocol        = "tcp"
  published_ports = [7777]
  source          = ["198.51.100.2", "2001:db8:1::2"]
}
accept "other" {
  protocol        = "tcp"
  published_ports = [8888]
  source          = ["198.51.100.3", "2001:db8:1::3"]
}
default {
  action = "reject"
}
`)
	host, v6 := b.Host.At, b.Host.At6
	b.expect("two ports",
		try{b.Allowed, "tcp", host(7777), lab.Answered},
		try{b.Allowed, "tcp", host(8888), lab.Refused},
		try{b.Other, "tcp", host(7777), lab.Refused},
		try{b.Other, "tcp", host(8888), lab.Answered},
		try{b.Allowed, "tcp", v6(7777), lab.Answered},
		try{b.Allowed, "tcp", v6(8888), lab.Refused},
		try{b.Other, "tcp", v6(7777), lab.Refused},
		try{b.Other, "tcp", v6(8888), lab.Answered},
	)
}

func TestADenyOverridesEveryAccept(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp", "5353:53/udp")
		b.load(`
host {
  external_interfaces = ["eth0"]
}
ipset "all" {
  entries = ["198.51.100.0/24", "2001:db8:1::/64"]
}
accept "everyone" {
  protocol        = ["tcp", "udp"]
  published_ports = [8080, 5353]
}
deny "other" {
  source = ["198.51.100.3", "2001:db8:1::3"]
}
default {
  allow = [ipset.all]
}
`)
		b.expect("deny",
			try{b.Allowed, "tcp", b.Host.At(8080), lab.Answered},
			try{b.Allowed, "udp", b.Host.At(5353), lab.Answered},
			try{b.Other, "tcp", b.Host.At(8080), lab.TimedOut},
			try{b.Other, "udp", b.Host.At(5353), lab.TimedOut},
			try{b.Other, "tcp", b.Host.At6(8080), lab.TimedOut},
			try{b.Allowed, "tcp", b.Host.At6(8080), lab.Answered},
		)
	})
}

// revoking is a policy whose set has the given entries.
func revoking(sessions, entries string) string {
	return `
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "` + sessions + `"
}
ipset "clients" {
  entries = [` + entries + `]
}
default {
  allow = [ipset.clients]
}
`
}

func TestARevokedClientLosesItsSessionsUnderRecheckAndNotUnderKeep(t *testing.T) {
	onEngines(t, aRevokedClientLosesItsSessions)
}

func aRevokedClientLosesItsSessions(b *bench) {
	web := b.web("8080:80/tcp", "5353:53/udp")
	b.Other.Serve("443/tcp")
	for _, c := range []struct {
		sessions string
		want     lab.Result
	}{{"recheck", lab.TimedOut}, {"keep", lab.Answered}} {
		b.flushConntrack()
		b.load(revoking(c.sessions, `"198.51.100.2", "198.51.100.3"`))
		open := []struct {
			name    string
			session *lab.Session
			want    lab.Result
		}{
			{"TCP session of the revoked client", b.Other.OpenSession("tcp", b.Host.At(8080)), c.want},
			{"UDP session of the revoked client", b.Other.OpenSession("udp", b.Host.At(5353)), c.want},
			{"session of the other client", b.Allowed.OpenSession("tcp", b.Host.At(8080)), lab.Answered},
			{"session of the container to the revoked client", web.OpenSession("tcp", b.Other.At(443)), lab.Answered},
		}
		b.load(revoking(c.sessions, `"198.51.100.2"`))
		for _, s := range open {
			if got := s.session.Ping(); got != s.want {
				b.Errorf("%s: %s: %s, want %s", c.sessions, s.name, got, s.want)
			}
			s.session.Close()
		}
		b.expect(c.sessions+", a new connection", try{b.Other, "tcp", b.Host.At(8080), lab.TimedOut})
	}
}

func TestAnEgressDenyBlocksOnlyWhatItMatches(t *testing.T) {
	onEngines(t, anEgressDenyBlocksOnlyWhatItMatches)
}

func anEgressDenyBlocksOnlyWhatItMatches(b *bench) {
	web := b.web("8080:80/tcp")
	b.Allowed.Serve("443/tcp", "53/udp")
	b.Other.Serve("443/tcp", "53/udp")
	b.Inside.Serve("443/tcp")
	b.load(`
host {
  external_interfaces = ["eth0"]
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
}
egress {
  deny "other" {
    destination = ["198.51.100.3", "2001:db8:1::3"]
  }
  deny "allowed-dns" {
    protocol        = "udp"
    container_ports = [53]
    action          = "reject"
  }
}
`)
	b.expect("egress",
		try{web.Node, "tcp", b.Other.At(443), lab.TimedOut},
		try{web.Node, "tcp", b.Other.At6(443), lab.TimedOut},
		try{web.Node, "tcp", b.Allowed.At(443), lab.Answered},
		try{web.Node, "tcp", b.Allowed.At6(443), lab.Answered},
		try{web.Node, "udp", b.Allowed.At(53), lab.Unreachable},
		try{web.Node, "tcp", b.Inside.At(443), lab.Answered},
		// Replies to the denied address pass: it connected to us.
		try{b.Other, "tcp", b.Host.At(8080), lab.Answered},
		try{b.Other, "tcp", b.Host.At6(8080), lab.Answered},
	)
}

func TestAnEgressDefaultBlocksAllButWhatIsAllowed(t *testing.T) {
	onEngines(t, func(b *bench) {
		web := b.web("8080:80/tcp")
		b.Allowed.Serve("443/tcp", "444/tcp")
		b.Other.Serve("443/tcp", "444/tcp")
		b.load(`
host {
  external_interfaces = ["eth0"]
  verdict             = "return"
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
}
egress {
  accept "https" {
    protocol        = "tcp"
    container_ports = [443]
  }
  default {
    allow  = ["198.51.100.2"]
    action = "reject"
  }
}
`)
		b.expect("egress with a default",
			try{web.Node, "tcp", b.Other.At(443), lab.Answered},
			try{web.Node, "tcp", b.Other.At(444), lab.Refused},
			try{web.Node, "tcp", b.Allowed.At(444), lab.Answered},
			try{web.Node, "tcp", b.Allowed.At6(444), lab.Refused},
			try{web.Node, "tcp", b.Allowed.At6(443), lab.Answered},
			try{b.Other, "tcp", b.Host.At(8080), lab.Answered},
		)
	})
}
