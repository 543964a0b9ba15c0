package policytest

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/parser"
)

// A test about several clients is about all packets that it can mean: what it does not set is
// free, and not assumed. The algebra decides, so that a test which passes holds for each of
// them, and one that fails has a counterexample.

// sampleClients are the clients with which the attributes of such a test are checked.
var sampleClients = map[ir.Family]netip.Addr{
	ir.IPv4: netip.MustParseAddr("192.0.2.1"), ir.IPv6: netip.MustParseAddr("2001:db8::1"),
}

// familyOf returns the only family of a test about several clients that its other attributes
// allow; IPv4 if they allow both.
func familyOf(t *parser.Test) ir.Family {
	if t.Protocol.Number == parser.ICMPv6 || t.ToAddress.Is6() || t.Container.Is6() {
		return ir.IPv6
	}
	return ir.IPv4
}

// familiesOf returns the compiled families of a test about several clients.
func familiesOf(p *parser.Policy, t *parser.Test) []ir.Family {
	var out []ir.Family
	if p.Host.IPv4 && familyOf(t) == ir.IPv4 {
		out = append(out, ir.IPv4)
	}
	v4Only := t.Protocol.Number == parser.ICMP || t.ToAddress.Is4() || t.Container.Is4()
	if p.Host.IPv6 && !v4Only {
		out = append(out, ir.IPv6)
	}
	return out
}

// several runs a test about several clients, on each path that its packets can take.
func (r *runner) several(t *parser.Test) (Result, error) {
	out := Result{Test: t, Host: r.policy.Host.Name}
	for _, f := range familiesOf(r.policy, t) {
		q := questionOf(t)
		q.From = sampleClients[f]
		paths := []question.Question{q}
		if r.alsoToProxy(t, q) {
			paths = append(paths, q.ToProxy())
		}
		for _, q := range paths {
			if err := out.path(r, r.meaning(f), q, f); err != nil {
				return out, fmt.Errorf("test %q: %w", t.Name.Value, err)
			}
		}
	}
	slices.Sort(out.Decides)
	out.Decides = slices.Compact(out.Decides)
	return out, nil
}

// alsoToProxy reports whether packets of a test can end at docker-proxy: it does not say, and
// they are new connections from outside to a published port. INPUT protection accepts nothing,
// so that a test that expects ACCEPT is about forwarded packets only.
func (r *runner) alsoToProxy(t *parser.Test, q question.Question) bool {
	if !t.Clients.AnyPath || t.ToHost || t.ToPort == 0 || t.Expect == parser.ExpectAccept {
		return false
	}
	return build(r.policy, q, t).Packet.DNAT
}

// path adds what the policy does with the packets of a question on one path. The first
// counterexample stays.
func (r *Result) path(run *runner, m *meaning, q question.Question, f ir.Family) (err error) {
	defer packet.Catch(&err)
	program := settled(run.policy, m.program(q.Local()))
	asked := settled(run.policy, &packet.Program{
		Family: f, ToHost: q.Local(), Default: packet.Verdict{Kind: packet.Drop},
		Chains: []*packet.Chain{{Name: "test", Rules: []*packet.Rule{{
			Matches: []packet.Cond{run.packets(m, r.Test, q)}, Verdict: packet.Verdict{Kind: packet.Accept},
		}}}},
	})
	space, err := packet.New(program, asked)
	if err != nil {
		return err
	}
	rules, packets := space.Programs()[0], space.Programs()[1].Outcome(packet.Verdict{Kind: packet.Accept})
	if packets.IsEmpty() {
		return nil
	}
	wrong := space.None()
	for _, o := range rules.Outcomes() {
		if !r.Test.Expect.Matches(verdicts[o.Verdict.Kind]) {
			wrong = wrong.Or(o.Set)
		}
	}
	// What no rule handles is not handled by the block of the attribute by, either.
	others := space.All()
	for i, rule := range program.Chains[0].Rules {
		handled, err := rules.Handled(packet.Place{Rule: i})
		if err != nil {
			return err
		}
		block := blockOf(rule)
		if block != "" && !handled.And(packets).IsEmpty() {
			r.Decides = append(r.Decides, block)
		}
		if block == r.Test.By {
			others = others.Diff(handled)
		}
	}
	if r.Test.By != "" {
		wrong = wrong.Or(others)
	}
	example, failed := packets.And(wrong).Witness()
	if !failed {
		example, _ = packets.Witness()
	}
	if r.Got == "" || failed && r.Passed() {
		r.Packet, r.ToProxy = example, q.Proxy
		r.decide(program, example)
	}
	return nil
}

// settled returns a program in which no limit is reached and no rule is past its end. Unmanaged
// sets may have any members.
func settled(p *parser.Policy, program *packet.Program) *packet.Program {
	holds := conditions(p)
	return program.Map(func(_ *packet.Rule, c packet.Cond) packet.Cond {
		return packet.Map(c, func(c packet.Cond) packet.Cond {
			switch c.(type) {
			case packet.Opaque, packet.Until:
				if value, ok := holds[c.String()]; ok {
					return truth(value)
				}
			}
			return c
		})
	})
}

// truth is the condition that always holds, or never.
func truth(holds bool) packet.Cond {
	if holds {
		return packet.All{}
	}
	return packet.Any{}
}

// packets returns the condition of being a packet of the test on the path of a question.
func (r *runner) packets(m *meaning, t *parser.Test, q question.Question) packet.Cond {
	packets, problems := question.Packets(q, hostOf(r.policy), question.Attributes)
	if len(problems) > 0 {
		panic("test " + t.Name.Value + " was not checked: " + problems.Error())
	}
	return packet.All{m.From(t.Clients.From, t.Clients.FromNot), packets}
}
