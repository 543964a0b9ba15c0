package iptables

import (
	"fmt"
	"strconv"
	"strings"
)

// Protocol numbers that entries with ports treat differently.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// portParts reads the port of types such as hash:ip,port: tcp:80, 80, udp:53-55,
// icmp:echo-request, icmp:8/0, gre:0.
func (s *Set) portParts(text string) ([]part, *refusal) {
	name, value, found := strings.Cut(text, ":")
	if !found {
		name, value = "tcp", text
	}
	protocol, ok := ProtocolNumber(name)
	if !ok || protocol == 0 {
		return nil, refuse("Bad entry", "%q is not a protocol.", name)
	}
	one := func(port uint16, word string) part {
		return part{ProtocolName(protocol) + ":" + word, Element{Protocol: protocol, Port: port}}
	}
	switch protocol {
	case protoICMP, protoICMPv6:
		if (protocol == protoICMPv6) != (s.Family == "inet6") {
			return nil, refuse("Wrong family", "%s cannot be used in a set of family %s.", name, s.Family)
		}
		n, ok := icmpTypeCode(value, s.Family == "inet6")
		if !ok {
			return nil, refuse("Bad entry", "%q is not an ICMP type and code, such as 8/0 or echo-request.", value)
		}
		return []part{one(n, icmpWord(n, s.Family == "inet6"))}, nil
	case protoTCP, protoUDP, protoSCTP, protoUDPLite:
		from, to, ok, r := portNumbers(value)
		if r != nil || !ok {
			return nil, r
		}
		var out []part
		for n := int(from); n <= int(to); n++ {
			out = append(out, one(uint16(n), strconv.Itoa(n)))
		}
		return out, nil
	}
	if n, err := parseC(value, 16); err != nil || n != 0 {
		return nil, refuse("Bad entry", "%s has no ports; write %s:0.", name, name)
	}
	return []part{one(0, "0")}, nil
}

// bitmapPorts reads the entry of a bitmap:port: a port or a range. Its protocol is
// ignored, as ipset does: docs/contributing/netfilter.md, "Set entries".
func (s *Set) bitmapPorts(text string) ([]part, *refusal) {
	if protocol, after, found := strings.Cut(text, ":"); found {
		if _, ok := ProtocolNumber(protocol); !ok {
			return nil, refuse("Bad entry", "%q is not a protocol.", protocol)
		}
		text = after
	}
	from, to, ok, r := portNumbers(text)
	if r != nil || !ok {
		return nil, r
	}
	low, high, _ := s.portBounds()
	if from < low || to > high {
		return nil, refuse("Bad entry", "%s is outside the range of the set, %d-%d.", text, low, high)
	}
	var out []part
	for n := int(from); n <= int(to); n++ {
		out = append(out, part{strconv.Itoa(n), Element{Port: uint16(n)}})
	}
	return out, nil
}

// portNumbers reads a port or a range. As in ipset, a range may be reversed:
// docs/contributing/netfilter.md, "Set entries". ok is false for the name of a service.
func portNumbers(text string) (from, to uint16, ok bool, _ *refusal) {
	a, b, isRange := strings.Cut(text, "-")
	if !isRange {
		b = a
	}
	numbers := [2]uint16{}
	for i, word := range []string{a, b} {
		if word == "" || word[0] < '0' || word[0] > '9' {
			return 0, 0, false, nil
		}
		n, err := parseC(word, 16)
		if err != nil {
			return 0, 0, false, refuse("Bad entry", "%q is not a port from 0 to 65535.", word)
		}
		numbers[i] = uint16(n)
	}
	return min(numbers[0], numbers[1]), max(numbers[0], numbers[1]), true, nil
}

// icmpTypeCode reads an ICMP type with its code, as a name or as numbers.
func icmpTypeCode(text string, v6 bool) (uint16, bool) {
	names := icmpTypes
	if v6 {
		names = icmp6Types
	}
	lower := strings.ToLower(text)
	if n, ok := names[lower]; ok && lower != "255" {
		text = n
		if !strings.Contains(n, "/") {
			text += "/0"
		}
	}
	typ, code, found := strings.Cut(text, "/")
	t, err1 := parseC(typ, 8)
	c, err2 := parseC(code, 8)
	return uint16(t<<8 | c), found && err1 == nil && err2 == nil
}

// icmpWord returns a type and code as ipset saves it: as a name if there is one.
func icmpWord(n uint16, v6 bool) string {
	names := savedICMP
	if v6 {
		names = savedICMPv6
	}
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprintf("%d/%d", n>>8, n&255)
}

// savedICMP and savedICMPv6 are the names that ipset 7.17 saves:
// docs/contributing/netfilter.md, "Set entries".
var (
	savedICMP = map[uint16]string{
		0: "echo-reply", 3 << 8: "network-unreachable", 3<<8 | 1: "host-unreachable", 3<<8 | 2: "protocol-unreachable",
		3<<8 | 3: "port-unreachable", 3<<8 | 4: "fragmentation-needed", 3<<8 | 5: "source-route-failed",
		3<<8 | 6: "network-unknown", 3<<8 | 7: "host-unknown", 3<<8 | 9: "network-prohibited", 3<<8 | 10: "host-prohibited",
		3<<8 | 11: "TOS-network-unreachable", 3<<8 | 12: "TOS-host-unreachable", 3<<8 | 13: "communication-prohibited",
		3<<8 | 14: "host-precedence-violation", 3<<8 | 15: "precedence-cutoff", 4 << 8: "source-quench",
		5 << 8: "network-redirect", 5<<8 | 1: "host-redirect", 5<<8 | 2: "TOS-network-redirect", 5<<8 | 3: "TOS-host-redirect",
		8 << 8: "echo-request", 9 << 8: "router-advertisement", 10 << 8: "router-solicitation",
		11 << 8: "ttl-zero-during-transit", 11<<8 | 1: "ttl-zero-during-reassembly", 12 << 8: "ip-header-bad",
		12<<8 | 1: "required-option-missing", 13 << 8: "timestamp-request", 14 << 8: "timestamp-reply",
		17 << 8: "address-mask-request", 18 << 8: "address-mask-reply",
	}
	savedICMPv6 = map[uint16]string{
		1 << 8: "no-route", 1<<8 | 1: "communication-prohibited", 1<<8 | 3: "address-unreachable", 1<<8 | 4: "port-unreachable",
		2 << 8: "packet-too-big", 3 << 8: "ttl-zero-during-transit", 3<<8 | 1: "ttl-zero-during-reassembly",
		4 << 8: "bad-header", 4<<8 | 1: "unknown-header-type", 4<<8 | 2: "unknown-option", 128 << 8: "echo-request",
		129 << 8: "echo-reply", 133 << 8: "router-solicitation", 134 << 8: "router-advertisement",
		135 << 8: "neighbour-solicitation", 136 << 8: "neighbour-advertisement", 137 << 8: "redirect",
	}
)

// markPart reads a mark and applies the set's markmask.
func (s *Set) markPart(text string) ([]part, *refusal) {
	n, err := parseC(text, 32)
	if err != nil {
		return nil, refuse("Bad entry", "%q is not a mark, such as 0x10.", text)
	}
	mark := uint32(n) & s.MarkMask()
	return []part{{fmt.Sprintf("0x%08x", mark), Element{Mark: mark}}}, nil
}

// macAddress reads six groups of hexadecimal digits.
func macAddress(text string) (string, bool) {
	groups := strings.Split(text, ":")
	if len(groups) != 6 {
		return "", false
	}
	for i, g := range groups {
		n, err := strconv.ParseUint(g, 16, 8)
		if err != nil || len(g) > 2 {
			return "", false
		}
		groups[i] = fmt.Sprintf("%02X", n)
	}
	return strings.Join(groups, ":"), true
}
