package verify

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// maxPublished limits the published ports that are traced one by one.
const maxPublished = 500

// unlisted is an interface that no rule of a policy lists, so only Docker's rules match its packets.
const unlisted = "dockerfw-other"

// docker checks the engine's own rules: without them a published port is not translated, so
// that docker-proxy answers, or the policy of FORWARD drops its packets.
func docker(h *hosts) (result, error) {
	const restart = "Restart the engine, which creates its rules"
	d := h.have.Docker(h.family)
	switch {
	case d.Native:
		return dockerNative(h, d)
	case d.Filter && !d.FilterReached:
		return failed("FORWARD does not jump to Docker's chains, so its policy applies to published ports and to packets from containers. %s", restart)
	case d.Filter && d.NATSaved && !d.NATReached:
		return failed("the nat table has none of Docker's rules: docker-proxy answers for published ports, and its packets bypass FORWARD. %s", restart)
	case !d.Filter && d.NAT:
		return failed("the filter table has none of Docker's chains, so the policy of FORWARD applies to published ports. %s", restart)
	case !d.Filter && engineRan(h) && h.family == ir.IPv4:
		return failed("the bridge docker0 exists, but none of Docker's rules: docker-proxy answers for published ports. %s, unless it is configured with \"iptables\": false", restart)
	case !d.Filter && h.family == ir.IPv6:
		return nothing("Docker has no IPv6 rules: over IPv6 docker-proxy answers for published ports, and its packets pass through INPUT")
	case !d.Filter:
		return nothing("Docker has no rules: it publishes nothing, or has not started yet")
	case !d.NATSaved:
		return nothing("%s has no nat table, so Docker's rules for published ports cannot be checked", h.have.Name)
	}
	return acceptsPublished(h)
}

// dockerNative checks the rules of Docker's nftables backend. An engine that used the iptables
// backend before has set the policy of FORWARD to DROP; its rules that accepted published ports
// no longer exist.
func dockerNative(h *hosts, d snapshot.DockerRules) (result, error) {
	table := "nft " + map[ir.Family]string{ir.IPv4: "ip ", ir.IPv6: "ip6 "}[h.family] + snapshot.DockerTable
	if !d.NativeReached {
		return failed("table %s has no base chains (nft flush ruleset deletes them): docker-proxy answers for published ports. Restart the engine, which creates its rules", table)
	}
	ports := h.have.Published(h.family)
	fromContainer := arriving(h.family, snapshot.Published{}, "docker0")
	fromContainer.Protocol, fromContainer.DNAT, fromContainer.Out = 6, false, unlisted
	fromContainer.Source = containerAddress(h.family)
	fromContainer.Destination = containerAddress(h.family).Next()
	packets := []packet.Packet{fromContainer}
	for _, p := range ports[:min(len(ports), maxPublished)] {
		packets = append(packets, arriving(h.family, p, unlisted))
	}
	for _, p := range packets {
		if droppedByFilterPolicy(h, p) {
			return failed("Docker's rules are in table %s, and the policy of FORWARD is DROP, left over from the iptables backend: it drops packets that no rule accepts, such as %s. Run: %s -P FORWARD ACCEPT", table, p, h.have.Tool(h.family))
		}
	}
	return ok("Docker's rules are in table %s (its nftables backend), %s published", table, words.Count(len(ports), "port"))
}

// acceptsPublished checks that the policy of FORWARD drops nothing that Docker publishes: Docker's
// rules accept each port for the address of its container.
func acceptsPublished(h *hosts) (result, error) {
	ports := h.have.Published(h.family)
	for _, p := range ports[:min(len(ports), maxPublished)] {
		if droppedByFilterPolicy(h, arriving(h.family, p, unlisted)) {
			return failed("Docker publishes port %d for %s, but no rule accepts its packets: the policy of FORWARD drops them. Restart the engine", p.Port, p.Container)
		}
	}
	return ok("FORWARD jumps to Docker's chains, %s published%s", words.Count(len(ports), "port"), gateways(h))
}

// gateways lists the networks on which containers have other clients, or other ports, than the
// rules for published ports suggest.
func gateways(h *hosts) string {
	var out string
	if on := h.have.Gateways(h.family, snapshot.Routed); len(on) > 0 {
		out += fmt.Sprintf("; without DNAT on %s (gateway mode routed), where published_ports match nothing", strings.Join(on, ", "))
	}
	if on := h.have.Gateways(h.family, snapshot.NATUnprotected); len(on) > 0 {
		out += fmt.Sprintf("; clients that the rules leave to Docker reach every port of containers on %s (gateway mode nat-unprotected)", strings.Join(on, ", "))
	}
	return out
}

// droppedByFilterPolicy reports whether the policy of FORWARD drops a packet that no rule
// accepts, whatever conditions such as limits hold for it.
func droppedByFilterPolicy(h *hosts, p packet.Packet) bool {
	hooks := h.have.Hooks(h.family, snapshot.Forward)
	dropped := false
	for j := range journeys(hooks, p) {
		step, ok := j.Decider()
		if !ok || j.Verdict.Kind != packet.Drop && j.Verdict.Kind != packet.Reject {
			return false
		}
		dropped = dropped || step.At == packet.AtEnd && hooks[step.Hook].Table == "filter"
	}
	return dropped
}

// containerAddress is an address that containers may have.
func containerAddress(f ir.Family) netip.Addr {
	if f == ir.IPv6 {
		return netip.MustParseAddr("fd00::172:17:0:2")
	}
	return netip.MustParseAddr("172.17.0.2")
}

// engineRan reports whether a running host has the bridge that an engine creates.
func engineRan(h *hosts) bool {
	return live(h) && h.have.HasDefaultBridge()
}

// arriving is a packet for a published port, forwarded to its container.
func arriving(f ir.Family, p snapshot.Published, in string) packet.Packet {
	from := netip.MustParseAddr("192.0.2.1")
	if f == ir.IPv6 {
		from = netip.MustParseAddr("2001:db8::1")
	}
	return packet.Packet{
		Family: f, In: in, Out: p.Bridge, Source: from, SourcePort: 40000,
		Destination: p.Container.Addr(), DestinationPort: p.Container.Port(), Protocol: p.Protocol,
		State: ir.CTNew, DNAT: true, OriginalDestination: from.Next(), OriginalPort: p.Port,
	}
}
