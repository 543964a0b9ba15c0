package nftables

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Table returns the input of nft -f that replaces the table, in one transaction. The table is
// flushed, not deleted: docs/contributing/netfilter.md, "Reload of a table".
func Table(t *Tables, header string) []byte {
	var b bytes.Buffer
	name := ir.NFTFamily + " " + ir.NFTTable
	fmt.Fprintf(&b, "# %s\ntable %s\nflush table %s\ntable %s {\n", header, name, name, name)
	for i, s := range t.Sets {
		if i > 0 {
			b.WriteString("\n")
		}
		writeSet(&b, s)
	}
	for i, c := range t.Chains {
		if i > 0 || len(t.Sets) > 0 {
			b.WriteString("\n")
		}
		writeChain(&b, c)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// Removal returns the input of nft -f that deletes the table, whether it exists or not.
func Removal(header string) []byte {
	name := ir.NFTFamily + " " + ir.NFTTable
	return fmt.Appendf(nil, "# %s\ntable %s\ndelete table %s\n", header, name, name)
}

func writeSet(b *bytes.Buffer, s *Set) {
	fmt.Fprintf(b, "\tset %s {\n", s.Name)
	writeSetBody(b, s)
	b.WriteString("\t}\n")
}

// writeSetBody writes what a set is, apart from its name.
func writeSetBody(w io.Writer, s *Set) {
	typ := "ipv4_addr"
	if s.Family == ir.IPv6 {
		typ = "ipv6_addr"
	}
	fmt.Fprintf(w, "\t\ttype %s\n", typ)
	if s.Size != 0 {
		fmt.Fprintf(w, "\t\tsize %d\n", s.Size)
	}
	switch {
	case s.Kind == Unmanaged:
		io.WriteString(w, "\t\tflags interval,timeout\n")
	case s.Kind == Managed:
		io.WriteString(w, "\t\tflags interval\n")
	case s.Timeout > 0:
		fmt.Fprintf(w, "\t\tflags dynamic,timeout\n\t\ttimeout %s\n", duration(s.Timeout))
	default:
		io.WriteString(w, "\t\tflags dynamic\n")
	}
	if s.Prefixes.Len() > 0 {
		io.WriteString(w, "\t\telements = { ")
		writeElements(w, s.Prefixes)
		io.WriteString(w, " }\n")
	}
}

// newLine is how nft breaks the list of elements.
const newLine = ",\n\t\t\t     "

// writeElements writes the elements of a set as nft lists them: two of IPv4, or one of IPv6, on a line.
func writeElements(w io.Writer, prefixes ir.Prefixes) {
	var line []byte
	i := 0
	for p := range prefixes.All4() {
		line = line[:0]
		switch {
		case i == 0:
		case i%2 == 0:
			line = append(line, newLine...)
		default:
			line = append(line, ", "...)
		}
		line = appendPrefix(line, p.Prefix())
		w.Write(line)
		i++
	}
	for p := range prefixes.All6() {
		line = line[:0]
		if i > 0 {
			line = append(line, newLine...)
		}
		line = appendPrefix(line, p.Prefix())
		w.Write(line)
		i++
	}
}

// appendPrefix appends a prefix; a single address has no length.
func appendPrefix(b []byte, p netip.Prefix) []byte {
	b = appendAddress(b, p.Addr())
	if !p.IsSingleIP() {
		b = fmt.Appendf(b, "/%d", p.Bits())
	}
	return b
}

// appendAddress appends an address as inet_ntop of the C library prints it: an IPv6 address that ends
// in 32 bits after 96 zero bits has them in decimal, unless the first 16 of them are zero, too.
func appendAddress(b []byte, a netip.Addr) []byte {
	if !a.Is6() || a.Is4In6() {
		return a.AppendTo(b)
	}
	bytes := a.As16()
	for _, x := range bytes[:12] {
		if x != 0 {
			return a.AppendTo(b)
		}
	}
	if bytes[12] == 0 && bytes[13] == 0 {
		return a.AppendTo(b)
	}
	return netip.AddrFrom4([4]byte(bytes[12:])).AppendTo(append(b, "::"...))
}

// duration returns a time in whole seconds as nft prints it.
func duration(d time.Duration) string {
	seconds := int(d / time.Second)
	var b strings.Builder
	for _, unit := range []struct {
		seconds int
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}} {
		if n := seconds / unit.seconds; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			seconds -= n * unit.seconds
		}
	}
	return b.String()
}

func writeChain(b *bytes.Buffer, c *Chain) {
	fmt.Fprintf(b, "\tchain %s {\n", c.Name)
	if c.Base {
		fmt.Fprintf(b, "\t\ttype filter hook %s priority filter - %d; policy accept;\n", c.Name, -ir.NFTPriority)
	}
	for _, r := range c.Rules {
		fmt.Fprintf(b, "\t\t%s\n", Spec(r))
	}
	b.WriteString("\t}\n")
}

// Spec returns the text of a rule as nft prints it.
func Spec(r *Rule) string {
	var words []string
	for _, m := range r.Matches {
		words = append(words, match(m))
	}
	words = append(words, verdict(r.Verdict), "comment "+quote(r.ID.Comment()))
	return strings.Join(words, " ")
}

// match returns the text of one match.
func match(m Match) string {
	switch m := m.(type) {
	case Interface:
		var names []string
		for _, name := range m.Names {
			names = append(names, quote(name))
		}
		return end(m.Dir, "iifname ", "oifname ") + list(names)
	case State:
		return "ct state " + strings.Join(states(m.States), ",")
	case Translated:
		return "ct status dnat"
	case CTDirection:
		if m.Dir == ir.CTReply {
			return "ct direction reply"
		}
		return "ct direction original"
	case Protocol:
		var names []string
		for _, n := range m.Numbers {
			names = append(names, protocol(n))
		}
		return "meta l4proto " + list(names)
	case Ports:
		header := "th"
		if m.Protocol != 0 {
			header = protocol(m.Protocol)
		}
		var ranges []string
		for _, r := range m.Ranges {
			ranges = append(ranges, ports(r))
		}
		return header + end(m.Dir, " sport ", " dport ") + list(ranges)
	case ICMP:
		return icmp(m)
	case Family:
		return "meta nfproto " + not(m.Not) + m.Family.String()
	case OriginalAddress:
		var addresses []string
		for _, a := range m.Addresses {
			addresses = append(addresses, string(appendAddress(nil, a)))
		}
		return "ct original " + header(ir.FamilyOf(m.Addresses[0])) + " daddr " + list(addresses)
	case OriginalPort:
		return "ct original proto-dst " + ports(m.Range)
	case Address:
		var ranges []string
		for _, r := range m.Ranges {
			ranges = append(ranges, addresses(r))
		}
		return header(ir.FamilyOf(m.Ranges[0].From())) + end(m.Dir, " saddr ", " daddr ") + not(m.Not) + list(ranges)
	case SetMatch:
		return header(m.Family) + end(m.Dir, " saddr ", " daddr ") + not(m.Not) + "@" + m.Set
	case Time:
		// The number of seconds has the same meaning in every time zone. A date would not.
		return fmt.Sprintf("meta time < %d", m.Until.Unix())
	case Limit:
		return rate(m.Rate, m.Over)
	case SourceLimit:
		return fmt.Sprintf("update @%s { %s saddr %s }", m.Set, header(m.Family), rate(m.Rate, m.Over))
	case SourceConnections:
		source := header(m.Family) + " saddr"
		if bits := addressBits(m.Family); m.PrefixLength < bits {
			source += " & " + mask(m.PrefixLength, bits)
		}
		return fmt.Sprintf("add @%s { %s ct count %s%d }", m.Set, source, over(m.Over), m.Max)
	}
	panic(fmt.Sprintf("nftables: no text for match %T", m))
}

// verdict returns the text of a verdict.
func verdict(v Verdict) string {
	switch v := v.(type) {
	case Accept:
		return "accept"
	case Return:
		return "return"
	case Drop:
		return "drop"
	case Reject:
		if v.TCPReset {
			return "reject with tcp reset"
		}
		return "reject with icmpx admin-prohibited"
	case Jump:
		return "jump " + v.Chain
	case Log:
		text := "log prefix " + quote(v.Prefix)
		if v.Level != defaultLogLevel {
			text += " level " + logLevels[v.Level]
		}
		return text
	case NFLog:
		return fmt.Sprintf("log prefix %s group %d", quote(v.Prefix), v.Group)
	}
	panic(fmt.Sprintf("nftables: no text for verdict %T", v))
}

// defaultLogLevel is warn, the level that nft omits.
const defaultLogLevel = 4

var logLevels = [...]string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"}

// list returns one value as it is, and several as an anonymous set.
func list(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "{ " + strings.Join(values, ", ") + " }"
}

func end(d Direction, source, destination string) string {
	if d == Dst {
		return destination
	}
	return source
}

func header(f ir.Family) string {
	if f == ir.IPv6 {
		return "ip6"
	}
	return "ip"
}

func not(n bool) string {
	if n {
		return "!= "
	}
	return ""
}

func over(o bool) string {
	if o {
		return "over "
	}
	return ""
}

// states returns the names of states in the order of nft.
func states(s ir.CTState) []string {
	var out []string
	for _, one := range []struct {
		state ir.CTState
		name  string
	}{{ir.CTInvalid, "invalid"}, {ir.CTEstablished, "established"}, {ir.CTRelated, "related"}, {ir.CTNew, "new"}, {ir.CTUntracked, "untracked"}} {
		if s&one.state != 0 {
			out = append(out, one.name)
		}
	}
	return out
}

func ports(p ir.PortRange) string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

func addresses(r netipx.IPRange) string {
	if p, ok := r.Prefix(); ok {
		return string(appendPrefix(nil, p))
	}
	return string(appendAddress(append(appendAddress(nil, r.From()), '-'), r.To()))
}

func addressBits(f ir.Family) int {
	if f == ir.IPv6 {
		return 128
	}
	return 32
}

// mask returns a netmask as an address.
func mask(length, bits int) string {
	var b [16]byte
	for i := range length {
		b[i/8] |= 1 << (7 - i%8)
	}
	a := netip.AddrFrom16(b)
	if bits == 32 {
		a = netip.AddrFrom4([4]byte(b[:4]))
	}
	return string(appendAddress(nil, a))
}

func rate(r Rate, above bool) string {
	unit := map[int]string{1: "second", 60: "minute", 3600: "hour", 86400: "day"}[r.Seconds]
	return fmt.Sprintf("limit rate %s%d/%s burst %d packets", over(above), r.Count, unit, r.Burst)
}

// protocol returns what nft prints for a protocol: for those that it knows itself, and for two that every /etc/protocols
// has, the name. Other names depend on the host that loads the file.
func protocol(n uint8) string {
	switch n {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 33:
		return "dccp"
	case 47:
		return "gre"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case 58:
		return "ipv6-icmp"
	case 132:
		return "sctp"
	case 136:
		return "udplite"
	}
	return fmt.Sprint(n)
}

func icmp(m ICMP) string {
	name, known := "icmp", icmpTypes
	if m.Family == ir.IPv6 {
		name, known = "icmpv6", icmpv6Types
	}
	var types []string
	for _, t := range m.Types {
		text, ok := known[t]
		if !ok {
			text = fmt.Sprint(t)
		}
		types = append(types, text)
	}
	text := name + " type " + list(types)
	if m.Code >= 0 {
		// nft 1.0.6 prints names of codes, later releases print numbers.
		text += fmt.Sprintf(" %s code %d", name, m.Code)
	}
	return text
}

// The names that nft prints for types of ICMP and ICMPv6.
var (
	icmpTypes = map[uint8]string{
		0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request",
		9: "router-advertisement", 10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem",
		13: "timestamp-request", 14: "timestamp-reply", 15: "info-request", 16: "info-reply",
		17: "address-mask-request", 18: "address-mask-reply",
	}
	icmpv6Types = map[uint8]string{
		1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem",
		128: "echo-request", 129: "echo-reply", 130: "mld-listener-query", 131: "mld-listener-report",
		132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert",
		135: "nd-neighbor-solicit", 136: "nd-neighbor-advert", 137: "nd-redirect", 138: "router-renumbering",
		141: "ind-neighbor-solicit", 142: "ind-neighbor-advert", 143: "mld2-listener-report",
	}
)

// quote returns a string in quotes. Nothing needs an escape: the parser rejects quotes, backslashes and
// control characters in every string that is printed here.
func quote(s string) string {
	for _, c := range []byte(s) {
		if c == '"' || c == '\\' || c < ' ' || c >= 0x7f {
			panic(fmt.Sprintf("nftables: %q cannot be written to a file of nft", s))
		}
	}
	return `"` + s + `"`
}
