package packet

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/sealed"
)

// everyCond has at least one condition of each type, each of which holds for some packets and
// not for others. The generators of random programs draw from it too.
var everyCond = []Cond{
	FamilyIs{ir.IPv4},
	Addr{Source, cidrs("10.0.0.0/8")},
	Addr{Destination, cidrs("10.0.0.0/8", "2001:db8::/33")},
	Addr{OriginalDestination, cidrs("10.0.0.0/24")},
	ports(Source, 40000, 40000),
	ports(Destination, 80, 90),
	ports(OriginalDestination, 443, 443),
	tcp,
	ICMPType{8, 8, 0, 255},
	Interface{Source, "eth0"},
	Interface{Destination, "docker0"},
	State{ir.CTNew},
	State{ir.CTDNAT},
	State{ir.CTUntracked},
	Dir{ir.CTOriginal},
	Opaque{Text: "p"},
	Until{End: 1_800_000_000},
	Mark{Value: 1, Mask: 1},
	Mark{Conn: true, Value: 1, Mask: 1},
	InSet{Name: "s", Ends: []End{Source}, Dims: []string{"ip"}, C: tcp},
	Not{tcp},
	All{tcp},
	Any{tcp},
}

// TestEveryTypeOfConditionIsHandledEverywhere uses each condition in everyCond in everything
// that handles conditions, and reports all that do not support it. A new type needs a sample
// in everyCond.
func TestEveryTypeOfConditionIsHandledEverywhere(t *testing.T) {
	sampled := map[string]bool{}
	for _, c := range everyCond {
		sampled[reflect.TypeOf(c).Name()] = true
		for _, use := range usesOfConditions() {
			if problem := problemOrPanic(func() string { return use.problem(c) }); problem != "" {
				t.Errorf("condition %T: %s does not handle %+v: %s", c, use.name, c, problem)
			}
		}
	}
	for _, name := range sealed.Types(t, ".", "isCond") {
		if !sampled[name] {
			t.Errorf("condition %s: add a sample to everyCond", name)
		}
	}
}

// problemOrPanic returns the problem that f returns, or the panic that it raises.
func problemOrPanic(f func() string) (problem string) {
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Sprint("panic: ", r)
		}
	}()
	return f()
}

// useOfConditions is something that handles conditions. problem returns "" if it handles c.
type useOfConditions struct {
	name    string
	problem func(c Cond) string
}

func usesOfConditions() []useOfConditions {
	uses := []useOfConditions{
		{"String", func(c Cond) string {
			if c.String() == "" {
				return "it has no text"
			}
			return ""
		}},
		{"Walk", func(c Cond) string {
			Walk(c, func(Cond) bool { return true })
			return ""
		}},
		{"Map", func(c Cond) string {
			if same := Map(c, func(c Cond) Cond { return c }); !reflect.DeepEqual(same, c) {
				return fmt.Sprintf("it becomes %+v", same)
			}
			return ""
		}},
		{"evaluate (Holds, Open)", unknownTo(func(c Cond) { Holds(c, &Packet{}) })},
		{"Space.noteCond", unknownTo(func(c Cond) { (&Space{}).noteCond(withoutMarks(c)) })},
		{"Space.compile", unknownTo(func(c Cond) { (&Space{}).compile(withoutMarks(c), ir.IPv4) })},
		{"stage.of", unknownTo(func(c Cond) {
			for s := beforeTracking; s <= asRouted; s++ {
				s.of(withoutMarks(c), false)
			}
		})},
		{"the algebra (New, Witness, Regions) or the simulator (Decide)", func(c Cond) string {
			verdicts, problem := decided(&Program{Chains: one(rule(Accept, c), rule(Drop)).Chains})
			if problem == "" && !slices.Equal(verdicts, []Kind{Accept, Drop}) {
				problem = fmt.Sprintf("its packets get the verdicts %v, not both", verdicts)
			}
			return problem
		}},
	}
	for _, at := range []Hook{
		{Table: "raw", Chain: "PREROUTING"},
		{Table: "mangle", Chain: "PREROUTING"},
		{Table: "nat", Chain: "PREROUTING"},
		{Table: "ip", Chain: "prerouting", Base: &Base{Hook: "prerouting"}},
		{Table: "filter", Chain: "FORWARD"},
	} {
		name := fmt.Sprintf("a route with %s %s (Route) or its journey (Trace)", at.Table, at.Chain)
		uses = append(uses, useOfConditions{name, func(c Cond) string { return routed(at, c) }})
	}
	return uses
}

// unknownTo returns the problem of a function that panics because a condition is unknown to
// it. Other panics are those of a part that lacks the rest of its space.
func unknownTo(f func(c Cond)) func(c Cond) string {
	return func(c Cond) string {
		problem := problemOrPanic(func() string { f(c); return "" })
		if !strings.Contains(problem, "unknown condition") {
			return ""
		}
		return problem
	}
}

// withoutMarks returns what a space and a route make of a mark that is not known.
func withoutMarks(c Cond) Cond {
	if m, ok := c.(Mark); ok {
		return m.opaque()
	}
	return c
}

// decided returns the verdicts that packets of a program get, the lowest first. It reports a
// verdict whose example gets another one from the simulator, or that has no regions.
func decided(p *Program) (verdicts []Kind, problem string) {
	s, err := New(p)
	if err != nil {
		return nil, err.Error()
	}
	e := s.Programs()[0]
	for _, o := range e.Outcomes() {
		verdicts = append(verdicts, o.Verdict.Kind)
		w, _ := o.Set.Witness()
		if got := e.Decide(w).Verdict; got != o.Verdict {
			return nil, fmt.Sprintf("%v gets %v from the simulator, and %v from the algebra", w, got, o.Verdict)
		}
		regions, complete := o.Set.Regions(1000)
		if !complete || !slices.ContainsFunc(regions, func(r Region) bool { return holds(&r, &w) }) {
			return nil, fmt.Sprintf("%v is in no region of %v: %+v", w, o.Verdict, regions)
		}
	}
	slices.Sort(verdicts)
	return verdicts, ""
}

// routed reports a difference between the route of a hook with a rule that has the condition
// and the journeys of packets through it, for each family.
func routed(at Hook, c Cond) string {
	for _, f := range families {
		at.Program = one(rule(Drop, c))
		at.Program.Family, at.Program.Default = f, Verdict{Kind: Accept}
		last := Hook{Table: "filter", Chain: "FORWARD", Program: one(rule(Accept))}
		last.Program.Family, last.Program.Default = f, Verdict{Kind: Accept}
		hooks := []Hook{at, last}
		route, err := Route(f, false, hooks)
		if err != nil {
			return err.Error()
		}
		if _, problem := decided(route); problem != "" {
			return problem
		}
		s, err := New(route)
		if err != nil {
			return err.Error()
		}
		for _, o := range s.Programs()[0].Outcomes() {
			w, _ := o.Set.Witness()
			if w.State == ir.CTEstablished || w.State == ir.CTRelated {
				w.Marks.Conn = UnknownMark // earlier packets may have set it
			}
			if j := Trace(hooks, w); j.Open == "" && o.Verdict != CannotBe && j.Verdict != o.Verdict {
				return fmt.Sprintf("%v gets %v from Route, and %v from Trace", w, o.Verdict, j.Verdict)
			}
		}
	}
	return ""
}

type unknownCond struct{}

func (unknownCond) isCond()        {}
func (unknownCond) String() string { return "" }

func TestAnUnknownConditionPanicsWithItsType(t *testing.T) {
	unknown := unknownCond{}
	uses := map[string]func(){
		"Walk":    func() { Walk(Not{unknown}, func(Cond) bool { return true }) },
		"Map":     func() { Map(Not{unknown}, func(c Cond) Cond { return c }) },
		"Holds":   func() { Holds(Not{unknown}, &Packet{}) },
		"New":     func() { _, _ = New(one(rule(Accept, Not{unknown}))) },
		"note":    func() { (&Space{}).noteCond(unknown) },
		"compile": func() { (&Space{}).compile(unknown, ir.IPv4) },
		"Route": func() {
			_, _ = Route(ir.IPv4, false, []Hook{{Table: "filter", Chain: "FORWARD", Program: one(rule(Drop, unknown))}})
		},
	}
	for s := beforeTracking; s <= asRouted; s++ {
		uses[fmt.Sprint("stage.of, stage ", s)] = func() { s.of(unknown, false) }
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			problem := problemOrPanic(func() string { use(); return "it does not panic" })
			if !strings.HasSuffix(problem, "unknown condition packet.unknownCond") {
				t.Error(problem)
			}
		})
	}
}
