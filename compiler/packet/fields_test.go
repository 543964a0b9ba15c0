package packet

import (
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
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
			Opaque{Text: "p"},
		}
		if published {
			conds = append(conds, ports(OriginalDestination, 8000, 9000))
		}
		s := space(t, &Program{Chains: []*Chain{{Name: "c", Rules: []*Rule{rule(Accept, Any(conds))}}}})
		if s.published != published {
			t.Fatalf("published is %v", s.published)
		}
		for _, c := range s.columns {
			for family := range c.families() {
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
