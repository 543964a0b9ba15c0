//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// samplePackets returns packets of all states, protocols and directions, to a published port
// and to the address of a container.
func samplePackets() []packet.Packet {
	var out []packet.Packet
	for _, f := range []struct {
		family             ir.Family
		client, host, to   string
		icmp, echo, answer uint8
		unreachable        uint8
	}{
		{ir.IPv4, "192.0.2.9", "198.51.100.1", "10.1.0.5", protoICMP, 8, 0, 3},
		{ir.IPv6, "2001:db8:5::9", "2001:db8::1", "fd00:1::5", protoICMPv6, 128, 129, 1},
	} {
		client, host, to := netip.MustParseAddr(f.client), netip.MustParseAddr(f.host), netip.MustParseAddr(f.to)
		for _, dnat := range []bool{false, true} {
			forth := packet.Packet{Family: f.family, In: "eth0", Out: "docker0", Source: client, Destination: to, DNAT: dnat}
			back := packet.Packet{Family: f.family, In: "docker0", Out: "eth0", Source: to, Destination: client, DNAT: dnat, Direction: ir.CTReply}
			if dnat {
				forth.OriginalDestination, back.OriginalDestination = host, host
			}
			for i, protocol := range []uint8{protoTCP, protoUDP, protoSCTP} {
				p, q := forth, back
				p.Protocol, p.SourcePort, p.DestinationPort = protocol, 40000+uint16(i), 3000
				q.Protocol, q.SourcePort, q.DestinationPort = protocol, 3000, 41000+uint16(i)
				if dnat {
					p.OriginalPort, q.OriginalPort = 80, 80
				}
				p.State, q.State = ir.CTNew, ir.CTEstablished
				out = append(out, p, q)
				p.State, p.SourcePort = ir.CTEstablished, 42000+uint16(i)
				out = append(out, p)
				if dnat {
					continue
				}
				p.State, p.SourcePort = ir.CTUntracked, 43000+uint16(i)
				out = append(out, p)
				if protocol != protoSCTP {
					p.State, p.SourcePort = ir.CTInvalid, 44000+uint16(i)
					out = append(out, p)
				}
			}
			p, q := forth, back
			p.Protocol, q.Protocol = f.icmp, f.icmp
			p.ICMPType, q.ICMPType = f.echo, f.answer
			p.State, q.State = ir.CTNew, ir.CTEstablished
			out = append(out, p, q)
			p.State = ir.CTEstablished
			out = append(out, p)
			p.ICMPType, q.ICMPType = f.unreachable, f.unreachable
			p.State, q.State = ir.CTRelated, ir.CTRelated
			if !dnat {
				p.OriginalDestination, q.OriginalDestination = p.Destination, q.Source
			}
			p.OriginalPort, q.OriginalPort = 80, 80
			out = append(out, p, q)
			p = forth
			p.Protocol, p.State = 47, ir.CTNew
			out = append(out, p)
			if !dnat {
				p.Protocol, p.ICMPType, p.State = f.icmp, f.answer, ir.CTInvalid
				out = append(out, p)
				p.ICMPType = f.unreachable
				out = append(out, p)
			}
		}
	}
	for i := range out {
		out[i].Complete()
	}
	return out
}

// ruleFor returns a rule that matches a packet by all of its fields.
func ruleFor(p packet.Packet) string {
	words := []string{"-i", p.In, "-o", p.Out, "-s", p.Source.String(), "-d", p.Destination.String(), "-p", fmt.Sprint(p.Protocol)}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if p.HasPorts() {
		name := map[uint8]string{protoTCP: "tcp", protoUDP: "udp", protoSCTP: "sctp"}[p.Protocol]
		add("-m %s --sport %d --dport %d", name, p.SourcePort, p.DestinationPort)
	}
	if p.HasICMP() {
		add("-m %s %d/%d", map[ir.Family]string{ir.IPv4: "icmp --icmp-type", ir.IPv6: "icmp6 --icmpv6-type"}[p.Family], p.ICMPType, p.ICMPCode)
	}
	state := map[ir.CTState]string{
		ir.CTNew: "NEW", ir.CTEstablished: "ESTABLISHED", ir.CTRelated: "RELATED", ir.CTInvalid: "INVALID", ir.CTUntracked: "UNTRACKED",
	}[p.State]
	if !p.Tracked() {
		add("-m conntrack --ctstate %s", state)
		return strings.Join(words, " ")
	}
	add("-m conntrack --ctstate %s --ctdir %s --ctorigdst %s", state, map[ir.CTDir]string{ir.CTOriginal: "ORIGINAL", ir.CTReply: "REPLY"}[p.Direction], p.OriginalDestination)
	if p.OriginalPort != 0 {
		add("--ctorigdstport %d", p.OriginalPort)
	}
	not := "! "
	if p.DNAT {
		not = ""
	}
	add("-m conntrack %s--ctstate DNAT", not)
	return strings.Join(words, " ")
}

// Each packet reaches the rule that matches all of its fields.
func TestARouterSendsTheRequestedPackets(t *testing.T) {
	t.Parallel()
	for _, b := range Backends {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			r := NewRouter(t, b)
			packets := samplePackets()
			for _, c := range []struct {
				target func(packet.Packet) string
				want   func(packet.Packet) packet.Verdict
			}{
				{
					func(packet.Packet) string { return "ACCEPT" },
					func(packet.Packet) packet.Verdict { return packet.Verdict{Kind: packet.Accept} },
				},
				{
					func(packet.Packet) string { return "RETURN" },
					func(packet.Packet) packet.Verdict { return packet.Verdict{Kind: packet.Docker} },
				},
				{
					func(p packet.Packet) string { return "REJECT --reject-with " + rejectFor(p) },
					func(p packet.Packet) packet.Verdict {
						return Observed(p, packet.Verdict{Kind: packet.Reject, With: rejectFor(p)})
					},
				},
			} {
				text := map[ir.Family]string{}
				for _, p := range packets {
					text[p.Family] += "-A DOCKER-USER " + ruleFor(p) + " -j " + c.target(p) + "\n"
				}
				for family, rules := range text {
					r.mustLoad(int(family), "*filter\n:DOCKER-USER - [0:0]\n"+rules+"-A DOCKER-USER -j DROP\nCOMMIT\n")
				}
				got, err := r.Send(packets)
				must(t, err)
				for i, p := range packets {
					if want := c.want(p); got[i] != want {
						t.Errorf("%s: %s, want %s", p, got[i], want)
					}
				}
			}
		})
	}
}

func rejectFor(p packet.Packet) string {
	switch {
	case p.Protocol == protoTCP:
		return "tcp-reset"
	case p.Family == ir.IPv6:
		return "icmp6-adm-prohibited"
	}
	return "icmp-admin-prohibited"
}
