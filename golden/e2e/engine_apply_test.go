//go:build linux

package e2e

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// A swarm is hammers on several targets.
type swarm []*lab.Hammer

// door is what a hammer tries: "tcp" or "udp", and where.
type door struct{ network, to string }

// published are targets for ports of the host, of both families.
func (b *bench) published(ports ...uint16) []door {
	var out []door
	for _, port := range ports {
		network := "tcp"
		if port%1000 == 353 {
			network = "udp"
		}
		out = append(out, door{network, b.Host.At(port)}, door{network, b.Host.At6(port)})
	}
	return out
}

// publishedByMany are published, on a host with more than one container: of IPv4 only on
// the legacy backend, where engine 20.10 makes one DNAT rule for IPv6: see forwarded.
func (b *bench) publishedByMany(ports ...uint16) []door {
	return slices.DeleteFunc(b.published(ports...), func(t door) bool {
		return b.backend == lab.Legacy && strings.HasPrefix(t.to, "[")
	})
}

// direct are targets for a container's own addresses, which the clients have routes to.
func direct(c *lab.Container) []door {
	return []door{{"tcp", c.At(80)}, {"tcp", c.At6(80)}, {"udp", c.At(53)}, {"udp", c.At6(53)}}
}

// knocks lets the stranger try without waiting.
func (b *bench) knocks(targets []door) (s swarm) {
	b.Helper()
	for _, t := range targets {
		s = append(s, b.Stranger.Knock(t.network, t.to))
	}
	return s
}

// asks lets the friend make one connection after the other.
func (b *bench) asks(targets []door) (s swarm) {
	b.Helper()
	for _, t := range targets {
		s = append(s, b.Friend.HammerAnswers(t.network, t.to))
	}
	return s
}

func (s swarm) tally() (sum lab.Tally) {
	for _, h := range s {
		sum = sum.Add(h.Tally())
	}
	return sum
}

func (s swarm) stop() lab.Tally {
	for _, h := range s {
		h.Stop()
	}
	return s.tally()
}

// neverIn fails the test if the stranger got in.
func (b *bench) neverIn(when string, s swarm) {
	b.Helper()
	sum := s.stop()
	switch {
	case sum.Tried == 0:
		b.Errorf("%s: the stranger tried nothing", when)
	case sum.Answered == 0:
		b.Logf("%s: the stranger tried %d times and never got in", when, sum.Tried)
	default:
		b.Errorf("%s: %d of the stranger's %d tries got in, from %s to %s:\n%s", when, sum.Answered, sum.Tried,
			sum.First.Format("15:04:05.000"), sum.Last.Format("15:04:05.000"), strings.Join(sum.Failures, "\n"))
	}
}

// alwaysIn fails the test if one of the friend's connections failed, or a SYN was lost.
func (b *bench) alwaysIn(when string, s swarm) {
	b.Helper()
	sum := s.stop()
	switch {
	case sum.Tried == 0:
		b.Errorf("%s: the friend tried nothing", when)
	case sum.Unanswered() == 0 && sum.Resent == 0:
		b.Logf("%s: the friend connected %d times and was served each time", when, sum.Tried)
	default:
		b.Errorf("%s: of the friend's %d connections %d failed and %d took a second SYN:\n%s", when, sum.Tried,
			sum.Unanswered(), sum.Resent, strings.Join(sum.Failures, "\n"))
	}
}

// served waits until the friend is answered everywhere, which it has to be soon.
func (b *bench) served(when string, targets []door) {
	b.Helper()
	for _, t := range targets {
		if got := b.Friend.Connect(t.network, t.to); got != lab.Answered {
			b.Errorf("%s: friend to %s %s: %s", when, t.network, t.to, got)
		}
	}
}

// friendsOnly admits the friend and nobody else, but for port 8443, which is everybody's.
const friendsOnly = `
host {
  external_interfaces = ["eth0"]
}
ipset "friends" {
  type    = "hash:ip"
  entries = ["198.51.100.2", "2001:db8:1::2"]
}
accept "public" {
  protocol        = "tcp"
  published_ports = [8443]
}
default {
  allow = [ipset.friends]
}
`

// The other two admit the same by other means: sets of other types and sizes under the
// same names, a list of sets, sets that come and go, the rules in a chain of their own.
const otherTypes = `
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "recheck"
}
ipset "friends" {
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
  members = [ipset.friends, ipset.office]
}
deny "strangers" {
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
ipset "friends" {
  type     = "hash:ip"
  hashsize = 4096
  entries  = ["198.51.100.2", "192.0.2.1", "2001:db8:1::2"]
}
accept "friends" {
  protocol        = ["tcp", "udp"]
  published_ports = [8080, 5353]
  source          = [ipset.friends]
}
default {
  action = "reject"
}
`

func init() {
	if soaking() {
		lab.AskPause, lab.KnockPause = 0, time.Millisecond
	}
}

// reloads is how many times TestReloadsAreNeverNoticed loads a policy on each backend.
func reloads(t *testing.T) int {
	t.Helper()
	text := os.Getenv("DOCKERFW_RELOADS")
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("DOCKERFW_RELOADS=%s: want a number of reloads", text)
	}
	return n
}

func TestReloadsAreNeverNoticed(t *testing.T) {
	n := reloads(t)
	onEngines(t, func(b *bench) {
		web := b.web("8080:80/tcp", "5353:53/udp")
		folders := []string{b.folder("friends-only", friendsOnly), b.folder("other-types", otherTypes), b.folder("own-chain", ownChain)}
		b.apply(folders[0])

		friend := b.asks(b.published(8080, 5353))
		stranger := b.knocks(append(b.published(8080, 5353), direct(web)...))
		began := time.Now()
		for i := range n {
			if said := b.apply(folders[(i+1)%len(folders)]); !strings.Contains(said, "loaded ") {
				b.Fatalf("reload %d changed nothing: %s", i+1, said)
			}
		}
		took := time.Since(began)
		b.alwaysIn("reloads", friend)
		b.neverIn("reloads", stranger)
		b.Logf("%d reloads in %.0f s, %.2f s each", n, took.Seconds(), took.Seconds()/float64(n))
	})
}

func TestTheEngineComesAndGoesAndNobodyElseGetsIn(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		b.engine.Start()
		b.engine.CreateNetwork("app", "10.201.0.0/24", "fd00:201::/64")
		web := b.web("8080:80/tcp", "5353:53/udp")
		b.publish("app", "app", "8090:90/tcp")
		b.load(friendsOnly)

		later := b.publishedByMany(8090, 9001, 9002, 9003, 9004)
		stranger := b.knocks(append(append(b.publishedByMany(8080, 5353), later...), direct(web)...))
		all := b.publishedByMany(8080, 5353, 8090)
		b.served("loaded", all)

		b.engine.Stop()
		b.engine.Start()
		b.served("stopped and started", all)

		b.publish("second", "", "9001:91/tcp")
		b.engine.CreateNetwork("later", "10.202.0.0/24", "fd00:202::/64")
		b.publish("third", "later", "9002:92/tcp")
		all = append(all, b.publishedByMany(9001, 9002)...)
		b.served("more containers", all)

		// Containers run on without the engine, and serve on.
		friend := b.asks(all)
		b.engine.Kill()
		time.Sleep(500 * time.Millisecond)
		b.alwaysIn("killed", friend)
		b.engine.Start()
		b.served("killed and started", all)

		b.publish("fourth", "", "9003:93/tcp")
		b.engine.CreateNetwork("last", "10.203.0.0/24", "fd00:203::/64")
		b.publish("fifth", "last", "9004:94/tcp")
		b.served("still more containers", b.publishedByMany(9003, 9004))
		b.neverIn("the engine comes and goes", stranger)
	})
}

// publish runs a container with one published port.
func (b *bench) publish(name, network, port string) {
	b.Helper()
	b.engine.RunContainer(lab.ContainerOptions{Name: name, Network: network, Publish: []string{port}})
}
