package packet

import (
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/google/go-cmp/cmp"
)

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
