package netfilter

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// interfaceBoxes returns the parts of hash:net,iface. Only the longest network that
// contains the address counts: if the packet's interface is not among its interfaces, the
// kernel does not try others. Entries with physdev, for ports of bridges, are matched by no
// rule of iptables: docs/contributing/netfilter.md, "Lookup in networks".
func (e *entries) interfaceBoxes(noMatch bool) []setBox {
	by := map[netip.Prefix][]iptables.Element{}
	for _, el := range e.all {
		if !el.PhysDev {
			by[el.First] = append(by[el.First], el)
		}
	}
	nets := slices.SortedFunc(maps.Keys(by), comparePrefixes)
	parts, _ := partition(nets)
	var out []setBox
	var addresses [][]*packet.AddrSet // of out
	same := map[string]int{}
	for i, net := range nets {
		rest := &interfaceList{set: e.set.Name}
		for _, el := range by[net] {
			name := interfaceName{el.Interface, el.Wildcard}
			if el.NoMatch != noMatch {
				rest.no = append(rest.no, name)
			} else {
				rest.yes = append(rest.yes, name)
			}
		}
		if len(rest.yes) == 0 {
			continue
		}
		key := rest.key()
		if k, ok := same[key]; ok {
			addresses[k] = append(addresses[k], parts[i])
			continue
		}
		same[key] = len(out)
		out = append(out, setBox{rest: rest})
		addresses = append(addresses, []*packet.AddrSet{parts[i]})
	}
	for i := range out {
		out[i].pairs = []pair{{first: packet.Union("", addresses[i]...)}}
	}
	return out
}

// interfaceName is a name, or with wildcard a prefix of names.
type interfaceName struct {
	name     string
	wildcard bool
}

func (n interfaceName) overlaps(o interfaceName) bool {
	switch {
	case n.wildcard && o.wildcard:
		return strings.HasPrefix(n.name, o.name) || strings.HasPrefix(o.name, n.name)
	case n.wildcard:
		return strings.HasPrefix(o.name, n.name)
	case o.wildcard:
		return strings.HasPrefix(n.name, o.name)
	}
	return n.name == o.name
}

func (n interfaceName) cond(end packet.End) packet.Cond {
	switch {
	case n.wildcard:
		return packet.Interface{End: end, Name: n.name + "+"}
	case strings.HasSuffix(n.name, "+"):
		// The + of a rule matches any rest, that of a set is part of the name.
		return packet.Opaque{Text: packet.Interface{End: end, Name: n.name}.String() + " (a name, not a pattern)"}
	}
	return packet.Interface{End: end, Name: n.name}
}

// interfaceList is the interfaces of one network in a set.
type interfaceList struct {
	set     string
	yes, no []interfaceName
}

func (l *interfaceList) key() string {
	var b strings.Builder
	for _, names := range [][]interfaceName{l.yes, l.no} {
		slices.SortFunc(names, func(a, b interfaceName) int {
			if c := strings.Compare(a.name, b.name); c != 0 || a.wildcard == b.wildcard {
				return c
			}
			if a.wildcard {
				return 1
			}
			return -1
		})
		for _, n := range names {
			b.WriteString(n.name)
			if n.wildcard {
				b.WriteByte('/')
			}
			b.WriteByte(' ')
		}
		b.WriteByte('|')
	}
	return b.String()
}

// cond returns the condition that an entry which matches the packet's interface is in the
// set. If an entry with nomatch matches it too, the order in the kernel's table, which is
// not known, determines which of them counts.
func (l *interfaceList) cond(end packet.End) packet.Cond {
	var yes, both packet.Any
	for _, n := range l.yes {
		yes = append(yes, n.cond(end))
	}
	for _, n := range l.no {
		if slices.ContainsFunc(l.yes, n.overlaps) {
			both = append(both, n.cond(end))
		}
	}
	if len(both) == 0 {
		return unlist(yes)
	}
	order := packet.Opaque{Text: "set " + l.set + " finds its entry " + l.yes[0].name + " before an overlapping one that differs in nomatch"}
	return packet.All{unlist(yes), packet.Any{packet.Not{C: unlist(both)}, order}}
}
