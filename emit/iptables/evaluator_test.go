package iptables_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

// This file is a second implementation of the kernel's rule evaluation, on purpose: it
// shares no code with the emitter or the compiler, and so tests both.

// packet has the fields of a packet that rules can match; see parsePacket for defaults.
type packet struct {
	in, out              string
	src, dst             netip.Addr
	protocol             uint8
	srcPort, dstPort     uint16
	icmpType, icmpCode   uint8
	states               ir.CTState
	reply                bool
	origDst              netip.Addr
	origDstPort          uint16
	overRate, overNumber bool
}

// parsePacket reads words such as "src=192.0.2.1 tcp pub=443 port=8443":
//
//	in= out=      interfaces; default eth0 and docker0
//	src= dst=     addresses; dst is a container's by default
//	tcp udp …     the protocol
//	pub=          the published port that the client connected to, through DNAT
//	at=           the host address that the client connected to, through DNAT
//	port= sport=  the port after DNAT, the source port
//	type=8/0      ICMP type and code
//	established, related, invalid, reply; default new
//	overrate, overnumber: limits are exceeded
func parsePacket(t testing.TB, text string) packet {
	t.Helper()
	p := packet{in: "eth0", out: "docker0"}
	number := func(s string) uint16 {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			t.Fatalf("packet %q: %v", text, err)
		}
		return uint16(n)
	}
	dnat := false
	for _, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "in":
			p.in = value
		case "out":
			p.out = value
		case "src":
			p.src = netip.MustParseAddr(value)
		case "dst":
			p.dst = netip.MustParseAddr(value)
		case "tcp":
			p.protocol = 6
		case "udp":
			p.protocol = 17
		case "sctp":
			p.protocol = 132
		case "icmp":
			p.protocol = 1
		case "icmpv6":
			p.protocol = 58
		case "proto":
			p.protocol = uint8(number(value))
		case "pub":
			p.origDstPort, dnat = number(value), true
		case "at":
			p.origDst, dnat = netip.MustParseAddr(value), true
		case "port":
			p.dstPort = number(value)
		case "sport":
			p.srcPort = number(value)
		case "type":
			typ, code, _ := strings.Cut(value, "/")
			p.icmpType = uint8(number(typ))
			if code != "" {
				p.icmpCode = uint8(number(code))
			}
		case "established":
			p.states |= ir.CTEstablished
		case "related":
			p.states |= ir.CTRelated
		case "invalid":
			p.states |= ir.CTInvalid
		case "reply":
			p.reply = true
		case "overrate":
			p.overRate = true
		case "overnumber":
			p.overNumber = true
		default:
			t.Fatalf("packet %q: unknown word %q", text, word)
		}
	}
	if p.states == 0 {
		p.states = ir.CTNew
	}
	v6 := p.src.Is6()
	if !p.dst.IsValid() {
		p.dst = netip.MustParseAddr("172.17.0.2")
		if v6 {
			p.dst = netip.MustParseAddr("fd00::2")
		}
	}
	if dnat {
		p.states |= ir.CTDNAT
		if p.dstPort == 0 {
			p.dstPort = p.origDstPort
		}
	} else {
		p.origDstPort = p.dstPort
	}
	if !p.origDst.IsValid() {
		p.origDst = p.dst
		if dnat {
			p.origDst = netip.MustParseAddr("198.51.100.1")
			if v6 {
				p.origDst = netip.MustParseAddr("2001:db8:ffff::1")
			}
		}
	}
	return p
}

// forwardVerdict returns the verdict of the first terminating rule that matches p on the
// forward path, or "docker" if none does. "+log" is appended if a rule logged the packet.
func forwardVerdict(rs *iptables.Tables, p packet) string {
	for _, program := range rs.Programs {
		if (program.Family == ir.IPv6) == p.src.Is6() {
			verdict, logged := chainVerdict(rs, program.Chains, program.Chains[0].Name, p)
			if verdict == "" {
				verdict = "docker"
			}
			if logged {
				verdict += "+log"
			}
			return verdict
		}
	}
	return "docker" // no rules for the family
}

// chainVerdict returns the verdict of a chain; "" means that evaluation returns to the
// calling chain.
func chainVerdict(rs *iptables.Tables, chains []*iptables.Chain, name string, p packet) (verdict string, logged bool) {
	i := slices.IndexFunc(chains, func(c *iptables.Chain) bool { return c.Name == name })
	for _, r := range chains[i].Rules {
		if !slices.ContainsFunc(r.Matches, func(m iptables.Match) bool { return !matches(rs, m, p) }) {
			switch v := r.Verdict.(type) {
			case iptables.Accept:
				return "accept", logged
			case iptables.Drop:
				return "drop", logged
			case iptables.Reject:
				return "reject " + v.With, logged
			case iptables.Return:
				return "", logged
			case iptables.Log, iptables.NFLog:
				logged = true
			case iptables.Goto:
				inner, more := chainVerdict(rs, chains, v.Chain, p)
				return inner, logged || more
			case iptables.Jump:
				inner, more := chainVerdict(rs, chains, v.Chain, p)
				logged = logged || more
				if inner != "" {
					return inner, logged
				}
			default:
				panic(fmt.Sprintf("verdict %T", v))
			}
		}
	}
	return "", logged
}

func matches(rs *iptables.Tables, m iptables.Match, p packet) bool {
	end := func(d iptables.Direction) netip.Addr {
		if d == iptables.Dst {
			return p.dst
		}
		return p.src
	}
	within := func(r *ir.PortRange, port uint16) bool { return r == nil || r.First <= port && port <= r.Last }
	switch m := m.(type) {
	case iptables.Address:
		return m.Prefix.Contains(end(m.Dir)) != m.Not
	case iptables.Interface:
		name := p.in
		if m.Dir == iptables.Dst {
			name = p.out
		}
		if prefix, wild := strings.CutSuffix(m.Name, "+"); wild {
			return strings.HasPrefix(name, prefix)
		}
		return name == m.Name
	case iptables.Protocol:
		return m.Number == p.protocol
	case iptables.Ports:
		return m.Protocol == p.protocol && within(m.Src, p.srcPort) && within(m.Dst, p.dstPort)
	case iptables.ICMP:
		protocol := uint8(1)
		if m.Family == ir.IPv6 {
			protocol = 58
		}
		return p.protocol == protocol && m.Type == p.icmpType && (m.Code < 0 || m.Code == int(p.icmpCode))
	case iptables.Conntrack:
		return (m.States == 0 || m.States&p.states != 0) &&
			(!m.OrigDst.IsValid() || m.OrigDst == p.origDst) &&
			within(m.OrigDstPort, p.origDstPort) &&
			(m.Dir == ir.CTAny || (m.Dir == ir.CTReply) == p.reply)
	case iptables.SetMatch:
		return inSet(rs, m.Set, end(m.Dir)) != m.Not
	case iptables.HashLimit:
		return m.Above == p.overRate
	case iptables.ConnLimit:
		return m.Above == p.overNumber
	case iptables.Limit:
		return true
	}
	panic(fmt.Sprintf("match %T", m))
}

// inSet reports whether a set, or a member of a list:set, contains an address.
func inSet(rs *iptables.Tables, name string, a netip.Addr) bool {
	i := slices.IndexFunc(rs.Sets, func(s *iptables.Set) bool { return s.Name == name })
	if i < 0 {
		panic("no set " + name)
	}
	s := rs.Sets[i]
	return slices.ContainsFunc(slices.Collect(s.Prefixes.All()), func(p netip.Prefix) bool { return p.Contains(a) }) ||
		slices.ContainsFunc(s.Members, func(m string) bool { return inSet(rs, m, a) })
}
