//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// The engine has never run: its chains do not exist yet and, on some hosts, nor do the tables.
func TestABootIsNeverOpenToOtherClients(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		folder := b.folder("policy", allowedOnly)
		output := b.apply(folder, "--boot")
		if !strings.Contains(output, "loaded "+folder) {
			b.Errorf("--boot: %s", output)
		}
		b.requireClosedStart("boot")
	})
}

func TestABootWithADamagedFolderLoadsTheLastGoodOne(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		folder := b.folder("policy", allowedOnly)
		b.apply(folder)
		b.reboot()
		b.engine.WriteFolder("policy", map[string][]byte{"iptables.restore": []byte("*filter\n:DOCKER-USER - [0:0]\n")})
		output := b.apply(folder, "--boot")
		if !strings.Contains(output, "CANNOT LOAD "+folder) || !strings.Contains(output, "was changed after it was compiled: iptables.restore") || !strings.Contains(output, "loaded /mnt/dockerfw-state/") {
			b.Errorf("--boot: %s", output)
		}
		b.requireClosedStart("boot with the last good copy")
	})
}

// reboot deletes what a host loses in a reboot: rules, sets and /run.
func (b *bench) reboot() {
	b.Helper()
	for _, family := range []int{4, 6} {
		for _, table := range []string{"filter", "security"} {
			for _, command := range []string{"-F", "-X"} {
				if err := b.engine.Tools.IPTables(b.backend, family, "-t", table, command); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.engine.Tools.MustRun("ipset", "destroy")
	b.engine.Tools.MustRun("rm", "-rf", "/mnt/dockerfw-run")
}

// requireClosedStart starts the engine for the first time, and a container, and fails the test
// if another client than the allowed one connects at any moment.
func (b *bench) requireClosedStart(when string) {
	b.Helper()
	other := b.startProbes(b.publishedBySeveral(8080, 5353, 9001))
	b.engine.Start()
	web := b.web("8080:80/tcp", "5353:53/udp")
	b.requireReachable(when, b.publishedBySeveral(8080, 5353))
	other = append(other, b.startProbes(direct(web))...)
	b.engine.CreateNetwork("later", "10.202.0.0/24", "fd00:202::/64")
	b.publish("second", "later", "9001:91/tcp")
	b.requireReachable(when, b.publishedBySeveral(9001))
	b.engine.Stop()
	b.engine.Start()
	b.requireReachable(when+", second start of the engine", b.publishedBySeveral(8080, 5353, 9001))
	b.requireNoneAnswered(when, other)
}

func TestABootWithNothingToLoadClosesAllContainers(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		folder := b.folder("policy", allowedOnly)
		b.engine.WriteFolder("policy", map[string][]byte{"ipset.restore": []byte("create x\n")})
		output, err := b.tryApply(folder, "--boot")
		if err == nil || !strings.Contains(output, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE") {
			b.Fatalf("--boot: %v: %s", err, output)
		}
		// Services of the host, one on a port that the policy protects for docker-proxy.
		b.Host.Serve("8443/tcp", "9090/tcp")
		b.expectAll("closed", []try{
			{b.Allowed, "tcp", b.Host.At(8443), lab.TimedOut},
			{b.Allowed, "tcp", b.Host.At6(8443), lab.TimedOut},
			{b.Inside, "tcp", b.Host.At(8443), lab.Answered},
			{b.Allowed, "tcp", b.Host.At(9090), lab.Answered},
			{b.Allowed, "tcp", b.Host.At6(9090), lab.Answered},
		})
		targets := b.published(8080, 5353)
		outside := append(b.startProbes(targets), b.Allowed.StartProbe("tcp", b.Host.At(8080), probeInterval()))
		b.engine.Start()
		web := b.web("8080:80/tcp", "5353:53/udp")
		// Not before the port is published: for 30 seconds conntrack would take a later datagram from
		// the same port of the client as part of a flow to the host itself.
		outside = append(outside, b.Allowed.StartProbe("udp", b.Host.At6(5353), probeInterval()))
		b.Allowed.Serve("443/tcp")
		time.Sleep(500 * time.Millisecond)
		b.requireNoneAnswered("closed", outside)
		b.expect("closed to the outside only",
			try{b.Inside, "tcp", b.Host.At(8080), lab.Answered},
			try{b.Inside, "tcp", b.Host.At6(8080), lab.Answered},
			try{web.Node, "tcp", b.Allowed.At(443), lab.Answered},
			try{web.Node, "tcp", b.Allowed.At6(443), lab.Answered},
		)

		// The operator loads a working folder.
		other := b.startProbes(append(targets, direct(web)...))
		b.load(allowedOnly)
		b.requireReachable("apply after that", targets)
		b.requireNoneAnswered("apply after that", other)
	})
}
