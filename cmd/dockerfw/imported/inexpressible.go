package imported

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
)

// inexpressible is why the language has no block for a rule; "" if it has.
func (b *builder) inexpressible(one *block) string {
	l := &one.literals
	ports := l.dports != nil || l.sports != nil || l.origins != nil
	published := l.origins != nil || l.original != nil
	protocols := slices.DeleteFunc(slices.Clone(l.protocols), hasPorts)
	switch {
	case badInterface(one.interfaces) != "" || badInterface(one.outInterfaces) != "":
		return "the language has no such interface: " + badInterface(slices.Concat(one.interfaces, one.outInterfaces))
	case len(l.other) > 0:
		return "there is nothing for: " + strings.Join(l.other, "; ")
	case ports && (l.protocols == nil || len(protocols) > 0):
		return "ports need a protocol that Docker publishes"
	case onlyZero(l.dports) || onlyZero(l.sports) || onlyZero(l.origins):
		return "there is no port 0"
	case b.egress && published:
		return "published ports are about packets that enter"
	case l.states&ir.CTNew == 0:
		return "there is nothing for packets of these states alone"
	case !one.deny && l.above != nil:
		return "an accept is for what is below a limit"
	case l.dir == ir.CTReply:
		return "there is nothing for replies alone"
	case l.dnat && !published:
		return "there is nothing for all translated packets"
	case len(l.icmp) > 0 && !single(l.icmp):
		return "there is nothing for ranges of ICMP types"
	case b.family == ir.IPv4 && slices.ContainsFunc(slices.Concat(l.src, l.dst), func(a addresses) bool {
		return slices.ContainsFunc(a.unknown, func(name string) bool { return !keepsName(name) })
	}):
		return "the name of a set with unknown entries is the name of its block, which has other rules for names"
	case many(l.src) || many(l.dst):
		return "several lists of the same addresses must match at once"
	}
	return ""
}

// badInterface returns the first name that the language does not have; "" for none.
func badInterface(names []string) string {
	for _, name := range names {
		if parser.CheckInterface(name) != "" {
			return name
		}
	}
	return ""
}

// onlyZero reports whether no port of a list is one of the language.
func onlyZero(ranges []ir.PortRange) bool {
	return ranges != nil && !slices.ContainsFunc(ranges, func(r ir.PortRange) bool { return r.Last > 0 && r.First <= r.Last })
}

func hasPorts(n uint8) bool { return parser.Protocol{Number: n}.HasPorts() }

func single(types []packet.ICMPType) bool {
	return !slices.ContainsFunc(types, func(t packet.ICMPType) bool {
		return t.FirstType != t.LastType || t.FirstCode != t.LastCode && (t.FirstCode != 0 || t.LastCode != 255)
	})
}

// many reports whether addresses must be in several lists: an attribute is one list.
func many(all []addresses) bool {
	n := 0
	for _, a := range all {
		if !a.not {
			n++
		}
	}
	return n > 1
}
