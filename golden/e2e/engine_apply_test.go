//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// trafficSet is background traffic to several endpoints.
type trafficSet []*lab.Traffic

// endpoint is what a client connects to: "tcp" or "udp", and ADDRESS:PORT.
type endpoint struct{ network, to string }

// published returns endpoints for ports of the host, of both families.
func (b *bench) published(ports ...uint16) []endpoint {
	var out []endpoint
	for _, port := range ports {
		network := "tcp"
		if port%1000 == 353 {
			network = "udp"
		}
		out = append(out, endpoint{network, b.Host.At(port)}, endpoint{network, b.Host.At6(port)})
	}
	return out
}

// publishedBySeveral is published for a host with several containers. On the legacy backend it
// is IPv4 only, because engine 20.10 makes one DNAT rule for IPv6 there: see forwarded.
func (b *bench) publishedBySeveral(ports ...uint16) []endpoint {
	return slices.DeleteFunc(b.published(ports...), func(t endpoint) bool {
		return b.backend == lab.Legacy && strings.HasPrefix(t.to, "[")
	})
}

// direct returns endpoints at a container's own addresses, which the clients have routes to.
func direct(c *lab.Container) []endpoint {
	return []endpoint{{"tcp", c.At(80)}, {"tcp", c.At6(80)}, {"udp", c.At(53)}, {"udp", c.At6(53)}}
}

// Pauses between two attempts: a soak looks for shorter gaps and has the time for them.
func loadPause() time.Duration {
	if testenv.Soak() {
		return 0
	}
	return 10 * time.Millisecond
}

func probeInterval() time.Duration {
	if testenv.Soak() {
		return time.Millisecond
	}
	return 10 * time.Millisecond
}

// startProbes lets the other client send probes.
func (b *bench) startProbes(targets []endpoint) (s trafficSet) {
	b.Helper()
	for _, t := range targets {
		s = append(s, b.Other.StartProbe(t.network, t.to, probeInterval()))
	}
	return s
}

// startLoad lets the allowed client make one connection after the other.
func (b *bench) startLoad(targets []endpoint) (s trafficSet) {
	b.Helper()
	for _, t := range targets {
		s = append(s, b.Allowed.StartLoad(t.network, t.to, loadPause()))
	}
	return s
}

// stop ends the traffic and returns the sum of its counts.
func (s trafficSet) stop() (sum lab.Tally) {
	for _, traffic := range s {
		sum = sum.Add(traffic.Stop())
	}
	return sum
}

// requireNoneAnswered stops the traffic and fails the test if any attempt was answered.
func (b *bench) requireNoneAnswered(when string, s trafficSet) {
	b.Helper()
	sum := s.stop()
	switch {
	case sum.Attempts == 0:
		b.Errorf("%s: no probe was sent", when)
	case sum.Answered == 0:
		b.Logf("%s: none of %d probes was answered", when, sum.Attempts)
	default:
		b.Errorf("%s: %d of %d probes were answered, from %s to %s:\n%s", when, sum.Answered, sum.Attempts,
			sum.First.Format("15:04:05.000"), sum.Last.Format("15:04:05.000"), strings.Join(sum.Unexpected, "\n"))
	}
}

// requireAllAnswered stops the traffic and fails the test if a connection failed or a SYN was
// lost.
func (b *bench) requireAllAnswered(when string, s trafficSet) {
	b.Helper()
	sum := s.stop()
	switch {
	case sum.Attempts == 0:
		b.Errorf("%s: no connection was made", when)
	case sum.Unanswered() == 0 && sum.Resent == 0:
		b.Logf("%s: all %d connections were answered", when, sum.Attempts)
	default:
		b.Errorf("%s: of %d connections %d failed and %d needed a second SYN:\n%s", when, sum.Attempts,
			sum.Unanswered(), sum.Resent, strings.Join(sum.Unexpected, "\n"))
	}
}

// requireReachable fails the test unless the allowed client reaches all endpoints.
func (b *bench) requireReachable(when string, targets []endpoint) {
	b.Helper()
	for _, t := range targets {
		if got, _ := b.Allowed.AskFor(lab.LongPatience, t.network, t.to); got != lab.Answered {
			b.Errorf("%s: %s to %s %s: %s", when, b.Allowed.Name, t.network, t.to, got)
		}
	}
}

// allowedOnly admits the allowed client only, and every client to port 8443.
const allowedOnly = `
host {
  external_interfaces = ["eth0"]
}
ipset "clients" {
  type    = "hash:ip"
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

// otherTypes and ownChain admit the same clients with different rules: sets of other types and
// sizes under the same names, a list of sets, sets that appear and disappear, a separate chain.
const otherTypes = `
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "recheck"
}
ipset "clients" {
  type    = "hash:net"
  maxelem = 2048
  entries = ["198.51.100.0/24", "2001:db8:1::/64"]
  exclude = ["198.51.100.3", "2001:db8:1::3"]
}
ipset "office" {
  entries = ["192.0.2.0/24"]
}
ipset "all" {
  type    = "list:set"
  members = [ipset.clients, ipset.office]
}
deny "other" {
  source = ["198.51.100.3", "198.51.100.64/26", "2001:db8:1::3", "2001:db8:1:1::/64"]
}
default {
  allow = [ipset.all]
}
`

const ownChain = `
host {
  external_interfaces = ["eth0"]
  install             = "jump"
}
ipset "clients" {
  type     = "hash:ip"
  hashsize = 4096
  entries  = ["198.51.100.2", "192.0.2.1", "2001:db8:1::2"]
}
accept "clients" {
  protocol        = ["tcp", "udp"]
  published_ports = [8080, 5353]
  source          = [ipset.clients]
}
default {
  action = "reject"
}
`

// sshForAllowed closes the host itself, except for ssh of the allowed client.
const sshForAllowed = `
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = ["198.51.100.2", "2001:db8:1::2"]
  }
}
`

func TestReloadsInterruptNoConnectionAndAdmitNoOtherClient(t *testing.T) {
	n := testenv.Reloads(t)
	onEngines(t, func(b *bench) { b.reload(n) })
}

// reload loads three policies in turn, under load.
func (b *bench) reload(n int) {
	web := b.web("8080:80/tcp", "5353:53/udp")
	folders := []string{b.folder("allowed-only", allowedOnly+sshForAllowed), b.folder("other-types", otherTypes+sshForAllowed), b.folder("own-chain", ownChain+sshForAllowed)}
	b.Host.Serve("22/tcp")
	ssh := []endpoint{{"tcp", b.Host.At(22)}, {"tcp", b.Host.At6(22)}}
	b.apply(folders[0])

	allowed := b.startLoad(slices.Concat(b.published(8080, 5353), ssh))
	other := b.startProbes(slices.Concat(b.published(8080, 5353), direct(web), ssh))
	began := time.Now()
	for i := range n {
		if out := b.apply(folders[(i+1)%len(folders)]); !strings.Contains(out, "loaded ") {
			b.Fatalf("reload %d changed nothing: %s", i+1, out)
		}
	}
	took := time.Since(began)
	b.requireAllAnswered("reloads", allowed)
	b.requireNoneAnswered("reloads", other)
	b.Logf("%d reloads in %.0f s, %.2f s each", n, took.Seconds(), took.Seconds()/float64(n))
}

func TestEngineRestartsAdmitNoOtherClient(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		b.engine.Start()
		b.engine.CreateNetwork("app", "10.201.0.0/24", "fd00:201::/64")
		web := b.web("8080:80/tcp", "5353:53/udp")
		b.publish("app", "app", "8090:90/tcp")
		b.load(allowedOnly)

		later := b.publishedBySeveral(8090, 9001, 9002, 9003, 9004)
		other := b.startProbes(append(append(b.publishedBySeveral(8080, 5353), later...), direct(web)...))
		all := b.publishedBySeveral(8080, 5353, 8090)
		b.requireReachable("loaded", all)

		b.engine.Stop()
		b.engine.Start()
		b.requireReachable("stopped and started", all)

		b.publish("second", "", "9001:91/tcp")
		b.engine.CreateNetwork("later", "10.202.0.0/24", "fd00:202::/64")
		b.publish("third", "later", "9002:92/tcp")
		all = append(all, b.publishedBySeveral(9001, 9002)...)
		b.requireReachable("more containers", all)

		// Containers continue without the engine.
		allowed := b.startLoad(all)
		b.engine.Kill()
		time.Sleep(500 * time.Millisecond)
		b.requireAllAnswered("killed", allowed)
		b.engine.Start()
		b.requireReachable("killed and started", all)

		b.publish("fourth", "", "9003:93/tcp")
		b.engine.CreateNetwork("last", "10.203.0.0/24", "fd00:203::/64")
		b.publish("fifth", "last", "9004:94/tcp")
		b.requireReachable("still more containers", b.publishedBySeveral(9003, 9004))
		b.requireNoneAnswered("restarts of the engine", other)
	})
}

// publish runs a container with one published port.
func (b *bench) publish(name, network, port string) {
	b.Helper()
	b.engine.RunContainer(lab.ContainerOptions{Name: name, Network: network, Publish: []string{port}})
}
