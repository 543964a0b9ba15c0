package packet

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Protocol numbers whose packets have fields of their own.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
	// UDP-Lite has ports that are no fields of a packet here.
	protoUDPLite = 136
)

func hasPorts(protocol uint8) bool {
	return protocol == protoTCP || protocol == protoUDP || protocol == protoSCTP
}

// isICMP tells whether packets have ICMP types. Protocol 58 within IPv4 is
// possible; no match takes it for ICMP.
func isICMP(f ir.Family, protocol uint8) bool {
	return f == ir.IPv4 && protocol == protoICMP || f == ir.IPv6 && protocol == protoICMPv6
}

func protocolText(n uint8) string {
	switch n {
	case protoICMP:
		return "icmp"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMPv6:
		return "icmpv6"
	case protoSCTP:
		return "sctp"
	}
	return strconv.Itoa(int(n))
}

var stateNames = [...]string{"INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"}

func statesText(s ir.CTState) string {
	var out []string
	for i, name := range stateNames {
		if s&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

// Names writes the states as iptables does, with commas between.
func (c State) Names() string { return statesText(c.States) }

func directionText(d ir.CTDir) string {
	return [...]string{"any", "original", "reply"}[d]
}

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func rangesText(rs []ir.PortRange) string {
	words := make([]string, 0, len(rs))
	for _, r := range rs {
		w := strconv.Itoa(int(r.First))
		if r.Last != r.First {
			w += "-" + strconv.Itoa(int(r.Last))
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}
