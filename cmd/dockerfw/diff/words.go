package diff

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// How many addresses and port ranges a line of text names, and how many rules; all
// of them where nothing is to be left out.
const (
	shownPrefixes = 4
	shownPorts    = 12
	shownRules    = 4
)

// verdictText is a verdict as people say it.
func (p Path) verdictText(v packet.Verdict) string {
	switch v.Kind {
	case packet.Docker:
		if p == Guarded {
			return "left to the host's own rules"
		}
		return "left to Docker's rules"
	case packet.Accept:
		return "accept"
	case packet.Drop:
		return "drop"
	}
	return v.String()
}

// verdicts joins verdicts.
func (p Path) verdicts(all []packet.Verdict) string {
	var words []string
	for _, v := range all {
		words = append(words, p.verdictText(v))
	}
	return strings.Join(words, ", ")
}

// ruleTexts names rules; without full, the first few.
func ruleTexts(rules []Rule, full bool, text func(Rule) string) []string {
	var words []string
	for i, r := range rules {
		if i == shownRules && len(rules) > shownRules+1 && !full {
			return append(words, fmt.Sprintf("and %d more", len(rules)-i))
		}
		words = append(words, text(r))
	}
	return words
}

// families is the families of a change; "" for both.
func (c *Change) families() string {
	if len(c.Families) == 2 {
		return ""
	}
	return snapshot.FamilyText(c.Families[0])
}

// lines writes regions, and says into how many places the longest line goes. It
// keeps the parts of the lines.
func (c *Change) lines(regions []packet.Region) (text []string, longest int) {
	type line struct {
		who string
		to  []string
	}
	var out []*line
	for _, r := range regions {
		who, to := c.whoText(r), c.toText(r)
		i := slices.IndexFunc(out, func(l *line) bool { return l.who == who })
		if i < 0 {
			out = append(out, &line{who, []string{to}})
		} else if !slices.Contains(out[i].to, to) {
			out[i].to = append(out[i].to, to)
		}
	}
	c.who, c.to = nil, nil
	for _, l := range out {
		c.who = append(c.who, l.who)
		for _, to := range l.to {
			if !slices.Contains(c.to, to) {
				c.to = append(c.to, to)
			}
		}
		text = append(text, together(l.who, strings.Join(l.to, "; ")))
		longest = max(longest, len(l.to))
	}
	return text, longest
}

// whoText says where packets come from.
func (c *Change) whoText(r packet.Region) string {
	text := "everyone"
	if r.Source != nil {
		text = addressesText(r.Source)
		if r.Source.Not {
			text = "everyone except " + text
		}
	}
	if r.In != nil {
		text += ", arriving on " + interfacesText(r.In)
	}
	if len(r.SourcePorts) > 0 {
		text += ", from " + c.portsText("source ", r.SourcePorts)
	}
	return text
}

// together joins who and to what; what was set off by commas ends with one.
func together(who, to string) string {
	if strings.Contains(who, ", arriving") || strings.Contains(who, ", from") {
		who += ","
	}
	return who + " to " + to
}

// toText says where packets go, and what else they have to be.
func (c *Change) toText(r packet.Region) string {
	var words []string
	protocols := protocolsText(r.Protocols)
	ports := func(what string, ranges []ir.PortRange) string {
		text := c.portsText(what, ranges)
		if protocols != "" && len(r.Protocols) == 1 {
			text += "/" + protocols
			protocols = ""
		}
		return text
	}
	whole := true // nothing has been named yet that words may describe
	name := func(text string) { words, whole = append(words, text), false }
	switch published := r.DNAT != nil && *r.DNAT; {
	case c.Path == Guarded && len(r.DestinationPorts)+len(r.OriginalPorts) > 0:
		name("docker-proxy on " + ports("", slices.Concat(r.DestinationPorts, r.OriginalPorts)))
	case len(r.OriginalPorts) > 0:
		name(ports("published ", r.OriginalPorts))
		if len(r.DestinationPorts) > 0 {
			words = append(words, "at "+c.portsText("container ", r.DestinationPorts))
		}
	case published && len(r.DestinationPorts) > 0:
		name("published ports at " + ports("container ", r.DestinationPorts))
	case published:
		name("any published port")
	case len(r.DestinationPorts) > 0:
		name(ports("container ", r.DestinationPorts))
	}
	if r.DNAT != nil && !*r.DNAT && c.Path == Forwarded {
		name("container addresses directly")
	}
	if whole {
		words = append(words, "anything")
	}
	if r.OriginalDestination != nil {
		words = append(words, "published on "+notText(r.OriginalDestination))
	}
	if r.Destination != nil {
		words = append(words, "at "+notText(r.Destination))
	}
	if len(r.ICMP) > 0 {
		words = append(words, icmpText(r.ICMP))
	}
	if protocols != "" && len(r.ICMP) == 0 {
		words = append(words, "over "+protocols)
	}
	if r.Out != nil {
		words = append(words, "leaving on "+interfacesText(r.Out))
	}
	if s := statesText(r.States); s != "" {
		words = append(words, s)
	}
	for _, cond := range r.Conditions {
		if cond.Holds {
			words = append(words, "while "+cond.Name)
		} else {
			words = append(words, "unless "+cond.Name)
		}
	}
	if whole && len(words) > 1 && !strings.HasPrefix(words[1], "ICMP") && !strings.HasPrefix(words[1], "only ") && !strings.HasPrefix(words[1], "while ") && !strings.HasPrefix(words[1], "unless ") {
		// What follows narrows it down: "anything at 10.0.0.1".
		words = append([]string{words[0] + " " + words[1]}, words[2:]...)
	}
	return strings.Join(words, ", ")
}

// statesText says of which connections packets are, unless new ones are among
// them: those are what a policy is about.
func statesText(states []packet.ConnState) string {
	both := func(s packet.ConnState) bool {
		return slices.Contains(states, packet.ConnState{State: s.State, Dir: ir.CTOriginal}) &&
			slices.Contains(states, packet.ConnState{State: s.State, Dir: ir.CTReply})
	}
	var names []string
	for _, s := range states {
		if s.State == ir.CTNew {
			return ""
		}
		name := map[ir.CTState]string{
			ir.CTInvalid: "invalid", ir.CTRelated: "related", ir.CTEstablished: "established", ir.CTUntracked: "untracked",
		}[s.State]
		switch {
		case both(s):
		case s.Dir == ir.CTReply:
			name += " (replies)"
		case s.Dir == ir.CTOriginal:
			name += " (from the client)"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "only " + strings.Join(names, ", ") + " packets"
}

func notText(a *packet.Addresses) string {
	if a.Not {
		return "any address except " + addressesText(a)
	}
	return addressesText(a)
}

// addressesText names sets, or the first prefixes.
func addressesText(a *packet.Addresses) string {
	if len(a.Sets) > 0 {
		return strings.Join(a.Sets, ", ")
	}
	prefixes, total := a.Prefixes(shownPrefixes)
	return prefixesText(prefixes, total)
}

func prefixesText(shown []netip.Prefix, total int) string {
	var words []string
	for _, p := range shown {
		words = append(words, prefixText(p))
	}
	text := strings.Join(words, ", ")
	if total > len(shown) {
		text += fmt.Sprintf(" and %d more", total-len(shown))
	}
	return text
}

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func interfacesText(i *packet.Interfaces) string {
	names := strings.Join(i.Names, ", ")
	if len(i.Except) == 0 {
		return names
	}
	if len(i.Names) == 0 || len(i.Names) == 1 && i.Names[0] == "+" {
		return "any interface except " + strings.Join(i.Except, ", ")
	}
	return names + " except " + strings.Join(i.Except, ", ")
}

// portsText writes ranges after a word for what has them; where they are all but a
// few, those few.
func (c *Change) portsText(what string, ranges []ir.PortRange) string {
	if n := len(ranges); ranges[0].First <= 1 && ranges[n-1].Last == 65535 {
		var but []ir.PortRange
		for i := 1; i < n; i++ {
			but = append(but, ir.PortRange{First: ranges[i-1].Last + 1, Last: ranges[i].First - 1})
		}
		if len(but) == 0 {
			return "any " + what + "port"
		}
		return "any " + what + "port except " + c.rangesText(but)
	}
	word := "port "
	if len(ranges) > 1 || ranges[0].First != ranges[0].Last {
		word = "ports "
	}
	return what + word + c.rangesText(ranges)
}

func (c *Change) rangesText(ranges []ir.PortRange) string {
	var words []string
	for i, r := range ranges {
		if i == shownPorts && len(ranges) > shownPorts+1 && !c.full {
			return fmt.Sprintf("%s and %d more", strings.Join(words, ", "), len(ranges)-i)
		}
		w := strconv.Itoa(int(r.First))
		if r.Last != r.First {
			w += "-" + strconv.Itoa(int(r.Last))
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

func protocolsText(ranges []packet.ProtoRange) string {
	names := func(ranges []packet.ProtoRange) string {
		var words []string
		for _, r := range ranges {
			switch {
			case r.First == r.Last:
				words = append(words, protocolText(r.First))
			default:
				words = append(words, fmt.Sprintf("protocols %d-%d", r.First, r.Last))
			}
		}
		return strings.Join(words, ", ")
	}
	if n := len(ranges); n > 0 && ranges[0].First == 0 && ranges[n-1].Last == 255 {
		var but []packet.ProtoRange
		for i := 1; i < n; i++ {
			but = append(but, packet.ProtoRange{First: ranges[i-1].Last + 1, Last: ranges[i].First - 1})
		}
		return "any protocol except " + names(but)
	}
	return names(ranges)
}

func protocolText(n uint8) string {
	switch n {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 58:
		return "icmpv6"
	case 132:
		return "sctp"
	}
	return "protocol " + strconv.Itoa(int(n))
}

func icmpText(types []packet.ICMPType) string {
	var words []string
	for _, t := range types {
		words = append(words, t.String())
	}
	return strings.Join(words, ", ")
}

func (r Rule) place() string { return snapshot.PlaceText(r.Place) }

func (r Rule) String() string {
	if end, ok := strings.CutPrefix(r.Name, noRule); ok {
		return "none" + strings.Replace(end, "(the end", "(end", 1)
	}
	if p := r.place(); p != "" {
		return r.Name + " (" + p + ")"
	}
	return r.Name
}
