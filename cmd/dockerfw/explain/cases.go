package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// maxConditions limits the cases to two to the power of it.
const maxConditions = 8

// cases finds the verdict for each combination of the conditions that matter.
func (e *explainer) cases() {
	type outcome struct {
		verdict packet.Verdict
		by      Rule
	}
	seen := map[outcome]int{}
	var try func(known map[string]bool)
	try = func(known map[string]bool) {
		p := e.answer.Packet
		p.Conditions = known
		j := packet.Trace(e.hooks, p)
		if j.Open != "" && len(known) < maxConditions+len(e.given) {
			for _, holds := range []bool{false, true} {
				more := map[string]bool{j.Open: holds}
				for k, v := range known {
					more[k] = v
				}
				if e.answer.possible(more) {
					try(more)
				}
			}
			return
		}
		c := e.oneCase(j, known)
		o := outcome{c.Verdict, c.By}
		if i, ok := seen[o]; ok {
			e.answer.Cases[i].also(&c)
			return
		}
		seen[o] = len(e.answer.Cases)
		e.answer.Cases = append(e.answer.Cases, c)
	}
	e.answer.limits = e.limits()
	try(e.given)
	e.answer.usualFirst()
	if len(e.answer.Cases) == 1 && len(e.given) == 0 {
		e.answer.Cases[0].Holds, e.answer.Cases[0].Fails = nil, nil
	}
}

// also joins another case with the same outcome: a condition that only one of them has does
// not matter.
func (c *Case) also(o *Case) {
	both := func(a, b []string) []string {
		return slices.DeleteFunc(a, func(x string) bool { return !slices.Contains(b, x) })
	}
	c.Holds, c.Fails = both(c.Holds, o.Holds), both(c.Fails, o.Fails)
}

// undecided is the verdict if more conditions matter than are tried.
var undecided = packet.Verdict{Kind: packet.Other, With: "not decided: too many conditions"}

func (e *explainer) oneCase(j packet.Journey, known map[string]bool) Case {
	c := Case{Verdict: j.Verdict}
	if j.Open != "" {
		c.Verdict = undecided
		c.Fails = append(c.Fails, j.Open)
	}
	for text, holds := range known {
		if holds {
			c.Holds = append(c.Holds, text)
		} else {
			c.Fails = append(c.Fails, text)
		}
	}
	slices.Sort(c.Holds)
	slices.Sort(c.Fails)
	by := e.decider(j)
	for i, s := range j.Steps {
		if i == by {
			continue
		}
		if s.At == packet.AtEnd {
			continue
		}
		r := e.hooks[s.Hook].Program.Rule(s.At)
		rule := e.rule(r.At, &s.Packet)
		switch {
		case s.Failed == nil:
			c.Passed = append(c.Passed, Passed{Rule: rule, To: r.Verdict.Chain, Returns: r.Verdict.Kind == packet.Return, Accepts: r.Verdict.Kind == packet.Accept, Translates: r.Verdict.Kind == packet.Other && e.hooks[s.Hook].Translates(), Does: does(r, j.Steps, i)})
		case r.At.Table == "filter" || snapshot.IsOwnTable(r.At):
			// Other tables have many rules, of which few are about the packet.
			c.Passed = append(c.Passed, Passed{Rule: rule, Why: e.answer.why(s.Failed, &s.Packet)})
		}
	}
	c.By = e.by(j, by)
	return c
}

// decider is the index of the step that gave the verdict: the last one, or for a packet that
// all hooks let through, the one of the filter table.
func (e *explainer) decider(j packet.Journey) int {
	last := len(j.Steps) - 1
	if j.Verdict.Kind != packet.Accept || j.Open != "" || last < 0 {
		return e.returned(j, last)
	}
	by := last
	for i := last; i >= 0; i-- {
		if e.hooks[j.Steps[i].Hook].Table == "filter" {
			by = i
			break
		}
	}
	if j.Steps[by].At != packet.AtEnd {
		return by
	}
	// If only the policy of the filter table accepts it, a rule in a table of Docker's own
	// that accepts it explains more.
	for i, s := range j.Steps {
		if s.At == packet.AtEnd || s.Failed != nil {
			continue
		}
		if r := e.hooks[s.Hook].Program.Rule(s.At); snapshot.IsDockerRule(r.At) && r.Verdict.Kind == packet.Accept {
			return i
		}
	}
	return by
}

// returned is the step that leaves the packet to the rules after the program: the accept of a
// chain in INPUT that it returned from, or a RETURN if that is the last rule that matched.
func (e *explainer) returned(j packet.Journey, last int) int {
	if last < 1 || j.Verdict.Kind != packet.Docker {
		return last
	}
	if j.Steps[last].At != packet.AtEnd {
		return last
	}
	for i := last - 1; i >= 0 && e.answer.Path == snapshot.ToHost; i-- {
		s := j.Steps[i]
		r := e.source(s)
		if s.Failed == nil && e.hooks[s.Hook].Program.Rule(s.At).Verdict.Kind == packet.Return && r.Ours() && !r.Dispatches() {
			return i
		}
	}
	if s := j.Steps[last-1]; s.Failed == nil && !e.source(s).Dispatches() && e.hooks[s.Hook].Program.Rule(s.At).Verdict.Kind == packet.Return {
		return last - 1
	}
	return last
}

// by is the rule at a step, or what gave the verdict at the end of the chain.
func (e *explainer) by(j packet.Journey, i int) Rule {
	if i < 0 {
		return Rule{Name: noRule}
	}
	s := j.Steps[i]
	h := e.hooks[s.Hook]
	switch {
	case s.At != packet.AtEnd:
		return e.rule(h.Program.Rule(s.At).At, &s.Packet)
	case h.Program.Default.Kind == packet.Docker:
		return Rule{Name: noRule, Table: h.Table, Chain: h.Program.Chains[0].Name}
	case h.Base != nil:
		return Rule{Name: fmt.Sprintf("the policy of chain %s of table %s (hook %s, priority %d)", h.Chain, h.Table, h.Base.Hook, h.Base.Priority), Table: h.Table, Chain: h.Chain}
	case h.Table != "filter":
		return Rule{Name: fmt.Sprintf("the policy of chain %s of table %s", h.Chain, h.Table), Table: h.Table, Chain: h.Chain}
	}
	return Rule{Name: "the policy of chain " + h.Chain, Table: h.Table, Chain: h.Chain}
}

// source is the rule of the tables at a step; nil for one of a foreign table of nft, or of none.
func (e *explainer) source(s packet.JourneyStep) *snapshot.Rule {
	r := e.hooks[s.Hook].Program.Rule(s.At)
	if r == nil {
		return nil
	}
	return e.state.RuleAt(e.family, r.At)
}

// rule is a rule of the tables; of merged ones, the one that matches the packet.
func (e *explainer) rule(at packet.Origin, p *packet.Packet) Rule {
	r := e.state.RuleAt(e.family, at)
	if text, ok := e.state.NFTRuleText(at); ok && !r.Ours() {
		return Rule{Name: text, Table: at.Table, Chain: at.Chain, Text: text}
	}
	out := Rule{
		Name: r.Block(), Table: at.Table, Chain: at.Chain, Text: r.Text(),
		Place:     snapshot.PlaceText(e.state.Place(r)),
		MissingIn: e.state.MissingBlock(r),
	}
	if id, ok := e.state.BlockOf(r, p); ok {
		out.Name, out.Place = identity.Block(id), snapshot.PlaceText(e.state.PlaceOf(id, r))
	}
	return out
}

// does is what a matching rule did to the packet. The next step has the marks that it set.
func does(r *packet.Rule, steps []packet.JourneyStep, i int) string {
	var out []string
	for _, a := range r.Actions {
		switch a.Kind {
		case packet.Untrack:
			out = append(out, "excludes it from connection tracking, so that Docker does not translate it")
		case packet.LoseMark:
			out = append(out, "sets a mark that dockerfw does not follow")
		case packet.SetConnMark, packet.SaveMark:
			out = append(out, "marks the connection"+marked(steps, i, true))
		default:
			out = append(out, "marks the packet"+marked(steps, i, false))
		}
	}
	return strings.Join(out, ", ")
}

// noRule is the name if no rule gave the verdict.
const noRule = "no rule"

func marked(steps []packet.JourneyStep, i int, conn bool) string {
	if i+1 == len(steps) {
		return ""
	}
	m := steps[i+1].Packet.Marks.Packet
	if conn {
		m = steps[i+1].Packet.Marks.Conn
	}
	return " " + m.String()
}
