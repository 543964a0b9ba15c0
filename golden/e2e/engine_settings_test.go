//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// closedButWeb opens one published port to everyone; the clients of the lab's segment reach what
// Docker publishes, and ssh.
const closedButWeb = `
host {
  external_interfaces = ["eth0"]
  internal_interfaces = ["eth1"]
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
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.clients]
  }
}
`

// withSettings runs a test on each backend, beside an engine with the given settings. Engines
// before a major version, which do not have them, are left out.
func withSettings(t *testing.T, since int, options lab.EngineOptions, test func(*bench)) {
	lab.Require(t, "dockerd", "iptables-nft", "iptables-legacy", "ipset", "busybox")
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			options.Backend = backend
			site := lab.NewLab(t)
			engine := site.NewEngine(options)
			if engine.Before(since) {
				t.Skipf("engines before %d do not have these settings", since)
			}
			engine.Start()
			b := newBench(t, site, engine, backend)
			b.Host.Serve("22/tcp")
			test(b)
		})
	}
}

// requireOpen checks which of the endpoints answer a client: all of them, and none of the closed
// ones.
func (b *bench) requireOpen(when string, from *lab.Node, open, closed []endpoint) {
	b.Helper()
	got := b.open(from, slices.Concat(open, closed))
	for _, e := range open {
		if !slices.Contains(got, e.String()) {
			b.Errorf("%s: %s does not reach %s", when, from.Name, e)
		}
	}
	for _, e := range closed {
		if slices.Contains(got, e.String()) {
			b.Errorf("%s: %s reaches %s", when, from.Name, e)
		}
	}
}

// loadAndVerify loads the policy, forgets connections that were accepted before, and requires
// that verify finds no fault and reports this about Docker's IPv4 rules.
func (b *bench) loadAndVerify(policy string, want ...string) {
	b.Helper()
	folder := b.folder("policy", policy)
	b.apply(folder)
	b.flushConntrack()
	output, err := b.dockerfw("verify", folder, "live")
	_, line, _ := strings.Cut(output, "IPv4 Docker ")
	line, _, _ = strings.Cut(line, "\n")
	for _, w := range want {
		if err != nil || !strings.Contains(line, w) {
			b.Errorf("verify: want %s: %v\n%s", w, err, output)
		}
	}
}

func (b *bench) everywhere(ports ...uint16) []endpoint {
	linkLocal := linkLocalOf(b.T, b.Host, b.Other)
	var out []endpoint
	for _, port := range ports {
		out = append(out, endpoint{"tcp", b.Host.At(port)}, endpoint{"tcp", b.Host.At6(port)}, endpoint{"tcp", linkLocal(port)})
	}
	return out
}

func ownPorts(c *lab.Container, ports ...uint16) (v4, v6 []endpoint) {
	for _, port := range ports {
		v4 = append(v4, endpoint{"tcp", c.At(port)})
		v6 = append(v6, endpoint{"tcp", c.At6(port)})
	}
	return v4, v6
}

// With "userland-proxy": false nothing answers IPv6 clients of an IPv4 network, and Docker's DNAT
// rules do not exclude a bridge. "bridge": "none" leaves docker0 out.
func TestAnEngineWithoutDockerProxyIsClosed(t *testing.T) {
	withSettings(t, 0, lab.EngineOptions{Config: map[string]any{"userland-proxy": false, "bridge": "none", "bip": nil}}, func(b *bench) {
		b.engine.CreateNetwork("user", "10.210.0.0/24", "")
		web := b.engine.RunContainer(lab.ContainerOptions{
			Name: "web", Network: "user", Publish: []string{"8080:80/tcp", "8443:80/tcp"}, Listen: []string{"80/tcp", "81/tcp"},
		})
		own, _ := ownPorts(web, 80, 81)
		v4 := []endpoint{{"tcp", b.Host.At(8080)}, {"tcp", b.Host.At(8443)}}
		b.requireOpen("without rules", b.Other, append(b.everywhere(22), v4...), nil)
		b.loadAndVerify(closedButWeb, "2 ports published")
		b.requireOpen("loaded", b.Other, v4[1:], slices.Concat(own, b.everywhere(8080, 22)))
		b.requireOpen("loaded", b.Allowed, v4, nil)
	})
}

// With "iptables": false docker-proxy answers for all published ports, and the host forwards
// packets to containers' own addresses.
func TestAnEngineThatMakesNoRulesIsClosed(t *testing.T) {
	withSettings(t, 0, lab.EngineOptions{Config: map[string]any{"iptables": false, "ip6tables": false}}, func(b *bench) {
		web := b.web("8080:80/tcp", "8443:80/tcp")
		own, _ := ownPorts(web, 80, 81)
		b.requireOpen("without rules", b.Other, append(b.everywhere(8080, 8443, 22), own...), nil)
		b.apply(b.folder("policy", closedButWeb), "--backend", string(b.backend))
		b.flushConntrack()
		b.requireOpen("loaded", b.Other, b.everywhere(8443), append(b.everywhere(8080, 22), own...))
		// default.allow leaves forwarded packets to Docker's rules: without them, to no rule.
		b.requireOpen("loaded", b.Allowed, slices.Concat(b.everywhere(8443)[:2], b.everywhere(22)[:2], own), b.everywhere(8080))
	})
}

const gatewayMode = "com.docker.network.bridge.gateway_mode_ipv"

// gatewayModes are networks whose containers have addresses that clients may send to.
var gatewayModes = []struct {
	name  string
	flags []string
	// nat: ports are published at the host's addresses. port and other: clients reach the published
	// port, and the other port, at the container's own address.
	nat, port, other bool
}{
	{"nat", nil, true, false, false},
	{"routed", []string{"--opt", gatewayMode + "4=routed", "--opt", gatewayMode + "6=routed"}, false, true, false},
	{"unprotected", []string{"--opt", gatewayMode + "4=nat-unprotected", "--opt", gatewayMode + "6=nat-unprotected"}, true, true, true},
	{"isolated", []string{"--internal", "--opt", gatewayMode + "4=isolated", "--opt", gatewayMode + "6=isolated"}, false, false, false},
	{"trusted", []string{"--opt", "com.docker.network.bridge.trusted_host_interfaces=eth0"}, true, true, false},
}

// In each gateway mode, all packets for containers pass DOCKER-USER, also those that no DNAT has
// translated.
func TestEachGatewayModeIsClosed(t *testing.T) {
	withSettings(t, 28, lab.EngineOptions{IPv6: true}, func(b *bench) { testGatewayModes(b, false) })
}

// With "allow-direct-routing", or DOCKER_INSECURE_NO_IPTABLES_RAW, the engine leaves out its rules
// in the raw table, and containers' own addresses are as open as before 28. "ip-forward-no-drop"
// leaves the policy of FORWARD at ACCEPT.
func TestDirectRoutingIsClosed(t *testing.T) {
	withSettings(t, 28, lab.EngineOptions{
		IPv6:        true,
		Config:      map[string]any{"allow-direct-routing": true, "ip-forward-no-drop": true},
		Environment: []string{"DOCKER_INSECURE_NO_IPTABLES_RAW=1"},
	}, func(b *bench) {
		if filter := b.engine.Tools.IPTablesSave(b.backend, 4, "filter"); !strings.Contains(filter, ":FORWARD ACCEPT") {
			b.Errorf("the policy of FORWARD:\n%s", filter)
		}
		testGatewayModes(b, true)
	})
}

func testGatewayModes(b *bench, direct bool) {
	var open, openDirect, closed []endpoint
	// Port 9000 is published on 127.0.0.1.
	b.loopbackThroughTheHost(b.Allowed, 9000)
	local := b.loopbackThroughTheHost(b.Other, 9000)
	published := 1
	for i, mode := range gatewayModes {
		b.engine.CreateNetwork(mode.name, fmt.Sprintf("10.21%d.0.0/24", i), fmt.Sprintf("fd00:21%d::/64", i), mode.flags...)
		port := uint16(8080 + i)
		publish := []string{fmt.Sprintf("%d:80/tcp", port)}
		if i == 0 {
			publish = append(publish, "127.0.0.1:9000:81/tcp")
		}
		c := b.engine.RunContainer(lab.ContainerOptions{
			Name: mode.name, Network: mode.name, Publish: publish, Listen: []string{"80/tcp", "81/tcp"},
		})
		add := func(isOpen bool, list *[]endpoint, targets ...endpoint) {
			if !isOpen {
				list = &closed
			}
			*list = append(*list, targets...)
		}
		// The addresses of isolated networks are unknown to the host.
		add(mode.nat, &open, endpoint{"tcp", b.Host.At(port)}, endpoint{"tcp", b.Host.At6(port)})
		if mode.nat {
			published++
		}
		v4, v6 := ownPorts(c, 80, 81)
		add(mode.port || direct && mode.nat, &openDirect, v4[0], v6[0])
		add(mode.other || direct && i == 0, &openDirect, v4[1])
		add(mode.other, &openDirect, v6[1])
	}
	if direct {
		openDirect = append(openDirect, local)
	} else {
		closed = append(closed, local)
	}
	b.requireOpen("without rules", b.Other, slices.Concat(open, openDirect), closed)
	b.loadAndVerify(closedButWeb, fmt.Sprintf("%d ports published", published),
		"without DNAT on br-routed (gateway mode routed)", "on br-unprotected (gateway mode nat-unprotected)")
	b.requireOpen("loaded", b.Other, nil, slices.Concat(open, openDirect, closed, b.everywhere(22)))
	// default.allow leaves the allowed client, which is on the same segment, to Docker's rules: docs/engines.md, "Settings of the engine".
	b.requireOpen("loaded", b.Allowed, slices.Concat(open, openDirect), closed)
	// A published port has no meaning where nothing translates it; its container's does.
	b.load(strings.Replace(closedButWeb, "published_ports = [8443]", `container_ports = [80]
  destination     = ["10.211.0.0/24", "fd00:211::/64"]`, 1))
	b.flushConntrack()
	var routed, others []endpoint
	for _, e := range slices.Concat(open, openDirect, closed) {
		if strings.HasPrefix(e.to, "10.211.0.") && strings.HasSuffix(e.to, ":80") || strings.HasPrefix(e.to, "[fd00:211:") && strings.HasSuffix(e.to, ":80") {
			routed = append(routed, e)
		} else {
			others = append(others, e)
		}
	}
	b.requireOpen("a rule for the routed network", b.Other, routed, others)
}

// A node of a swarm listens for other nodes, and services publish ports in the mode "host" as
// containers do. The routing mesh (mode "ingress") needs IPVS, which the kernel may lack:
// docs/contributing/docker.md, "Swarm".
func TestASwarmNodeIsClosed(t *testing.T) {
	withSettings(t, 0, lab.EngineOptions{}, func(b *bench) {
		b.engine.Docker("swarm", "init", "--advertise-addr", b.Host.V4.String())
		b.engine.Docker("service", "create", "--detach", "--name", "web", "--no-resolve-image",
			"--publish", "mode=host,published=8080,target=80", "--publish", "mode=host,published=8443,target=81",
			"lab", serverInImage, "web", "80/tcp", "81/tcp")
		v4 := []endpoint{{"tcp", b.Host.At(8080)}, {"tcp", b.Host.At(8443)}}
		for end := time.Now().Add(time.Minute); len(b.open(b.Other, v4)) < len(v4) && time.Now().Before(end); {
			time.Sleep(100 * time.Millisecond)
		}
		b.requireOpen("without rules", b.Other, b.everywhere(8080, 8443, 22), nil)
		nodes := []string{b.Host.V4.String() + "/2377", b.Host.V4.String() + "/7946", b.Host.V6.String() + "/2377", b.Host.V6.String() + "/7946"}
		for _, to := range nodes {
			if !b.accepts(to) {
				b.Errorf("without rules: Swarm's own port %s is closed", to)
			}
		}
		b.loadAndVerify(closedButWeb, "2 ports published")
		b.requireOpen("loaded", b.Other, b.everywhere(8443), b.everywhere(8080, 22))
		b.requireOpen("loaded", b.Allowed, v4, nil)
		for _, to := range nodes {
			if b.accepts(to) {
				b.Errorf("loaded: Swarm's own port %s is open", to)
			}
		}
	})
}

// serverInImage is the lab's server in its image.
const serverInImage = "/bin/labserver"

// accepts reports whether ADDRESS/PORT accepts a TCP connection of the other client, whatever it
// speaks then.
func (b *bench) accepts(to string) bool {
	_, _, err := b.Other.Run("timeout", "2", "bash", "-c", ": < /dev/tcp/"+to)
	return err == nil
}
