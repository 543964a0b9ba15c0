//go:build linux

package e2e

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// The values in random policies, and the addresses and ports next to them.
var (
	clients = map[ir.Family][]netip.Addr{
		ir.IPv4: addresses("192.0.2.0 192.0.2.1 192.0.2.2 192.0.2.127 192.0.2.128 192.0.2.130 192.0.2.141 192.0.2.199 192.0.2.200 192.0.2.255 192.0.3.0 9.255.255.255 10.0.0.0 10.1.2.3 10.255.255.255 11.0.0.0 203.0.113.7"),
		ir.IPv6: addresses("2001:db8:: 2001:db8::1 2001:db8::2 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9:: 2001:db7:ffff::1 2a00::9 fd00::9"),
	}
	published = map[ir.Family][]netip.Addr{
		ir.IPv4: addresses("198.51.100.1 198.51.100.2 198.51.100.3"),
		ir.IPv6: addresses("2001:db8::80 2001:db8::81"),
	}
	interfaces     = []string{"eth0", "eth1", "wg0", "wg1", "docker0", "docker1", "br-a"}
	sourcePorts    = []uint16{52, 53, 54, 1023, 1024, 40000, 65535}
	publishedPorts = []uint16{52, 53, 79, 80, 81, 443, 444, 999, 1000, 1500, 2000, 2001}
	containerPorts = []uint16{53, 79, 80, 81, 443, 2999, 3000, 65535}
)

func addresses(list string) []netip.Addr {
	var out []netip.Addr
	for _, a := range strings.Fields(list) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// randomPackets returns packets of all kinds that can be sent, most of them to published
// ports.
func randomPackets(r *rand.Rand, f ir.Family, n int) []packet.Packet {
	return drawPackets(r, f, n, false)
}

// drawPackets draws packets to containers, or to published ports of the host itself.
func drawPackets(r *rand.Rand, f ir.Family, n int, toHost bool) []packet.Packet {
	icmp, kinds := uint8(1), []uint8{0, 3, 8, 11, 13}
	if f == ir.IPv6 {
		icmp, kinds = 58, []uint8{1, 2, 128, 129}
	}
	leads := map[netip.Addr]string{}
	for _, a := range slices.Concat(clients[f], published[f]) {
		leads[a] = oneOf(r, interfaces...)
		if toHost && r.IntN(2) == 0 {
			leads[a] = "eth0"
		}
	}
	var out []packet.Packet
	for len(out) < n {
		p := packet.Packet{
			Family: f, In: oneOf(r, "eth0", "eth0", "eth0", oneOf(r, interfaces...)),
			Source: oneOf(r, clients[f]...), Destination: oneOf(r, clients[f]...),
			Protocol:   oneOf(r, 6, 6, 6, 17, 17, 132, icmp, icmp, 47),
			SourcePort: oneOf(r, sourcePorts...), DestinationPort: oneOf(r, containerPorts...),
			State:     oneOf(r, ir.CTNew, ir.CTNew, ir.CTNew, ir.CTEstablished, ir.CTEstablished, ir.CTRelated, ir.CTInvalid, ir.CTUntracked),
			Direction: oneOf(r, ir.CTOriginal, ir.CTReply),
			DNAT:      r.IntN(4) > 0, ICMPType: oneOf(r, kinds...),
			OriginalDestination: oneOf(r, published[f]...), OriginalPort: oneOf(r, publishedPorts...),
		}
		if toHost {
			p.DNAT, p.Destination = false, oneOf(r, published[f]...)
			p.DestinationPort = oneOf(r, 80, 443, 1500, oneOf(r, publishedPorts...))
		}
		p.Out = leads[p.Destination]
		if p.State == ir.CTEstablished {
			p.In = leads[p.Source]
		}
		if p.State == ir.CTRelated {
			p.Protocol = icmp
			if p.Direction == ir.CTOriginal && !p.DNAT {
				p.OriginalDestination = p.Destination
			}
			p.In = leads[p.Source]
		}
		p.Complete()
		if lab.Sendable(p) == nil {
			out = append(out, p)
		}
	}
	return out
}
