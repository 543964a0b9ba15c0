//go:build linux

package e2e

import (
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab"
)

const inputPolicy = `
host {
  external_interfaces = ["eth0"]
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
`

// Without configuration, an engine's networks are IPv4 only, and docker-proxy answers IPv6
// clients: docs/contributing/docker.md, "docker-proxy".
func TestInputProtectionBlocksOtherClientsOnProtectedPortsOnly(t *testing.T) {
	lab.Require(t, "dockerd", "iptables-nft", "iptables-legacy", "ipset", "busybox")
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			site := lab.NewLab(t)
			engine := site.StartEngine(lab.EngineOptions{Backend: backend})
			b := newBench(t, site, engine, backend)
			b.web("8080:80/tcp", "8443:80/tcp", "5353:53/udp")
			// SSH, and services of the host that the policy does not mention.
			b.Host.Serve("22/tcp", "9090/tcp", "5354/udp")
			host, v6 := b.Host.At, b.Host.At6
			all := func(from *lab.Node, tcp, udp lab.Result) []try {
				return []try{
					{from, "tcp", host(8080), tcp},
					{from, "tcp", v6(8080), tcp},
					{from, "udp", host(5353), udp},
					{from, "udp", v6(5353), udp},
					{from, "tcp", host(8443), lab.Answered},
					{from, "tcp", v6(8443), lab.Answered},
					{from, "tcp", host(22), lab.Answered},
					{from, "tcp", v6(22), lab.Answered},
					{from, "tcp", host(9090), lab.Answered},
					{from, "tcp", v6(9090), lab.Answered},
					{from, "udp", v6(5354), lab.Answered},
				}
			}
			b.expectAll("without rules", all(b.Other, lab.Answered, lab.Answered))
			b.load(inputPolicy)
			requireProtected := func(when string) {
				t.Helper()
				b.expectAll(when, all(b.Allowed, lab.Answered, lab.Answered))
				b.expectAll(when, all(b.Other, lab.TimedOut, lab.TimedOut))
				// On another interface; UDP answers have the address of that interface.
				b.expectAll(when, slices.DeleteFunc(all(b.Inside, lab.Answered, lab.Answered), func(c try) bool { return c.network == "udp" }))
			}
			requireProtected("protected")
			// Without DNAT, docker-proxy answers over IPv4 as well.
			if err := b.engine.Tools.IPTables(backend, 4, "-t", "nat", "-F"); err != nil {
				t.Fatal(err)
			}
			requireProtected("without the nat table")
			if err := b.engine.Tools.IPTables(backend, 6, "-D", "INPUT", "-j", ir.InputChain); err != nil {
				t.Fatal(err)
			}
			b.expectAll("with the fallback rules alone", []try{{b.Other, "tcp", v6(8080), lab.TimedOut}, {b.Allowed, "tcp", v6(8080), lab.Answered}})
			if err := b.engine.Tools.IPTables(backend, 6, "-t", "security", "-D", "INPUT", "-j", ir.InputChain); err != nil {
				t.Fatal(err)
			}
			b.expectAll("without the jumps", []try{{b.Other, "tcp", v6(8080), lab.Answered}})
		})
	}
}
