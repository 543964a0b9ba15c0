package netfilter

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// icmpOption reads the only option of icmp and icmp6. ok is false for names of types that
// are not known.
func icmpOption(m *iptables.Match, f ir.Family) ([]packet.Cond, bool) {
	if len(m.Options) == 0 {
		return nil, false
	}
	var out []packet.Cond
	for _, o := range m.Options {
		typ, code, hasCode := strings.Cut(icmpNumber(o.Value(), f), "/")
		t, err := strconv.ParseUint(typ, 10, 8)
		if err != nil {
			return nil, false
		}
		c := -1
		if hasCode {
			n, err := strconv.ParseUint(code, 10, 8)
			if err != nil {
				return nil, false
			}
			c = int(n)
		}
		out = append(out, inverted(icmpCond(f, uint8(t), c), o))
	}
	return out, true
}

// icmpNumber returns the number of an ICMP type. Package iptables knows the names of types.
func icmpNumber(text string, f ir.Family) string {
	if text == "any" && f == ir.IPv4 {
		return "255"
	}
	line := "-A X -p icmp -m icmp --icmp-type " + text
	if f == ir.IPv6 {
		line = "-A X -p ipv6-icmp -m icmp6 --icmpv6-type " + text
	}
	file, diags := iptables.ParseRules(strings.NewReader("*filter\n"+line+"\nCOMMIT\n"), "")
	if diags.HasErrors() || len(file.Blocks) != 1 || len(file.Blocks[0].Commands) != 1 {
		return text
	}
	fields := strings.Fields(file.Blocks[0].Commands[0].Rule.Canonical(iptables.Family(f)))
	return fields[len(fields)-1]
}

// conntrackOptions reads conntrack and state, whose options belong together: see
// conntrackRest.
func conntrackOptions(m *iptables.Match, f ir.Family) []packet.Cond {
	var state packet.Cond
	var rest packet.All
	for _, o := range m.Options {
		switch o.Name {
		case "--ctstate", "--state":
			var states ir.CTState
			for name := range strings.SplitSeq(o.Value(), ",") {
				s, ok := packet.ParseState(strings.ToUpper(name))
				if !ok {
					return []packet.Cond{packet.Opaque{Text: words(append([]string{m.Name}, optionWords(m.Options)...)...)}}
				}
				states |= s
			}
			state = inverted(packet.State{States: states}, o)
		case "--ctorigdst":
			if set := addresses(o.Value(), f); set != nil {
				rest = append(rest, inverted(packet.Addr{End: packet.OriginalDestination, In: set}, o))
				continue
			}
			rest = append(rest, opaqueOption(m.Name, o))
		case "--ctorigdstport":
			if r, ok := portRange(o.Value()); ok {
				rest = append(rest, inverted(packet.Port{End: packet.OriginalDestination, Ranges: []ir.PortRange{r}}, o))
				continue
			}
			rest = append(rest, opaqueOption(m.Name, o))
		case "--ctdir":
			d := ir.CTOriginal
			if strings.EqualFold(o.Value(), "REPLY") {
				d = ir.CTReply
			}
			// ! REPLY is ORIGINAL: a packet that is not tracked has neither direction.
			rest = append(rest, inverted(packet.Dir{Dir: d}, o))
		default:
			rest = append(rest, opaqueOption(m.Name, o))
		}
	}
	return conntrackRest(state, rest)
}

// setOption reads a match against a set. A condition on the counters of an entry does not
// follow from the packet: then it is not enough that the set has the entry.
func setOption(m *iptables.Match, sets *Sets) ([]packet.Cond, bool) {
	var match *iptables.Option
	noMatch := false
	var counters []string
	for i, o := range m.Options {
		switch o.Name {
		case "--match-set":
			if match != nil || len(o.Values) != 2 {
				return nil, false
			}
			match = &m.Options[i]
		case "--return-nomatch":
			noMatch = !o.Not
		case "--update-counters", "--update-subcounters":
			// They change what later packets match, not whether this one does.
		default:
			if o.Not {
				counters = append(counters, "!")
			}
			counters = append(append(counters, o.Name), o.Values...)
		}
	}
	if match == nil {
		return nil, false
	}
	var ends []packet.End
	for flag := range strings.SplitSeq(match.Values[1], ",") {
		switch flag {
		case "src":
			ends = append(ends, packet.Source)
		case "dst":
			ends = append(ends, packet.Destination)
		default:
			return nil, false
		}
	}
	name := match.Values[0]
	c := sets.Match(name, ends, noMatch)
	if len(counters) > 0 {
		c = packet.All{c, packet.Opaque{Text: "counters of the entry in set " + name + ": " + words(counters...), Stateful: true}}
	}
	return []packet.Cond{inverted(c, *match)}, true
}

// timeOption reads a match that only has a last second, in UTC, as iptables-save prints it. The
// kernel matches during that second, too (docs/contributing/netfilter.md, "The last second of
// a rule").
func timeOption(m *iptables.Match) ([]packet.Cond, bool) {
	if len(m.Options) != 1 || m.Options[0].Name != "--datestop" || m.Options[0].Not {
		return nil, false
	}
	last, err := time.Parse("2006-01-02T15:04:05", m.Options[0].Value())
	if err != nil {
		return nil, false
	}
	return []packet.Cond{packet.Until{End: last.Unix() + 1}}, true
}

func rangeOption(o iptables.Option) packet.Cond {
	end, known := packet.Source, o.Name == "--src-range" || o.Name == "--dst-range"
	if o.Name == "--dst-range" {
		end = packet.Destination
	}
	from, to, isRange := strings.Cut(o.Value(), "-")
	if !isRange {
		to = from
	}
	a, err1 := netip.ParseAddr(from)
	b, err2 := netip.ParseAddr(to)
	if !known || err1 != nil || err2 != nil || a.BitLen() != b.BitLen() || b.Less(a) {
		return opaqueOption("iprange", o)
	}
	return inverted(packet.Addr{End: end, In: packet.AddrRange(a, b)}, o)
}

// conntrackRest joins the conditions of one conntrack match as xt_conntrack does. A packet
// that is not tracked is matched by its state alone: it matches if the match lists its
// state, whatever else it lists.
func conntrackRest(state packet.Cond, rest packet.All) []packet.Cond {
	switch {
	case state == nil && len(rest) == 0:
		return []packet.Cond{packet.Dir{Dir: ir.CTAny}}
	case state == nil:
		return append([]packet.Cond{packet.Dir{Dir: ir.CTAny}}, rest...)
	case len(rest) == 0:
		return []packet.Cond{state}
	}
	if s, ok := state.(packet.State); ok && s.States&(ir.CTInvalid|ir.CTUntracked) == 0 {
		return append([]packet.Cond{state}, rest...)
	}
	return []packet.Cond{state, packet.Any{packet.State{States: ir.CTInvalid | ir.CTUntracked}, rest}}
}

// icmpCond returns the condition of a type, and of a code unless it is negative. In IPv4
// iptables writes type 255 for any type.
func icmpCond(f ir.Family, typ uint8, code int) packet.Cond {
	c := packet.ICMPType{FirstType: typ, LastType: typ, FirstCode: 0, LastCode: 255}
	if f == ir.IPv4 && typ == 255 {
		c.FirstType = 0
	}
	if code >= 0 {
		c.FirstCode, c.LastCode = uint8(code), uint8(code)
	}
	return c
}
