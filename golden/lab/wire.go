//go:build linux

package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// message is a packet on the wire, with the ends that the sender uses.
type message struct {
	from, to   end
	protocol   uint8
	flags      uint8 // of TCP; for SCTP they select the chunk
	icmp       [2]uint8
	inner      []byte // of an ICMP error: the packet it is about
	broken     bool   // INVALID for connection tracking
	setupOther bool   // an answer in the handshake
}

// The flags of TCP.
const (
	flagFIN = 1
	flagSYN = 2
	flagPSH = 8
	flagACK = 16
)

// mark is in the payload of every packet, before its identifier.
var mark = []byte("dockerfw")

func (f *flow) payload(class uint8) []byte {
	id := f.id
	if class == classSetup {
		id = 0
	}
	return binary.BigEndian.AppendUint32(bytes.Clone(mark), id)
}

// bytes returns a message as on the wire.
func (f *flow) bytes(class uint8, m message) ([]byte, error) {
	payload := f.payload(class)
	var upper []gopacket.SerializableLayer
	var network gopacket.NetworkLayer
	var ip gopacket.SerializableLayer
	if m.from.addr.Is4() {
		v4 := &layers.IPv4{
			Version: 4, TTL: 64, TOS: class, Protocol: layers.IPProtocol(m.protocol), Id: uint16(f.id),
			SrcIP: m.from.addr.AsSlice(), DstIP: m.to.addr.AsSlice(),
		}
		network, ip = v4, v4
	} else {
		v6 := &layers.IPv6{
			Version: 6, HopLimit: 64, TrafficClass: class, NextHeader: layers.IPProtocol(m.protocol),
			SrcIP: m.from.addr.AsSlice(), DstIP: m.to.addr.AsSlice(),
		}
		network, ip = v6, v6
	}
	checked := func(l interface {
		gopacket.SerializableLayer
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	},
	) {
		_ = l.SetNetworkLayerForChecksum(network)
		upper = append(upper, l)
	}
	switch m.protocol {
	case protoTCP:
		checked(&layers.TCP{
			SrcPort: layers.TCPPort(m.from.port), DstPort: layers.TCPPort(m.to.port), Seq: f.id * 16, Ack: f.id * 16, Window: 65535,
			FIN: m.flags&flagFIN != 0, SYN: m.flags&flagSYN != 0, PSH: m.flags&flagPSH != 0, ACK: m.flags&flagACK != 0,
		})
	case protoUDP:
		checked(&layers.UDP{SrcPort: layers.UDPPort(m.from.port), DstPort: layers.UDPPort(m.to.port)})
	case protoSCTP:
		payload = f.sctp(m, payload)
	case protoICMP:
		upper = append(upper, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(m.icmp[0], m.icmp[1]), Id: m.from.port})
	case protoICMPv6:
		checked(&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(m.icmp[0], m.icmp[1])})
		rest := []byte{0, 0, 0, 0}
		binary.BigEndian.PutUint16(rest, m.from.port)
		payload = append(rest, payload...)
	default:
		// Four bytes that are no version of GRE with keys.
		payload = m.withSum(append([]byte{0, 0, 8, 0}, payload...))
	}
	if m.inner != nil {
		payload = m.inner
		if m.protocol == protoICMPv6 {
			payload = append([]byte{0, 0, 0, 0}, payload...)
		}
	}
	buffer := gopacket.NewSerializeBuffer()
	all := append([]gopacket.SerializableLayer{ip}, upper...)
	err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(all, gopacket.Payload(payload))...)
	if err != nil {
		return nil, err
	}
	out := buffer.Bytes()
	if m.broken && m.protocol == protoUDP {
		breakLength(out, len(payload)+8)
	}
	return out, nil
}

// withSum appends a word with which the payload of a protocol that REJECT does not know has a correct checksum: it
// answers no packet without one (nf_ip_checksum, nf_ip6_checksum; measured with protocol 255).
func (m message) withSum(payload []byte) []byte {
	if len(payload)%2 == 1 {
		payload = append(payload, 0)
	}
	summed := slices.Clone(payload)
	if m.from.addr.Is6() {
		summed = slices.Concat(summed, m.from.addr.AsSlice(), m.to.addr.AsSlice(), []byte{byte((len(payload) + 2) >> 8), byte(len(payload) + 2), 0, m.protocol})
	}
	sum := uint32(0)
	for i := 0; i < len(summed); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(summed[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return binary.BigEndian.AppendUint16(payload, ^uint16(sum))
}

// breakLength makes the length in a UDP header longer than the packet, which connection
// tracking checks, and keeps the checksum correct, which REJECT checks.
func breakLength(packet []byte, length int) {
	header := packet[len(packet)-length:]
	sum := binary.BigEndian.Uint16(header[6:])
	binary.BigEndian.PutUint16(header[4:], uint16(length+1))
	// A word that is greater by one makes the complement less by one.
	if sum--; sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(header[6:], sum)
}

// sctp returns a header with a chunk that opens, answers or continues (RFC 9260, 3.3).
func (f *flow) sctp(m message, payload []byte) []byte {
	const opens, answers, continues = 1, 2, 10
	kind, tag := uint8(opens), uint32(0)
	switch {
	case m.setupOther:
		kind, tag = answers, f.id
	case m.flags&flagSYN == 0:
		kind, tag = continues, f.id
	}
	b := binary.BigEndian.AppendUint16(nil, m.from.port)
	b = binary.BigEndian.AppendUint16(b, m.to.port)
	b = binary.BigEndian.AppendUint32(b, tag)
	b = append(b, 0, 0, 0, 0) // the checksum
	var body []byte
	if kind != continues {
		body = binary.BigEndian.AppendUint32(body, f.id) // the tag for the other side
		body = append(body, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1)
		// A parameter that an implementation skips if it does not know it.
		body = append(body, 0x80, 0x99, 0, byte(4+len(payload)))
	}
	body = append(body, payload...)
	b = append(b, kind, 0, 0, byte(4+len(body)))
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// readArrival reads a packet from the router. The identifier is that of the packet itself or of
// the one it answers; it is 0 for the kernel's own packets and for those that only open
// connections.
func readArrival(b []byte) (id uint32, a arrival) {
	first := gopacket.LayerType(layers.LayerTypeIPv6)
	if b[0]>>4 == 4 {
		first = layers.LayerTypeIPv4
	}
	p := gopacket.NewPacket(b, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	if tcp, is := p.Layer(layers.LayerTypeTCP).(*layers.TCP); is && tcp.RST {
		a.answer = "tcp-reset"
		if tcp.ACK {
			// It acknowledges the payload too, and SYN and FIN.
			return (tcp.Ack - uint32(len(mark)) - 4) / 16, a
		}
		return tcp.Seq / 16, a
	}
	at := bytes.LastIndex(b, mark)
	if at < 0 || at+len(mark)+4 > len(b) {
		return 0, a
	}
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		a.byDocker = ip.TOS == classDocker
	case *layers.IPv6:
		a.byDocker = ip.TrafficClass == classDocker
	}
	if icmp, is := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); is && errorType(protoICMP, icmp.TypeCode.Type()) {
		a.answer = named(map[uint16]string{0x0303: "icmp-port-unreachable", 0x030d: "icmp-admin-prohibited"}, uint16(icmp.TypeCode))
	}
	if icmp, is := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6); is && icmp.TypeCode.Type() == layers.ICMPv6TypeRedirect {
		return 0, a // a hint about a shorter route
	} else if is && errorType(protoICMPv6, icmp.TypeCode.Type()) {
		a.answer = named(map[uint16]string{0x0104: "icmp6-port-unreachable", 0x0101: "icmp6-adm-prohibited"}, uint16(icmp.TypeCode))
	}
	return binary.BigEndian.Uint32(b[at+len(mark):]), a
}

func named(names map[uint16]string, typeCode uint16) string {
	if name := names[typeCode]; name != "" {
		return name
	}
	return fmt.Sprintf("ICMP %d/%d", typeCode>>8, typeCode&0xff)
}
