package netfilter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"pgregory.net/rapid"
)

// readSets loads the text of an ipset save.
func readSets(t rapid.TB, text string) *iptables.Sets {
	t.Helper()
	file, diags := iptables.ParseSets(strings.NewReader(text), "sets")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var sets iptables.Sets
	if diags := sets.Load(file); diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, text)
	}
	return &sets
}

// kernelFinds looks a packet up as ip_set_hash_gen.h does, entry by entry: by prefix
// lengths of the first network from the longest down, for each of those by the lengths of
// the second; the first entry found counts.
func kernelFinds(set *iptables.Set, ends []packet.End, p *packet.Packet, noMatch bool) bool {
	port, protocol, ok := kernelPort(ends, p, set)
	var found []iptables.Element
	longest := -1
	for e := range set.Entries() {
		el, read := set.Element(e)
		if !read {
			panic(e.String())
		}
		if el.First.IsValid() && !el.First.Contains(end(ends[0], p)) {
			continue
		}
		if strings.Contains(set.Type, "iface") && !el.PhysDev {
			longest = max(longest, el.First.Bits())
		}
		name := p.In
		if ends[len(ends)-1] == packet.Destination {
			name = p.Out
		}
		switch {
		case el.Second.IsValid() && !el.Second.Contains(end(ends[len(ends)-1], p)),
			strings.Contains(set.Type, "port") && (!ok || el.Port != port || el.Protocol != protocol && set.Type != "bitmap:port"),
			el.PhysDev,
			el.Interface != "" && !el.Wildcard && el.Interface != name,
			el.Wildcard && !strings.HasPrefix(name, el.Interface):
			continue
		}
		found = append(found, el)
	}
	found = slices.DeleteFunc(found, func(el iptables.Element) bool { return longest >= 0 && el.First.Bits() != longest })
	if len(found) == 0 {
		return false
	}
	best := slices.MaxFunc(found, func(a, b iptables.Element) int {
		if c := a.First.Bits() - b.First.Bits(); c != 0 {
			return c
		}
		return a.Second.Bits() - b.Second.Bits()
	})
	return best.NoMatch == (noMatch && strings.Contains(set.Type, "net"))
}

func end(e packet.End, p *packet.Packet) netip.Addr {
	if e == packet.Source {
		return p.Source
	}
	return p.Destination
}

// kernelPort returns what ip_set_get_ip_port finds.
func kernelPort(ends []packet.End, p *packet.Packet, set *iptables.Set) (port uint16, protocol uint8, ok bool) {
	e := ends[0]
	if set.Type != "bitmap:port" && len(ends) > 1 {
		e = ends[1]
	}
	switch {
	case p.HasPorts() && e == packet.Source:
		port = p.SourcePort
	case p.HasPorts():
		port = p.DestinationPort
	case p.HasICMP():
		port = uint16(p.ICMPType)<<8 | uint16(p.ICMPCode)
	}
	return port, p.Protocol, set.Type != "bitmap:port" || p.Protocol == packet.ProtoTCP || p.Protocol == packet.ProtoUDP
}

var setKinds = []struct {
	typ  string
	dims int
}{
	{"hash:ip", 1},
	{"hash:net", 1},
	{"hash:ip,port", 2},
	{"hash:net,port", 2},
	{"hash:ip,port,ip", 3},
	{"hash:ip,port,net", 3},
	{"hash:net,port,net", 3},
	{"hash:net,net", 2},
	{"hash:net,iface", 2},
	{"bitmap:port", 1},
}

func genIPSet(t *rapid.T, name, typ string, six bool) string {
	text := "create " + name + " " + typ
	switch {
	case typ == "bitmap:port":
		text += " range 0-65535"
	case six:
		text += " family inet6"
	}
	text += "\n"
	address := func(network bool) string {
		a := genAddr(t, six)
		if a.IsUnspecified() {
			a = a.Next()
		}
		if !network {
			return a.String()
		}
		bits := rapid.IntRange(a.BitLen()-9, a.BitLen()).Draw(t, "bits")
		return netip.PrefixFrom(a, bits).Masked().String()
	}
	for range rapid.IntRange(0, 12).Draw(t, "entries") {
		var parts []string
		_, kinds, _ := strings.Cut(typ, ":")
		for kind := range strings.SplitSeq(kinds, ",") {
			switch kind {
			case "ip", "net":
				parts = append(parts, address(kind == "net"))
			case "iface":
				parts = append(parts, rapid.SampledFrom([]string{"", "", "physdev:"}).Draw(t, "physdev")+genInterface(t))
			case "port":
				port := fmt.Sprintf("%s:%d", rapid.SampledFrom([]string{"tcp", "tcp", "udp", "sctp"}).Draw(t, "protocol"), genPort(t))
				if rapid.IntRange(0, 3).Draw(t, "other") == 0 && typ != "bitmap:port" {
					port = rapid.SampledFrom([]string{"gre:0", "icmp:8/0", "icmp:3/4", "255:0"}).Draw(t, "other protocol")
					if six {
						port = strings.Replace(port, "icmp:8/", "ipv6-icmp:128/", 1)
						port = strings.Replace(port, "icmp:3/", "ipv6-icmp:3/", 1)
					}
				}
				parts = append(parts, port)
			}
		}
		text += "add " + name + " " + strings.Join(parts, ",")
		if strings.Contains(typ, "iface") && rapid.IntRange(0, 3).Draw(t, "wildcard") == 0 {
			text += " wildcard"
		}
		// Among entries for one network with overlapping names that disagree, the order of
		// the kernel's table counts: another test.
		if strings.Contains(typ, "net") && !strings.Contains(typ, "iface") && rapid.IntRange(0, 2).Draw(t, "nomatch") == 0 {
			text += " nomatch"
		}
		text += " -exist\n"
	}
	return text
}

func TestSetsMatchWhatTheKernelFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(setKinds).Draw(t, "type")
		f := genFamily.Draw(t, "family")
		text := genIPSet(t, "s", kind.typ, f == ir.IPv6)
		set := readSets(t, text)
		var ends []packet.End
		for range rapid.IntRange(1, 3).Draw(t, "flags") {
			ends = append(ends, packet.End(rapid.IntRange(0, 1).Draw(t, "flag")))
		}
		noMatch := rapid.IntRange(0, 3).Draw(t, "return-nomatch") == 0
		c := NewSets(set, nil).Match("s", ends, noMatch)
		e := space(t, &packet.Program{Family: f, Chains: []*packet.Chain{{Name: "c", Rules: []*packet.Rule{{Matches: []packet.Cond{c}, Verdict: packet.Verdict{Kind: packet.Drop}}}}}}).Programs()[0]
		for range 30 {
			p := genPacket(t, f)
			want := len(ends) >= kind.dims && kernelFinds(set.Set("s"), ends[:min(kind.dims, len(ends))], &p, noMatch)
			if got := packet.Holds(c, &p); got != want {
				t.Fatalf("%s%v noMatch %v\n%v: simulated %v, looked up %v\n%s", text, ends, noMatch, p, got, want, c)
			}
			if got := e.Outcome(packet.Verdict{Kind: packet.Drop}).Contains(p); got != want {
				t.Fatalf("%s%v noMatch %v\n%v: in the set %v, looked up %v", text, ends, noMatch, p, got, want)
			}
		}
	})
}
