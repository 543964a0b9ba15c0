package packet

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// icmpOption reads the only option of icmp and icmp6. ok is false for names that
// are not known here.
func icmpOption(m *iptables.Match, f ir.Family) ([]Cond, bool) {
	if len(m.Options) == 0 {
		return nil, false
	}
	var out []Cond
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

// icmpNumber asks the dump package, which knows the names of types, for the number.
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

var stateWords = map[string]ir.CTState{
	"INVALID": ir.CTInvalid, "NEW": ir.CTNew, "RELATED": ir.CTRelated, "ESTABLISHED": ir.CTEstablished,
	"UNTRACKED": ir.CTUntracked, "SNAT": ir.CTSNAT, "DNAT": ir.CTDNAT,
}

// conntrackOptions reads conntrack and state, whose options belong together: see
// conntrackRest.
func conntrackOptions(m *iptables.Match, f ir.Family) []Cond {
	var state Cond
	var rest All
	for _, o := range m.Options {
		switch o.Name {
		case "--ctstate", "--state":
			var states ir.CTState
			for name := range strings.SplitSeq(o.Value(), ",") {
				s, ok := stateWords[strings.ToUpper(name)]
				if !ok {
					return []Cond{Opaque{Text: words(append([]string{m.Name}, optionWords(m.Options)...)...)}}
				}
				states |= s
			}
			state = inverted(State{states}, o)
		case "--ctorigdst":
			if set := addresses(o.Value(), f); set != nil {
				rest = append(rest, inverted(Addr{OriginalDestination, set}, o))
				continue
			}
			rest = append(rest, opaqueOption(m.Name, o))
		case "--ctorigdstport":
			if r, ok := portRange(o.Value()); ok {
				rest = append(rest, inverted(Port{OriginalDestination, []ir.PortRange{r}}, o))
				continue
			}
			rest = append(rest, opaqueOption(m.Name, o))
		case "--ctdir":
			d := ir.CTOriginal
			if strings.EqualFold(o.Value(), "REPLY") {
				d = ir.CTReply
			}
			// A ! before REPLY is ORIGINAL; packets without a connection have neither.
			rest = append(rest, inverted(Dir{d}, o))
		default:
			rest = append(rest, opaqueOption(m.Name, o))
		}
	}
	return conntrackRest(state, rest)
}

// setOption reads a match against a set. What depends on the counters of its entries
// does not follow from the packet: that the set holds it is not enough then.
func setOption(m *iptables.Match, sets *IPSets) ([]Cond, bool) {
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
			// They change what later packets find, not what this one does.
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
	var ends []End
	for flag := range strings.SplitSeq(match.Values[1], ",") {
		switch flag {
		case "src":
			ends = append(ends, Source)
		case "dst":
			ends = append(ends, Destination)
		default:
			return nil, false
		}
	}
	name := match.Values[0]
	c := sets.Match(name, ends, noMatch)
	if len(counters) > 0 {
		c = All{c, Opaque{Text: "counters of the entry in set " + name + ": " + words(counters...), Stateful: true}}
	}
	return []Cond{inverted(c, *match)}, true
}

func rangeOption(o iptables.Option) Cond {
	end, known := Source, o.Name == "--src-range" || o.Name == "--dst-range"
	if o.Name == "--dst-range" {
		end = Destination
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
	return inverted(Addr{end, addrRange(a, b)}, o)
}

// addrRange is the set of the addresses from a to b, of one family.
func addrRange(a, b netip.Addr) *AddrSet {
	set := &AddrSet{}
	if a.Is4() {
		set.v4 = []span{{number4(a), number4(b)}}
	} else {
		set.v6 = []span6{{number6(a), number6(b)}}
	}
	set.finish()
	return set
}

// Texts of the opaque conditions a rule has, in order.
func (r *Rule) Opaque() []string {
	var out []string
	var walk func(c Cond)
	walk = func(c Cond) {
		switch c := c.(type) {
		case Opaque:
			if !slices.Contains(out, c.Text) {
				out = append(out, c.Text)
			}
		case Mark:
			if !slices.Contains(out, c.String()) {
				out = append(out, c.String())
			}
		case InSet:
			walk(c.C)
		case Not:
			walk(c.C)
		case All:
			for _, x := range c {
				walk(x)
			}
		case Any:
			for _, x := range c {
				walk(x)
			}
		}
	}
	for _, c := range r.Matches {
		walk(c)
	}
	return out
}
