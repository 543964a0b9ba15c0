package packet

import (
	"net/netip"
	"testing"
)

// Reports show a packet by its String alone: packets that differ in what rules match must not
// read alike.
func TestEachFieldOfAPacketChangesItsString(t *testing.T) {
	not := map[string]string{
		"Elsewhere": "it is about the host, and shown as the condition on a local address where it matters",
	}
	for field, changed := range changedFields(t, func(old, changed Packet) bool { return old.String() != changed.String() }) {
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
