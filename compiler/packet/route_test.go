package packet

import (
	"maps"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"pgregory.net/rapid"
)

// genHooks returns the hooks of a route, with rules that set marks and match them.
func genHooks(t *rapid.T, f ir.Family) []Hook {
	var out []Hook
	for _, at := range [][2]string{
		{"raw", "PREROUTING"},
		{"mangle", "PREROUTING"},
		{"nat", "PREROUTING"},
		{"mangle", "FORWARD"},
		{"filter", "FORWARD"},
		{"security", "FORWARD"},
	} {
		if rapid.IntRange(0, 2).Draw(t, "left out") == 0 && at[0] != "filter" {
			continue
		}
		p := genProgram(t, f)
		p.Default = rapid.SampledFrom([]Verdict{{Kind: Accept}, {Kind: Accept}, {Kind: Drop}}).Draw(t, "policy")
		for _, c := range p.Chains {
			for _, r := range c.Rules {
				if r.Verdict.Kind == Docker {
					r.Verdict.Kind = Drop
				}
				for i, m := range r.Matches {
					if at[1] == "PREROUTING" { // iptables takes no -o there
						r.Matches[i] = Map(m, func(c Cond) Cond {
							if name, ok := c.(Interface); ok {
								return Interface{Source, name.Name}
							}
							return c
						})
					}
				}
				if rapid.IntRange(0, 3).Draw(t, "mark condition") == 0 {
					m := Cond(Mark{rapid.Bool().Draw(t, "of the connection"), genMark(t), genMark(t) | 1})
					r.Matches = append(r.Matches, rapid.SampledFrom([]Cond{m, Not{m}}).Draw(t, "not"))
				}
				if r.Verdict.Kind == Continue {
					kind := ActionKind(rapid.IntRange(0, int(Untrack)).Draw(t, "action"))
					if kind == Untrack && at[0] != "raw" {
						kind = SetMark
					}
					r.Actions = []Action{{kind, genMark(t), genMark(t)}}
				}
			}
		}
		out = append(out, Hook{Table: at[0], Chain: at[1], Program: p})
	}
	return out
}

func genMark(t *rapid.T) uint32 {
	return rapid.SampledFrom([]uint32{0, 1, 2, 3, ^uint32(0)}).Draw(t, "mark")
}

// A route has no marks, and all of its conditions are about the packet after DNAT; it gives
// each packet the verdict that the hooks give it one after the other.
func TestARouteGivesTheVerdictsOfItsHooks(t *testing.T) {
	decided := map[Kind]int{}
	rapid.Check(t, func(t *rapid.T) {
		f := genFamily.Draw(t, "family")
		hooks := genHooks(t, f)
		route, err := Route(f, false, hooks)
		if err != nil {
			t.Fatal(err)
		}
		e := space(t, route).Programs()[0]
		conditions := map[string]bool{firstRelated: false}
		for _, h := range hooks {
			for _, c := range h.Program.Chains {
				for _, r := range c.Rules {
					for _, text := range r.Opaque() {
						conditions[text] = rapid.Bool().Draw(t, text)
					}
				}
			}
		}
		maps.Copy(conditions, genConditions(t))
		for range 20 {
			p := genPacket(t, f)
			p.Conditions = conditions
			if p.Direction == ir.CTReply && p.SNAT || p.relatedICMP() && (p.SNAT || p.DNAT) {
				continue // what it was sent to does not follow from the packet
			}
			if p.State == ir.CTEstablished || p.State == ir.CTRelated {
				p.Marks.Conn = UnknownMark // what earlier packets may have set
			}
			want := Trace(hooks, p)
			if want.Open != "" {
				t.Fatalf("%v is open", want.Open)
			}
			got := e.Decide(p).Verdict
			if got == CannotBe {
				if want.Packet.State != ir.CTUntracked || p.State == ir.CTUntracked {
					t.Fatalf("%v cannot be, and goes on as %v", p, want.Packet)
				}
				continue
			}
			decided[want.Verdict.Kind]++
			if got != want.Verdict {
				t.Fatalf("%v\nthe route: %v\nthe hooks: %v, by %d steps", p, got, want.Verdict, len(want.Steps))
			}
			for _, o := range e.Outcomes() {
				if in := o.Set.Contains(p); in != (o.Verdict == want.Verdict) {
					t.Fatalf("%v\nthe hooks: %v; in the set of %v: %v", p, want.Verdict, o.Verdict, in)
				}
			}
		}
	})
	if decided[Accept] == 0 || decided[Drop] == 0 {
		t.Errorf("packets of one kind only: %v", decided)
	}
}

func TestARouteWithoutHooksAcceptsEverything(t *testing.T) {
	route, err := Route(ir.IPv6, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := space(t, route).Programs()[0]
	if out := e.Outcomes(); len(out) != 1 || out[0].Verdict.Kind != Accept || !route.ToHost || route.Family != ir.IPv6 {
		t.Errorf("%+v: %+v", route, out)
	}
}
