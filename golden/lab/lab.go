//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// Lab is a Docker host between two segments:
//
//	allowed 198.51.100.2 2001:db8:1::2 ┐
//	other   198.51.100.3 2001:db8:1::3 ┴ eth0 (.1, ::1) Host eth1 (.1, ::1) ─ inside 203.0.113.2 2001:db8:2::2
//
// The policies of tests admit the allowed client and not the other one. The default
// routes of all clients go through the host, so that they can also try a container's
// own address. The segments are bridges in another namespace.
type Lab struct {
	Host           *Node // V4 and V6 are the addresses on eth0
	Allowed, Other *Node
	Inside         *Node

	t       testing.TB
	wiring  *Namespace
	cables  int
	engines int
}

type segment struct {
	bridge string
	v4, v6 netip.Prefix // the host's address in each
}

var (
	outside = segment{"outside", netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")}
	second  = segment{"second", netip.MustParsePrefix("203.0.113.1/24"), netip.MustParsePrefix("2001:db8:2::1/64")}
)

// NewLab builds the lab, without an engine and without any rules.
// IP forwarding is off on the host: the engine turns it on.
func NewLab(t testing.TB) *Lab {
	t.Helper()
	lab := &Lab{t: t, wiring: NewNamespace(t, "dfw-wiring")}
	for _, s := range []segment{outside, second} {
		lab.wiring.MustRun("ip", "link", "add", s.bridge, "up", "type", "bridge", "mcast_snooping", "0")
	}

	lab.Host = &Node{Namespace: NewNamespace(t, "dfw-host"), Name: "host", V4: outside.v4.Addr(), V6: outside.v6.Addr()}
	lab.quietIPv6(lab.Host)
	lab.plug(lab.Host, "eth0", outside, outside.v4.Addr(), outside.v6.Addr())
	lab.plug(lab.Host, "eth1", second, second.v4.Addr(), second.v6.Addr())

	client := func(name, v4, v6 string) *Node {
		return lab.AddClient(name, netip.MustParseAddr(v4), netip.MustParseAddr(v6))
	}
	lab.Allowed = client("allowed", "198.51.100.2", "2001:db8:1::2")
	lab.Other = client("other", "198.51.100.3", "2001:db8:1::3")
	lab.Inside = client("inside", "203.0.113.2", "2001:db8:2::2")
	return lab
}

// AddClient adds a client to the segment its IPv4 address belongs to.
func (lab *Lab) AddClient(name string, v4, v6 netip.Addr) *Node {
	lab.t.Helper()
	at := outside
	if second.v4.Contains(v4) {
		at = second
	}
	if !at.v4.Contains(v4) || !at.v6.Contains(v6) {
		lab.t.Fatalf("client %s: %s and %s are not on one of the lab's segments", name, v4, v6)
	}
	node := &Node{Namespace: NewNamespace(lab.t, "dfw-"+name), Name: name, V4: v4, V6: v6}
	lab.quietIPv6(node)
	lab.plug(node, "eth0", at, v4, v6)
	lab.batch(node.Namespace,
		"route add default via "+at.v4.Addr().String(),
		"route add default via "+at.v6.Addr().String())
	return node
}

// quietIPv6 turns off duplicate address detection, which takes a second for each interface.
func (lab *Lab) quietIPv6(node *Node) {
	lab.t.Helper()
	node.Sysctl("net.ipv6.conf.all.accept_dad", "0")
	node.Sysctl("net.ipv6.conf.default.accept_dad", "0")
}

func (lab *Lab) plug(node *Node, device string, at segment, v4, v6 netip.Addr) {
	lab.t.Helper()
	lab.cables++
	port := fmt.Sprintf("port%d", lab.cables)
	lab.batch(lab.wiring,
		fmt.Sprintf("link add %s type veth peer name %s netns %s", port, device, node.Namespace.Name),
		fmt.Sprintf("link set %s master %s up", port, at.bridge))
	lab.bridgeOnly()
	lab.batch(node.Namespace,
		fmt.Sprintf("address add %s dev %s", netip.PrefixFrom(v4, at.v4.Bits()), device),
		fmt.Sprintf("address add %s dev %s nodad", netip.PrefixFrom(v6, at.v6.Bits()), device),
		fmt.Sprintf("link set %s up", device))
}

// bridgeOnly keeps iptables away from the bridges of the segments. The sysctl exists
// once br_netfilter is loaded, which an engine may do.
func (lab *Lab) bridgeOnly() {
	lab.t.Helper()
	for _, name := range []string{"iptables", "ip6tables", "arptables"} {
		err := lab.wiring.setSysctl("net.bridge.bridge-nf-call-"+name, "0")
		if err != nil && !os.IsNotExist(err) {
			lab.t.Fatal(err)
		}
	}
}

func (lab *Lab) batch(ns *Namespace, commands ...string) {
	lab.t.Helper()
	if _, _, err := ns.Input(strings.Join(commands, "\n")+"\n", "ip", "-batch", "-"); err != nil {
		lab.t.Fatalf("%v\n%s", err, strings.Join(commands, "\n"))
	}
}
