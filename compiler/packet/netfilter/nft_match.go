package netfilter

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// nftField is what a condition of nft matches on. matches.go is the counterpart for
// iptables.
type nftField struct {
	// guard are the conditions without which the packet does not have the field. They are
	// required for != as well.
	guard []packet.Cond
	// read returns the condition of a value; nil if the field is not supported.
	read func(v any) (packet.Cond, bool)
	// address is the end of the packet whose address the field is; nil for other fields.
	address *packet.End
	// bits: a packet may have several of the values. oneBit: it has one of them, although
	// they are bits.
	bits, oneBit bool
	// time is set for the time of day and date, of which only < and >= are supported.
	time bool
}

func (f nftField) one(v any) (packet.Cond, bool) {
	if f.read == nil || f.bits {
		return nil, false
	}
	return f.read(v)
}

// match reads a comparison; one that is not supported is opaque.
func (n *nftReader) match(e nft.Expr) packet.Cond {
	body, _ := e.Body.(map[string]any)
	op, _ := body["op"].(string)
	field := n.field(body["left"])
	c, ok := n.compare(field, op, body["right"])
	if !ok {
		if text, isSet := body["right"].(string); isSet && strings.HasPrefix(text, "@") {
			return n.once(e.Text()) // packets may change the set
		}
		return packet.Opaque{Text: e.Text()}
	}
	return packet.All(append(slices.Clone(field.guard), c))
}

func (n *nftReader) compare(f nftField, op string, right any) (packet.Cond, bool) {
	if f.time {
		return compareTime(op, right)
	}
	if f.read == nil {
		return nil, false
	}
	list, isList := right.([]any)
	if m, ok := right.(map[string]any); ok && m["|"] != nil {
		list, isList = m["|"].([]any)
	}
	if !isList {
		list = []any{right}
	}
	if f.bits || f.oneBit {
		switch {
		case op == "in", op == "!":
			c, ok := anyOf(f.read, list)
			if op == "!" {
				c = packet.Not{C: c}
			}
			return c, ok
		case f.bits || isList:
			return nil, false // compares all bits at once
		}
	}
	if op != "==" && op != "!=" || isList {
		return nil, false
	}
	values := []any{right}
	name := ""
	if text, ok := right.(string); ok && strings.HasPrefix(text, "@") {
		name = text[1:]
		if c, ok := n.inSet(f, name); ok {
			if op == "!=" {
				c = packet.Not{C: c}
			}
			return c, true
		}
	}
	m, _ := right.(map[string]any)
	if name != "" || m["set"] != nil {
		var known bool
		if values, known = n.elements(right); !known {
			return nil, false
		}
	}
	c, ok := anyOf(f.read, values)
	if op == "!=" {
		c = negated(c)
	}
	return c, ok
}

// negated returns the negation of a condition, in which callers find a condition that no packet fulfills.
func negated(c packet.Cond) packet.Cond {
	switch c := c.(type) {
	case packet.All:
		if len(c) == 0 {
			return packet.Any{}
		}
	case packet.Any:
		if len(c) == 0 {
			return packet.All{}
		}
	}
	return packet.Not{C: c}
}

// inSet returns the condition of being in a named set of addresses.
func (n *nftReader) inSet(f nftField, name string) (packet.Cond, bool) {
	set := n.table.Sets[name]
	if f.address == nil || set == nil || set.Map {
		return nil, false
	}
	if n.sets.unknown(set) {
		return InUnknownSet(n.setName(name), *f.address), true
	}
	if a := n.sets.addresses(name); a != nil {
		return packet.Addr{End: *f.address, In: a}, true
	}
	return nil, false
}

// setName returns what a set is called where its elements are not known: in the table of dockerfw
// the name alone, as it is that of an ipset on a host with iptables.
func (n *nftReader) setName(name string) string {
	if n.table.Family == ir.NFTFamily && n.table.Name == ir.NFTTable {
		return name
	}
	return name + " of table " + n.table.Family + " " + n.table.Name
}

// anyOf returns the condition of having any of the values. Addresses, and ports, become one
// condition.
func anyOf(read func(any) (packet.Cond, bool), values []any) (packet.Cond, bool) {
	var any packet.Any
	for _, v := range values {
		c, ok := read(unwrap(v))
		if !ok {
			return nil, false
		}
		any = append(any, c)
	}
	if len(any) == 0 {
		return packet.Any{}, true
	}
	switch first := any[0].(type) {
	case packet.Addr:
		sets := make([]*packet.AddrSet, len(any))
		for i, c := range any {
			sets[i] = c.(packet.Addr).In
		}
		return packet.Addr{End: first.End, In: packet.Union("", sets...)}, true
	case packet.Port:
		var ranges []ir.PortRange
		for _, c := range any {
			ranges = append(ranges, c.(packet.Port).Ranges...)
		}
		return packet.Port{End: first.End, Ranges: ranges}, true
	}
	if len(any) == 1 {
		return any[0], true
	}
	return any, true
}

// field reads the left side of a comparison.
func (n *nftReader) field(v any) nftField {
	m, _ := v.(map[string]any)
	if len(m) != 1 {
		return nftField{}
	}
	if op, left, mask, ok := nftBinary(v); ok && op == "&" {
		return n.markField(left, mask)
	}
	if l, ok := m["concat"].([]any); ok {
		return n.concat(l)
	}
	if f, ok := m["fib"].(map[string]any); ok {
		return fibField(f)
	}
	if _, ok := m["payload"]; ok {
		return n.payload(nft.Value(v))
	}
	name := strings.TrimPrefix(nft.Value(v), "meta ")
	switch name {
	case "iifname", "oifname", "iif", "oif":
		end := packet.Source
		if name[0] == 'o' {
			end = packet.Destination
		}
		return nftField{read: func(v any) (packet.Cond, bool) {
			text, ok := v.(string)
			if !ok || text == "" || strings.ContainsAny(text, `\+`) || strings.Contains(text[:len(text)-1], "*") {
				return nil, false
			}
			return packet.Interface{End: end, Name: strings.Replace(text, "*", "+", 1)}, true
		}}
	case "l4proto":
		return nftField{read: protocolValue}
	case "nfproto", "protocol":
		return nftField{read: func(v any) (packet.Cond, bool) {
			switch v {
			case "ipv4", "ip":
				return n.only(ir.IPv4), true
			case "ipv6", "ip6":
				return n.only(ir.IPv6), true
			}
			return nil, false
		}}
	case "mark", "ct mark":
		return n.markField(v, ^uint32(0))
	case "ct state":
		return nftField{oneBit: true, read: stateValue("invalid", "new", "related", "established", "untracked")}
	case "ct status":
		return nftField{bits: true, guard: []packet.Cond{tracked}, read: stateValue("snat", "dnat")}
	case "ct direction":
		return nftField{guard: []packet.Cond{tracked}, read: func(v any) (packet.Cond, bool) {
			d := ir.CTOriginal
			if v == "reply" {
				d = ir.CTReply
			}
			return packet.Dir{Dir: d}, v == "original" || v == "reply"
		}}
	case "ct original proto-dst":
		return nftField{guard: []packet.Cond{tracked}, read: portValue(packet.OriginalDestination)}
	case "ct original ip daddr":
		return addressField(packet.OriginalDestination, tracked, n.only(ir.IPv4))
	case "ct original ip6 daddr":
		return addressField(packet.OriginalDestination, tracked, n.only(ir.IPv6))
	case "ct original daddr":
		return addressField(packet.OriginalDestination, tracked)
	case "time":
		return nftField{time: true}
	}
	return nftField{}
}

// only holds for packets of a family: all of the program, or none.
func (n *nftReader) only(f ir.Family) packet.Cond {
	if n.family == f {
		return packet.All{}
	}
	return packet.Any{}
}

// transports are the protocols that nft matches ports of by name. To package packet DCCP and
// UDP-Lite have no ports, also in rules of iptables.
var transports = map[string]uint8{
	"tcp": packet.ProtoTCP, "udp": packet.ProtoUDP, "sctp": packet.ProtoSCTP, "dccp": packet.ProtoDCCP, "udplite": packet.ProtoUDPLite,
}

func (n *nftReader) payload(name string) nftField {
	header, field, _ := strings.Cut(name, " ")
	family := ir.IPv4
	if header == "ip6" {
		family = ir.IPv6
	}
	ends := map[string]packet.End{"saddr": packet.Source, "sport": packet.Source, "daddr": packet.Destination, "dport": packet.Destination}
	end, isEnd := ends[field]
	switch {
	case header == "ip" && field == "protocol", header == "ip6" && field == "nexthdr":
		return nftField{guard: []packet.Cond{n.only(family)}, read: protocolValue}
	case (header == "ip" || header == "ip6") && isEnd:
		return addressField(end, n.only(family))
	case transports[header] != 0 && isEnd:
		return nftField{guard: []packet.Cond{packet.Proto{Numbers: []uint8{transports[header]}}}, read: portValue(end)}
	case header == "th" && isEnd:
		// For protocols without ports it matches the bytes in their place.
		ports := packet.Proto{Numbers: []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, packet.ProtoDCCP, packet.ProtoUDPLite}}
		return nftField{read: func(v any) (packet.Cond, bool) {
			c, ok := portValue(end)(v)
			return packet.Any{packet.All{ports, c}, packet.All{packet.Not{C: ports}, packet.Opaque{Text: name + " " + nft.Value(v)}}}, ok
		}}
	}
	icmp := []packet.Cond{n.only(ir.IPv4), packet.Proto{Numbers: []uint8{packet.ProtoICMP}}}
	icmpv6 := []packet.Cond{n.only(ir.IPv6), packet.Proto{Numbers: []uint8{packet.ProtoICMPv6}}}
	switch name {
	case "icmp type":
		return icmpTypeField(icmp, icmpTypes)
	case "icmp code":
		return icmpCodeField(icmp, icmpCodes)
	case "icmpv6 type":
		return icmpTypeField(icmpv6, icmpv6Types)
	case "icmpv6 code":
		return icmpCodeField(icmpv6, icmpv6Codes)
	}
	return nftField{}
}

func (n *nftReader) markField(left any, mask uint32) nftField {
	c := packet.Mark{Mask: mask}
	switch nft.Value(left) {
	case "meta mark":
	case "ct mark":
		c.Conn = true
	default:
		return nftField{}
	}
	f := nftField{read: func(v any) (packet.Cond, bool) {
		n, ok := nftNumber(v, 32)
		return packet.Mark{Conn: c.Conn, Value: n, Mask: c.Mask}, ok
	}}
	if c.Conn {
		f.guard = []packet.Cond{tracked}
	}
	return f
}

// concat reads a concatenation of fields.
func (n *nftReader) concat(fields []any) nftField {
	var parts []nftField
	out := nftField{}
	for _, x := range fields {
		f := n.field(x)
		if f.read == nil || f.bits {
			return nftField{}
		}
		parts = append(parts, f)
		out.guard = append(out.guard, f.guard...)
	}
	out.read = func(v any) (packet.Cond, bool) {
		m, _ := v.(map[string]any)
		values, _ := m["concat"].([]any)
		if len(values) != len(parts) {
			return nil, false
		}
		var all packet.All
		for i, v := range values {
			c, ok := parts[i].read(v)
			if !ok {
				return nil, false
			}
			all = append(all, c)
		}
		return all, true
	}
	return out
}

// fibField reads whether an address is the host's own, as -m addrtype does.
func fibField(f map[string]any) nftField {
	flags, _ := f["flags"].([]any)
	if f["result"] != "type" || len(flags) != 1 {
		return nftField{}
	}
	return nftField{read: func(v any) (packet.Cond, bool) {
		switch {
		case v == "local" && flags[0] == "daddr":
			return packet.DestinationIsLocal, true
		case v == "local" && flags[0] == "saddr":
			return packet.SourceIsLocal, true
		}
		return nil, false
	}}
}

func stateValue(names ...string) func(any) (packet.Cond, bool) {
	return func(v any) (packet.Cond, bool) {
		name, _ := v.(string)
		state, ok := packet.ParseState(strings.ToUpper(name))
		return packet.State{States: state}, ok && slices.Contains(names, name)
	}
}

func protocolValue(v any) (packet.Cond, bool) {
	n, ok := nftNumber(v, 8)
	if name, isName := v.(string); isName {
		var p uint8
		p, ok = iptables.ProtocolNumber(name)
		n = uint32(p)
	}
	return packet.Proto{Numbers: []uint8{uint8(n)}}, ok && n != 0
}

func portValue(end packet.End) func(any) (packet.Cond, bool) {
	return func(v any) (packet.Cond, bool) {
		from, to := bounds(v)
		a, ok1 := nftPort(from)
		b, ok2 := nftPort(to)
		return packet.Port{End: end, Ranges: []ir.PortRange{{First: uint16(a), Last: uint16(b)}}}, ok1 && ok2 && a <= b
	}
}

func addressField(end packet.End, guard ...packet.Cond) nftField {
	return nftField{address: &end, guard: guard, read: func(v any) (packet.Cond, bool) {
		first, last, ok := addressBounds(v)
		if !ok {
			return nil, false
		}
		return packet.Addr{End: end, In: packet.AddrRange(first, last)}, true
	}}
}

// addressBounds reads an address, a prefix or a range.
func addressBounds(v any) (first, last netip.Addr, ok bool) {
	if m, isMap := v.(map[string]any); isMap && m["prefix"] != nil {
		p, err := netip.ParsePrefix(nft.Value(v))
		if err != nil {
			return first, last, false
		}
		r := netipx.RangeOfPrefix(p)
		return r.From(), r.To(), true
	}
	from, to := bounds(v)
	a, _ := from.(string)
	b, _ := to.(string)
	first, err1 := netip.ParseAddr(a)
	last, err2 := netip.ParseAddr(b)
	return first, last, err1 == nil && err2 == nil && first.Zone() == "" && last.Zone() == "" && first.BitLen() == last.BitLen() && first.Compare(last) <= 0
}

// bounds returns the ends of a range, or twice a value that is not one.
func bounds(v any) (from, to any) {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		if l, ok := m["range"].([]any); ok && len(l) == 2 {
			return l[0], l[1]
		}
	}
	return v, v
}

// nftPort reads a port. nft 1.0.6 prints 0x50 [invalid type] for some, in its JSON, too.
func nftPort(v any) (uint32, bool) {
	if text, ok := v.(string); ok {
		digits, ok := strings.CutSuffix(text, " [invalid type]")
		n, err := strconv.ParseUint(digits, 0, 16)
		return uint32(n), ok && err == nil
	}
	return nftNumber(v, 16)
}

// compareTime reads a comparison with a moment: a number of seconds, or a date and time. nft
// converts it from and to the time zone of its process, which must be UTC: TZ=UTC.
func compareTime(op string, right any) (packet.Cond, bool) {
	var seconds int64
	switch v := right.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return nil, false
		}
		seconds = n
	case string:
		moment, err := time.Parse(time.DateTime, v)
		if err != nil {
			return nil, false
		}
		seconds = moment.Unix()
	default:
		return nil, false
	}
	switch op {
	case "<":
		return packet.Until{End: seconds}, true
	case ">=":
		return packet.Not{C: packet.Until{End: seconds}}, true
	}
	return nil, false
}

// nftNumber reads a number of that many bits.
func nftNumber(v any, bits int) (uint32, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	u, err := strconv.ParseUint(n.String(), 10, bits)
	return uint32(u), err == nil
}
