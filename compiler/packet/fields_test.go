package packet

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/structs"
	"pgregory.net/rapid"
)

func TestTheTableOfFieldsIsComplete(t *testing.T) {
	names, turns := map[string]bool{}, map[int]bool{}
	for _, f := range fields {
		if f.highest == nil || f.read == nil || f.best == nil || f.set == nil || f.usual == nil || f.describe == nil {
			t.Errorf("%q: its entry is not complete", f.name)
		}
		if f.name == "" || names[f.name] || turns[f.turn] || f.turn <= 0 || f.turn >= lastTurn {
			t.Errorf("%q: its name or its turn %d is that of another field", f.name, f.turn)
		}
		names[f.name], turns[f.turn] = true, true
	}
}

// The value that an example gets for a class is read from it as that class.
func TestFieldsAreReadAsTheyAreSet(t *testing.T) {
	for _, published := range []bool{false, true} {
		conds := []Cond{
			Addr{Source, cidrs("10.0.0.0/8", "2001:db8::/32")},
			Addr{OriginalDestination, cidrs("192.0.2.0/24", "2001:db8:1::/48")},
			ports(Source, 1, 1023), ports(Destination, 80, 90), ports(OriginalDestination, 443, 443),
			Interface{Source, "eth+"},
			Interface{Destination, "docker0"},
			ICMPType{3, 3, 4, 4},
			ICMPType{128, 128, 0, 255},
		}
		conds = append(conds, everyCond...)
		if published {
			conds = append(conds, ports(OriginalDestination, 8000, 9000))
		}
		s := space(t, &Program{Chains: []*Chain{{Name: "c", Rules: []*Rule{rule(Accept, Any(conds))}}}})
		if s.published != published {
			t.Fatalf("published is %v", s.published)
		}
		for _, c := range s.columns {
			for family := range c.families() {
				if len(s.candidates(c, family)) < 2 {
					t.Errorf("%s, %s: it has one class: add a condition on it to everyCond", c.field.name, families[family])
				}
				for class, best := range s.candidates(c, family) {
					p := Packet{Family: families[family], Protocol: ProtoTCP, State: ir.CTNew, DNAT: !published}
					c.field.set(s, &p, best.value)
					if got := s.code(c, &p); got != uint32(class) {
						t.Errorf("%s, %s: set to class %d, read as %d", c.field.name, families[family], class, got)
					}
				}
			}
		}
	}
}

// changedFields returns which fields of a packet change something about it.
func changedFields(t *testing.T, changes func(old, changed Packet) bool) map[string]bool {
	t.Helper()
	a := netip.MustParseAddr("192.0.2.1")
	out := map[string]bool{}
	for _, base := range []Packet{
		{Family: ir.IPv4, In: "eth0", Source: a, Destination: a, OriginalDestination: a, Protocol: ProtoTCP, State: ir.CTEstablished, Direction: ir.CTOriginal, DNAT: true},
		{Family: ir.IPv4, In: "eth0", Source: a, Destination: a, OriginalDestination: a, Protocol: ProtoICMP, State: ir.CTEstablished, Direction: ir.CTReply},
	} {
		structs.EachField(t, base, packetSamples, func(field string, p Packet) {
			out[field] = out[field] || changes(base, p)
		})
	}
	return out
}

// packetSamples are values of the fields of a packet: see structs.EachField.
var packetSamples = []any{
	ir.IPv4, ir.IPv6, ir.CTRelated, ir.CTEstablished, ir.CTOriginal, ir.CTReply,
	netip.MustParseAddr("203.0.113.77"), "docker0",
	map[string]bool{"p": true},
	Marks{Packet: MarkValue{Bits: 1}},
}

func TestTheTableReadsEachFieldOfAPacket(t *testing.T) {
	not := map[string]bool{
		"Marks":     true, // conditions on them are opaque in a space
		"Elsewhere": true, // so is whether an address is the host's own
	}
	s := space(t, &Program{Chains: one(rule(Accept, Any(everyCond))).Chains})
	for field, read := range changedFields(t, func(old, changed Packet) bool {
		for _, c := range s.columns {
			if c.field.read(s, &old) != c.field.read(s, &changed) {
				return true
			}
		}
		return false
	}) {
		switch {
		case !read && !not[field]:
			t.Errorf("%s of a packet is read by no entry of the table of fields", field)
		case read && not[field]:
			t.Errorf("%s of a packet is read by the table of fields: it is no exception", field)
		}
	}
}

func TestTheTableDescribesEachFieldOfARegion(t *testing.T) {
	s := space(t, &Program{Chains: one(rule(Accept, Any(everyCond))).Chains})
	var r Region
	for _, c := range s.columns {
		for family := range c.families() {
			class := uint32(c.cut[family].n - 1)
			c.field.describe(s, c, family, []span{{class, class}}, &r)
		}
	}
	v := reflect.ValueOf(r)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s of a region is filled by no entry of the table of fields", v.Type().Field(i).Name)
		}
	}
}

// The random packets that the tests compare with the sets differ in every field.
func TestRandomPacketsDifferInEachField(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) Packet { return genPacket(t, genFamily.Draw(t, "family")) })
	values := map[string]map[string]bool{}
	for i := range 100 {
		v := reflect.ValueOf(gen.Example(i))
		for k := range v.NumField() {
			field := v.Type().Field(k).Name
			if values[field] == nil {
				values[field] = map[string]bool{}
			}
			values[field][fmt.Sprint(v.Field(k).Interface())] = true
		}
	}
	for field, found := range values {
		// A packet arrives without marks: genHooks has rules that set them.
		if len(found) < 2 && field != "Marks" {
			t.Errorf("genPacket gives all packets the same %s", field)
		}
	}
}
