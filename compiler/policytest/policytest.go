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
	// Packet is the packet that was evaluated, and Assumed the fields that the test does
	// not set.
	Packet  packet.Packet
	Assumed []string
	// Got is an exact verdict: neither ExpectAllowed nor ExpectRefused.
	Got parser.Expectation
	// By is the block whose rule matched, such as "accept.https"; "" when none did.
	By string
}

// Passed reports whether the packet got what the test expects.
func (r Result) Passed() bool {
	return r.Test.Expect.Matches(r.Got) && (r.Test.By == "" || r.Test.By == r.By)
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

// Run runs the tests of a policy in the order they were written.
func Run(p *parser.Policy, lists semantics.Lists) []Result {
	type key struct {
		family ir.Family
		toHost bool
	}
	programs := map[key]*packet.Program{}
	var out []Result
	for _, t := range p.Tests {
		family := ir.FamilyOf(t.From)
		k := key{family, t.Proxy || t.ToHost}
		if programs[k] == nil {
			meaning := semantics.Program
			if k.toHost {
				meaning = semantics.Input
			}
			programs[k] = meaning(p, family, lists)
		}
		out = append(out, run(p, t, programs[k]))
	}
	return out
}

var verdicts = map[packet.Kind]parser.Expectation{
	packet.Accept: parser.ExpectAccept,
	packet.Drop:   parser.ExpectDrop,
	packet.Reject: parser.ExpectReject,
	packet.Docker: parser.ExpectDocker,
}

func run(p *parser.Policy, t *parser.Test, program *packet.Program) Result {
	built, problems := question.Build(questionOf(t), hostOf(p), question.Attributes)
	if len(problems) > 0 {
		panic("test " + t.Name.Value + " was not checked: " + problems.Error())
	}
	r := Result{Test: t, Host: p.Host.Name, Packet: built.Packet, Assumed: built.Assumed}
	asked := built.Packet
	asked.Conditions = conditions(p)
	decision := program.Decide(asked)
	r.Got = verdicts[decision.Verdict.Kind]
	if rule := program.Rule(decision.At); rule != nil && semantics.IsBlock(rule.Text) {
		r.By = strings.Replace(rule.Text, " ", ".", 1)
	}
	return r
}

// questionOf is a test as a question about one packet.
func questionOf(t *parser.Test) question.Question {
	q := question.Question{
		From: t.From, ToPort: t.ToPort, ToAddress: t.ToAddress, Container: t.Container, ContainerPort: t.ContainerPort,
		Protocol: t.Protocol.Number, In: t.Interface, Out: t.OutInterface, Proxy: t.Proxy, ToHost: t.ToHost,
	}
	q.SetState(string(t.State))
	return q
}

// hostOf is what a policy states about its host.
func hostOf(p *parser.Policy) question.Host {
	h := question.Host{SourcePorts: slices.ContainsFunc(p.AllRules(), func(r *parser.Rule) bool { return len(r.SourcePorts) > 0 })}
	for _, i := range p.Host.ExternalInterfaces {
		h.External = append(h.External, i.Value)
	}
	for _, i := range p.Host.ContainerInterfaces {
		h.Container = append(h.Container, i.Value)
	}
	return h
}

// conditions are the values of conditions that a packet alone does not determine: limits
// are not reached, and unmanaged sets are empty.
func conditions(p *parser.Policy) map[string]bool {
	out := map[string]bool{}
	for _, r := range p.AllRules() {
		if r.Kind != parser.KindAccept {
			continue
		}
		if r.Rate != nil {
			out[semantics.RateOf(r.Name.Value).String()] = true
		}
		if r.Connections != nil {
			out[semantics.ConnectionsOf(r.Name.Value).String()] = true
		}
	}
	return out
}
