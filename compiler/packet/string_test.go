package packet

import (
	"net/netip"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/structs"
)

// packetSamples are values of the fields of a packet: see structs.EachField.
var packetSamples = []any{
	ir.IPv4, ir.IPv6, ir.CTRelated, ir.CTEstablished, ir.CTOriginal, ir.CTReply,
	netip.MustParseAddr("203.0.113.77"),
	map[string]bool{"p": true},
	Marks{Packet: MarkValue{Bits: 1}},
}

// Reports show a packet by its String alone: packets that differ in what rules match must not
// read alike.
func TestEachFieldOfAPacketChangesItsString(t *testing.T) {
	not := map[string]string{
		"Elsewhere": "it is about the host, and shown as the condition on a local address where it matters",
	}
	a := netip.MustParseAddr("192.0.2.1")
	changes := map[string]bool{}
	for _, base := range []Packet{
		{Family: ir.IPv4, In: "eth0", Source: a, Destination: a, OriginalDestination: a, Protocol: ProtoTCP, State: ir.CTEstablished, Direction: ir.CTOriginal, DNAT: true},
		{Family: ir.IPv4, In: "eth0", Source: a, Destination: a, OriginalDestination: a, Protocol: ProtoICMP, State: ir.CTEstablished, Direction: ir.CTReply},
	} {
		structs.EachField(t, base, packetSamples, func(field string, p Packet) {
			changes[field] = changes[field] || p.String() != base.String()
		})
	}
	for field, changed := range changes {
		switch reason, except := not[field]; {
		case !changed && !except:
			t.Errorf("another %s does not change Packet.String", field)
		case changed && except:
			t.Errorf("another %s changes Packet.String, although %s", field, reason)
		}
	}
}

func TestAPacketShowsTheMarksThatItHas(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	p := Packet{Source: a, Destination: a, Protocol: ProtoTCP, Marks: Marks{Packet: MarkValue{Bits: 0x10}, Conn: MarkValue{Bits: 1}}}
	p.Complete()
	if got, want := p.String(), "tcp 192.0.2.1:0 -> 192.0.2.1:0 NEW mark 0x10 connection mark 0x1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
