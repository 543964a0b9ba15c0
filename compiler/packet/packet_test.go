package packet

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/google/go-cmp/cmp"
)

var port443 = &ir.PortRange{First: 443, Last: 443}

// allMatches has a match of every type of the IR.
var allMatches = []ir.Match{
	ir.Address{Dir: ir.Dst, Not: true, Prefix: netip.MustParsePrefix("10.0.0.0/8")},
	ir.Interface{Dir: ir.Src, Name: "eth+"},
	ir.Protocol{Number: 6},
	ir.Ports{Protocol: 6, Src: port443, Dst: port443},
	ir.ICMP{Family: ir.IPv4, Type: 3, Code: 4},
	ir.Conntrack{States: ir.CTNew | ir.CTDNAT, OrigDst: netip.MustParseAddr("192.0.2.1"), OrigDstPort: port443, Dir: ir.CTOriginal},
	ir.SetMatch{Set: "s", Dir: ir.Src, Not: true},
	ir.HashLimit{Above: true, Rate: ir.Rate{Count: 5, Unit: ir.PerSecond}, Burst: 5, PerSource: true},
	ir.ConnLimit{Above: true, Max: 5, PrefixLength: 32},
	ir.Limit{Rate: ir.Rate{Count: 5, Unit: ir.PerSecond}, Burst: 5},
}

var allVerdicts = []ir.Verdict{
	ir.AcceptPacket{}, ir.Return{}, ir.Drop{}, ir.Reject{With: "tcp-reset"}, ir.JumpTo{Chain: "c"}, ir.Log{}, ir.NFLog{},
}

// The sums of ir are sealed by methods, whose receivers are all types there are.
func TestEveryTypeOfTheIRIsConverted(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../ir/match.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range allMatches {
		if len(FromMatch(m, ir.IPv4, nil)) == 0 {
			t.Errorf("%T has no condition", m)
		}
		known["isMatch "+reflect.TypeOf(m).Name()] = true
	}
	for _, v := range allVerdicts {
		FromVerdict(v)
		known["isVerdict "+reflect.TypeOf(v).Name()] = true
	}
	sealed := 0
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "is") && f.Recv != nil {
			sealed++
			if name := f.Name.Name + " " + f.Recv.List[0].Type.(*ast.Ident).Name; !known[name] {
				t.Errorf("%s is not tested", name)
			}
		}
	}
	if sealed != len(known) {
		t.Errorf("%d types, %d tested", sealed, len(known))
	}
}

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

func TestWitnessesAreWhatPeopleWouldChoose(t *testing.T) {
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
		{"a ping", []Cond{icmpCond(ir.IPv4, 8, -1)}, "icmp type 8/0 198.51.100.1 -> 172.17.0.2 in eth0 out docker0 NEW"},
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
				t.Errorf("decided otherwise: %v", got)
			}
		})
	}
}

func TestImpossiblePacketsAreInNoSet(t *testing.T) {
	for name, conds := range map[string][]Cond{
		"ports of ICMP":                     {Proto{[]uint8{1}}, ports(Destination, 1, 65535)},
		"types of TCP":                      {tcp, icmpCond(ir.IPv4, 8, -1)},
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

// xt_conntrack looks at states alone where there is no connection.
func TestConntrackMatchesWithoutConnection(t *testing.T) {
	packet := Packet{Family: ir.IPv4, Protocol: 6, State: ir.CTInvalid}
	for _, c := range []struct {
		m    ir.Conntrack
		want bool
	}{
		{ir.Conntrack{States: ir.CTInvalid | ir.CTNew, Dir: ir.CTReply}, true},
		{ir.Conntrack{States: ir.CTNew, Dir: ir.CTReply}, false},
		{ir.Conntrack{Dir: ir.CTReply}, false},
		{ir.Conntrack{}, false},
	} {
		if got := Holds(All(FromMatch(c.m, ir.IPv4, nil)), &packet); got != c.want {
			t.Errorf("%+v: %v", c.m, got)
		}
	}
}

// The same limit at the same place is one condition for both programs, so what did
// not change is no difference; two limits within a program are two.
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
		"without chains":  {},
		"jumps to nobody": one(jump("nobody")),
		"back to itself":  one(jump("DOCKER-USER")),
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

const saved = `*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -m set --match-set bad src -j DROP
-A DOCKER-USER -p icmp -m icmp --icmp-type echo-request -m limit --limit 5/sec -j ACCEPT
-A DOCKER-USER -p tcp -m multiport ! --dports 80,443,8000:9000 -m mark --mark 0x1/0xff -j REJECT
-A DOCKER-USER -m iprange --src-range 192.0.2.10-192.0.2.20 -m comment --comment "x" -j NFQUEUE --queue-num 3
-A DOCKER-USER -p tcp -m conntrack --ctstate NEW ! --ctorigdstport 443 -m string --string "a b" --algo bm -j LOG
-A DOCKER-USER -j RETURN
COMMIT
`

func TestDumpsAreRead(t *testing.T) {
	file, diags := iptables.ParseRules(strings.NewReader(saved), "saved")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	host := iptables.NewRuleset(iptables.IPv4)
	if diags := host.Load(file); diags.HasErrors() {
		t.Fatal(diags)
	}
	sets := KnownSets(map[string]*AddrSet{"bad": cidrs("203.0.113.0/24")})
	p := FromDump(host.Table("filter"), ir.IPv4, "FORWARD", sets)
	var got []string
	for _, r := range p.Chains[slices.IndexFunc(p.Chains, func(c *Chain) bool { return c.Name == "DOCKER-USER" })].Rules {
		got = append(got, joined(r.Matches, ", ")+": "+r.Verdict.String())
	}
	want := []string{
		"source 203.0.113.0/24: drop",
		"protocol icmp, ICMP type 8, limit --limit 5/sec: accept",
		"protocol tcp, protocol tcp, udp, sctp, 33, 136, not (destination port 80, 443, 8000-9000), mark 0x1/0xff: reject icmp-port-unreachable",
		"source 192.0.2.10/31, 192.0.2.12/30, 192.0.2.16/30, …: target NFQUEUE --queue-num 3",
		"protocol tcp, state NEW, not (original destination port 443), string --string a b --algo bm: continue",
		": return",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	e := space(t, p).Programs()[0]
	for text, want := range map[string]string{"198.51.100.1": "accept", "203.0.113.1": "drop", "192.0.2.12": "target NFQUEUE --queue-num 3"} {
		packet := Packet{
			Source: netip.MustParseAddr(text), Destination: netip.MustParseAddr("172.17.0.2"), Protocol: 6,
			DestinationPort: 80, In: "eth0", Out: "docker0",
		}
		if got := e.Decide(packet).Verdict.String(); got != want {
			t.Errorf("from %s: %s, want %s", text, got, want)
		}
		for _, o := range e.Outcomes() {
			if o.Set.Contains(packet) != (o.Verdict.String() == want) {
				t.Errorf("from %s: in the set of %v", text, o.Verdict)
			}
		}
	}
}

// Jumps to one chain in a row are taken together; what they do does not change by that.
func TestJumpsInARowDoWhatEachDoes(t *testing.T) {
	port := func(n uint16) Cond {
		return All{Proto{Numbers: []uint8{protoTCP}}, Port{End: Destination, Ranges: []ir.PortRange{{First: n, Last: n + 10}}}}
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

// What is for the host itself leaves by no interface, and goes to no container.
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
