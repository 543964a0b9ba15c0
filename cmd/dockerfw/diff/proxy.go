package diff

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// stillOpen finds ports that are newly blocked where packets are forwarded, and still open
// through docker-proxy: over IPv6 it accepts connections for networks without IPv6 and from
// link-local clients, and INPUT protection covers only the ports in rules and proxy_ports.
func (c *comparison) stillOpen() {
	if !c.after.HasFamily(ir.IPv6) || !c.after.Kind.Compiled() {
		return
	}
	protection := c.after.Program(ir.IPv6, c.after.OwnChain(snapshot.ToHost))
	for i := range c.report.Changes {
		change := &c.report.Changes[i]
		p := change.Witness
		if change.Path != Forwarded || change.Effect != Narrowed || p.Family != ir.IPv6 || !p.DNAT || !p.HasPorts() || !explicit(change.OldRules) {
			continue
		}
		p.DNAT, p.Out, p.Destination, p.DestinationPort = false, "", p.OriginalDestination, p.OriginalPort
		switch protection.Decide(p).Verdict.Kind {
		case packet.Drop, packet.Reject:
		default:
			change.StillOpen = fmt.Sprintf("port %d is still open over IPv6 through docker-proxy; proxy_ports = [%s] closes it", p.DestinationPort, snapshot.ProxyPort(p.Protocol, p.DestinationPort))
		}
	}
}
