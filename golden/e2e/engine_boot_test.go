//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// The engine has never run: neither its chains nor, on some hosts, the tables are there.
func TestABootIsNeverOpenToOtherClients(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		folder := b.folder("policy", allowedOnly)
		said := b.apply(folder, "--boot")
		if !strings.Contains(said, "loaded "+folder) {
			b.Errorf("--boot: %s", said)
		}
		b.startsClosed("boot")
	})
}

func TestABootWithADamagedFolderLoadsTheLastGoodOne(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		folder := b.folder("policy", allowedOnly)
		b.apply(folder)
		b.reboot()
		b.engine.WriteFolder("policy", map[string][]byte{"iptables.restore": []byte("*filter\n:DOCKER-USER - [0:0]\n")})
		said := b.apply(folder, "--boot")
		if !strings.Contains(said, "CANNOT LOAD "+folder) || !strings.Contains(said, "was changed after it was compiled: iptables.restore") || !strings.Contains(said, "loaded /mnt/dockerfw-state/") {
			b.Errorf("--boot: %s", said)
		}
		b.startsClosed("boot with the last good copy")
	})
}

// reboot leaves of dockerfw's what a reboot leaves: files.
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

// startsClosed starts the engine for the first time, and a container. From the first
// moment on nobody gets in but the friend.
func (b *bench) startsClosed(when string) {
	b.Helper()
	other := b.startProbes(b.publishedByMany(8080, 5353, 9001))
	b.engine.Start()
	web := b.web("8080:80/tcp", "5353:53/udp")
	b.requireReachable(when, b.publishedByMany(8080, 5353))
	other = append(other, b.startProbes(direct(web))...)
	b.engine.CreateNetwork("later", "10.202.0.0/24", "fd00:202::/64")
	b.publish("second", "later", "9001:91/tcp")
	b.requireReachable(when, b.publishedByMany(9001))
	b.engine.Stop()
	b.engine.Start()
	b.requireReachable(when+", the engine's second start", b.publishedByMany(8080, 5353, 9001))
	b.requireNoneAnswered(when, other)
}

func TestABootWithNothingToLoadClosesAllContainers(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		folder := b.folder("policy", allowedOnly)
		b.engine.WriteFolder("policy", map[string][]byte{"ipset.restore": []byte("create x\n")})
		said, err := b.tryApply(folder, "--boot")
		if err == nil || !strings.Contains(said, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE") {
			b.Fatalf("--boot: %v: %s", err, said)
		}
		targets := b.published(8080, 5353)
		outside := append(b.startProbes(targets), b.Allowed.StartProbe("tcp", b.Host.At(8080), probeInterval()))
		b.engine.Start()
		web := b.web("8080:80/tcp", "5353:53/udp")
		// Not before the port is published: what conntrack then knows for 30 seconds as a flow
		// to the host itself, a later datagram from the same port of the friend would be of.
		outside = append(outside, b.Allowed.StartProbe("udp", b.Host.At6(5353), probeInterval()))
		b.Allowed.Serve("443/tcp")
		time.Sleep(500 * time.Millisecond)
		b.requireNoneAnswered("closed", outside)
		b.expect("closed to the outside, and to nobody else",
			try{b.Inside, "tcp", b.Host.At(8080), lab.Answered},
			try{b.Inside, "tcp", b.Host.At6(8080), lab.Answered},
			try{web.Node, "tcp", b.Allowed.At(443), lab.Answered},
			try{web.Node, "tcp", b.Allowed.At6(443), lab.Answered},
		)

		// What the operator does then.
		other := b.startProbes(append(targets, direct(web)...))
		b.load(allowedOnly)
		b.requireReachable("apply after that", targets)
		b.requireNoneAnswered("apply after that", other)
	})
}
