package packet

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"pgregory.net/rapid"
)

// The generators draw from few values close to each other, so that conditions overlap,
// touch and exclude each other, and packets have values at their boundaries.

func genAddr(t *rapid.T, v6 bool) netip.Addr {
	if v6 {
		b := netip.MustParseAddr("2001:db8::").As16()
		b[4] = byte(rapid.IntRange(0, 1).Draw(t, "v6 high"))
		b[15] = byte(rapid.IntRange(0, 9).Draw(t, "v6 low"))
		if rapid.IntRange(0, 9).Draw(t, "v6 odd") == 0 {
			return netip.MustParseAddr(rapid.SampledFrom([]string{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::2"}).Draw(t, "v6"))
		}
		return netip.AddrFrom16(b)
	}
	if rapid.IntRange(0, 9).Draw(t, "v4 odd") == 0 {
		return netip.MustParseAddr(rapid.SampledFrom([]string{"0.0.0.0", "255.255.255.255", "172.17.0.2"}).Draw(t, "v4"))
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 1).Draw(t, "v4 high")), byte(rapid.IntRange(0, 9).Draw(t, "v4 low"))})
}

func genSet(t *rapid.T, name string) *AddrSet {
	var ps []netip.Prefix
	for range rapid.IntRange(0, 3).Draw(t, "prefixes") {
		v6 := rapid.Bool().Draw(t, "v6")
		lens := []int{32, 32, 31, 30, 24, 23, 8, 0}
		if v6 {
			lens = []int{128, 127, 126, 64, 40, 32, 0}
		}
		ps = append(ps, netip.PrefixFrom(genAddr(t, v6), rapid.SampledFrom(lens).Draw(t, "bits")).Masked())
	}
	return NewAddrSet(name, ps)
}

func genPort(t *rapid.T) uint16 {
	return rapid.SampledFrom([]uint16{0, 1, 22, 79, 80, 81, 443, 8080, 40000, 65535}).Draw(t, "port")
}

var genProtocols = []uint8{0, 1, 6, 6, 6, 17, 47, 58, 132, 255}

func genInterface(t *rapid.T) string {
	return rapid.SampledFrom([]string{"eth0", "eth1", "eth", "eth00", "docker0", "br-1", "br-22", "x", "wlan3"}).Draw(t, "interface")
}

// genCond draws from everyCond, so that a new type of condition is part of every random
// program, and varies those types more whose conditions depend on each other.
func genCond(t *rapid.T, depth int) Cond {
	kinds := 11
	if depth > 0 {
		kinds = 14
	}
	end := func() End { return End(rapid.IntRange(0, 2).Draw(t, "end")) }
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0, 1:
		return Addr{end(), genSet(t, rapid.SampledFrom([]string{"", "a"}).Draw(t, "name"))}
	case 2, 3:
		a, b := genPort(t), genPort(t)
		return Port{end(), []ir.PortRange{{First: min(a, b), Last: max(a, b)}, {First: a, Last: a}}}
	case 4:
		return Proto{rapid.SliceOfN(rapid.SampledFrom(genProtocols), 1, 2).Draw(t, "protocols")}
	case 5:
		a, b := rapid.SampledFrom([]uint8{0, 3, 8, 128, 255}).Draw(t, "type"), rapid.SampledFrom([]uint8{0, 4, 255}).Draw(t, "code")
		return rapid.SampledFrom([]Cond{ICMPType{a, a, 0, 255}, ICMPType{a, a, b, b}, ICMPType{0, 255, 0, 255}}).Draw(t, "icmp")
	case 6:
		names := []string{"eth0", "eth+", "et+", "+", "docker0", "br-+", "br-2+", "br-1"}
		return Interface{End(rapid.IntRange(0, 1).Draw(t, "in or out")), rapid.SampledFrom(names).Draw(t, "pattern")}
	case 7:
		return State{ir.CTState(rapid.IntRange(1, 127).Draw(t, "states"))}
	case 8:
		return Dir{ir.CTDir(rapid.IntRange(0, 2).Draw(t, "dir"))}
	case 9:
		if rapid.Bool().Draw(t, "time") {
			return rapid.SampledFrom(genEnds).Draw(t, "end")
		}
		return Opaque{Text: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "opaque")}
	case 10:
		return FamilyIs{rapid.SampledFrom([]ir.Family{ir.IPv4, ir.IPv6}).Draw(t, "family")}
	case 11:
		return rapid.SampledFrom(everyCond).Draw(t, "sample")
	case 12:
		return Not{genCond(t, depth-1)}
	case 13:
		return All{genCond(t, depth-1), genCond(t, depth-1)}
	}
	return Any{genCond(t, depth-1), genCond(t, depth-1)}
}

// genConditions returns opaque conditions that can hold together: before one end it is also
// before all later ones.
func genConditions(t *rapid.T) map[string]bool {
	out := map[string]bool{"p": rapid.Bool().Draw(t, "p"), "q": rapid.Bool().Draw(t, "q")}
	passed := rapid.IntRange(0, len(genEnds)).Draw(t, "ends that have passed")
	for i, end := range genEnds {
		out[end.String()] = i >= passed
	}
	return out
}

// genEnds are conditions on the time, and midnight a moment whose text has no time.
var genEnds = []Cond{Until{End: 1_800_000_000}, Until{End: 1_800_057_600}, Until{End: 1_900_000_000}}

func genConds(t *rapid.T, most, depth int) []Cond {
	var out []Cond
	for range rapid.IntRange(0, most).Draw(t, "conditions") {
		out = append(out, genCond(t, depth))
	}
	return out
}

func genProgram(t *rapid.T, f ir.Family) *Program {
	p := &Program{Family: f, Default: rapid.SampledFrom([]Verdict{{Kind: Docker}, {Kind: Drop}}).Draw(t, "default")}
	for i := range rapid.IntRange(1, 3).Draw(t, "chains") {
		c := &Chain{Name: fmt.Sprint("c", i)}
		verdicts := []Verdict{
			{Kind: Accept},
			{Kind: Accept},
			{Kind: Drop},
			{Kind: Drop},
			{Kind: Reject, With: "tcp-reset"},
			{Kind: Docker},
			{Kind: Return},
			{Kind: Continue},
			{Kind: Other, With: "TARPIT"},
		}
		for j := range i { // only backwards, so that there are no cycles
			verdicts = append(verdicts, Verdict{Kind: Jump, Chain: fmt.Sprint("c", j)}, Verdict{Kind: Goto, Chain: fmt.Sprint("c", j)})
		}
		for range rapid.IntRange(0, 6).Draw(t, "rules") {
			c.Rules = append(c.Rules, &Rule{Matches: genConds(t, 3, 1), Verdict: rapid.SampledFrom(verdicts).Draw(t, "verdict")})
		}
		p.Chains = append([]*Chain{c}, p.Chains...)
	}
	return p
}

// change returns the program with a few edits.
func change(t *rapid.T, p *Program) *Program {
	q := &Program{Family: p.Family, Default: p.Default}
	for _, c := range p.Chains {
		d := &Chain{Name: c.Name}
		for _, r := range c.Rules {
			switch rapid.IntRange(0, 5).Draw(t, "edit") {
			case 0:
			case 1:
				s := *r
				s.Matches = genConds(t, 3, 1)
				d.Rules = append(d.Rules, &s)
			default:
				d.Rules = append(d.Rules, r)
			}
		}
		q.Chains = append(q.Chains, d)
	}
	return q
}

func genPacket(t *rapid.T, f ir.Family) Packet {
	v6 := f == ir.IPv6
	p := Packet{
		Family: f, In: genInterface(t), Out: genInterface(t), Source: genAddr(t, v6), Destination: genAddr(t, v6),
		Protocol: rapid.SampledFrom(genProtocols).Draw(t, "protocol"), SourcePort: genPort(t), DestinationPort: genPort(t),
		State:     ir.CTState(1 << rapid.IntRange(0, 4).Draw(t, "state")),
		Direction: ir.CTDir(rapid.IntRange(1, 2).Draw(t, "direction")),
		DNAT:      rapid.Bool().Draw(t, "dnat"), SNAT: rapid.Bool().Draw(t, "snat"),
		OriginalDestination: genAddr(t, v6), OriginalPort: genPort(t),
		ICMPType:   rapid.SampledFrom([]uint8{0, 3, 8, 128, 255}).Draw(t, "type"),
		ICMPCode:   rapid.SampledFrom([]uint8{0, 4, 255}).Draw(t, "code"),
		Elsewhere:  rapid.Bool().Draw(t, "elsewhere"),
		Conditions: genConditions(t),
	}
	p.Complete()
	return p
}

var genFamily = rapid.SampledFrom([]ir.Family{ir.IPv4, ir.IPv6})

func space(t rapid.TB, ps ...*Program) *Space {
	s, err := New(ps...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryPacketGetsTheVerdictOfTheSimulator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := genFamily.Draw(t, "family")
		p := genProgram(t, f)
		e := space(t, p).Programs()[0]
		lints, err := e.Lints()
		if err != nil {
			t.Fatal(err)
		}
		parts := e.part(e.family)
		for range 20 {
			packet := genPacket(t, f)
			want := e.Decide(packet)
			for _, o := range e.Outcomes() {
				if got := o.Set.Contains(packet); got != (o.Verdict == want.Verdict) {
					t.Fatalf("%v\nsimulated %v at %v; in the set of %v: %v", packet, want.Verdict, want.At, o.Verdict, got)
				}
			}
			for at, set := range parts {
				if got := (Set{e.space, set}).Contains(packet); got != (at == want.At) {
					t.Fatalf("%v\nsimulated at %v; in the part of %v: %v", packet, want.At, at, got)
				}
			}
			for _, s := range want.Steps {
				handled, err := e.Handled(s.At)
				if err != nil {
					t.Fatal(err)
				}
				if s.Failed == nil && !handled.Contains(packet) {
					t.Fatalf("%v\nnot handled by %v", packet, s.At)
				}
				for _, l := range lints {
					if l.At == s.At && l.Flaw < Redundant && s.Failed == nil {
						t.Fatalf("%v\n%v matches, which is %v", packet, s.At, l.Flaw)
					}
				}
			}
		}
	})
}

func TestWitnessesAreMembersAndPossible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := genFamily.Draw(t, "family")
		e := space(t, genProgram(t, f)).Programs()[0]
		for _, o := range e.Outcomes() {
			p, ok := o.Set.Witness()
			if !ok {
				t.Fatalf("outcome %v is empty", o.Verdict)
			}
			if d := e.Decide(p); d.Verdict != o.Verdict || !o.Set.Contains(p) || p.Family != f {
				t.Fatalf("%v\ndecided as %v, a witness of %v", p, d.Verdict, o.Verdict)
			}
			q := p
			q.Complete()
			if fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", q) {
				t.Fatalf("not a possible packet:\n%+v\n%+v", p, q)
			}
		}
	})
}

// A rule has no flaw if some packet gets another verdict without it; a rule that is
// redundant or covered can be removed.
func TestLintsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genProgram(t, genFamily.Draw(t, "family"))
		e := space(t, p).Programs()[0]
		lints, err := e.Lints()
		if err != nil {
			t.Fatal(err)
		}
		flaws := map[Place]Lint{}
		for _, l := range lints {
			flaws[l.At] = l
		}
		at := Place{0, 0}
		if len(p.Chains[0].Rules) == 0 {
			return
		}
		at.Rule = rapid.IntRange(0, len(p.Chains[0].Rules)-1).Draw(t, "rule")
		q := &Program{Family: p.Family, Default: p.Default, Chains: append([]*Chain{{Name: p.Chains[0].Name}}, p.Chains[1:]...)}
		for i, r := range p.Chains[0].Rules {
			if i != at.Rule {
				q.Chains[0].Rules = append(q.Chains[0].Rules, r)
			}
		}
		s := space(t, p, q)
		c, err := Compare(s.Programs()[0], s.Programs()[1], 5)
		if err != nil {
			t.Fatal(err)
		}
		l, flawed := flaws[at]
		if p.Chains[0].Rules[at.Rule].Verdict.Kind == Continue {
			if !c.Changed.IsEmpty() {
				t.Fatal("a rule without verdict decides")
			}
			return
		}
		permitted := l.Flaw == Permitted && flawed
		toDocker := slices.IndexFunc(c.Changes, func(x Change) bool { return x.New.Kind != Docker }) < 0 && !c.More
		accepts := p.Chains[0].Rules[at.Rule].Verdict.Kind == Accept && p.Default.Kind == Docker
		if accepts && !c.Changed.IsEmpty() && !c.More && permitted != toDocker {
			t.Fatalf("rule %v: lint %+v, but without it changes %v", at, l, c.Changes)
		}
		if !permitted && flawed != c.Changed.IsEmpty() {
			t.Fatalf("rule %v: lint %+v, but without it changes %v", at, l, c.Changes)
		}
		if l.Flaw == Covered && flawed {
			rest := e.Match(at)
			for _, by := range l.CoveredBy {
				if by.Rule >= at.Rule {
					t.Fatalf("covered by %v, which comes later", by)
				}
				rest = rest.Diff(e.Match(by))
			}
			if !rest.IsEmpty() {
				t.Fatal("the rules that cover it do not")
			}
		}
	})
}

func TestComparisonsAreComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := genFamily.Draw(t, "family")
		p := genProgram(t, f)
		s := space(t, p, change(t, p))
		a, b := s.Programs()[0], s.Programs()[1]
		c, err := Compare(a, b, 1000)
		if err != nil || c.More {
			t.Fatal(err, c.More)
		}
		union := s.None()
		for _, x := range c.Changes {
			if !x.Set.And(union).IsEmpty() {
				t.Fatal("changes overlap")
			}
			union = union.Or(x.Set)
			da, db := a.Decide(x.Witness), b.Decide(x.Witness)
			if da.Verdict != x.Old || db.Verdict != x.New || da.At != x.OldRule || db.At != x.NewRule || x.Old == x.New || !x.Set.Contains(x.Witness) {
				t.Fatalf("%v\n%v at %v -> %v at %v, reported as %v at %v -> %v at %v", x.Witness, da.Verdict, da.At, db.Verdict, db.At, x.Old, x.OldRule, x.New, x.NewRule)
			}
		}
		if !union.Equal(c.Changed) {
			t.Fatal("changes are not all that changed")
		}
		for range 20 {
			packet := genPacket(t, f)
			if differs := a.Decide(packet).Verdict != b.Decide(packet).Verdict; differs != c.Changed.Contains(packet) {
				t.Fatalf("%v\ndiffers: %v, in the set: %v", packet, differs, !differs)
			}
		}
	})
}

func TestRegionsHoldExactlyTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := genFamily.Draw(t, "family")
		p := genProgram(t, f)
		p.Family = rapid.SampledFrom([]ir.Family{0, f}).Draw(t, "program's family")
		e := space(t, p).Programs()[0]
		for _, o := range e.Outcomes() {
			regions, complete := o.Set.Regions(100000)
			if !complete {
				return
			}
			for range 10 {
				packet := genPacket(t, f)
				in := false
				for _, r := range regions {
					in = in || holds(&r, &packet)
				}
				if in != o.Set.Contains(packet) {
					t.Fatalf("%v\nin a region: %v, in the set: %v\n%+v", packet, in, !in, regions)
				}
			}
		}
	})
}

func TestSetsAreAnAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []*Rule
		for range 3 {
			rules = append(rules, &Rule{Matches: genConds(t, 3, 2), Verdict: Verdict{Kind: Accept}})
		}
		s := space(t, &Program{Chains: []*Chain{{Name: "c", Rules: rules}}})
		e := s.Programs()[0]
		a, b, c := e.Match(Place{0, 0}), e.Match(Place{0, 1}), e.Match(Place{0, 2})
		for i, same := range []bool{
			a.And(b).Not().Equal(a.Not().Or(b.Not())),
			a.And(b.Or(c)).Equal(a.And(b).Or(a.And(c))),
			a.Or(b.And(c)).Equal(a.Or(b).And(a.Or(c))),
			a.Diff(b).Equal(a.And(b.Not())),
			a.Diff(a).IsEmpty() && a.Or(a.Not()).Equal(s.All()),
			a.Not().Not().Equal(a),
			a.And(b).IsEmpty() == a.Diff(b).Equal(a),
		} {
			if !same {
				t.Fatalf("law %d does not hold", i)
			}
		}
		f := genFamily.Draw(t, "family")
		packet := genPacket(t, f)
		if got := a.Contains(packet); got != Holds(All(e.Program.Chains[0].Rules[0].Matches), &packet) {
			t.Fatalf("%v: contained %v, simulated %v", packet, got, !got)
		}
	})
}
