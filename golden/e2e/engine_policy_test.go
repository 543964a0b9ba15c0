//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// bench is a Docker host in the lab with one policy.
type bench struct {
	*testing.T
	*lab.Lab
	engine  *lab.Engine
	backend lab.Backend
}

// onEngines runs a test against a real engine on each backend.
func onEngines(t *testing.T, test func(*bench)) {
	onHosts(t, nil, func(b *bench) {
		b.engine.Start()
		test(b)
	})
}

// onHosts runs a test on hosts whose engine has not run yet, on each backend. The
// configuration has more keys of daemon.json.
func onHosts(t *testing.T, configuration map[string]any, test func(*bench)) {
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			site := lab.NewLab(t)
			engine := site.NewEngine(lab.EngineOptions{Backend: backend, IPv6: true, Config: configuration})
			test(&bench{t, site, engine, backend})
		})
	}
}

// withoutProxy is for tests of FORWARD: a UDP flow that began before a port was published would
// stay with docker-proxy, and pass INPUT instead.
var withoutProxy = map[string]any{"userland-proxy": false}

// web starts a container named web.
func (b *bench) web(publish ...string) *lab.Container {
	return b.engine.RunContainer(lab.ContainerOptions{
		Name: "web", Publish: publish, Listen: []string{"80/tcp", "81/tcp", "53/udp"},
	})
}

// load compiles a policy for the host and loads it with apply.sh.
func (b *bench) load(policy string) {
	b.Helper()
	b.apply(b.folder("policy", policy))
}

// folder compiles a policy into a folder that the engine's tools can read, and returns its path
// there.
func (b *bench) folder(name, policy string) string {
	b.Helper()
	return b.engine.WriteFolder(name, filesOf(b.T, policy))
}

// filesOf returns the compiled files of a policy with one host.
func filesOf(t *testing.T, policy string) map[string][]byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	files := map[string][]byte{}
	for _, f := range result.Hosts[0].Files {
		files[f.Name] = f.Content
	}
	return files
}

// apply runs apply.sh of the folder, which has to succeed, and returns its output.
func (b *bench) apply(folder string, options ...string) string {
	b.Helper()
	said, err := b.tryApply(folder, options...)
	if err != nil {
		b.Fatal(err)
	}
	return said
}

// deployFolders make apply.sh use the lab's folders instead of /run and /var.
var deployFolders = []string{"DOCKERFW_RUN=/mnt/dockerfw-run", "DOCKERFW_STATE=/mnt/dockerfw-state"}

func (b *bench) tryApply(folder string, options ...string) (said string, err error) {
	stdout, stderr, err := b.engine.RunTool(deployFolders, append([]string{"sh", folder + "/apply.sh"}, options...)...)
	return stdout + stderr, err
}

// try is one connection with its expected result.
type try struct {
	from    *lab.Node
	network string
	to      string
	want    lab.Result
}

// forwarded removes tries that docker-proxy would answer. Engine 20.10 on the legacy
// backend makes one IPv6 DNAT rule for each container port (measured): packets to a second
// published port of it pass INPUT, where these policies have no rules.
func (b *bench) forwarded(tries []try) []try {
	if b.backend != lab.Legacy {
		return tries
	}
	nat := b.engine.Tools.IPTablesSave(b.backend, 6, "nat")
	kept := slices.DeleteFunc(slices.Clone(tries), func(c try) bool {
		to := netip.MustParseAddrPort(c.to)
		return to.Addr() == b.Host.V6 && !strings.Contains(nat, fmt.Sprintf("--dport %d -j DNAT", to.Port()))
	})
	if len(kept) < len(tries) {
		if !b.engine.Before(26) {
			b.Errorf("an IPv6 port is not published by DNAT:\n%s", nat)
		}
		b.Attr("note", "not tested over IPv6: the second published port of one container port, which this engine leaves to docker-proxy")
	}
	return kept
}

// expect makes all connections at once, because each dropped one takes until its timeout.
func (b *bench) expect(when string, tries ...try) {
	b.Helper()
	b.expectAll(when, b.forwarded(tries))
}

// expectAll makes connections, whether a container answers or docker-proxy.
func (b *bench) expectAll(when string, tries []try) {
	b.Helper()
	var wait sync.WaitGroup
	got, answers := make([]lab.Result, len(tries)), make([]string, len(tries))
	for i, c := range tries {
		wait.Go(func() { got[i], answers[i] = c.from.Ask(c.network, c.to) })
	}
	wait.Wait()
	for i, c := range tries {
		if got[i] != c.want {
			b.Errorf("%s: %s to %s %s: %s %q, want %s", when, c.from.Name, c.network, c.to, got[i], answers[i], c.want)
		}
	}
}

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
	onEngines(t, func(b *bench) {
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
	})
}

func TestTwoPublishedPortsOfOneContainerPortAdmitDifferentClients(t *testing.T) {
	onEngines(t, func(b *bench) {
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
	})
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
	onEngines(t, func(b *bench) {
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
	})
}

func TestAnEgressDenyBlocksOnlyWhatItMatches(t *testing.T) {
	onEngines(t, func(b *bench) {
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
	})
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

func TestARateLimitsOnlyNewConnections(t *testing.T) {
	for _, sessions := range []string{"keep", "recheck"} {
		t.Run(sessions, func(t *testing.T) {
			onEngines(t, func(b *bench) {
				b.web("8080:80/tcp", "8081:80/tcp")
				b.load(`
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "` + sessions + `"
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080, 8081]
  rate {
    limit = "2/minute"
    burst = 3
  }
}
`)
				session := b.Allowed.OpenSession("tcp", b.Host.At(8080))
				// The burst is for both ports together, and each source has its own.
				answered := b.answered(b.Allowed, b.Host.At(8081), 6)
				if answered < 2 || answered > 3 {
					t.Errorf("%d of 6 connections answered beside an open one, want 2: burst 3 and 2 a minute", answered)
				}
				if got := b.answered(b.Other, b.Host.At(8080), 2); got != 2 {
					t.Errorf("%d of 2 connections of another source answered, want 2", got)
				}
				// More packets than the limit, in the accepted connection.
				for range 20 {
					if got := session.Ping(); got != lab.Answered {
						t.Fatalf("a packet of an accepted connection: %s", got)
					}
				}
			})
		})
	}
}

// By default the kernel forgets a count after one unit of the rate, and the whole burst is
// available again. The compiled rules set a longer expiry.
func TestAPauseDoesNotRestoreTheWholeBurst(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp")
		b.load(`
host {
  external_interfaces = ["eth0"]
}
deny "flood" {
  protocol        = "tcp"
  published_ports = [8080]
  rate {
    limit = "60/minute"
    burst = 20
  }
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
}
`)
		if got := b.answered(b.Allowed, b.Host.At(8080), 20); got != 20 {
			b.Errorf("%d of the 20 connections of the burst answered", got)
		}
		time.Sleep(3 * time.Second) // the kernel refills the burst with time: there is no event to wait for
		// One a second is regained, in the pause and while clients try again.
		if got := b.answered(b.Allowed, b.Host.At(8080), 20); got < 2 || got > 10 {
			b.Errorf("%d of 20 connections answered after a pause of 3 seconds, want about 5", got)
		}
	})
}

// answered makes n connections at once and counts those that are answered.
func (b *bench) answered(from *lab.Node, to string, n int) int {
	var wait sync.WaitGroup
	results := make([]lab.Result, n)
	for i := range n {
		wait.Go(func() { results[i] = from.Connect("tcp", to) })
	}
	wait.Wait()
	count := 0
	for _, r := range results {
		if r == lab.Answered {
			count++
		}
	}
	return count
}

func TestConnectionsLimitsTheOpenConnectionsOfASource(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp")
		b.load(`
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "recheck"
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
  connections {
    max = 2
  }
}
`)
		first := b.Allowed.OpenSession("tcp", b.Host.At(8080))
		second := b.Allowed.OpenSession("tcp", b.Host.At(8080))
		b.expect("two are open",
			try{b.Allowed, "tcp", b.Host.At(8080), lab.TimedOut},
			try{b.Other, "tcp", b.Host.At(8080), lab.Answered},
			try{b.Allowed, "tcp", b.Host.At6(8080), lab.Answered},
		)
		for _, s := range []*lab.Session{first, second} {
			if got := s.Ping(); got != lab.Answered {
				t.Errorf("an open session: %s", got)
			}
		}
		second.Close()
		deadline := time.Now().Add(10 * time.Second)
		for b.Allowed.Connect("tcp", b.Host.At(8080)) != lab.Answered {
			if time.Now().After(deadline) {
				t.Fatal("one of two connections is closed, but no new one is accepted")
			}
		}
	})
}

func TestADeniedPacketIsLogged(t *testing.T) {
	onEngines(t, func(b *bench) {
		lab.Require(t, "tcpdump")
		b.web("8080:80/tcp")
		b.load(`
host {
  external_interfaces = ["eth0"]
}
deny "other" {
  source = ["198.51.100.3"]
  log {
    nflog_group = 5
  }
}
default {
  allow = ["198.51.100.2"]
  log {}
}
`)
		type output struct {
			text string
			err  error
		}
		listened := make(chan output, 1)
		go func() {
			// Ends with the first packet, or after five seconds.
			text, stderr, err := b.Host.Run("timeout", "5", "tcpdump", "-n", "-l", "-c", "1", "-i", "nflog:5")
			listened <- output{text + stderr, err}
		}()
		var got output
		for done := false; !done; {
			b.expect("denied", try{b.Other, "tcp", b.Host.At(8080), lab.TimedOut})
			select {
			case got = <-listened:
				done = true
			default:
			}
		}
		if got.err != nil || !strings.Contains(got.text, "198.51.100.3.") {
			t.Errorf("NFLOG of the denied packet: %v\n%s", got.err, got.text)
		}
		// The kernel log of another namespace cannot be read: read the counter of the LOG rule.
		b.AddClient("third", b.Allowed.V4.Next().Next(), b.Allowed.V6.Next().Next()).Connect("tcp", b.Host.At(8080))
		counters := b.engine.Tools.MustRun(b.backend.Tool(4, ""), "-w", "10", "-vnxL", "DOCKER-USER")
		for line := range strings.Lines(counters) {
			if words := strings.Fields(line); len(words) > 2 && words[2] == "LOG" && words[0] == "0" {
				t.Errorf("the LOG rule matched no packet:\n%s", counters)
			}
		}
	})
}

func TestEachConditionMatchesRealConnections(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.engine.RunContainer(lab.ContainerOptions{
			Name:    "web",
			Publish: []string{"8081:80", "8082:81", "8083:80", "8084:80", "8085:80", "8086:80", "8087:80", "8088:80"},
			Listen:  []string{"80/tcp", "81/tcp"},
		})
		b.engine.CreateNetwork("app", "10.201.0.0/24", "")
		b.engine.RunContainer(lab.ContainerOptions{Name: "app", Publish: []string{"8090:80"}, Network: "app", Listen: []string{"80/tcp"}})
		second := "198.51.100.4"
		b.Host.MustRun("ip", "address", "add", second+"/24", "dev", "eth0")
		b.load(`
host {
  external_interfaces  = ["eth0", "eth1"]
  container_interfaces = ["docker0"]
}
ipset "all-but-other" {
  entries = ["198.51.100.0/24"]
  exclude = ["198.51.100.3"]
}
ipset "nobody" {
  type    = "hash:ip"
  entries = ["203.0.113.99"]
}
ipset "either" {
  type    = "list:set"
  members = [ipset.nobody, ipset.all-but-other]
}
ipset "elsewhere" {
  managed = false
}
accept "by-address" {
  protocol          = "tcp"
  published_ports   = [8081]
  published_address = ["198.51.100.4"]
}
accept "by-container" {
  protocol        = "tcp"
  container_ports = [81]
  destination     = ["10.200.0.0/16"]
  destination_not = ["10.200.0.200"]
}
accept "by-source-port" {
  protocol        = "tcp"
  published_ports = [8083]
  source_ports    = ["1-1023"]
}
accept "by-negation" {
  protocol        = "tcp"
  published_ports = [8084]
  source_not      = ["198.51.100.3", "198.51.100.200"]
}
accept "by-exclusion" {
  protocol        = "tcp"
  published_ports = [8085]
  source          = [ipset.all-but-other]
}
accept "by-list" {
  protocol        = "tcp"
  published_ports = [8086]
  source          = [ipset.either]
}
accept "by-unmanaged" {
  protocol        = "tcp"
  published_ports = [8087]
  source          = [ipset.elsewhere]
}
accept "by-interface" {
  protocol        = "tcp"
  published_ports = [8088]
  interfaces      = ["eth1"]
}
`)
		if err := b.engine.Tools.IPSetRestore("add elsewhere 198.51.100.3\n"); err != nil {
			b.Fatal(err)
		}
		host := b.Host.At
		b.expect("conditions",
			try{b.Other, "tcp", second + ":8081", lab.Answered},
			try{b.Other, "tcp", host(8081), lab.TimedOut},
			try{b.Other, "tcp", host(8082), lab.Answered},
			try{b.Other, "tcp", host(8083), lab.TimedOut},
			try{b.Allowed, "tcp", host(8084), lab.Answered},
			try{b.Other, "tcp", host(8084), lab.TimedOut},
			try{b.Allowed, "tcp", host(8085), lab.Answered},
			try{b.Other, "tcp", host(8085), lab.TimedOut},
			try{b.Allowed, "tcp", host(8086), lab.Answered},
			try{b.Other, "tcp", host(8086), lab.TimedOut},
			try{b.Allowed, "tcp", host(8087), lab.TimedOut},
			try{b.Other, "tcp", host(8087), lab.Answered},
			try{b.Inside, "tcp", host(8088), lab.Answered},
			try{b.Allowed, "tcp", host(8088), lab.TimedOut},
			// The bridge of this container is not in container_interfaces.
			try{b.Other, "tcp", host(8090), lab.Answered},
		)
	})
}

func TestInstallJumpKeepsForeignRules(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp", "8443:80/tcp")
		// A foreign rule, for example of fail2ban, drops the allowed client.
		if err := b.engine.Tools.IPTables(b.backend, 4, "-I", "DOCKER-USER", "-s", b.Allowed.V4.String(), "-j", "DROP"); err != nil {
			b.Fatal(err)
		}
		b.load(`
host {
  external_interfaces = ["eth0"]
  install             = "jump"
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
}
`)
		b.expect("jump",
			try{b.Other, "tcp", b.Host.At(8080), lab.Answered},
			try{b.Other, "tcp", b.Host.At(8443), lab.TimedOut},
			try{b.Allowed, "tcp", b.Host.At(8080), lab.TimedOut},
		)
	})
}
