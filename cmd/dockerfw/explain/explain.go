package explain

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
)

// Question is what a user knows about a packet; the rest is assumed.
type Question = question.Question

// Answer is the verdict of the packet on one path.
type Answer struct {
	Path snapshot.Path
	// Conditional is set if the packet takes this path only under the conditions of each
	// case.
	Conditional bool
	Packet      packet.Packet
	// Assumed has a sentence for each field that the question left open.
	Assumed []string
	// Cases has one element unless the verdict depends on conditions.
	Cases []Case
	// Notes are about the rules and the path.
	Notes []string
	// Facts are what is wrong with the interfaces of a live host, or that they are unknown.
	Facts []facts.Fact
	// ofHost is set if the rules are those of a host, and not what dockerfw compiles.
	ofHost bool
	// limits are the conditions that are limits of dockerfw's rules, by their text.
	limits map[string]limit
}

// Case is the verdict of the packet under some conditions.
type Case struct {
	// Holds and Fails are the conditions that match and that do not; none if it is the only
	// case.
	Holds, Fails []string
	Verdict      packet.Verdict
	// By is the rule that gave the verdict, or what did in place of one.
	By     Rule
	Passed []Passed
}

// Rule is a rule with its place.
type Rule struct {
	// Name is the block of the policy, such as `accept "https"`, or the rule's text.
	Name string
	// Table, Chain and Text are the rule as iptables-save prints it.
	Table, Chain string
	Text         string
	Place        string
	// MissingIn is the policy that has no such block, if the rule is compiled without one.
	MissingIn string
}

// Passed is a rule that was checked before the one that gave the verdict.
type Passed struct {
	Rule
	// Why is the reason why it did not match; "" if it did and the packet went on.
	Why string
	// To is the chain to which a matching rule jumped, and Returns is set if it returned
	// from its own.
	To      string
	Returns bool
	// Accepts is set if it ended the rules of its table, but not those of later ones.
	Accepts bool
	// Translates is set if it changed the packet's destination.
	Translates bool
	// Does is what else the rule did to the packet; "" for nothing.
	Does string
}

// Explain sends the packet of a question through the rules of a host, on each path that it can
// take: from a chain of the filter table on, or with "" through all chains that it passes.
func Explain(s *snapshot.Host, q Question, chain string) ([]*Answer, error) {
	out, err := answers(s, q, chain)
	if err == nil && s.Kind == snapshot.Live {
		out[0].Facts = append(facts.Network(s, s), facts.Named(s, q.In)...)
	}
	return out, err
}

func answers(s *snapshot.Host, q Question, chain string) ([]*Answer, error) {
	f := ir.FamilyOf(q.From)
	if !s.HasFamily(f) {
		if !s.Kind.Compiled() {
			return nil, fmt.Errorf("%s contains no %s rules", s.Name, words.Family(f))
		}
		return nil, fmt.Errorf("%s has no %s rules: %[2]s is left to Docker's own rules", s.Name, words.Family(f))
	}
	var out []*Answer
	// The path may depend on conditions too: each combination is tried.
	tries := []map[string]bool{nil}
	for i := 0; i < len(tries) && i < maxPaths; i++ {
		e := newExplainer(s, f, tries[i])
		if err := e.explain(q, chain); err != nil {
			return nil, err
		}
		tries = append(tries, e.otherGiven...)
		if !slices.ContainsFunc(out, e.answer.samePacket) {
			out = append(out, e.answer)
		}
		if i == 0 && chain == "" && e.mayEndAtProxy() {
			proxy := newExplainer(s, f, nil)
			if err := proxy.explain(q.ToProxy(), chain); err != nil {
				return nil, err
			}
			return append(out, proxy.answer), nil
		}
	}
	for _, a := range out {
		a.Conditional = len(out) > 1
	}
	return out, nil
}

// maxPaths limits the answers for a packet that can go to several places.
const maxPaths = 16

func (a *Answer) samePacket(o *Answer) bool {
	return a.Path == o.Path && a.Packet.String() == o.Packet.String()
}

type explainer struct {
	state  *snapshot.Host
	family ir.Family
	answer *Answer
	// hooks are the chains that the packet passes; whole is set if they are all that the
	// host has.
	hooks []packet.Hook
	whole bool
	// given are the conditions on which the packet's path depends. Others that turned out to
	// matter were assumed not to match: each of otherGiven assumes that one of them does.
	given      map[string]bool
	otherGiven []map[string]bool
}

func newExplainer(s *snapshot.Host, f ir.Family, given map[string]bool) *explainer {
	return &explainer{state: s, family: f, given: given, answer: &Answer{ofHost: !s.Kind.Compiled()}}
}

func (e *explainer) explain(q Question, chain string) error {
	e.answer.Path = snapshot.Forward
	if q.Local() {
		e.answer.Path = snapshot.ToHost
	}
	if err := e.route(e.answer.Path, chain); err != nil {
		return err
	}
	built, problems := question.Build(q, e.host(), question.Flags)
	if len(problems) > 0 {
		return problems
	}
	e.answer.Packet, e.answer.Assumed = built.Packet, built.Assumed
	e.answer.Notes = append(e.answer.Notes, built.Notes...)
	if e.whole && e.answer.Path == snapshot.Forward && built.Packet.Out == "" {
		// No rule translates it, so that it is for the host itself.
		e.answer.Path = snapshot.ToHost
		if err := e.route(e.answer.Path, ""); err != nil {
			return err
		}
	}
	e.notes()
	e.cases()
	return nil
}

// mayEndAtProxy reports whether the packet may go to docker-proxy instead of being forwarded,
// for reasons that the rules do not show: over IPv6 Docker translates a published port only if
// the container's network has IPv6, and never for clients with a link-local address.
func (e *explainer) mayEndAtProxy() bool {
	return e.answer.Path == snapshot.Forward && !e.whole && e.family == ir.IPv6 && e.answer.Packet.DNAT
}

func (e *explainer) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(e.answer.Notes, note) {
		e.answer.Notes = append(e.answer.Notes, note)
	}
}

// notes adds what the verdict does not show about the packet's path.
func (e *explainer) notes() {
	if e.whole {
		e.notEvaluated()
	}
	if e.answer.Path != snapshot.ToHost || !e.state.Kind.Compiled() {
		return
	}
	if !e.state.HasScope(e.family, ir.ScopeInput) {
		e.note("%s has no INPUT protection for docker-proxy", e.state.Name)
		return
	}
	p := e.answer.Packet
	if j := e.settled(e.hooks, p); p.HasPorts() && len(j.Steps) > 0 && !slices.ContainsFunc(j.Steps, func(s packet.JourneyStep) bool { return s.Failed == nil && s.At != packet.AtEnd }) {
		e.note("port %d of docker-proxy is not protected on %s: only the host's own INPUT rules apply. Set proxy_ports = [%s] to apply the policy's default to it", p.DestinationPort, p.In, snapshot.ProxyPort(p.Protocol, p.DestinationPort))
	}
}
