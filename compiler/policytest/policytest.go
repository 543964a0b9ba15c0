package policytest

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Result is the outcome of one test.
type Result struct {
	Test *parser.Test
	Host string
	// Packet is the packet that was evaluated, and Assumed the fields that the test does not
	// set. Of a test about several clients, it is the counterexample if the test failed, and
	// any of the packets if not.
	Packet  packet.Packet
	Assumed []string
	// Got is an exact verdict: neither ExpectAllowed nor ExpectRefused. It is "" if the test is
	// about several clients, and there are none: such a test fails.
	Got parser.Expectation
	// By is the block whose rule matched, such as "accept.https"; "" when none did.
	By string
	// ToProxy is set if the packet ends at docker-proxy, whether or not the test says so.
	ToProxy bool
	// Decides are the blocks that decide about packets of the test, sorted.
	Decides []string
}

// Passed reports whether the packet got what the test expects.
func (r Result) Passed() bool {
	return r.Got != "" && r.Test.Expect.Matches(r.Got) && (r.Test.By == "" || r.Test.By == r.By)
}

// Failed counts the tests that did not pass.
func Failed(results []Result) int {
	n := 0
	for _, r := range results {
		if !r.Passed() {
			n++
		}
	}
	return n
}

// Check returns an error for each attribute of a test that contradicts the others, or
// the host. Run takes only policies without such errors.
func Check(p *parser.Policy) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, t := range p.Tests {
		if t.Unclear {
			continue
		}
		_, problems := question.Build(questionOf(t), hostOf(p), question.Attributes)
		for _, problem := range problems {
			code, place := diag.CodeConflict, t.Ranges[problem.Field]
			if place == (hcl.Range{}) { // of an attribute that is missing
				code, place = diag.CodeSchema, t.DeclRange
			}
			diags = append(diags, diag.New(code, place, problem.Summary, problem.Detail))
		}
	}
	return diags
}

// Run runs the tests of a policy in the order they were written. It fails if those about
// several clients take too much memory.
func Run(p *parser.Policy, lists *semantics.Lists) ([]Result, error) {
	run := &runner{policy: p, lists: lists, meanings: map[ir.Family]*meaning{}}
	var out []Result
	for _, t := range p.Tests {
		if t.Clients == nil {
			out = append(out, run.one(t))
			continue
		}
		r, err := run.several(t)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// runner has what the tests of a policy have in common.
type runner struct {
	policy   *parser.Policy
	lists    *semantics.Lists
	meanings map[ir.Family]*meaning
}

// meaning is what the policy means for one family.
type meaning struct {
	semantics.Meaning
	// programs are those of forwarded packets, and of packets to the host.
	programs [2]*packet.Program
}

func (m *meaning) program(toHost bool) *packet.Program {
	if toHost {
		return m.programs[1]
	}
	return m.programs[0]
}

func (r *runner) meaning(f ir.Family) *meaning {
	m := r.meanings[f]
	if m == nil {
		m = &meaning{Meaning: semantics.Of(r.policy, f, r.lists)}
		m.programs = [2]*packet.Program{m.Forwarded(), m.Input()}
		r.meanings[f] = m
	}
	return m
}

var verdicts = map[packet.Kind]parser.Expectation{
	packet.Accept: parser.ExpectAccept,
	packet.Drop:   parser.ExpectDrop,
	packet.Reject: parser.ExpectReject,
	packet.Docker: parser.ExpectDocker,
}

// one runs a test about one packet.
func (r *runner) one(t *parser.Test) Result {
	p := r.policy
	built := build(p, questionOf(t), t)
	out := Result{Test: t, Host: p.Host.Name, Packet: built.Packet, Assumed: built.Assumed, ToProxy: t.Proxy}
	asked := built.Packet
	asked.Conditions = conditions(p)
	out.decide(r.meaning(ir.FamilyOf(t.From)).program(t.Proxy || t.ToHost), asked)
	if out.By != "" {
		out.Decides = []string{out.By}
	}
	return out
}

// build returns the packet of a question about a test that was checked.
func build(p *parser.Policy, q question.Question, t *parser.Test) question.Built {
	built, problems := question.Build(q, hostOf(p), question.Attributes)
	if len(problems) > 0 {
		panic("test " + t.Name.Value + " was not checked: " + problems.Error())
	}
	return built
}

// decide sets the verdict on a packet and the block that gives it.
func (r *Result) decide(program *packet.Program, p packet.Packet) {
	decision := program.Decide(p)
	r.Got = verdicts[decision.Verdict.Kind]
	r.By = blockOf(program.Rule(decision.At))
}

// blockOf returns the block of a rule, such as "accept.https"; "" without a rule, and for
// packets that INPUT protection does not cover.
func blockOf(rule *packet.Rule) string {
	if rule == nil || !semantics.IsBlock(rule.Text) {
		return ""
	}
	return strings.Replace(rule.Text, " ", ".", 1)
}

// questionOf is a test as a question about one packet. Of a test about several clients it is
// about one of them.
func questionOf(t *parser.Test) question.Question {
	from := t.From
	if t.Clients != nil {
		from = sampleClients[familyOf(t)]
	}
	q := question.Question{
		From: from, ToPort: t.ToPort, ToAddress: t.ToAddress, Container: t.Container, ContainerPort: t.ContainerPort,
		Protocol: t.Protocol.Number, In: t.Interface, Out: t.OutInterface, Proxy: t.Proxy, ToHost: t.ToHost,
	}
	q.SetState(string(t.State))
	return q
}

// hostOf is what a policy states about its host.
func hostOf(p *parser.Policy) question.Host {
	h := question.Host{SourcePorts: slices.ContainsFunc(p.AllRules(), func(r *parser.Rule) bool { return len(r.SourcePorts) > 0 })}
	h.External, h.Container = parser.Values(p.Host.ExternalInterfaces), parser.Values(p.Host.ContainerInterfaces)
	return h
}

// conditions are the values of conditions that a packet alone does not determine: limits are
// not reached, which those of an accept match and those of a deny do not, and no rule is past
// its end. Unmanaged sets are not among them.
func conditions(p *parser.Policy) map[string]bool {
	out := map[string]bool{}
	for _, r := range p.AllRules() {
		if r.Expires != nil {
			out[packet.Until{End: r.Expires.Value.Unix()}.String()] = true
		}
		if r.Rate != nil {
			out[semantics.RateOf(r.Name.Value).String()] = r.Kind == parser.KindAccept
		}
		if r.Connections != nil {
			out[semantics.ConnectionsOf(r.Name.Value).String()] = r.Kind == parser.KindAccept
		}
	}
	return out
}
