//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

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
ipset "unused" {
  type    = "hash:ip"
  entries = ["203.0.113.99"]
}
ipset "either" {
  type    = "list:set"
  members = [ipset.unused, ipset.all-but-other]
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
