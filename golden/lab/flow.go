//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
	protoLite   = 136 // UDP-Lite
)

// extensionHeaders are the protocols that the kernel skips to find that of an IPv6 packet (ipv6_ext_hdr): hop-by-hop
// options, routing, fragment, authentication, no next header, and destination options. What it finds behind is not
// written here.
var extensionHeaders = []uint8{0, 43, 44, 51, 59, 60}

// flow is how a packet is sent: the packets to write, in order, of which the last one is the
// tested one, and the routes and DNAT that they need.
type flow struct {
	id     uint32
	packet packet.Packet
	steps  []step
	routes []route
	// dnat is the rule that translates the connection, if one does.
	dnat string
	// connections are those that the flow opens, before and after DNAT.
	connections []connection
}

type step struct {
	device string
	bytes  []byte
}

type route struct {
	to     netip.Addr
	device string
}

// end is an address with a port, or for ICMP the identifier.
type end struct {
	addr netip.Addr
	port uint16
}

// connection is a pair of ends, the lesser one first.
type connection struct {
	protocol uint8
	a, b     end
}

func connectionOf(protocol uint8, a, b end) connection {
	if c := a.addr.Compare(b.addr); c > 0 || c == 0 && a.port > b.port {
		a, b = b, a
	}
	return connection{protocol, a, b}
}

// Sendable returns nil if a Router can send the packet, otherwise the reason.
func Sendable(p packet.Packet) error {
	_, err := newFlow(p, 1)
	return err
}

// newFlow returns how to send a packet. The fields must be consistent, as Complete leaves
// them.
func newFlow(p packet.Packet, id uint32) (*flow, error) {
	p.Complete()
	f := &flow{id: id, packet: p, routes: []route{{p.Destination, p.Out}}}
	for _, a := range []netip.Addr{p.Source, p.Destination} {
		if !forwardable(a) {
			return nil, fmt.Errorf("packets to or from %s are not forwarded", a)
		}
	}
	switch {
	case p.In == "" || p.Out == "":
		return nil, errors.New("it has no interfaces")
	case p.In == "lo" || p.Out == "lo" || p.Source == p.Destination:
		return nil, errors.New("it stays on one host")
	case p.SNAT:
		return nil, errors.New("source translation comes after FORWARD")
	case p.Protocol == protoICMP && p.Family == ir.IPv6 || p.Protocol == protoICMPv6 && p.Family == ir.IPv4:
		return nil, errors.New("ICMP of the other family")
	case p.Family == ir.IPv6 && slices.Contains(extensionHeaders, p.Protocol):
		return nil, errors.New("an IPv6 extension header, not a protocol")
	case p.Protocol == protoLite:
		return nil, errors.New("connection tracking checks the header of UDP-Lite, which is not written here")
	}
	var err error
	switch p.State {
	case ir.CTNew:
		err = f.asNew()
	case ir.CTEstablished:
		err = f.asEstablished()
	case ir.CTRelated:
		err = f.asRelated()
	case ir.CTInvalid:
		err = f.asInvalid()
	case ir.CTUntracked:
		err = f.write(classUntracked, p.In, f.direct(flagACK))
	default:
		err = fmt.Errorf("not a single state: %v", p.State)
	}
	return f, err
}

func forwardable(a netip.Addr) bool {
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() && a.Is6() || a.Is4In6():
		return false
	case a.Is4():
		b := a.As4()
		return b[0] != 0 && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return true
}

// direct returns the packet without any translation.
func (f *flow) direct(flags uint8) message {
	p := f.packet
	return message{
		from: end{p.Source, p.SourcePort}, to: end{p.Destination, p.DestinationPort},
		protocol: p.Protocol, flags: flags, icmp: [2]uint8{p.ICMPType, p.ICMPCode},
	}
}

// connect records a connection and its translation.
func (f *flow) connect(in string, protocol uint8, client, asked, server end) {
	f.connections = append(f.connections, connectionOf(protocol, client, asked), connectionOf(protocol, client, server))
	if asked == server {
		return
	}
	word := map[uint8]string{protoICMP: "icmp", protoTCP: "tcp", protoUDP: "udp", protoICMPv6: "ipv6-icmp", protoSCTP: "sctp"}[protocol]
	if word == "" {
		word = fmt.Sprint(protocol)
	}
	ports, to := "", server.addr.String()
	if protocol == protoTCP || protocol == protoUDP || protocol == protoSCTP {
		ports = fmt.Sprintf(" -m %s --sport %d --dport %d", word, client.port, asked.port)
		to = netip.AddrPortFrom(server.addr, server.port).String()
	}
	f.dnat = fmt.Sprintf("-A PREROUTING -i %s -s %s -d %s -p %s%s -j DNAT --to-destination %s\n", in, client.addr, asked.addr, word, ports, to)
	if ports == "" {
		// The rule translates all packets between the two addresses.
		f.connections = append(f.connections, connection{protocol: protocol, a: end{addr: client.addr}, b: end{addr: asked.addr}})
	}
}

// identifier replaces the port by the ICMP identifier.
func (f *flow) identifier(e end) end {
	if f.packet.HasICMP() {
		e.port = uint16(f.id)
	}
	return e
}

// ends returns the client, the address that it connected to, and the server.
func (f *flow) ends() (client, asked, server end) {
	p := f.packet
	client, server = end{p.Source, p.SourcePort}, end{p.Destination, p.DestinationPort}
	if p.Direction == ir.CTReply {
		client, server = server, client
	}
	asked = server
	if p.DNAT {
		asked.addr = p.OriginalDestination
		if p.HasPorts() {
			asked.port = p.OriginalPort
		}
	}
	return f.identifier(client), f.identifier(asked), f.identifier(server)
}

func (f *flow) checkAsked(asked, server end) error {
	if f.packet.DNAT && (asked == server || !forwardable(asked.addr)) {
		return fmt.Errorf("no translation from %v to %v", asked, server)
	}
	return nil
}

func (f *flow) asNew() error {
	p := f.packet
	if p.HasICMP() && !begins(p.Protocol, p.ICMPType) {
		return fmt.Errorf("ICMP type %d opens no connection", p.ICMPType)
	}
	client, asked, server := f.ends()
	if err := f.checkAsked(asked, server); err != nil {
		return err
	}
	f.connect(p.In, p.Protocol, client, asked, server)
	m := f.direct(flagSYN)
	m.from, m.to = client, asked
	return f.write(0, p.In, m)
}

// begins reports whether an ICMP type opens a connection for connection tracking.
func begins(protocol, kind uint8) bool {
	if protocol == protoICMPv6 {
		return kind == 128
	}
	return kind == 8 || kind == 13
}

func (f *flow) asEstablished() error {
	p := f.packet
	client, asked, server := f.ends()
	if err := f.checkAsked(asked, server); err != nil {
		return err
	}
	in, out := p.In, p.Out
	reply := p.Direction == ir.CTReply
	if reply {
		in, out = out, in
	}
	f.routes = append(f.routes, route{p.Source, p.In})
	f.connect(in, p.Protocol, client, asked, server)
	request, answer := p.ICMPType, p.ICMPType
	if p.HasICMP() {
		kinds := map[uint8]uint8{8: 0, 13: 14}
		if p.Protocol == protoICMPv6 {
			kinds = map[uint8]uint8{128: 129}
		}
		found := false
		for q, a := range kinds {
			if !reply && q == p.ICMPType || reply && a == p.ICMPType {
				request, answer, found = q, a, true
			}
		}
		if !found {
			return fmt.Errorf("ICMP type %d belongs to no open connection", p.ICMPType)
		}
	}
	first := message{from: client, to: asked, protocol: p.Protocol, flags: flagSYN, icmp: [2]uint8{request, 0}}
	back := message{from: server, to: client, protocol: p.Protocol, flags: flagSYN | flagACK, icmp: [2]uint8{answer, 0}, setupOther: true}
	if err := f.write(classSetup, in, first); err != nil {
		return err
	}
	if reply {
		back.icmp[1] = p.ICMPCode
		return f.write(0, out, back)
	}
	if err := f.write(classSetup, out, back); err != nil {
		return err
	}
	first.flags = flagACK | flagPSH
	first.icmp[1] = p.ICMPCode
	return f.write(0, in, first)
}

// asRelated sends an ICMP error about a connection that it opens first.
func (f *flow) asRelated() error {
	p := f.packet
	if !p.HasICMP() || !errorType(p.Protocol, p.ICMPType) {
		return errors.New("without a helper only ICMP errors are RELATED")
	}
	protocol := uint8(protoUDP)
	if p.OriginalPort == 0 {
		return errors.New("the ICMP error needs an original port")
	}
	const clientPort, serverPort = 40001, 7777
	asked := end{p.OriginalDestination, p.OriginalPort}
	server := asked
	client := end{p.Source, clientPort}
	in, out := p.In, p.Out
	if p.Direction == ir.CTReply {
		client.addr, in, out = p.Destination, out, in
		if p.DNAT {
			server = end{p.Source, serverPort}
		}
	} else if p.DNAT {
		server = end{p.Destination, serverPort}
	} else if asked.addr != p.Destination {
		return errors.New("the ICMP error must go to one of the ends")
	}
	if !forwardable(asked.addr) || asked == server && p.DNAT || client.addr == server.addr || client.addr == asked.addr {
		return fmt.Errorf("no connection of %v to %v", client, asked)
	}
	f.routes = append(f.routes, route{client.addr, in}, route{server.addr, out})
	f.connect(in, protocol, client, asked, server)
	request := message{from: client, to: asked, protocol: protocol}
	answer := message{from: server, to: client, protocol: protocol}
	if err := errors.Join(f.write(classSetup, in, request), f.write(classSetup, out, answer)); err != nil {
		return err
	}
	about, to := answer, asked.addr
	about.from = asked // as the client sees it
	if p.Direction == ir.CTReply {
		about, to = request, client.addr
		about.to = server
	}
	inner, err := f.bytes(0, about)
	if err != nil {
		return err
	}
	return f.write(0, p.In, message{
		from: end{addr: p.Source}, to: end{addr: to}, protocol: p.Protocol, icmp: [2]uint8{p.ICMPType, p.ICMPCode}, inner: inner,
	})
}

func errorType(protocol, kind uint8) bool {
	if protocol == protoICMPv6 {
		return kind >= 1 && kind <= 4
	}
	return kind == 3 || kind == 4 || kind == 5 || kind == 11 || kind == 12
}

// asInvalid sends a packet that is INVALID for connection tracking but that REJECT answers.
func (f *flow) asInvalid() error {
	p := f.packet
	m := f.direct(flagSYN | flagFIN)
	m.broken = true
	switch {
	case p.Protocol == protoTCP || p.Protocol == protoUDP:
	case p.HasICMP() && errorType(p.Protocol, p.ICMPType):
		// About a connection that does not exist.
		inner, err := f.bytes(0, message{from: m.to, to: m.from, protocol: protoUDP})
		if err != nil {
			return err
		}
		m.inner = inner
	case p.HasICMP() && (p.ICMPType == 0 && p.Protocol == protoICMP || p.ICMPType == 129):
		// An answer without a request.
		m.from.port, m.to.port = uint16(f.id), uint16(f.id)
	default:
		return errors.New("connection tracking does not find it invalid")
	}
	return f.write(0, p.In, m)
}

func (f *flow) write(class uint8, device string, m message) error {
	b, err := f.bytes(class, m)
	f.steps = append(f.steps, step{device, b})
	return err
}
