package iptables

import (
	"maps"
	"strconv"
	"strings"
)

// protocolNames are the names of Debian's /etc/protocols, which iptables-save prints
// there. A host without that file prints numbers for most of them; with one fixed table
// both compare equal.
var protocolNames = map[uint8]string{
	1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 5: "st", 6: "tcp", 8: "egp", 9: "igp",
	12: "pup", 17: "udp", 20: "hmp", 22: "xns-idp", 27: "rdp", 29: "iso-tp4", 33: "dccp", 36: "xtp",
	37: "ddp", 38: "idpr-cmtp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 45: "idrp", 46: "rsvp",
	47: "gre", 50: "esp", 51: "ah", 57: "skip", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts",
	73: "rspf", 81: "vmtp", 88: "eigrp", 89: "ospf", 93: "ax.25", 94: "ipip", 97: "etherip", 98: "encap",
	103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp", 124: "isis", 132: "sctp", 133: "fc",
	135: "mobility-header", 136: "udplite", 137: "mpls-in-ip", 139: "hip", 140: "shim6", 141: "wesp", 142: "rohc",
}

// protocolAliases are further names that iptables accepts or that older versions print.
var protocolAliases = map[string]uint8{
	"manet": 138, "ethernet": 143, "icmpv6": 58, "icmp6": 58, "ipv6-mh": 135, "mh": 135, "ip-encap": 4, "ospfigp": 89, "all": 0, "any": 0, "ip": 0, "hopopt": 0,
}

// protocolNumbers has all names.
var protocolNumbers = func() map[string]uint8 {
	out := maps.Clone(protocolAliases)
	for n, name := range protocolNames {
		out[name] = n
	}
	return out
}()

// ProtocolNumber returns the number of a protocol as -p accepts it, a name or a number; 0
// is all protocols.
func ProtocolNumber(s string) (uint8, bool) {
	s = strings.ToLower(s)
	if n, ok := protocolNumbers[s]; ok {
		return n, true
	}
	n, err := parseC(s, 8)
	return uint8(n), err == nil
}

// ProtocolName returns the spelling of a protocol in canonical rules: its name if it has
// one, otherwise its number; "all" for 0.
func ProtocolName(n uint8) string {
	if n == 0 {
		return "all"
	}
	if name, ok := protocolNames[n]; ok {
		return name
	}
	return strconv.Itoa(int(n))
}

func protocolSpelling(s string) string {
	if n, ok := ProtocolNumber(s); ok {
		return ProtocolName(n)
	}
	return s
}

func protocolDigits(s string) string {
	if n, ok := ProtocolNumber(s); ok {
		return strconv.Itoa(int(n))
	}
	return s
}

// impliedMatch returns the match whose options may follow -p without -m, or "".
func impliedMatch(protocol string) string {
	switch name := protocolSpelling(protocol); name {
	case "tcp", "udp", "sctp", "dccp", "icmp", "esp", "ah":
		return name
	case "ipv6-icmp":
		return "icmp6"
	case "mobility-header":
		return "mh"
	}
	return ""
}

// parseC reads a number as C's strtoul does with base 0: 0x for hexadecimal,
// a leading 0 for octal. Go's base 0 knows more prefixes, and _ between digits.
func parseC(s string, bits int) (uint64, error) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X"):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	return strconv.ParseUint(s, base, bits)
}
