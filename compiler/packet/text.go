package packet

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Protocol numbers whose packets have fields of their own.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoSCTP   = 132
	// Ports of DCCP and UDP-Lite are no fields of a packet here.
	ProtoDCCP    = 33
	ProtoUDPLite = 136
)

func hasPorts(protocol uint8) bool {
	return protocol == ProtoTCP || protocol == ProtoUDP || protocol == ProtoSCTP
}

// isICMP reports whether packets have an ICMP type. Protocol 58 in IPv4 is possible, but
// nothing treats it as ICMP.
func isICMP(f ir.Family, protocol uint8) bool {
	return f == ir.IPv4 && protocol == ProtoICMP || f == ir.IPv6 && protocol == ProtoICMPv6
}

// protocolText names the protocols that policies name, and those that the default of an input
// block refuses. All reports use these names.
func protocolText(n uint8) string {
	switch n {
	case ProtoICMP:
		return "icmp"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoICMPv6:
		return "icmpv6"
	case ProtoSCTP:
		return "sctp"
	case ProtoDCCP:
		return "dccp"
	case ProtoUDPLite:
		return "udplite"
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

// ParseState returns the state with a name, in upper case as in iptables.
func ParseState(name string) (state ir.CTState, ok bool) {
	i := slices.Index(stateNames[:], name)
	if i < 0 {
		return 0, false
	}
	return 1 << i, true
}

// Names returns the states as iptables writes them, separated by commas.
func (c State) Names() string { return statesText(c.States) }

// Name returns the direction: any, original or reply.
func (c Dir) Name() string { return directionText(c.Dir) }

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
