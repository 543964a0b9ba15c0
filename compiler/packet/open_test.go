package packet

import (
	"net/netip"
	"slices"
	"testing"
)

// An opaque condition counts only if the other conditions leave it open whether the rule
// matches.
func TestOpenConditionsAreThoseThatCount(t *testing.T) {
	p := Packet{Protocol: ProtoTCP, Source: netip.MustParseAddr("192.0.2.1"), DestinationPort: 80, Conditions: map[string]bool{"known": true}}
	p.Complete()
	a, b, known := Opaque{Text: "a"}, Opaque{Text: "b"}, Opaque{Text: "known"}
	tcp, udp := Proto{[]uint8{ProtoTCP}}, Proto{[]uint8{ProtoUDP}}
	for _, c := range []struct {
		cond Cond
		want []string
	}{
		{All{tcp, a}, []string{"a"}},
		{All{udp, a}, nil},
		{Any{tcp, a}, nil},
		{Any{All{udp, a}, All{tcp, b}}, []string{"b"}},
		{Not{All{tcp, Any{a, b, a}}}, []string{"a", "b"}},
		{InSet{Name: "s", C: All{known, b}}, []string{"b"}},
		{Any{known, b}, nil},
	} {
		if got := Open(c.cond, &p); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.cond, got, c.want)
		}
	}
}
