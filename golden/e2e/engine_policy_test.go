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

// bench is a Docker host in the lab with one policy in force.
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

// withoutProxy is for tests of what FORWARD decides: a datagram that came before a port was
// published goes to docker-proxy later on, from the same port, and INPUT decides.
var withoutProxy = map[string]any{"userland-proxy": false}

// web starts a container named web.
func (b *bench) web(publish ...string) *lab.Container {
	return b.engine.RunContainer(lab.ContainerOptions{
		Name: "web", Publish: publish, Listen: []string{"80/tcp", "81/tcp", "53/udp"},
	})
}

// load compiles a policy for the host and loads it as the README says.
func (b *bench) load(policy string) {
	b.Helper()
	b.apply(b.folder("policy", policy))
}

// folder compiles a policy into a folder that the engine's tools see, and returns its
// path there.
func (b *bench) folder(name, policy string) string {
	b.Helper()
	return b.engine.WriteFolder(name, filesOf(b.T, policy))
}

// filesOf returns the files of a policy's one host.
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

// apply runs the folder's own apply.sh, which has to succeed; it returns what it said.
func (b *bench) apply(folder string, options ...string) string {
	b.Helper()
	said, err := b.tryApply(folder, options...)
	if err != nil {
		b.Fatal(err)
	}
	return said
}

// deployFolders keep apply.sh from the machine's own /run and /var.
var deployFolders = []string{"DOCKERFW_RUN=/mnt/dockerfw-run", "DOCKERFW_STATE=/mnt/dockerfw-state"}

func (b *bench) tryApply(folder string, options ...string) (said string, err error) {
	stdout, stderr, err := b.engine.RunTool(deployFolders, append([]string{"sh", folder + "/apply.sh"}, options...)...)
	return stdout + stderr, err
}

// try is one connection with what should become of it.
type try struct {
	from    *lab.Node
	network string
	to      string
	want    lab.Result
}

// forwarded drops tries that docker-proxy would answer. Engine 20.10 on the legacy
// backend makes one IPv6 DNAT rule a container port (measured): a second published
// port of it ends in INPUT, which these policies do not decide.
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
		b.Attr("note", "not asked over IPv6: the second published port of one container port, which this engine leaves to docker-proxy")
	}
	return kept
}

// expect makes all connections at once, since each refused one takes its time.
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

const tutorialPolicy = `
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
		b.load(tutorialPolicy)
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
			// The custom accept is for everyone, and for the published port only.
			try{b.Other, "tcp", host(8443), lab.Answered},
			try{b.Other, "tcp", v6(8443), lab.Answered},
			try{b.Other, "tcp", web.At(80), lab.TimedOut},
			try{b.Other, "tcp", web.At6(80), lab.TimedOut},
			// A friend reaches what is published and no more: allow leaves the
			// rest to Docker's own rules.
			try{b.Allowed, "tcp", web.At(81), lab.TimedOut},
			// Containers still reach out, to strangers too.
			try{web.Node, "tcp", b.Other.At(443), lab.Answered},
			try{web.Node, "udp", b.Other.At(53), lab.Answered},
			try{web.Node, "tcp", b.Other.At6(443), lab.Answered},
			try{web.Node, "tcp", b.Allowed.At(443), lab.Answered},
			// The other interface is not the policy's business.
			try{b.Inside, "tcp", host(8080), lab.Answered},
			try{b.Inside, "udp", host(5353), lab.Answered},
			try{b.Inside, "tcp", v6(8080), lab.Answered},
		)
		// Loading the files again changes nothing, and neither does the engine.
		b.load(tutorialPolicy)
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

// revoking is the same policy with one address in the set or none.
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
			b.forget()
			b.load(revoking(c.sessions, `"198.51.100.2", "198.51.100.3"`))
			open := []struct {
				name    string
				session *lab.Session
				want    lab.Result
			}{
				{"the revoked client's", b.Other.OpenSession("tcp", b.Host.At(8080)), c.want},
				{"the revoked client's UDP", b.Other.OpenSession("udp", b.Host.At(5353)), c.want},
				{"the other client's", b.Allowed.OpenSession("tcp", b.Host.At(8080)), lab.Answered},
				{"the container's own, to the revoked client,", web.OpenSession("tcp", b.Other.At(443)), lab.Answered},
			}
			b.load(revoking(c.sessions, `"198.51.100.2"`))
			for _, s := range open {
				if got := s.session.Ping(); got != s.want {
					b.Errorf("%s: %s session: %s, want %s", c.sessions, s.name, got, s.want)
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
				// Far more packets than the limit, in the connection it let in.
				for range 20 {
					if got := session.Ping(); got != lab.Answered {
						t.Fatalf("a packet of an accepted connection: %s", got)
					}
				}
			})
		})
	}
}

// The kernel forgets a count after one unit of the rate, and gives the whole burst again,
// unless it is told to wait.
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
		time.Sleep(3 * time.Second) // the kernel's clock is what is tested: nothing to wait for
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
				t.Fatal("one of two is closed, and still no connection")
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
		// The kernel log of another namespace is out of reach: count what LOG saw.
		b.AddClient("other", b.Allowed.V4.Next().Next(), b.Allowed.V6.Next().Next()).Connect("tcp", b.Host.At(8080))
		counters := b.engine.Tools.MustRun(b.backend.Tool(4, ""), "-w", "10", "-vnxL", "DOCKER-USER")
		for line := range strings.Lines(counters) {
			if words := strings.Fields(line); len(words) > 2 && words[2] == "LOG" && words[0] == "0" {
				t.Errorf("LOG saw no packet:\n%s", counters)
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
			// Another bridge is none of container_interfaces.
			try{b.Other, "tcp", host(8090), lab.Answered},
		)
	})
}

func TestInstallJumpKeepsForeignRules(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp", "8443:80/tcp")
		// Somebody else, such as fail2ban, refuses the friend.
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
