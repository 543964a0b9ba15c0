package explain

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/golden/lab/sealed"
)

// No condition holds for the packet; each reason has what the packet is and what the condition
// requires.
func TestReasonsHaveThePacketAndTheCondition(t *testing.T) {
	p := packet.Packet{
		Family: ir.IPv4, In: "eth0", Out: "docker0", Protocol: 6,
		Source: netip.MustParseAddr("203.0.113.9"), SourcePort: 40000,
		Destination: netip.MustParseAddr("172.17.0.2"), DestinationPort: 80,
		OriginalDestination: netip.MustParseAddr("198.51.100.1"), OriginalPort: 8080, DNAT: true,
		State: ir.CTNew, Direction: ir.CTOriginal, Conditions: map[string]bool{"limit --limit 1/sec": true},
	}
	p.Complete()
	in := func(end packet.End, name string, prefixes ...string) packet.Addr {
		var all []netip.Prefix
		for _, text := range prefixes {
			all = append(all, netip.MustParsePrefix(text))
		}
		return packet.Addr{End: end, In: packet.NewAddrSet(name, all)}
	}
	ends := []packet.End{packet.Source, packet.Destination}
	port := func(end packet.End, first, last uint16) packet.Port {
		return packet.Port{End: end, Ranges: []ir.PortRange{{First: first, Last: last}}}
	}
	for _, c := range []struct {
		cond packet.Cond
		want string
	}{
		{in(packet.Source, "partners", "192.0.2.0/24"), "its source 203.0.113.9 is not in set partners"},
		{in(packet.Source, "", "192.0.2.0/24"), "its source 203.0.113.9 is not in 192.0.2.0/24"},
		{in(packet.Source, "", "192.0.2.1/32"), "its source 203.0.113.9 is not 192.0.2.1"},
		{in(packet.Destination, "", "10.0.0.0/8"), "its destination 172.17.0.2 is not in 10.0.0.0/8"},
		{in(packet.Source, "", "10.0.0.0/8", "11.1.0.0/16", "12.0.0.0/8", "192.0.2.0/24"), "its source 203.0.113.9 is not in 10.0.0.0/8, in 11.1.0.0/16, in 12.0.0.0/8 or …"},
		{packet.Not{C: in(packet.Source, "bad", "203.0.113.0/24")}, "its source 203.0.113.9 is in set bad"},
		{port(packet.OriginalDestination, 443, 443), "it was sent to port 8080, not 443"},
		{port(packet.Destination, 81, 90), "its destination port is 80, not 81-90"},
		{packet.Proto{Numbers: []uint8{17}}, "it is tcp, not udp"},
		{packet.Interface{End: packet.Source, Name: "eth1"}, "it arrives on eth0, not eth1"},
		{packet.Not{C: packet.Interface{End: packet.Destination, Name: "docker0"}}, "it leaves on docker0"},
		{packet.State{States: ir.CTRelated | ir.CTEstablished}, "its state is NEW, not RELATED or ESTABLISHED"},
		{packet.Dir{Dir: ir.CTReply}, "its direction is original, not reply"},
		{packet.ICMPType{FirstType: 8, LastType: 8, LastCode: 255}, "it is not an ICMP packet"},
		{packet.FamilyIs{Family: ir.IPv6}, "it is an IPv4 packet"},
		{packet.Opaque{Text: "mark 0x1"}, "assumed not to match: mark 0x1"},
		{packet.Not{C: packet.Opaque{Text: "limit --limit 1/sec"}}, "assumed to match: limit --limit 1/sec"},
		{packet.InSet{Name: "web", Ends: ends, Dims: []string{"net", "port"}, C: packet.Any{}}, "source 203.0.113.9, tcp destination port 80 is not in set web"},
		{packet.Not{C: packet.InSet{Name: "web", Ends: ends, Dims: []string{"net", "port"}, C: packet.All{}}}, "source 203.0.113.9, tcp destination port 80 is in set web"},
		{packet.InSet{Name: "web", Ends: ends[:1], Dims: []string{"net", "port"}, C: packet.Any{}}, "set web has 2 dimensions but the rule has only 1 (src or dst), so it never matches"},
		{packet.InSet{Name: "ifs", Ends: ends, Dims: []string{"net", "iface"}, C: packet.Any{}}, "source 203.0.113.9, interface docker0 is not in set ifs"},
		{packet.InSet{Name: "all", Ends: ends, C: packet.Any{}}, "it is in no set of list all"},
		{packet.Not{C: packet.InSet{Name: "all", Ends: ends, C: packet.All{}}}, "it is in a set of list all"},
		{packet.InSet{Name: "ids", Ends: ends, Dims: []string{"ip", "mark"}, C: packet.Opaque{Text: "mark 0x1"}}, "it is not in set ids; assumed not to match: mark 0x1"},
		{packet.Not{C: packet.InSet{Name: "ids", Ends: ends, Dims: []string{"ip", "mark"}, C: packet.Opaque{Text: "limit --limit 1/sec"}}}, "it is in set ids; assumed to match: limit --limit 1/sec"},
		{packet.All{packet.Proto{Numbers: []uint8{6}}, port(packet.OriginalDestination, 1, 9)}, "it was sent to port 8080, not 1-9"},
		{packet.Any{packet.Proto{Numbers: []uint8{17}}, packet.Dir{Dir: ir.CTReply}}, "it is tcp, not udp, and its direction is original, not reply"},
	} {
		if packet.Holds(c.cond, &p) {
			t.Errorf("%s holds", c.cond)
		}
		if got := why(c.cond, &p); got != c.want {
			t.Errorf("%s: got %q, want %q", c.cond, got, c.want)
		}
	}
	p.DNAT = false
	p.Complete()
	if got, want := why(packet.State{States: ir.CTDNAT}, &p), "Docker did not translate it (no DNAT): it goes to the container's own address"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Each type of condition has a reason why it holds and why not; an unknown one panics.
func TestEveryTypeOfConditionHasReasons(t *testing.T) {
	tcp := packet.Proto{Numbers: []uint8{6}}
	conditions := []packet.Cond{
		packet.FamilyIs{Family: ir.IPv6},
		packet.Addr{End: packet.Source, In: packet.NewAddrSet("", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})},
		packet.Port{End: packet.Destination, Ranges: []ir.PortRange{{First: 1, Last: 2}}},
		tcp,
		packet.ICMPType{FirstType: 8, LastType: 8, LastCode: 255},
		packet.Interface{End: packet.Source, Name: "eth1"},
		packet.State{States: ir.CTEstablished},
		packet.Dir{Dir: ir.CTReply},
		packet.Opaque{Text: "limit"},
		packet.Until{End: 1_800_000_000},
		packet.Mark{Value: 1, Mask: 1},
		packet.InSet{Name: "s", Ends: []packet.End{packet.Source}, Dims: []string{"ip"}, C: tcp},
		packet.Not{C: tcp},
		packet.All{tcp},
		packet.Any{tcp},
	}
	p := packet.Packet{Protocol: 17, Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddr("172.17.0.2"), In: "eth0", Out: "docker0"}
	p.Complete()
	var tested []string
	for _, c := range conditions {
		tested = append(tested, reflect.TypeOf(c).Name())
		if why(c, &p) == "" || whyNot(c, &p) == "" {
			t.Errorf("%T: why %q, why not %q", c, why(c, &p), whyNot(c, &p))
		}
	}
	slices.Sort(tested)
	if diff := cmp.Diff(sealed.Types(t, "../../../compiler/packet", "isCond"), tested); diff != "" {
		t.Errorf("types of conditions (-all +tested):\n%s", diff)
	}
}
