//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// The README's own policy leaves nothing open that it does not list. Another client tries every
// socket of the host and every published port, at each address of the host, and the containers'
// own addresses: in each family, and on each path that docker.md knows of.
func TestTheReadmePolicyLeavesNothingOpenThatItDoesNotList(t *testing.T) {
	lab.Require(t, "dockerd", "iptables-nft", "iptables-legacy", "ipset", "busybox", "ss")
	t.Parallel()
	policy := readmePolicy(t)
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			site := lab.NewLab(t)
			b := newBench(t, site, site.StartEngine(lab.EngineOptions{Backend: backend}), backend)
			testReadmePolicy(b, policy)
		})
	}
}

// readmePolicy returns the policy of README.md.
func readmePolicy(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "```hcl\n")[1:] {
		if policy, _, _ := strings.Cut(block, "```"); strings.Contains(policy, "input {") {
			return policy
		}
	}
	t.Fatal("README.md has no policy with an input block")
	return ""
}

func testReadmePolicy(b *bench, policy string) {
	b.readmeAddresses()
	b.engine.CreateNetwork("dual", "10.210.0.0/24", "fd00:210::/64")
	containers := []*lab.Container{
		b.engine.RunContainer(lab.ContainerOptions{
			Name: "v4only", Publish: []string{"443:80/tcp", "5432:81/tcp", "5353:53/udp", "127.0.0.1:9000:82/tcp"},
			Listen: []string{"80/tcp", "81/tcp", "82/tcp", "53/udp"},
		}),
		b.engine.RunContainer(lab.ContainerOptions{
			Name: "dual", Network: "dual", Publish: []string{"8080:80/tcp", "5300:53/udp"},
			Listen: []string{"80/tcp", "81/tcp", "53/udp"},
		}),
	}
	b.engine.RunContainer(lab.ContainerOptions{Name: "hostnet", Network: "host", Listen: []string{"7070/tcp", "7071/udp"}})
	b.Host.Serve("22/tcp", "111/udp")

	listed, unlisted := b.socketsAndPorts(443)
	unlisted = append(unlisted, atContainers(containers)...)
	local := b.loopbackThroughTheHost(b.Other, 9000)
	unlisted = append(unlisted, local)

	// Without rules the other client gets in on each path, which shows that the test can fail.
	open := b.open(b.Other, slices.Concat(listed, unlisted))
	everywhere := []string{
		"tcp " + b.Host.At(5432), "tcp " + b.Host.At6(5432), "tcp " + b.Host.At6(8080), "udp " + b.Host.At(5353),
		// The answer has the source address that is nearest to the client.
		"udp [2001:db8:9::1]:5353",
		"tcp " + b.Host.At(22), "tcp " + b.Host.At6(22), "udp " + b.Host.At(111),
		"tcp " + b.Host.At(7070), "tcp " + b.Host.At6(7070), "udp " + b.Host.At(7071),
		"tcp " + linkLocalOf(b.T, b.Host, b.Other)(5432), "tcp " + linkLocalOf(b.T, b.Host, b.Other)(22),
	}
	if b.engine.Before(28) {
		// Since 28 the engine closes both itself.
		everywhere = append(everywhere, "tcp "+containers[0].At(80), local.String())
	}
	for _, want := range everywhere {
		if !slices.Contains(open, want) {
			b.Errorf("without rules: %s does not answer", want)
		}
	}

	b.load(policy)
	closed := func(when string, forwarded lab.Result) {
		b.Helper()
		// Sockets that were accepted before must not stand in for new ones.
		b.flushConntrack()
		if got := b.open(b.Other, unlisted); len(got) > 0 {
			b.Errorf("%s, open to other clients: %s", when, strings.Join(got, ", "))
		}
		if got := b.open(b.Other, listed); len(got) != len(listed) {
			b.Errorf("%s: of %v only %v answer", when, listed, got)
		}
		b.expectAll(when, []try{
			{b.Allowed, "tcp", "192.0.2.1:443", lab.Answered},
			{b.Allowed, "tcp", "[2001:db8:1::1]:443", lab.Answered},
			{b.Allowed, "tcp", "192.0.2.1:22", lab.Answered},
			{b.Allowed, "tcp", "[2001:db8:1::1]:22", lab.Answered},
			{b.Allowed, "tcp", "192.0.2.1:5432", forwarded},
			{b.Allowed, "udp", "192.0.2.1:5353", forwarded},
			{b.Allowed, "tcp", "192.0.2.1:7070", lab.TimedOut},
			{b.Allowed, "tcp", "[2001:db8:1::1]:7070", lab.TimedOut},
		})
	}
	closed("loaded", lab.Answered)
	for _, address := range []string{b.Host.V4.String(), b.Host.V6.String()} {
		if _, _, err := b.Other.Run("busybox", "ping", "-c", "1", "-W", "2", address); err != nil {
			b.Errorf("ping: %v", err)
		}
	}
	b.engine.Stop()
	b.engine.Start()
	closed("after a restart of the engine", lab.Answered)
	// Without DNAT, docker-proxy answers over IPv4 as well, and there the office has only what
	// rules list.
	for _, family := range []int{4, 6} {
		if err := b.engine.Tools.IPTables(b.backend, family, "-t", "nat", "-F"); err != nil {
			b.Fatal(err)
		}
	}
	closed("without the nat table", lab.TimedOut)
}

// readmeAddresses gives the lab addresses of the README's set "office", which has 192.0.2.10 and
// 2001:db8:1::/48: the allowed client is in it, and the other one is not.
func (b *bench) readmeAddresses() {
	b.Helper()
	b.Host.MustRun("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
	b.Host.MustRun("ip", "address", "add", "2001:db8:9::1/64", "dev", "eth0", "nodad")
	b.Allowed.MustRun("ip", "address", "add", "192.0.2.10/24", "dev", "eth0")
	b.Other.MustRun("ip", "address", "add", "2001:db8:9::3/64", "dev", "eth0", "nodad")
	b.Other.MustRun("ip", "address", "delete", "2001:db8:1::3/64", "dev", "eth0")
	b.Other.MustRun("ip", "-6", "route", "replace", "default", "via", "2001:db8:9::1", "dev", "eth0")
	b.Other.V6 = netip.MustParseAddr("2001:db8:9::3")
}

func (e endpoint) String() string { return e.network + " " + e.to }

// socketsAndPorts returns each socket that listens on the host (services, docker-proxy, and
// containers with network_mode: host) at each address of the host; those of the listed TCP port
// apart.
func (b *bench) socketsAndPorts(port uint16) (listed, unlisted []endpoint) {
	b.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(b.Host.MustRun("ss", "-Hltun")) {
		fields := strings.Fields(line)
		number := fields[4][strings.LastIndexByte(fields[4], ':')+1:]
		if seen[fields[0]+number] || strings.HasPrefix(fields[4], "127.") {
			continue
		}
		seen[fields[0]+number] = true
		for _, address := range b.hostAddresses() {
			target := endpoint{fields[0], address + ":" + number}
			if fields[0] == "tcp" && number == fmt.Sprint(port) {
				listed = append(listed, target)
			} else {
				unlisted = append(unlisted, target)
			}
		}
	}
	if len(seen) < 8 {
		b.Fatalf("the host listens only on %v", seen)
	}
	return listed, unlisted
}

// hostAddresses returns the addresses of the host on all interfaces that the other client can
// send to, without a port.
func (b *bench) hostAddresses() []string {
	b.Helper()
	linkLocal, _, _ := strings.Cut(linkLocalOf(b.T, b.Host, b.Other)(1), "]")
	out := []string{linkLocal + "]"}
	for line := range strings.Lines(b.Host.MustRun("ip", "-o", "address", "show", "scope", "global")) {
		prefix := netip.MustParsePrefix(strings.Fields(line)[3])
		if prefix.Addr().Is4() {
			out = append(out, prefix.Addr().String())
		} else {
			out = append(out, "["+prefix.Addr().String()+"]")
		}
	}
	return out
}

// atContainers returns the ports of containers at their own addresses, which the clients have
// routes to.
func atContainers(containers []*lab.Container) []endpoint {
	var out []endpoint
	for _, c := range containers {
		for _, at := range []func(uint16) string{c.At, c.At6} {
			out = append(out, endpoint{"tcp", at(80)}, endpoint{"tcp", at(81)}, endpoint{"udp", at(53)})
		}
	}
	return slices.DeleteFunc(out, func(e endpoint) bool { return strings.HasPrefix(e.to, "invalid") })
}

// loopbackThroughTheHost makes a client send packets for 127.0.0.1 to the host, where DNAT of
// engines before 28 matches them: docs/contributing/docker.md, "Direct access to containers".
func (b *bench) loopbackThroughTheHost(client *lab.Node, port uint16) endpoint {
	b.Helper()
	client.Sysctl("net.ipv4.conf.all.route_localnet", "1")
	client.MustRun("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
	client.MustRun("ip", "route", "add", "127.0.0.1/32", "via", b.Host.V4.String(), "src", client.V4.String())
	return endpoint{"tcp", fmt.Sprintf("127.0.0.1:%d", port)}
}

// open returns the endpoints that answer a client, all asked at once.
func (b *bench) open(from *lab.Node, targets []endpoint) []string {
	b.Helper()
	results := b.connect(from, targets)
	var out []string
	for i, target := range targets {
		if results[i] == lab.Answered || results[i] == lab.Closed {
			out = append(out, target.String())
		}
	}
	return out
}
