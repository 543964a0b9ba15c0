package packet

import (
	"net/netip"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/structs"
)

// holds, by which the tests judge regions, must itself read each field of them.
func TestHoldsReadsEachFieldOfARegion(t *testing.T) {
	p := Packet{Protocol: ProtoTCP, Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddr("192.0.2.2"), In: "eth0", Out: "docker0"}
	p.Complete()
	if !holds(&Region{}, &p) {
		t.Fatalf("%v is not in the region of all packets", p)
	}
	yes := true
	without := []any{
		ir.IPv6, &Interfaces{Names: []string{"wlan0"}}, &Addresses{In: cidrs("203.0.113.0/24")},
		[]ProtoRange{{17, 17}},
		[]ir.PortRange{{First: 9, Last: 9}},
		[]ICMPType{{3, 3, 0, 255}},
		[]ConnState{{ir.CTEstablished, ir.CTOriginal}},
		&yes,
		[]Condition{{"p", true}},
	}
	structs.EachField(t, Region{}, without, func(field string, r Region) {
		if holds(&r, &p) {
			t.Errorf("%s of a region is not read by holds", field)
		}
	})
}

// holds reports whether a packet is in a region, by the documentation of Region.
func holds(r *Region, p *Packet) bool {
	if r.Family != 0 && r.Family != p.Family {
		return false
	}
	iface := func(is *Interfaces, name string) bool {
		if is == nil {
			return true
		}
		best, in := -2, false
		for i, list := range [][]string{is.Except, is.Names} {
			for _, m := range list {
				length := 2 * len(m) // an exact name is longer than a pattern of as many letters
				if m[len(m)-1] == '+' {
					length -= 3
				}
				if matchesInterface(m, name) && length > best {
					best, in = length, i == 1
				}
			}
		}
		return in
	}
	addr := func(as *Addresses, a netip.Addr) bool { return as == nil || as.In.Contains(a) != as.Not }
	ports := func(rs []ir.PortRange, n uint16) bool {
		for _, x := range rs {
			if x.First <= n && n <= x.Last {
				return true
			}
		}
		return rs == nil
	}
	ok := iface(r.In, p.In) && iface(r.Out, p.Out) && addr(r.Source, p.Source) && addr(r.Destination, p.Destination) &&
		addr(r.OriginalDestination, p.OriginalDestination) && ports(r.SourcePorts, p.SourcePort) &&
		ports(r.DestinationPorts, p.DestinationPort) && ports(r.OriginalPorts, p.OriginalPort)
	any := r.Protocols == nil
	for _, x := range r.Protocols {
		any = any || x.First <= p.Protocol && p.Protocol <= x.Last
	}
	ok = ok && any
	any = r.ICMP == nil
	for _, x := range r.ICMP {
		any = any || x.FirstType <= p.ICMPType && p.ICMPType <= x.LastType && x.FirstCode <= p.ICMPCode && p.ICMPCode <= x.LastCode
	}
	ok = ok && any
	any = r.States == nil
	for _, x := range r.States {
		any = any || x.State == p.State && (x.Dir == p.Direction || x.Dir == ir.CTAny)
	}
	ok = ok && any && (r.DNAT == nil || *r.DNAT == p.DNAT) && (r.SNAT == nil || *r.SNAT == p.SNAT)
	for _, c := range r.Conditions {
		ok = ok && p.Conditions[c.Name] == c.Holds
	}
	return ok
}
