package report

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// path is that of the packets of a table.
func (k Kind) path() snapshot.Path {
	if k == Host {
		return snapshot.ToHost
	}
	return snapshot.Forward
}

// kindsOf are the tables of the sides, in the order of a report.
func kindsOf(sides []*snapshot.Host) []Kind {
	out := []Kind{Published, Host}
	for _, h := range sides {
		for _, f := range h.Families() {
			if h.HasScope(f, ir.ScopeEgress) {
				return append(out, Egress)
			}
		}
	}
	return out
}

// dnat is the condition that Docker has translated the destination.
var dnat = packet.State{States: ir.CTDNAT}

// scope is the condition of being a packet of a table: one that opens a connection, from
// outside, or in a table of egress from a container to the outside. A packet to a port that is
// published goes to the container that publishes it.
func (b *builder) scope(k Kind, f ir.Family) packet.Cond {
	external, container := b.interfaces(f)
	out := packet.All{
		packet.State{States: ir.CTNew}, packet.Not{C: packet.State{States: ir.CTSNAT}},
	}
	outside := func(end packet.End) packet.Cond {
		if len(external) > 0 {
			return anyInterface(end, external)
		}
		return packet.Not{C: anyInterface(end, container)}
	}
	switch k {
	case Host:
		return append(out, packet.Not{C: dnat}, outside(packet.Source))
	case Egress:
		return append(out, packet.Not{C: dnat}, anyInterface(packet.Source, container), outside(packet.Destination))
	case Published:
	}
	out = append(out, outside(packet.Source))
	if len(b.sides[len(b.sides)-1].Container) > 0 {
		out = append(out, anyInterface(packet.Destination, container))
	} else {
		out = append(out, packet.Not{C: anyInterface(packet.Destination, external)})
	}
	var listed, exact packet.Any
	for _, p := range b.published(f) {
		listed, exact = append(listed, p.sent), append(exact, packet.All{p.sent, p.translated})
	}
	switch {
	case b.ofHost():
		// The nat rules of a host show all that is published.
		return append(out, packet.Any{packet.Not{C: dnat}, exact})
	case len(listed) > 0:
		return append(out, packet.Not{C: packet.All{dnat, listed, packet.Not{C: exact}}})
	}
	return out
}

func anyInterface(end packet.End, names []string) packet.Cond {
	out := packet.Any{}
	for _, name := range names {
		out = append(out, packet.Interface{End: end, Name: name})
	}
	return out
}

// interfaces are those to the outside and those of containers, of either side. Without any of
// the outside they are unknown.
func (b *builder) interfaces(f ir.Family) (external, container []string) {
	add := func(to, names []string) []string {
		for _, name := range names {
			if !slices.Contains(to, name) {
				to = append(to, name)
			}
		}
		return to
	}
	for _, h := range b.sides {
		e, c := h.Interfaces(f)
		external, container = add(external, e), add(container, c)
		if !h.Kind.Compiled() {
			container = add(container, h.Bridges(f))
		}
	}
	if len(container) == 0 || b.ofHost() {
		container = add(container, []string{"docker+", "br-+"})
	}
	return external, container
}

// publishedPort is a port that a container publishes: the condition that a packet was sent to it,
// and that it was translated to the container.
type publishedPort struct {
	sent, translated packet.Cond
	by               string
}

// published are the ports of the nat rules of a host, or those of the options.
func (b *builder) published(f ir.Family) []publishedPort {
	var out []publishedPort
	if !b.ofHost() {
		for _, p := range b.opts.Published {
			if p.Inactive == "" && !p.Address.IsLoopback() && (!p.Address.IsValid() || ir.FamilyOf(p.Address) == f) {
				out = append(out, portOf(p))
			}
		}
		return out
	}
	seen := map[string]bool{}
	for _, h := range b.sides {
		for _, p := range h.Published(f) {
			if p.Address.IsLoopback() {
				continue
			}
			one := portOf(published.Port{Protocol: p.Protocol, First: p.Port, Last: p.Port, Address: p.Address, Target: p.Container.Port(), By: p.Container.String()})
			one.translated = packet.All{one.translated, at(packet.Destination, p.Container.Addr()), packet.Interface{End: packet.Destination, Name: p.Bridge}}
			if key := fmt.Sprint(p); !seen[key] {
				seen[key] = true
				out = append(out, one)
			}
		}
	}
	return out
}

func portOf(p published.Port) publishedPort {
	sent := packet.All{packet.Proto{Numbers: []uint8{p.Protocol}}, port(packet.OriginalDestination, p.First, p.Last)}
	if p.Address.IsValid() && !p.Address.IsUnspecified() {
		sent = append(sent, at(packet.OriginalDestination, p.Address))
	}
	out := publishedPort{sent: append(packet.All{dnat}, sent...), translated: packet.All{}, by: p.By}
	if p.Target != 0 {
		out.translated = port(packet.Destination, p.Target, p.Target)
	}
	return out
}

func port(end packet.End, first, last uint16) packet.Cond {
	return packet.Port{End: end, Ranges: []ir.PortRange{{First: first, Last: last}}}
}

func at(end packet.End, a netip.Addr) packet.Cond {
	return packet.Addr{End: end, In: packet.NewAddrSet("", []netip.Prefix{netip.PrefixFrom(a, a.BitLen())})}
}
