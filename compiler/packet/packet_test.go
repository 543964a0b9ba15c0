package packet

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/google/go-cmp/cmp"
)

func cidrs(texts ...string) *AddrSet {
	var ps []netip.Prefix
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return NewAddrSet("", ps)
}

func one(rules ...*Rule) *Program {
	return &Program{Family: ir.IPv4, Chains: []*Chain{{Name: "DOCKER-USER", Rules: rules}}}
}

func rule(v Kind, cs ...Cond) *Rule { return &Rule{Matches: cs, Verdict: Verdict{Kind: v}} }

func ports(end End, first, last uint16) Port {
	return Port{end, []ir.PortRange{{First: first, Last: last}}}
}

var tcp = Proto{[]uint8{6}}

func TestWitnessesAreGoodExamples(t *testing.T) {
	for _, c := range []struct {
		name  string
		conds []Cond
		want  string
	}{
		{"anything", nil, "tcp 198.51.100.1:40000 -> 172.17.0.2:80 in eth0 out docker0 NEW"},
		{
			"a published port",
			[]Cond{tcp, ports(OriginalDestination, 443, 443), Dir{ir.CTOriginal}},
			"tcp 198.51.100.1:40000 -> 172.17.0.2:443 in eth0 out docker0 NEW",
		},
		{
			"a published port with DNAT",
			[]Cond{tcp, ports(OriginalDestination, 443, 443), State{ir.CTDNAT}},
			"tcp 198.51.100.1:40000 -> 192.0.2.1:443 => 172.17.0.2:80 in eth0 out docker0 NEW",
		},
		{
			"DNAT to where it was",
			[]Cond{tcp, ports(OriginalDestination, 443, 444), ports(Destination, 443, 443), State{ir.CTDNAT}, Addr{OriginalDestination, cidrs("10.0.0.1/32")}, Addr{Destination, cidrs("10.0.0.1/32")}},
			"tcp 198.51.100.1:40000 -> 10.0.0.1:444 => 10.0.0.1:443 in eth0 out docker0 NEW",
		},
		{"a range", []Cond{tcp, ports(Destination, 8000, 9000)}, "tcp 198.51.100.1:40000 -> 172.17.0.2:8000 in eth0 out docker0 NEW"},
		{"not TCP", []Cond{Not{tcp}}, "udp 198.51.100.1:40000 -> 172.17.0.2:80 in eth0 out docker0 NEW"},
		{
			"documentation within a range",
			[]Cond{Addr{Source, cidrs("192.0.0.0/8")}},
			"tcp 192.0.2.1:40000 -> 172.17.0.2:80 in eth0 out docker0 NEW",
		},
		{"nothing free", []Cond{Addr{Source, cidrs("10.1.0.0/16")}}, "tcp 10.1.0.1:40000 -> 172.17.0.2:80 in eth0 out docker0 NEW"},
		{"a pattern", []Cond{Interface{Source, "br-+"}}, "tcp 198.51.100.1:40000 -> 172.17.0.2:80 in br-0 out docker0 NEW"},
		{"not an interface", []Cond{Not{Interface{Source, "eth0"}}}, "tcp 198.51.100.1:40000 -> 172.17.0.2:80 in eth1 out docker0 NEW"},
		{"to the outside", []Cond{Interface{Destination, "eth0"}}, "tcp 198.51.100.1:40000 -> 172.17.0.2:80 in docker0 out eth0 NEW"},
		{"from a container", []Cond{Interface{Source, "docker0"}}, "tcp 198.51.100.1:40000 -> 172.17.0.2:80 in docker0 out eth0 NEW"},
		{"a reply", []Cond{Dir{ir.CTReply}}, "tcp 198.51.100.1:40000 -> 172.17.0.2:80 in eth0 out docker0 ESTABLISHED reply"},
		{"a ping", []Cond{ICMPType{8, 8, 0, 255}}, "icmp type 8/0 198.51.100.1 -> 172.17.0.2 in eth0 out docker0 NEW"},
		{"a condition", []Cond{Opaque{Text: "mark 0x1"}}, "tcp 198.51.100.1:40000 -> 172.17.0.2:80 in eth0 out docker0 NEW [mark 0x1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := space(t, one(rule(Accept, c.conds...))).Programs()[0]
			p, ok := e.Outcome(Verdict{Kind: Accept}).Witness()
			if !ok {
				t.Fatal("no witness")
			}
			if diff := cmp.Diff(c.want, p.String()); diff != "" {
				t.Error(diff)
			}
			if got := e.Decide(p).Verdict.Kind; got != Accept {
				t.Errorf("Decide returns %v", got)
			}
		})
	}
}

func TestImpossiblePacketsAreInNoSet(t *testing.T) {
	for name, conds := range map[string][]Cond{
		"ports of ICMP":                     {Proto{[]uint8{1}}, ports(Destination, 1, 65535)},
		"types of TCP":                      {tcp, ICMPType{8, 8, 0, 255}},
		"an invalid packet's direction":     {State{ir.CTInvalid}, Dir{ir.CTAny}},
		"DNAT without tracking":             {State{ir.CTUntracked}, State{ir.CTDNAT}},
		"a new reply":                       {State{ir.CTNew}, Dir{ir.CTReply}},
		"another original port, no DNAT":    {tcp, Not{State{ir.CTDNAT}}, Dir{ir.CTOriginal}, ports(OriginalDestination, 1, 80), ports(Destination, 81, 90)},
		"another original address, no DNAT": {tcp, Not{State{ir.CTDNAT}}, State{ir.CTNew}, Addr{OriginalDestination, cidrs("10.0.0.0/8")}, Addr{Destination, cidrs("11.0.0.0/8")}},
		"two states":                        {State{ir.CTNew}, State{ir.CTEstablished}},
		"two interfaces":                    {Interface{Source, "eth+"}, Interface{Source, "br-1"}},
		"a name outside its pattern":        {Interface{Source, "eth0"}, Not{Interface{Source, "eth+"}}},
	} {
		e := space(t, one(rule(Accept, conds...))).Programs()[0]
		if p, ok := e.Outcome(Verdict{Kind: Accept}).Witness(); ok {
			t.Errorf("%s: %v", name, p)
		}
	}
}

// The same limit in the same rule is one condition for both programs, so that what did not
// change is no difference; two limits within a program are two conditions.
func TestConditionsWithStateArePaired(t *testing.T) {
	limit := Opaque{Text: "limit 5/sec", Stateful: true}
	a := one(rule(Accept, tcp, limit), rule(Accept, limit), rule(Drop))
	b := one(rule(Drop, ports(Destination, 1, 1)), rule(Accept, tcp, limit), rule(Accept, limit, ports(Source, 0, 65535)), rule(Drop))
	s := space(t, a, b)
	if got := s.Programs()[0].Outcome(Verdict{Kind: Accept}).Conditions(); !slices.Equal(got, []string{"limit 5/sec", "limit 5/sec (no. 2)"}) {
		t.Errorf("conditions %q", got)
	}
	c, err := Compare(s.Programs()[0], s.Programs()[1], 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range c.Changes {
		if x.NewRule.Rule != 0 && x.NewRule.Rule != 3 || len(x.Conditions) == 0 {
			t.Errorf("%v", x)
		}
	}
	same, err := Compare(space(t, a, a).Programs()[0], space(t, a, a).Programs()[0], 10)
	if err == nil {
		t.Errorf("programs of different spaces were compared: %v", same)
	}
}

// A rule that was moved to another chain or edited keeps its limit; of several similar
// rules the first is paired with the first.
func TestLimitsArePairedWithTheMostSimilarRule(t *testing.T) {
	limit := Opaque{Text: "limit", Stateful: true}
	limited := func(v Kind, text string) *Rule {
		return &Rule{Matches: []Cond{limit, tcp}, Verdict: Verdict{Kind: v}, Text: text}
	}
	program := func(first []*Rule, second ...*Rule) *Program {
		return &Program{Family: ir.IPv4, Chains: []*Chain{{Name: "first", Rules: first}, {Name: "second", Rules: second}}}
	}
	old := program([]*Rule{limited(Accept, "a"), limited(Accept, "b"), limited(Continue, "log")})
	for _, c := range []struct {
		name string
		new  *Program
		want []string
	}{
		{"the same", old, []string{"limit", "limit (no. 2)", "limit (no. 3)"}},
		{"in another order", program([]*Rule{limited(Accept, "b"), limited(Accept, "a")}), []string{"limit (no. 2)", "limit"}},
		{"moved to another chain", program(nil, limited(Accept, "b")), []string{"limit (no. 2)"}},
		{"edited", program([]*Rule{limited(Drop, "c"), limited(Drop, "b")}), []string{"limit", "limit (no. 2)"}},
		{"moved and edited, one of two", program(nil, limited(Drop, "c")), []string{"limit (no. 4)"}},
		{"a LOG rule is paired with LOG rules alone", program([]*Rule{limited(Continue, "d"), limited(Continue, "e")}), []string{"limit (no. 3)", "limit (no. 4)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, r := range space(t, old, c.new).Programs()[1].Program.Rules() {
				got = append(got, r.Opaque()...)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	other := program(nil, limited(Drop, "c"))
	single := program([]*Rule{limited(Accept, "a"), limited(Continue, "log")})
	if got := space(t, single, other).Programs()[1].Program.Chains[1].Rules[0].Opaque(); got[0] != "limit" {
		t.Errorf("moved and edited, the only one: %s", got[0])
	}
}

func TestABudgetEndsInAnError(t *testing.T) {
	var budget *BudgetError
	rules := []*Rule{}
	for i := range 200 {
		rules = append(rules, rule([]Kind{Accept, Drop}[i%2], ports(Source, uint16(i*7), 65000-uint16(i*5)), ports(Destination, uint16(i*11), 64000-uint16(i*3)), Opaque{Text: string(rune('a' + i%20))}))
	}
	if _, err := WithBudget(500, one(rules...)); !errors.As(err, &budget) || budget.Nodes != 500 {
		t.Errorf("got %v", err)
	}
	if _, err := New(one(rules...)); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestRejectedPrograms(t *testing.T) {
	jump := func(to string) *Rule { return &Rule{Verdict: Verdict{Kind: Jump, Chain: to}} }
	for want, p := range map[string]*Program{
		"without chains":   {},
		"jumps to missing": one(jump("missing")),
		"back to itself":   one(jump("DOCKER-USER")),
	} {
		if _, err := New(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestNomatchFollowsTheLongestPrefix(t *testing.T) {
	yes := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.1.0/24")}
	s := NewNetSet("s", yes, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")})
	for a, want := range map[string]bool{"10.0.0.1": true, "10.1.0.1": false, "10.1.1.1": true, "11.0.0.1": false} {
		if got := s.Contains(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

// Successive jumps to one chain are computed together; that does not change their effect.
func TestSuccessiveJumpsToAChainHaveTheEffectOfEach(t *testing.T) {
	port := func(n uint16) Cond {
		return All{Proto{Numbers: []uint8{ProtoTCP}}, Port{End: Destination, Ranges: []ir.PortRange{{First: n, Last: n + 10}}}}
	}
	source := Addr{End: Source, In: NewAddrSet("", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})}
	program := func(apart bool) *Program {
		first := &Chain{Name: "first"}
		for _, n := range []uint16{80, 85, 443} {
			first.Rules = append(first.Rules, &Rule{Matches: []Cond{port(n)}, Verdict: Verdict{Kind: Jump, Chain: "second"}})
			if apart {
				first.Rules = append(first.Rules, &Rule{Verdict: Verdict{Kind: Continue}})
			}
		}
		first.Rules = append(first.Rules, &Rule{Matches: []Cond{port(440)}, Verdict: Verdict{Kind: Drop}})
		return &Program{Family: ir.IPv4, Chains: []*Chain{first, {Name: "second", Rules: []*Rule{
			{Matches: []Cond{source}, Verdict: Verdict{Kind: Return}},
			{Matches: []Cond{port(90)}, Verdict: Verdict{Kind: Accept}},
			{Matches: []Cond{port(443)}, Verdict: Verdict{Kind: Reject}},
		}}}}
	}
	space, err := New(program(false), program(true))
	if err != nil {
		t.Fatal(err)
	}
	both := space.Programs()
	difference, err := Compare(both[0], both[1], 1)
	if err != nil {
		t.Fatal(err)
	}
	if p, differs := difference.Changed.Witness(); differs {
		t.Errorf("%s: %s in a row, %s apart", p, both[0].Decide(p).Verdict, both[1].Decide(p).Verdict)
	}
	var flaws [2][]string
	for i, e := range both {
		for _, o := range e.Outcomes() {
			p, ok := o.Set.Witness()
			if !ok {
				t.Errorf("nothing gets %s", o.Verdict)
			} else if got := e.Decide(p).Verdict; got != o.Verdict {
				t.Errorf("%s gets %s, not %s", p, got, o.Verdict)
			}
		}
		lints, err := e.Lints()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lints {
			if r := e.Program.Rule(l.At); r.Verdict.Kind != Continue {
				flaws[i] = append(flaws[i], l.Flaw.String()+": "+r.Text)
			}
		}
	}
	if diff := cmp.Diff(flaws[1], flaws[0]); diff != "" || len(flaws[0]) == 0 {
		t.Errorf("flaws (-apart +in a row):\n%s", diff)
	}
}

// A packet for the host itself leaves by no interface and goes to no container.
func TestPacketsToTheHostLeaveByNoInterface(t *testing.T) {
	program := func(conds ...Cond) *Program {
		return &Program{Family: ir.IPv4, ToHost: true, Chains: []*Chain{{Name: "INPUT", Rules: []*Rule{{Matches: conds, Verdict: Verdict{Kind: Drop}}}}}}
	}
	space, err := New(program(Interface{End: Destination, Name: "docker0"}), program(Interface{End: Source, Name: "eth1"}))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "tcp 198.51.100.1:40000 -> 192.0.2.1:80 in eth1 NEW"} {
		e := space.Programs()[i]
		p, ok := e.Outcome(Verdict{Kind: Drop}).Witness()
		if ok != (want != "") || ok && p.String() != want {
			t.Errorf("got %s, %t; want %q", p, ok, want)
		}
	}
	other := program()
	other.ToHost = false
	if _, err := New(program(), other); err == nil {
		t.Error("a program of forwarded packets beside one of packets to the host")
	}
}
