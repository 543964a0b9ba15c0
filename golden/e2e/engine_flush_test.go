//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// flush is what a service runs when it starts or reloads; it deletes foreign rules too.
type flush struct {
	name     string
	backends []lab.Backend
	commands []string // "iptables" and "ip6tables" are the backend's
	nat      bool     // Docker's DNAT rules are deleted as well
}

var flushes = []flush{
	{
		// iptables -F and -X, as in ufw and in many scripts.
		"filter", lab.Backends,
		[]string{"iptables -F", "iptables -X", "ip6tables -F", "ip6tables -X"},
		false,
	},
	{
		// firewalld with its iptables backend: all tables, with ACCEPT policies meanwhile.
		"all tables", lab.Backends,
		[]string{
			"iptables -P FORWARD ACCEPT", "ip6tables -P FORWARD ACCEPT",
			"iptables -F", "iptables -X", "iptables -t nat -F", "iptables -t nat -X", "iptables -t mangle -F",
			"ip6tables -F", "ip6tables -X", "ip6tables -t nat -F", "ip6tables -t nat -X", "ip6tables -t mangle -F",
		},
		true,
	},
	{
		// The first line of Debian's /etc/nftables.conf.
		"ruleset",
		[]lab.Backend{lab.NFT},
		[]string{"nft flush ruleset"},
		true,
	},
}

// rechecked ends connections that were accepted while no rules were loaded.
const rechecked = `
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "recheck"
}
ipset "clients" {
  entries = ["198.51.100.2", "2001:db8:1::2"]
}
accept "clients" {
  protocol        = ["tcp", "udp"]
  published_ports = [8080, 5353]
  source          = [ipset.clients]
}
`

func TestAReloadAfterAFlushProtectsAgain(t *testing.T) {
	lab.Require(t, "nft")
	onEngines(t, func(b *bench) {
		web := b.web("8080:80/tcp", "5353:53/udp")
		folder := b.folder("policy", rechecked)
		b.apply(folder)
		published := b.published(8080, 5353)
		all := append(published[:len(published):len(published)], direct(web)...)
		for _, f := range selected(b.T, 2, b.backend, flushes) {
			if slices.Contains(f.backends, b.backend) {
				b.flushAndReload(f, folder, published, all)
			}
		}
	})
}

func (b *bench) flushAndReload(f flush, folder string, published, all []endpoint) {
	b.Helper()
	b.requireReachable(f.name+": before the flush", published)
	for _, command := range f.commands {
		words := strings.Fields(command)
		if family := map[string]int{"iptables": 4, "ip6tables": 6}[words[0]]; family == 0 {
			b.Host.MustRun(words...)
		} else if err := b.engine.Tools.IPTables(b.backend, family, words[1:]...); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%s: flushed: other client reaches %s; allowed client reaches %s", f.name, b.reached(b.Other, all), b.reached(b.Allowed, all))

	// As systemctl reload dockerfw does.
	if output := b.apply(folder); !strings.Contains(output, "loaded ") {
		b.Errorf("%s: the reload changed nothing: %s", f.name, output)
	}
	b.Logf("%s: reloaded: other client reaches %s; allowed client reaches %s", f.name, b.reached(b.Other, all), b.reached(b.Allowed, all))
	// docker-proxy's answers are refused in INPUT. It answers on all published ports without
	// Docker's DNAT, and afterwards still the UDP flows that began meanwhile.
	protected := strings.Contains(b.engine.Tools.IPTablesSave(b.backend, 4, "filter"), "DOCKERFW-INPUT")
	refused := func(nat bool) []endpoint {
		return slices.DeleteFunc(slices.Clone(all), func(t endpoint) bool {
			return !protected && slices.Contains(published, t) && (!nat || t.network == "udp")
		})
	}
	other := b.startProbes(refused(!f.nat))
	time.Sleep(300 * time.Millisecond)
	// The engine makes its own rules again when it starts.
	b.engine.Stop()
	b.engine.Start()
	b.requireNoneAnswered(f.name+": reloaded, and the engine restarted", other)
	b.requireReachable(f.name+": after the engine's restart", published)
	if got := b.reached(b.Other, refused(true)); got != "nothing" {
		b.Errorf("%s: after the restart of the engine the other client reaches %s", f.name, got)
	}
}

// flushConntrack deletes the entries of connection tracking: a new socket may have the port of
// one that was accepted before.
func (b *bench) flushConntrack() {
	b.Helper()
	b.Host.MustRun("conntrack", "-F")
}

// reached lists the endpoints that answer a client.
func (b *bench) reached(from *lab.Node, targets []endpoint) string {
	var probes trafficSet
	for _, t := range targets {
		probes = append(probes, from.StartProbe(t.network, t.to, probeInterval()))
	}
	time.Sleep(300 * time.Millisecond)
	probes.stop()
	var open []string
	for i, t := range targets {
		if probes[i].Tally().Answered > 0 {
			open = append(open, t.network+" "+t.to)
		}
	}
	if len(open) == 0 {
		return "nothing"
	}
	return strings.Join(open, ", ")
}
