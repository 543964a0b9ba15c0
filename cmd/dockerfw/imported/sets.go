package imported

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// setNamer gives the sets of the policy their names, and remembers which there are.
type setNamer struct {
	host  *iptables.Sets
	names map[string]string // of the policy, by the name on the host
	// pairs are the IPv6 sets of IPv4 sets, of those with unknown entries.
	pairs map[string]string
	used  []usedSet
}

// usedSet is a set that a block uses.
type usedSet struct {
	name, onHost string
	// members are its addresses; nil if they are not known.
	members *packet.AddrSet
}

// keepsName reports whether a set with unknown entries can have its own name in a policy.
func keepsName(onHost string) bool {
	return goodName.MatchString(onHost) && !slices.ContainsFunc([]string{"-v6", "-new", "-alt"}, func(end string) bool { return strings.HasSuffix(onHost, end) })
}

var goodName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,23}$`)

// longest is how long a name of a set may be in a policy.
const longest = 24

// name is the name in the policy of a set on the host.
func (n *setNamer) name(onHost string, members *packet.AddrSet) string {
	if have, ok := n.names[onHost]; ok {
		return have
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, onHost)
	if set := n.host.Set(onHost); set != nil && set.Family == "inet6" {
		if members == nil {
			name += "-ipv4" // the label is the name of the IPv4 set, which nobody has
		} else {
			name = ipv6Name(name)
		}
	}
	if name == "" || (name[0] < 'A' || name[0] > 'Z') && (name[0] < 'a' || name[0] > 'z') {
		name = "set-" + name
	}
	for _, end := range []string{"-v6", "-new", "-alt"} {
		if stem, ok := strings.CutSuffix(name, end); ok {
			name = stem + "_" + end[1:]
		}
	}
	name = name[:min(len(name), longest)]
	is := func(name string) bool {
		return slices.ContainsFunc(n.used, func(u usedSet) bool { return u.name == name })
	}
	first := name
	for i := 2; is(name) || members != nil && !n.canBeReplaced(name, n.ofAddresses(onHost, members)); i++ {
		name = first
		suffix := fmt.Sprintf("_%d", i)
		name = name[:min(len(name), longest-len(suffix))] + suffix
	}
	n.names[onHost] = name
	n.used = append(n.used, usedSet{name, onHost, members})
	return name
}

// leftOver reports whether a set of the host is one that the policy, once it is loaded, does not use: it
// has its entries under another name.
func (n *setNamer) leftOver(u usedSet) bool {
	loaded := func(other usedSet) bool {
		return other.members != nil && (other.name == u.onHost || other.name+"-v6" == u.onHost)
	}
	return u.members != nil && n.host.Set(u.onHost) != nil && !slices.ContainsFunc(n.used, loaded)
}

// ipv6Name is the name of an IPv6 set in the policy, where a name is that of the IPv4 set.
func ipv6Name(onHost string) string {
	stem, _ := strings.CutSuffix(onHost, "6")
	for _, end := range []string{"v", "ip", "-", "_"} {
		stem = strings.TrimSuffix(stem, end)
	}
	if stem == "" || stem == onHost || stem[len(stem)-1] >= '0' && stem[len(stem)-1] <= '9' {
		stem = onHost
	}
	return stem[:min(len(stem), longest-len("_v6"))] + "_v6"
}

// canBeReplaced reports whether a set of the policy can replace what the host has under its names:
// the type of a set that the hand-made rules use cannot change while they are loaded.
func (n *setNamer) canBeReplaced(name string, ofAddresses bool) bool {
	for end, family := range map[string]string{"": "inet", "-v6": "inet6"} {
		if set := n.host.Set(name + end); set != nil && (set.Family != family || set.Type != typeOf(ofAddresses)) {
			return false
		}
	}
	return true
}

func typeOf(ofAddresses bool) string {
	if ofAddresses {
		return "hash:ip"
	}
	return "hash:net"
}

// ofAddresses reports whether a set lists single addresses, no more than ipset has room for by default.
func (n *setNamer) ofAddresses(onHost string, members *packet.AddrSet) bool {
	const room = 65536
	set := n.host.Set(onHost)
	if set == nil || set.Type != "hash:ip" {
		return false
	}
	count := uint64(0)
	for _, p := range members.Prefixes(0) {
		bits := p.Addr().BitLen() - p.Bits()
		if bits > 16 || p.Contains(netip.IPv4Unspecified()) || p.Contains(netip.IPv6Unspecified()) {
			return false // a policy cannot list these in such a set
		}
		count += 1 << bits
	}
	return count <= room
}

// list is addresses as the elements of a list of the language.
func (n *setNamer) list(all []addresses) []string {
	var out []string
	add := func(text string) {
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, a := range all {
		for _, s := range a.sets {
			if s.Name != "" {
				add("ipset." + n.name(s.Name, s))
				continue
			}
			if s.Equal(everyone[4]) || s.Equal(everyone[6]) {
				add(fmt.Sprintf("%q", map[bool]string{true: "0.0.0.0/0", false: "::/0"}[s.Equal(everyone[4])]))
				continue
			}
			for _, p := range s.Prefixes(0) {
				add(fmt.Sprintf("%q", prefixText(p)))
			}
		}
		for _, name := range a.unknown {
			add("ipset." + n.name(name, nil))
		}
	}
	return out
}

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// inline is how many entries are written into the policy rather than into a file beside it.
const inline = 40

// attributes are those of the block of a set; list is the file for its entries, "" for none.
func (n *setNamer) attributes(u usedSet, files bool) (attributes []string, list string, content []byte) {
	if u.members == nil {
		attributes = append(attributes, "managed = false")
		set := n.host.Set(u.onHost)
		if set == nil {
			if ipv6 := n.pairs[u.onHost]; ipv6 != "" {
				attributes = append(attributes, fmt.Sprintf("ipv6_name = %q", ipv6))
			}
			return attributes, "", nil
		}
		if set.Type == "hash:ip" {
			attributes = append(attributes, "type = \"hash:ip\"")
		}
		for _, name := range []string{"hashsize", "maxelem", "timeout"} {
			if value, ok := set.Option(name); ok && (name != "hashsize" || value != "1024") {
				attributes = append(attributes, name+" = "+value)
			}
		}
		for _, name := range []string{"counters", "comment"} {
			if _, ok := set.Option(name); ok {
				attributes = append(attributes, name+" = true")
			}
		}
		if ipv6 := n.pairs[u.onHost]; ipv6 != "" {
			attributes = append(attributes, fmt.Sprintf("ipv6_name = %q", ipv6))
		} else if set.Family == "inet6" {
			attributes = append(attributes, fmt.Sprintf("ipv6_name = %q", u.onHost))
		}
		return attributes, "", nil
	}
	ofAddresses := n.ofAddresses(u.onHost, u.members)
	if ofAddresses {
		attributes = append(attributes, "type = \"hash:ip\"")
	}
	var lines []string
	for _, p := range u.members.Prefixes(0) {
		if !ofAddresses {
			lines = append(lines, prefixText(p))
			continue
		}
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			lines = append(lines, a.String())
		}
	}
	if !files || len(lines) <= inline {
		for i := range lines {
			lines[i] = fmt.Sprintf("%q", lines[i])
		}
		return append(attributes, "entries = ["+strings.Join(lines, ", ")+"]"), "", nil
	}
	list = "lists/" + u.name + ".txt"
	return append(attributes, fmt.Sprintf("files = [%q]", list)), list, []byte(strings.Join(lines, "\n") + "\n")
}
