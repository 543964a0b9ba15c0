// Package explain tells what becomes of one packet, and why.
//
// In: a state of a host's rules and a packet in words. Out: for each path that it may
// take its verdict, the rule that decided, and each rule it passed with the reason that
// one did not match. Of a host all tables are asked, in the order that packets meet them.
// Where the answer depends on what a packet does not tell, such as a rate, there is
// one answer for each case.
package explain

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
)

// Question is a packet as a user knows it; what it leaves open is assumed.
type Question = question.Question

// Answer is what becomes of the packet on one path.
type Answer struct {
	Path snapshot.Path
	// Conditional says that it depends on the conditions of each case whether the packet
	// goes this way at all.
	Conditional bool
	Packet      packet.Packet
	// Guesses say what the question left open and was assumed.
	Guesses []string
	// Cases has one element unless the verdict depends on conditions.
	Cases []Case
	// Notes say what a reader should know beyond the verdict.
	Notes []string
}

// Case is what becomes of the packet if some conditions hold.
type Case struct {
	// Holds and Fails are the conditions that make it this case; none of them if it
	// is the only one.
	Holds, Fails []string
	Verdict      packet.Verdict
	// By is the rule that decided; its Name says so if none did.
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
}

// Passed is a rule that a packet came to and that did not decide.
type Passed struct {
	Rule
	// Why the rule did not match; "" if it did and the packet went on.
	Why string
	// To is the chain that a rule that matched led to, and Returns tells that it led
	// back from its own.
	To      string
	Returns bool
	// Accepts tells that it ended the rules of its table, but not those of later ones.
	Accepts bool
	// Translates tells that it sent the packet on to another destination.
	Translates bool
	// Does is what else the rule did to the packet; "" for nothing.
	Does string
}

// Explain sends the packet through the rules of a state, on each path that it may take: from
// a chain of the filter table on, or with "" through all that it meets.
func Explain(s *snapshot.Host, q Question, chain string) ([]*Answer, error) {
	f := ir.FamilyOf(q.From)
	if s.Rules[f] == nil {
		if !s.Kind.Compiled() {
			return nil, fmt.Errorf("%s has no %s rules saved", s.Name, snapshot.FamilyText(f))
		}
		return nil, fmt.Errorf("%s has no %s rules: that family is left to Docker's own", s.Name, snapshot.FamilyText(f))
	}
	var out []*Answer
	// Where a packet goes may depend on conditions too: each way is an answer.
	ways := []map[string]bool{nil}
	for i := 0; i < len(ways) && i < maxWays; i++ {
		e := &explainer{state: s, family: f, answer: &Answer{}, given: ways[i]}
		if err := e.explain(q, chain); err != nil {
			return nil, err
		}
		ways = append(ways, e.otherWays...)
		if !slices.ContainsFunc(out, func(a *Answer) bool { return a.Path == e.answer.Path && a.Packet.String() == e.answer.Packet.String() }) {
			out = append(out, e.answer)
		}
		if i == 0 && chain == "" && e.mayEndAtProxy() {
			proxy := &explainer{state: s, family: f, answer: &Answer{}}
			q.Proxy, q.Container, q.ContainerPort, q.Out = true, netip.Addr{}, 0, ""
			if err := proxy.explain(q, chain); err != nil {
				return nil, err
			}
			return append(out, proxy.answer), nil
		}
	}
	if len(out) == 1 {
		return out, nil
	}
	for _, a := range out {
		a.Conditional = true
	}
	return out, nil
}

// maxWays limits the answers for a packet that may go to several places.
const maxWays = 16

type explainer struct {
	state  *snapshot.Host
	family ir.Family
	answer *Answer
	// hooks are the chains that the packet meets; whole says that they are all that the
	// host has.
	hooks []packet.Hook
	whole bool
	// given are the conditions on which it depends where the packet goes. Those that it came
	// upon besides were taken not to hold: otherWays has what is given if they do.
	given     map[string]bool
	otherWays []map[string]bool
	// elsewhere says that what nat translates was sent to no address of the host.
	elsewhere bool
}

func (e *explainer) explain(q Question, chain string) error {
	e.answer.Path = snapshot.Forward
	if q.Proxy {
		e.answer.Path = snapshot.ToHost
	}
	if err := e.route(e.answer.Path, chain); err != nil {
		return err
	}
	built, problems := question.Build(q, e.host(), question.Flags)
	if len(problems) > 0 {
		return problems
	}
	e.answer.Packet, e.answer.Guesses = built.Packet, built.Assumed
	e.answer.Notes = append(e.answer.Notes, built.Notes...)
	if e.whole && e.answer.Path == snapshot.Forward {
		if e.answer.Packet.Out == "" {
			// Nothing translates it, so that it is for the host itself.
			e.answer.Path = snapshot.ToHost
			if err := e.route(e.answer.Path, ""); err != nil {
				return err
			}
		} else {
			e.redirect(&e.answer.Packet)
		}
	}
	e.notes()
	e.cases()
	return nil
}

// mayEndAtProxy tells whether the packet may reach docker-proxy instead of being forwarded,
// by what the rules do not say: over IPv6 Docker translates a published port only if the
// container's network has IPv6, and never for clients with a link-local address.
func (e *explainer) mayEndAtProxy() bool {
	return e.answer.Path == snapshot.Forward && !e.whole && e.family == ir.IPv6 && e.answer.Packet.DNAT
}

func (e *explainer) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(e.answer.Notes, note) {
		e.answer.Notes = append(e.answer.Notes, note)
	}
}

// notes says what a reader should know of the path besides the verdict.
func (e *explainer) notes() {
	if e.whole {
		e.beside()
	}
	if e.answer.Path != snapshot.ToHost || !e.state.Kind.Compiled() {
		return
	}
	if e.state.Filter(e.family).Chain(snapshot.InputChain) == nil {
		e.note("%s does not protect docker-proxy: none of its rules is for INPUT", e.state.Name)
		return
	}
	p := e.answer.Packet
	if j := e.settled(e.hooks, p); p.HasPorts() && len(j.Steps) > 0 && !slices.ContainsFunc(j.Steps, func(s packet.JourneyStep) bool { return s.Failed == nil && s.At != packet.AtEnd }) {
		e.note("no rule protects port %d of docker-proxy from what arrives on %s: whoever the host's own INPUT rules let in reaches it. proxy_ports = [%s] puts it under the policy's default", p.DestinationPort, p.In, snapshot.ProxyPort(p.Protocol, p.DestinationPort))
	}
}
