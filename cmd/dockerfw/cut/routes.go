//go:build linux

package cut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// HostRoutes are the routes of the host: of the network namespace that the thread was in that
// called OpenRoutes. Route must be called there too. It is not safe for concurrent use.
type HostRoutes struct {
	conn *netlink.Conn
	// devices are the names of interfaces by their index.
	devices map[uint32]string
	// links are the interfaces on whose links an IPv6 neighbor is; nil before they are read.
	links map[netip.Addr][]uint32
}

var _ Routes = (*HostRoutes)(nil)

// OpenRoutes opens the routes of the host. It needs no privileges.
func OpenRoutes() (*HostRoutes, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("routes cannot be read: %w", err)
	}
	return &HostRoutes{conn: conn, devices: map[uint32]string{}}, nil
}

// Close closes the connection to the kernel.
func (r *HostRoutes) Close() error { return r.conn.Close() }

// noRoute are the answers of the kernel where packets cannot be sent: there is no route, or it
// is of type unreachable, prohibit or blackhole (fib_props in the kernel's fib_semantics.c).
var noRoute = []error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL}

// Route asks the kernel, as "ip route get ADDRESS" does: for packets of the host itself,
// without a mark. The routes of broadcast, multicast and anycast addresses do not determine
// which interface the packets of a connection use; they count as none. A link-local address
// of IPv6 has a route on every link: it counts as one only where the neighbor table has it on a
// single link.
func (r *HostRoutes) Route(to netip.Addr) (Route, error) {
	answers, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request},
		Data:   routeRequest(to),
	})
	for _, none := range noRoute {
		if errors.Is(err, none) {
			return Route{}, nil
		}
	}
	switch {
	case err != nil:
		return Route{}, err
	case len(answers) != 1 || len(answers[0].Data) < unix.SizeofRtMsg:
		return Route{}, fmt.Errorf("the kernel answered with %d messages", len(answers))
	}
	route, err := r.routeOf(answers[0].Data)
	if err != nil || route.Local || !to.Is6() || !to.IsLinkLocalUnicast() {
		return route, err
	}
	if r.links == nil {
		if r.links, err = r.neighbors(); err != nil {
			return Route{}, err
		}
	}
	if links := r.links[to]; len(links) == 1 {
		return Route{Device: r.device(links[0])}, nil
	}
	return Route{}, nil
}

// routeRequest is a struct rtmsg (uapi/linux/rtnetlink.h), and the destination.
func routeRequest(to netip.Addr) []byte {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[1] = unix.AF_INET, 32 // rtm_family, rtm_dst_len
	if to.Is6() {
		header[0], header[1] = unix.AF_INET6, 128
	}
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.RTA_DST, Data: to.AsSlice()}})
	if err != nil {
		panic(err) // an address is shorter than the limit of attributes
	}
	return append(header, attributes...)
}

func (r *HostRoutes) routeOf(message []byte) (Route, error) {
	const typeAt = 7 // rtm_type in struct rtmsg
	switch message[typeAt] {
	case unix.RTN_LOCAL:
		return Route{Local: true}, nil
	case unix.RTN_UNICAST:
	default:
		return Route{}, nil
	}
	attributes, err := netlink.NewAttributeDecoder(message[unix.SizeofRtMsg:])
	if err != nil {
		return Route{}, err
	}
	var index uint32
	for attributes.Next() {
		if attributes.Type() == unix.RTA_OIF {
			index = attributes.Uint32()
		}
	}
	if err := attributes.Err(); err != nil {
		return Route{}, err
	}
	return Route{Device: r.device(index)}, nil
}

// neighbors reads the neighbor table of IPv6: the interfaces on which neighbors have answered.
func (r *HostRoutes) neighbors() (map[netip.Addr][]uint32, error) {
	const indexAt, stateAt = 4, 8 // ndm_ifindex and ndm_state in struct ndmsg (uapi/linux/neighbour.h)
	header := make([]byte, unix.SizeofNdMsg)
	header[0] = unix.AF_INET6
	answers, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETNEIGH, Flags: netlink.Request | netlink.Dump},
		Data:   header,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the neighbor table: %w", err)
	}
	out := map[netip.Addr][]uint32{}
	for _, answer := range answers {
		if len(answer.Data) < unix.SizeofNdMsg {
			continue
		}
		if state := binary.NativeEndian.Uint16(answer.Data[stateAt:]); state&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0 {
			continue
		}
		attributes, err := netlink.UnmarshalAttributes(answer.Data[unix.SizeofNdMsg:])
		if err != nil {
			return nil, fmt.Errorf("reading the neighbor table: %w", err)
		}
		for _, a := range attributes {
			if to, ok := netip.AddrFromSlice(a.Data); ok && a.Type == unix.NDA_DST {
				out[to] = append(out[to], binary.NativeEndian.Uint32(answer.Data[indexAt:]))
			}
		}
	}
	return out, nil
}

// device returns the name of an interface; "" if it no longer exists.
func (r *HostRoutes) device(index uint32) string {
	name, known := r.devices[index]
	if !known {
		if i, err := net.InterfaceByIndex(int(index)); err == nil {
			name = i.Name
		}
		r.devices[index] = name
	}
	return name
}
