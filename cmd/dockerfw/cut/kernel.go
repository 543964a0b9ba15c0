//go:build linux

package cut

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// unavailable wraps the reason why the kernel's table of connections cannot be used: a module
// is missing, or the permission.
func unavailable(err error) error {
	return fmt.Errorf("connection tracking is not available: %w", err)
}

// Connections lists the connections of a family in the kernel's table, of the network
// namespace that the calling thread is in. It needs root and the kernel module
// nf_conntrack_netlink, which the kernel loads when it is first used. Those of ICMP do not have
// the identifier of their exchange, so that End does not find them.
func Connections(f ir.Family) ([]Connection, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, unavailable(err)
	}
	defer conn.Close()
	flows, err := conn.DumpFilter(conntrack.NewFilter().Family(protoFamily(f)), nil)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Connection, 0, len(flows))
	for i := range flows {
		flow := &flows[i]
		c := Connection{
			Family: f, Protocol: flow.TupleOrig.Proto.Protocol,
			Original: tupleOf(&flow.TupleOrig), Reply: tupleOf(&flow.TupleReply),
			Expected: flow.Status.Expected(), DNAT: flow.Status.DstNAT(), Zone: flow.Zone,
		}
		if tcp := flow.ProtoInfo.TCP; tcp != nil {
			c.TCPState = tcp.State
		}
		out = append(out, c)
	}
	return out, nil
}

func protoFamily(f ir.Family) netfilter.ProtoFamily {
	if f == ir.IPv6 {
		return netfilter.ProtoIPv6
	}
	return netfilter.ProtoIPv4
}

func tupleOf(t *conntrack.Tuple) Tuple {
	return Tuple{
		Source:      netip.AddrPortFrom(t.IP.SourceAddress, t.Proto.SourcePort),
		Destination: netip.AddrPortFrom(t.IP.DestinationAddress, t.Proto.DestinationPort),
		Zone:        t.Zone,
	}
}

// tuple is the inverse of tupleOf.
func (t *Tuple) tuple(protocol uint8) conntrack.Tuple {
	return conntrack.Tuple{
		IP:    conntrack.IPTuple{SourceAddress: t.Source.Addr(), DestinationAddress: t.Destination.Addr()},
		Proto: conntrack.ProtoTuple{Protocol: protocol, SourcePort: t.Source.Port(), DestinationPort: t.Destination.Port()},
		Zone:  t.Zone,
	}
}

// End deletes refused connections from the kernel's table, so that the rules judge their next
// packet as that of a new one. It returns those that it ended: the others had ended before. A
// failure is reported after the rest was tried.
func End(refused []Refusal) (ended []Refusal, err error) {
	if len(refused) == 0 {
		return nil, nil
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, unavailable(err)
	}
	defer conn.Close()
	failures, first := 0, error(nil)
	for _, r := range refused {
		c := &r.Connection
		switch err := conn.Delete(conntrack.Flow{
			TupleOrig: c.Original.tuple(c.Protocol), TupleReply: c.Reply.tuple(c.Protocol), Zone: c.Zone,
		}); {
		case err == nil:
			ended = append(ended, r)
		case errors.Is(err, unix.ENOENT):
		default:
			if failures++; first == nil {
				first = fmt.Errorf("ending %s: %w", c, err)
			}
		}
	}
	if failures > 1 {
		first = fmt.Errorf("%w, and %d more failed", first, failures-1)
	}
	return ended, first
}
