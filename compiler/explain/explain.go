// Package explain tells what becomes of one packet, and why.
//
// In: a state of a host's rules and a packet in words. Out: its verdict, the rule
// that decided, and each rule it passed with the reason that one did not match.
// Where the answer depends on what a packet does not tell, such as a rate, there is
// one answer for each case.
package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/firewall"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/dump"
)

// Question is a packet as a user knows it; zero fields are guessed.
type Question struct {
	From     netip.Addr
	FromPort uint16
	// ToPort is the published port, and ToAddress the host's address it is asked
	// for. With ContainerPort alone the packet goes to the container directly.
	ToPort        uint16
	ToAddress     netip.Addr
	Container     netip.Addr
	ContainerPort uint16
	Protocol      uint8
	In, Out       string
	State         ir.CTState
	Reply         bool
	ICMPType      uint8
	ICMPCode      uint8
	// Proxy asks for a packet that ends at docker-proxy on the host.
	Proxy bool
}

// Answer is what becomes of the packet.
type Answer struct {
	Packet packet.Packet
	// Start is the chain the packet comes to first.
	Start string
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
	// Chain and Text are the rule as iptables-save prints it.
	Chain string
	Text  string
	Place string
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
}

// maxConditions limits the cases to two to this power.
const maxConditions = 8

// Explain sends the packet through the rules of a state.
func Explain(s *firewall.State, q Question) (*Answer, error) {
	f := ir.IPv4
	if q.From.Is6() {
		f = ir.IPv6
	}
	if s.Rules[f] == nil {
		if !s.Kind.Compiled() {
			return nil, fmt.Errorf("%s has no %s rules saved", s.Name, firewall.FamilyText(f))
		}
		return nil, fmt.Errorf("%s has no %s rules: that family is left to Docker's own", s.Name, firewall.FamilyText(f))
	}
	a := &Answer{}
	e := &explainer{state: s, family: f, answer: a}
	a.Start = e.start(q)
	a.Packet = e.packet(q)
	e.program = s.Program(f, a.Start)
	e.cases()
	return a, nil
}

type explainer struct {
	state   *firewall.State
	family  ir.Family
	answer  *Answer
	program *packet.Program
}

func (e *explainer) guess(format string, args ...any) {
	e.answer.Guesses = append(e.answer.Guesses, fmt.Sprintf(format, args...))
}

func (e *explainer) note(format string, args ...any) {
	e.answer.Notes = append(e.answer.Notes, fmt.Sprintf(format, args...))
}

// start is the chain to begin with: of a host all that a packet meets, of what is
// compiled the chain that dockerfw fills.
func (e *explainer) start(q Question) string {
	t := e.state.Filter(e.family)
	hook, ours := "FORWARD", e.state.Target
	if q.Proxy {
		hook, ours = "INPUT", firewall.GuardChain
	}
	if e.state.Kind.Compiled() {
		if t.Chain(ours) == nil {
			e.note("%s does not guard docker-proxy: none of its rules is for INPUT", e.state.Name)
		}
		return ours
	}
	if c := t.Chain(hook); c == nil || c.Policy == "" {
		return "DOCKER-USER"
	}
	return hook
}

// cases finds a verdict for each way that conditions may be, as far as they count.
func (e *explainer) cases() {
	type outcome struct {
		verdict packet.Verdict
		at      packet.Place
	}
	seen := map[outcome]bool{}
	var try func(known map[string]bool)
	try = func(known map[string]bool) {
		p := e.answer.Packet
		p.Conditions = known
		d := e.program.Decide(p)
		if next, open := e.open(d, known); open && len(known) < maxConditions {
			for _, holds := range []bool{false, true} {
				more := map[string]bool{next: holds}
				for k, v := range known {
					more[k] = v
				}
				try(more)
			}
			return
		}
		o := outcome{d.Verdict, d.At}
		if !seen[o] {
			seen[o] = true
			e.answer.Cases = append(e.answer.Cases, e.oneCase(d, known))
		}
	}
	try(nil)
	if len(e.answer.Cases) == 1 {
		e.answer.Cases[0].Holds, e.answer.Cases[0].Fails = nil, nil
	}
}

// open returns a condition that is not known and that a rule on the packet's way
// depends on: nothing else keeps the rule from matching.
func (e *explainer) open(d packet.Decision, known map[string]bool) (string, bool) {
	p := e.answer.Packet
	p.Conditions = known
	for _, s := range d.Steps {
		if e.program.Rule(s.At).Verdict.Kind == packet.Continue {
			continue // whether a LOG rule matches decides nothing
		}
		var unknown []string
		fails := false
		for _, m := range e.program.Rule(s.At).Matches {
			texts := (&packet.Rule{Matches: []packet.Cond{m}}).Opaque()
			texts = slices.DeleteFunc(texts, func(t string) bool { _, ok := known[t]; return ok })
			unknown = append(unknown, texts...)
			fails = fails || len(texts) == 0 && !packet.Holds(m, &p)
		}
		if !fails && len(unknown) > 0 {
			return unknown[0], true
		}
	}
	return "", false
}

func (e *explainer) oneCase(d packet.Decision, known map[string]bool) Case {
	c := Case{Verdict: d.Verdict}
	for text, holds := range known {
		if holds {
			c.Holds = append(c.Holds, text)
		} else {
			c.Fails = append(c.Fails, text)
		}
	}
	slices.Sort(c.Holds)
	slices.Sort(c.Fails)
	p := e.answer.Packet
	p.Conditions = known
	for i, s := range d.Steps {
		rule := e.rule(s.At)
		switch {
		case s.Failed != nil:
			c.Passed = append(c.Passed, Passed{Rule: rule, Why: why(s.Failed, &p)})
		case s.At == d.At && i == len(d.Steps)-1:
			c.By = rule
		default:
			v := e.program.Rule(s.At).Verdict
			c.Passed = append(c.Passed, Passed{Rule: rule, To: v.Chain, Returns: v.Kind == packet.Return})
		}
	}
	if d.At == packet.AtEnd {
		c.By = e.end(d)
	}
	return c
}

// end is what decides where no rule does. A RETURN of ours is what said so, if the
// last rule that matched was one.
func (e *explainer) end(d packet.Decision) Rule {
	if n := len(d.Steps); n > 0 && d.Steps[n-1].Failed == nil && e.program.Rule(d.Steps[n-1].At).Verdict.Kind == packet.Return {
		return e.rule(d.Steps[n-1].At)
	}
	if d.Verdict.Kind == packet.Docker {
		return Rule{Name: "no rule", Chain: e.program.Chains[0].Name}
	}
	return Rule{Name: "the policy of chain " + e.program.Chains[0].Name, Chain: e.program.Chains[0].Name}
}

func (e *explainer) rule(at packet.Place) Rule {
	chain := e.program.Chains[at.Chain]
	r := e.state.Filter(e.family).Chain(chain.Name).Rules[at.Rule]
	return Rule{
		Name: firewall.BlockName(r), Chain: chain.Name, Text: r.Canonical(dump.Family(e.family)),
		Place: firewall.PlaceText(e.state.Place(chain.Name, r)),
	}
}

// containers are stand-ins for a container that the question does not name.
var containers = map[ir.Family]netip.Addr{
	ir.IPv4: netip.MustParseAddr("172.17.0.2"), ir.IPv6: netip.MustParseAddr("fd00::172:17:0:2"),
}

// packet fills in what the question leaves open, and says what that is.
func (e *explainer) packet(q Question) packet.Packet {
	p := packet.Packet{
		Family: e.family, In: q.In, Out: q.Out,
		Source: q.From, SourcePort: q.FromPort, Destination: q.Container, DestinationPort: q.ContainerPort,
		Protocol: q.Protocol, State: q.State, Direction: ir.CTOriginal, ICMPType: q.ICMPType, ICMPCode: q.ICMPCode,
	}
	if p.Protocol == 0 {
		p.Protocol = 6
	}
	if p.State == 0 {
		p.State = ir.CTNew
	}
	if q.Reply {
		p.State, p.Direction = ir.CTEstablished, ir.CTReply
	}
	if p.SourcePort == 0 {
		p.SourcePort = 40000
	}
	if p.In == "" {
		p.In = e.externalInterface()
	}
	switch {
	case q.Proxy:
		p.Destination, p.DestinationPort = q.ToAddress, q.ToPort
		if !p.Destination.IsValid() {
			p.Destination = unspecified(e.family)
		}
	case q.ToPort != 0 && !q.Reply:
		p.DNAT, p.OriginalPort, p.OriginalDestination = true, q.ToPort, q.ToAddress
		if !p.OriginalDestination.IsValid() {
			p.OriginalDestination = unspecified(e.family)
		}
		e.translate(&p)
	case q.ToAddress.IsValid() && !p.Destination.IsValid():
		p.Destination = q.ToAddress
	}
	var container, flags []string
	if !q.Proxy {
		if !p.Destination.IsValid() {
			p.Destination = containers[e.family]
			container, flags = append(container, p.Destination.String()), append(flags, "--container")
		}
		if p.DestinationPort == 0 && p.HasPorts() {
			p.DestinationPort = q.ToPort
			container, flags = append(container, fmt.Sprintf("port %d", p.DestinationPort)), append(flags, "--container-port")
		}
		if p.Out == "" {
			p.Out = e.containerInterface()
			container, flags = append(container, "on "+p.Out), append(flags, "--out-interface")
		}
	}
	p.Complete()
	if asked := address(packet.OriginalDestination, &p); (p.DNAT || q.Proxy) && asked == unspecified(e.family) && !q.ToAddress.IsValid() {
		e.guess("it is sent to an address of the host that no rule names, written %s here (--to-address)", asked)
	}
	if len(container) > 0 {
		e.guess("it goes to a container: %s (%s)", strings.Join(container, ", "), strings.Join(flags, ", "))
	}
	if q.FromPort == 0 && p.HasPorts() && e.asksForSourcePorts() {
		e.guess("it comes from port %d (--from-port)", p.SourcePort)
	}
	return p
}

// asksForSourcePorts tells whether the port that a packet comes from may count: it
// goes without saying that it is any high one.
func (e *explainer) asksForSourcePorts() bool {
	asks := func(m dump.Match) bool {
		return slices.ContainsFunc([]string{"--sport", "--sports", "--ports"}, func(option string) bool { return m.Option(option) != nil })
	}
	for _, c := range e.chains() {
		for _, r := range c.Rules {
			if slices.ContainsFunc(r.Matches, asks) {
				return true
			}
		}
	}
	return false
}

// chains are those of the filter table; a host may have none yet.
func (e *explainer) chains() []*dump.Chain {
	if t := e.state.Filter(e.family); t != nil {
		return t.Chains
	}
	return nil
}

func unspecified(f ir.Family) netip.Addr {
	if f == ir.IPv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// containerInterface is the interface that containers are on: the first that the rule of
// the default names, where the policy is for some only.
func (e *explainer) containerInterface() string {
	isDefault := func(r *dump.Rule) bool { return firewall.Comment(r) == "dockerfw default" }
	return cmp.Or(e.firstInterface("-o", isDefault), "docker0")
}

// externalInterface is the interface the outside arrives on: the first that a rule of
// ours names.
func (e *explainer) externalInterface() string {
	name := e.firstInterface("-i", firewall.Ours)
	if name == "" {
		e.guess("it arrives on eth0 (--interface)")
		return "eth0"
	}
	e.guess("it arrives on %s, the first external interface (--interface)", name)
	return name
}

// firstInterface is one that the first of the rules with the option names; "" if none does.
func (e *explainer) firstInterface(option string, of func(*dump.Rule) bool) string {
	for _, c := range e.chains() {
		for _, r := range c.Rules {
			if o := r.Option(option); o != nil && !o.Not && of(r) {
				return strings.Replace(o.Value(), "+", "0", 1)
			}
		}
	}
	return ""
}
