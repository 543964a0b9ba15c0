package report

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// decision is packets that get a verdict from a rule.
type decision struct {
	rule    Rule
	verdict packet.Verdict
	// own: a block of the policy decides, rather than the end of the rules.
	own bool
	set packet.Set
}

// noRule is the name where no rule decides.
const noRule = "no rule"

// decisions divides the packets of a scope by the rule that gives them their verdict.
func decisions(h *snapshot.Host, k Kind, f ir.Family, e *packet.Evaluation, scope packet.Set) ([]decision, error) {
	d := &decider{host: h, kind: k, family: f, e: e, rest: scope, index: map[string]int{}}
	var returns []packet.Place
	for at, r := range e.Program.Rules() {
		switch r.Verdict.Kind {
		case packet.Accept, packet.Drop, packet.Reject, packet.Docker, packet.Other:
			switch {
			case r.Verdict == packet.CannotBe:
				continue
			case passes(r.Verdict) && !h.Kind.Compiled():
				// The last table has it; the filter table decides.
				returns = append(returns, at)
				continue
			}
			if err := d.add(at, r.Verdict, d.rest); err != nil {
				return nil, err
			}
		case packet.Return, packet.Goto, packet.Jump, packet.Continue:
			returns = append(returns, at)
		}
	}
	// What is left was let through: by the last rule that a packet matched which lets packets
	// through, of the policy or, on a host, of the filter table.
	slices.Reverse(returns)
	// An accept in the table of dockerfw is followed by rules of Docker, which accept what it publishes.
	slices.SortStableFunc(returns, func(a, b packet.Place) int {
		return d.ofTable(b) - d.ofTable(a)
	})
	for _, at := range returns {
		if !d.letsThrough(at) {
			continue
		}
		for _, o := range e.Outcomes() {
			if passes(o.Verdict) {
				if err := d.add(at, o.Verdict, o.Set); err != nil {
					return nil, err
				}
			}
		}
	}
	if h.Kind.Compiled() && k != Egress {
		if err := d.byDefault(); err != nil {
			return nil, err
		}
	}
	for _, o := range e.Outcomes() {
		if left := d.rest.And(o.Set); !left.IsEmpty() && o.Verdict != packet.CannotBe {
			d.put(Rule{Name: noRule}, o.Verdict, false, left)
		}
	}
	return d.out, nil
}

func refuses(v packet.Verdict) bool { return v.Kind == packet.Drop || v.Kind == packet.Reject }

func passes(v packet.Verdict) bool { return v.Kind == packet.Docker || v.Kind == packet.Accept }

type decider struct {
	host   *snapshot.Host
	kind   Kind
	family ir.Family
	e      *packet.Evaluation
	rest   packet.Set
	out    []decision
	index  map[string]int
}

// add adds the packets that a rule handles, among some.
func (d *decider) add(at packet.Place, v packet.Verdict, among packet.Set) error {
	if d.rest.IsEmpty() {
		return nil
	}
	handled, err := d.e.Handled(at)
	if err != nil {
		return err
	}
	if set := d.rest.And(handled).And(among); !set.IsEmpty() {
		r := d.e.Program.Rule(at)
		d.put(d.ruleAt(r), v, d.host.RuleAt(d.family, r.At).Ours(), set)
	}
	return nil
}

// put adds packets to the decision of a rule. The rules that one block compiles to are one.
func (d *decider) put(r Rule, v packet.Verdict, own bool, set packet.Set) {
	d.rest = d.rest.Diff(set)
	key := fmt.Sprint(r.Name, "\x00", own, "\x00", v)
	if !own {
		key += "\x00" + r.Place
	}
	i, known := d.index[key]
	if !known {
		i = len(d.out)
		d.index[key] = i
		d.out = append(d.out, decision{rule: r, verdict: v, own: own, set: set})
		return
	}
	d.out[i].set = d.out[i].set.Or(set)
}

// letsThrough reports whether a rule is one because of which a packet gets to the end: a RETURN of
// a block of the policy, or on a host an ACCEPT of the filter table or the policy of its chain.
func (d *decider) letsThrough(at packet.Place) bool {
	r := d.e.Program.Rule(at)
	rule := d.host.RuleAt(d.family, r.At)
	if d.host.Kind.Compiled() {
		return r.Verdict.Kind == packet.Return && rule.Ours() && !rule.Dispatches()
	}
	switch {
	case snapshot.IsOwnTable(r.At):
		return rule.Ours() && rule.Accepts()
	case r.At.Table != "filter":
		return false
	}
	return r.At.Policy && (r.Verdict.Kind == packet.Goto || passes(r.Verdict)) || rule != nil && rule.Accepts()
}

// ofTable is 1 for a rule in the table of dockerfw, and 0 for all others.
func (d *decider) ofTable(at packet.Place) int {
	if snapshot.IsOwnTable(d.e.Program.Rule(at).At) {
		return 1
	}
	return 0
}

// byDefault adds the packets that the default block lets through: they get to the end of the
// rules for containers, and of those for docker-proxy, if a rule of the block refuses the others.
func (d *decider) byDefault() error {
	packets := d.rest
	if d.kind == Host {
		packets = d.rest.Diff(d.rest)
		for at, r := range d.e.Program.Rules() {
			if r.Verdict.Kind == packet.Jump && snapshot.IsChainOf(ir.ScopeProxy, r.Verdict.Chain) {
				handled, err := d.e.Handled(at)
				if err != nil {
					return err
				}
				packets = packets.Or(d.rest.And(handled))
			}
		}
	}
	for _, r := range d.e.Program.Rules() {
		id, ok := d.host.IDAt(d.family, r.At)
		if !ok || id.Phase != ir.PhaseDefault || !refuses(r.Verdict) || d.kind == Host && !snapshot.IsChainOf(ir.ScopeProxy, r.At.Chain) {
			continue
		}
		rule := d.ruleAt(r)
		rule.Name, rule.Text = "default.allow", ""
		for _, o := range d.e.Outcomes() {
			if set := packets.And(o.Set).And(d.rest); !set.IsEmpty() && passes(o.Verdict) {
				d.put(rule, o.Verdict, true, set)
			}
		}
		break
	}
	return nil
}

// ruleAt is a rule of a program as a report shows it.
func (d *decider) ruleAt(r *packet.Rule) Rule {
	rule := d.host.RuleAt(d.family, r.At)
	if rule == nil {
		if r.At.Policy {
			return Rule{Name: "the policy of " + r.At.Chain, Text: d.host.RuleText(d.family, r.At)}
		}
		return Rule{Name: r.Text}
	}
	out := Rule{
		Name: rule.Block(), Place: snapshot.PlaceText(d.host.Place(rule)),
		Text: rule.Line(), MissingIn: d.host.MissingBlock(rule),
	}
	if !rule.Ours() && identity.IsDockerChain(r.At.Chain) {
		out.Name = "Docker's rule in " + r.At.Chain
	}
	return out
}

// reach is what a decision means for the client. Docker's own rules accept what it has published,
// and what leaves its networks for the outside; they drop what goes directly to a container,
// except on old engines.
func (d *decision) reach(k Kind, direct bool) Reach {
	switch d.verdict.Kind {
	case packet.Accept:
		return Allowed
	case packet.Drop, packet.Reject:
		return Refused
	case packet.Docker:
		if k == Egress || k == Published && !direct || k == Host && d.own {
			return Allowed
		}
	}
	return Left
}
