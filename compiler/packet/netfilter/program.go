package netfilter

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Program returns the program that begins in a chain of a table as iptables-save prints it.
// Packets that return from a built-in chain get its policy. Sets that are not in sets are
// opaque conditions. Tables beside it are not part of the program, but their rules may
// count in its limits.
func Program(t *iptables.Table, f ir.Family, start string, sets *Sets, beside ...*iptables.Table) *packet.Program {
	return program(t, f, start, sets, func(r *iptables.Rule) string { return r.Canonical(iptables.Family(f)) }, beside...)
}

// ProgramWithoutText is Program without the texts of rules, for a caller that has others.
func ProgramWithoutText(t *iptables.Table, f ir.Family, start string, sets *Sets, beside ...*iptables.Table) *packet.Program {
	return program(t, f, start, sets, func(*iptables.Rule) string { return "" }, beside...)
}

func program(t *iptables.Table, f ir.Family, start string, sets *Sets, text func(*iptables.Rule) string, beside ...*iptables.Table) *packet.Program {
	p := &packet.Program{Family: f}
	counting := hashTables(append(beside[:len(beside):len(beside)], t)...)
	add := func(c *iptables.Chain) {
		chain := &packet.Chain{Name: c.Name}
		for i, r := range c.Rules {
			rule := rule(t, r, f, sets, counting)
			rule.Text, rule.At = text(r), packet.Origin{Table: t.Name, Chain: c.Name, Rule: i}
			chain.Rules = append(chain.Rules, rule)
		}
		p.Chains = append(p.Chains, chain)
	}
	if c := t.Chain(start); c != nil {
		switch c.Policy {
		case "ACCEPT":
			p.Default = packet.Verdict{Kind: packet.Accept}
		case "DROP":
			p.Default = packet.Verdict{Kind: packet.Drop}
		}
		add(c)
	}
	for _, c := range t.Chains {
		if c.Name != start {
			add(c)
		}
	}
	return p
}

// continuing are targets after which the next rule follows.
var continuing = []string{
	"", "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "SET", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "TCPMSS",
	"TCPOPTSTRIP", "ECN", "AUDIT", "CHECKSUM", "CT", "NOTRACK", "SECMARK", "CONNSECMARK", "IDLETIMER", "LED", "RATEEST", "TEE", "HMARK",
}

// rule returns a rule for family f. counting is the number of rules that count in each
// hashlimit table.
func rule(t *iptables.Table, r *iptables.Rule, f ir.Family, sets *Sets, counting map[string]int) *packet.Rule {
	out := &packet.Rule{Actions: actionsOf(r)}
	for _, o := range r.Base {
		out.Matches = append(out.Matches, baseCond(o, f))
	}
	for i := range r.Matches {
		m := &r.Matches[i]
		switch m.Name {
		case "hashlimit", "connlimit", "quota":
			out.Matches = append(out.Matches, limitCond(m, func(table string) bool { return counting[table] > 1 }))
		default:
			out.Matches = append(out.Matches, matchConds(m, f, sets)...)
		}
	}
	switch {
	case r.Goto:
		out.Verdict = packet.Verdict{Kind: packet.Goto, Chain: r.Jump}
	case t.Chain(r.Jump) != nil:
		out.Verdict = packet.Verdict{Kind: packet.Jump, Chain: r.Jump}
	case r.Jump == "ACCEPT":
		out.Verdict = packet.Verdict{Kind: packet.Accept}
	case r.Jump == "DROP":
		out.Verdict = packet.Verdict{Kind: packet.Drop}
	case r.Jump == "RETURN":
		out.Verdict = packet.Verdict{Kind: packet.Return}
	case r.Jump == "REJECT":
		out.Verdict = packet.Verdict{Kind: packet.Reject, With: rejectWith(r, f)}
	case slices.Contains(continuing, r.Jump):
		out.Verdict = packet.Verdict{Kind: packet.Continue}
	default:
		out.Verdict = packet.Verdict{Kind: packet.Other, With: words(append([]string{r.Jump}, optionWords(r.Target)...)...)}
	}
	return out
}

// rejectWith returns the kind of answer, or what the kernel takes where none is written.
func rejectWith(r *iptables.Rule, f ir.Family) string {
	_, after, found := strings.Cut(r.Canonical(iptables.Family(f)), "--reject-with ")
	switch {
	case found:
		return strings.Fields(after)[0]
	case f == ir.IPv6:
		return "icmp6-port-unreachable"
	}
	return "icmp-port-unreachable"
}

func optionWords(os []iptables.Option) []string {
	var out []string
	for _, o := range os {
		if o.Not {
			out = append(out, "!")
		}
		out = append(append(out, o.Name), o.Values...)
	}
	return out
}

// inverted returns c, negated if the option has a !.
func inverted(c packet.Cond, o iptables.Option) packet.Cond {
	if o.Not {
		return packet.Not{C: c}
	}
	return c
}

// opaqueOption returns the condition of an option that is not supported: its own text.
func opaqueOption(match string, o iptables.Option) packet.Cond {
	return inverted(packet.Opaque{Text: words(append([]string{match, o.Name}, o.Values...)...)}, o)
}

func baseCond(o iptables.Option, f ir.Family) packet.Cond {
	end := packet.Source
	if o.Name == "-d" || o.Name == "-o" {
		end = packet.Destination
	}
	switch o.Name {
	case "-s", "-d":
		if set := addresses(o.Value(), f); set != nil {
			return inverted(packet.Addr{End: end, In: set}, o)
		}
	case "-i", "-o":
		return inverted(packet.Interface{End: end, Name: o.Value()}, o)
	case "-p":
		if n, ok := iptables.ProtocolNumber(o.Value()); ok && n != 0 {
			return inverted(packet.Proto{Numbers: []uint8{n}}, o)
		} else if ok {
			return inverted(packet.All{}, o)
		}
	}
	return opaqueOption("", o)
}

// addresses reads the list of addresses of -s and -d; nil if there is a host name.
func addresses(text string, f ir.Family) *packet.AddrSet {
	var ps []netip.Prefix
	for one := range strings.SplitSeq(text, ",") {
		p, ok := iptables.ParseAddress(iptables.Family(f), one)
		if !ok {
			return nil
		}
		ps = append(ps, p)
	}
	return packet.NewAddrSet("", ps)
}

// stateful are matches that depend on earlier packets.
var stateful = []string{
	"limit", "recent", "quota2", "statistic", "connbytes", "nfacct", "rateest", "nth", "random", "condition",
}

func matchConds(m *iptables.Match, f ir.Family, sets *Sets) []packet.Cond {
	var out []packet.Cond
	ok := true
	switch m.Name {
	case "comment":
		return nil
	case "tcp", "udp", "sctp":
		n, _ := iptables.ProtocolNumber(m.Name)
		out = append(out, packet.Proto{Numbers: []uint8{n}})
		for _, o := range m.Options {
			out = append(out, portOption(m.Name, o))
		}
	case "multiport":
		out = append(out, packet.Proto{Numbers: []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, packet.ProtoDCCP, packet.ProtoUDPLite}})
		for _, o := range m.Options {
			out = append(out, portOption(m.Name, o))
		}
	case "icmp", "icmp6":
		out, ok = icmpOption(m, f)
	case "conntrack", "state":
		out = conntrackOptions(m, f)
	case "set":
		out, ok = setOption(m, sets)
	case "mark", "connmark":
		out, ok = markOption(m)
	case "time":
		out, ok = timeOption(m)
	case "iprange":
		for _, o := range m.Options {
			out = append(out, rangeOption(o))
		}
	default:
		ok = false
	}
	if ok {
		return out
	}
	// Options of a match may mean together what none of them means alone.
	return []packet.Cond{packet.Opaque{
		Text:     words(append([]string{m.Name}, optionWords(m.Options)...)...),
		Stateful: slices.Contains(stateful, m.Name),
	}}
}

// portOption reads ports: one range with a colon for tcp, udp and sctp, a list for
// multiport.
func portOption(match string, o iptables.Option) packet.Cond {
	var ranges []ir.PortRange
	for one := range strings.SplitSeq(o.Value(), ",") {
		r, ok := portRange(one)
		if !ok {
			return opaqueOption(match, o)
		}
		ranges = append(ranges, r)
	}
	switch o.Name {
	case "--sport", "--sports":
		return inverted(packet.Port{End: packet.Source, Ranges: ranges}, o)
	case "--dport", "--dports":
		return inverted(packet.Port{End: packet.Destination, Ranges: ranges}, o)
	case "--ports":
		return inverted(packet.Any{packet.Port{End: packet.Source, Ranges: ranges}, packet.Port{End: packet.Destination, Ranges: ranges}}, o)
	}
	return opaqueOption(match, o)
}

// portRange reads 80, 80:90, :90 and 80:. A range that ends before it begins is empty.
func portRange(text string) (ir.PortRange, bool) {
	from, to, isRange := strings.Cut(text, ":")
	if isRange && from == "" {
		from = "0"
	}
	if isRange && to == "" {
		to = "65535"
	}
	a, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return ir.PortRange{}, false
	}
	b := a
	if isRange {
		if b, err = strconv.ParseUint(to, 10, 16); err != nil {
			return ir.PortRange{}, false
		}
	}
	return ir.PortRange{First: uint16(a), Last: uint16(b)}, true
}

// words joins the words that are not empty.
func words(ws ...string) string {
	out := ws[:0:0]
	for _, w := range ws {
		if w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}
