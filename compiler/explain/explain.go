// Package explain tells what becomes of one packet, and why.
//
// In: a state of a host's rules and a packet in words. Out: for each path that it may
// take its verdict, the rule that decided, and each rule it passed with the reason that
// one did not match. Of a host all tables are asked, in the order that packets meet them.
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
	// Chain of the filter table to begin in; "" for all that a packet meets.
	Chain string
}

// Answer is what becomes of the packet on one path.
type Answer struct {
	Path firewall.Path
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
	// Does is what else the rule did to the packet; "" for nothing.
	Does string
}

// Explain sends the packet through the rules of a state, on each path that it may take.
func Explain(s *firewall.State, q Question) ([]*Answer, error) {
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
	var out []*Answer
	// Where a packet goes may depend on conditions too: each way is an answer.
	ways := []map[string]bool{nil}
	for i := 0; i < len(ways) && i < maxWays; i++ {
		e := &explainer{state: s, family: f, answer: &Answer{}, given: ways[i]}
		if err := e.explain(q); err != nil {
			return nil, err
		}
		ways = append(ways, e.otherWays...)
		if !slices.ContainsFunc(out, func(a *Answer) bool { return a.Path == e.answer.Path && a.Packet.String() == e.answer.Packet.String() }) {
			out = append(out, e.answer)
		}
		if i == 0 && e.mayEndAtProxy(q) {
			proxy := &explainer{state: s, family: f, answer: &Answer{}}
			q.Proxy = true
			if err := proxy.explain(q); err != nil {
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
	state  *firewall.State
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
}

func (e *explainer) explain(q Question) error {
	e.answer.Path = firewall.Forward
	if q.Proxy {
		e.answer.Path = firewall.ToHost
	}
	if err := e.route(e.answer.Path, q.Chain); err != nil {
		return err
	}
	p := e.packet(q)
	if e.whole && e.answer.Path == firewall.Forward && p.Out == "" {
		// Nothing translates it, so that it is for the host itself.
		e.answer.Path = firewall.ToHost
		if err := e.route(e.answer.Path, ""); err != nil {
			return err
		}
	}
	e.answer.Packet = p
	e.notes(q)
	e.cases()
	return nil
}

// mayEndAtProxy tells whether the packet may reach docker-proxy instead of being forwarded,
// by what the rules do not say: over IPv6 Docker translates a published port only if the
// container's network has IPv6, and never for clients with a link-local address.
func (e *explainer) mayEndAtProxy(q Question) bool {
	return e.answer.Path == firewall.Forward && !e.whole && q.Chain == "" && e.family == ir.IPv6 && e.answer.Packet.DNAT
}

func (e *explainer) guess(format string, args ...any) {
	e.answer.Guesses = append(e.answer.Guesses, fmt.Sprintf(format, args...))
}

func (e *explainer) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(e.answer.Notes, note) {
		e.answer.Notes = append(e.answer.Notes, note)
	}
}

// notes says what a reader should know of the path besides the verdict.
func (e *explainer) notes(q Question) {
	if e.answer.Path != firewall.ToHost || !e.state.Kind.Compiled() {
		return
	}
	if e.state.Filter(e.family).Chain(firewall.GuardChain) == nil {
		e.note("%s does not protect docker-proxy: none of its rules is for INPUT", e.state.Name)
		return
	}
	p := e.answer.Packet
	if j := e.settled(e.hooks, p); p.HasPorts() && len(j.Steps) > 0 && !slices.ContainsFunc(j.Steps, func(s packet.JourneyStep) bool { return s.Failed == nil && s.At != packet.AtEnd }) {
		e.note("no rule protects port %d of docker-proxy from what arrives on %s: whoever the host's own INPUT rules let in reaches it. proxy_ports = [%s] puts it under the policy's default", p.DestinationPort, p.In, firewall.ProxyPort(p.Protocol, p.DestinationPort))
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
	toHost := q.Proxy
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
		toHost = !e.translate(&p)
	case q.ToAddress.IsValid() && !p.Destination.IsValid():
		p.Destination = q.ToAddress
	}
	var container, flags []string
	if !toHost {
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
	if !toHost {
		e.redirect(&p)
	}
	if asked := address(packet.OriginalDestination, &p); (p.DNAT || toHost) && asked == unspecified(e.family) && !q.ToAddress.IsValid() {
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
			if slices.ContainsFunc(r.Matches, asks) || slices.ContainsFunc(r.Matches, e.setAsksForSourcePorts) {
				return true
			}
		}
	}
	return false
}

// setAsksForSourcePorts tells whether a match looks the port that a packet comes from up
// in a set.
func (e *explainer) setAsksForSourcePorts(m dump.Match) bool {
	o := m.Option("--match-set")
	if o == nil || len(o.Values) != 2 {
		return false
	}
	set := e.state.Sets.Set(o.Values[0])
	if set == nil {
		return false
	}
	_, kinds, _ := strings.Cut(set.Type, ":")
	flags := strings.Split(o.Values[1], ",")
	i := slices.Index(strings.Split(kinds, ","), "port")
	return i >= 0 && i < len(flags) && flags[i] == "src"
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
