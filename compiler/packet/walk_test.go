package packet

import (
	"reflect"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/sealed"
	"github.com/google/go-cmp/cmp"
)

// everyCond has a condition of each type.
var everyCond = []Cond{
	FamilyIs{ir.IPv4},
	Addr{Source, cidrs("10.0.0.0/8")},
	ports(Destination, 80, 90),
	tcp,
	ICMPType{8, 8, 0, 255},
	Interface{Source, "eth0"},
	State{ir.CTNew},
	Dir{ir.CTOriginal},
	Opaque{Text: "p"},
	Mark{Value: 1, Mask: 1},
	InSet{Name: "s", Ends: []End{Source}, Dims: []string{"ip"}, C: tcp},
	Not{tcp},
	All{tcp},
	Any{tcp},
}

// The types of Cond are the receivers of the method that seals it.
func TestEveryTypeOfConditionIsHandledEverywhere(t *testing.T) {
	var tested []string
	p := Packet{Protocol: ProtoTCP}
	p.Complete()
	for _, c := range everyCond {
		tested = append(tested, reflect.TypeOf(c).Name())
		if c.String() == "" {
			t.Errorf("%T has no text", c)
		}
		Walk(c, func(Cond) bool { return true })
		Map(c, func(c Cond) Cond { return c })
		Holds(c, &p)
		space(t, one(rule(Accept, c)))
	}
	slices.Sort(tested)
	if diff := cmp.Diff(sealed.Types(t, ".", "isCond"), tested); diff != "" {
		t.Errorf("types of conditions (-all +tested):\n%s", diff)
	}
}

type unknownCond struct{}

func (unknownCond) isCond()        {}
func (unknownCond) String() string { return "" }

func TestAnUnknownConditionPanicsWithItsType(t *testing.T) {
	for name, use := range map[string]func(c Cond){
		"Walk":  func(c Cond) { Walk(c, func(Cond) bool { return true }) },
		"Map":   func(c Cond) { Map(c, func(c Cond) Cond { return c }) },
		"Holds": func(c Cond) { Holds(c, &Packet{}) },
		"New":   func(c Cond) { _, _ = New(one(rule(Accept, c))) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := recover(); got != "unknown condition packet.unknownCond" {
					t.Errorf("got %v", got)
				}
			}()
			use(Not{unknownCond{}})
		})
	}
}

func TestMapRebuildsAConditionFromTheInsideOut(t *testing.T) {
	var order []string
	got := Map(All{Not{Interface{Source, "eth0"}}, InSet{Name: "s", Ends: []End{Source}, C: Any{tcp}}}, func(c Cond) Cond {
		order = append(order, c.String())
		if _, ok := c.(Interface); ok {
			return Any{}
		}
		return c
	})
	if want := "not (no packet) and source in set s"; got.String() != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := []string{
		Interface{Source, "eth0"}.String(), "not (no packet)", "protocol tcp", "(protocol tcp)", "source in set s", got.String(),
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownVerdictPanics(t *testing.T) {
	p := one(rule(42))
	packet := Packet{Protocol: ProtoTCP}
	for name, use := range map[string]func(){
		"New":    func() { _, _ = New(p) },
		"Decide": func() { p.Decide(packet) },
		"Trace":  func() { Trace([]Hook{{Table: "filter", Chain: "FORWARD", Program: p}}, packet) },
		"Route":  func() { _, _ = Route(ir.IPv4, false, []Hook{{Table: "filter", Chain: "FORWARD", Program: p}}) },
		"String": func() { _ = p.Chains[0].Rules[0].Verdict.String() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := recover(); got != "unknown kind of verdict 42" {
					t.Errorf("got %v", got)
				}
			}()
			use()
		})
	}
}
