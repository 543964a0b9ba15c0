package published

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
)

// sample are clients that determine the family of a question; its packets are of any client.
var sample = map[ir.Family]netip.Addr{
	ir.IPv4: netip.MustParseAddr("192.0.2.1"), ir.IPv6: netip.MustParseAddr("2001:db8::1"),
}

// clients are who gets through to a port on one path, on one external interface.
type clients struct {
	// asked are all clients; pass are those some of whose packets get through, and denied those
	// some of whose packets a deny block drops.
	asked, pass, denied *packet.AddrSet
	// accepts are the accept blocks that let some of them through, each once.
	accepts []ir.RuleID
	// byInput are the accept blocks of the input block among these, and input the clients that they
	// let through.
	byInput []ir.RuleID
	input   *packet.AddrSet
	// example is a packet that gets through; ok is false if there is none.
	example packet.Packet
	ok      bool
	program *packet.Program
}

// exampleFrom is an example packet to a port of a client that is in a set of those that get
// through: at a documentation address if one is, else in the first prefixes.
func (c *clients) exampleFrom(from *packet.AddrSet, p *Port) packet.Packet {
	out := c.example
	if out.DNAT {
		out.OriginalPort = p.First // several ports may have one answer
	} else {
		out.DestinationPort = p.First
	}
	candidates := []netip.Addr{out.Source}
	for _, text := range []string{"198.51.100.1", "203.0.113.1", "2001:db8::1", "2001:db8:ffff::1"} {
		candidates = append(candidates, netip.MustParseAddr(text))
	}
	const tried = 8
	for _, prefix := range from.Prefixes(tried) {
		candidates = append(candidates, prefix.Addr().Next(), prefix.Addr())
	}
	for _, source := range candidates {
		if !from.Contains(source) {
			continue
		}
		one := out
		one.Source = source
		if k := c.program.Decide(one).Verdict.Kind; k != packet.Drop && k != packet.Reject {
			return one
		}
	}
	return out
}

// everyone reports whether all clients get through that no deny block drops.
func (c *clients) everyone() bool {
	return c.ok && c.asked.Minus(c.pass).Minus(c.denied).IsEmpty()
}

// admittedByInput returns the accept blocks of the input block if they let all of some clients
// through; nil otherwise, and for no clients.
func (c *clients) admittedByInput(some *packet.AddrSet) []ir.RuleID {
	if some.IsEmpty() || !some.In(c.input) {
		return nil
	}
	return c.byInput
}

// asker asks one program about ports: that of a compiled host, or the route of packets through a
// host with all tables.
type asker struct {
	host *snapshot.Host
	f    ir.Family
	path snapshot.Path
	// about is the host as package question knows it.
	about   question.Host
	program *packet.Program
	// nat are the chains that translate destinations before packets get to the host itself: what
	// they translate is forwarded instead.
	nat   []*packet.Program
	asked []packet.Cond
	// ports are the conditions on ports in the program. Ports for which the same ones hold have
	// the same answer, and known are the answers by what they have in common: a range of thousands
	// of ports needs few questions.
	ports []packet.Port
	known map[askedKey]int
}

// askedKey is what questions with the same answer have in common.
type askedKey struct {
	protocol    uint8
	address     netip.Addr
	first, last uint16 // of a port that the engine chooses
	hold        string
}

// compiledAsker asks what dockerfw compiled: on the path to the host, packets that it does not
// refuse go on to the host's own rules in INPUT.
func compiledAsker(want *snapshot.Host, f ir.Family, path snapshot.Path) *asker {
	a := newAsker(want, f, path, want.Program(f, want.OwnChain(path)))
	a.about.External, a.about.Container = want.Interfaces(f)
	return a
}

// hostAsker asks all tables of a host. The external interfaces are those of the policy.
func hostAsker(want, have *snapshot.Host, f ir.Family, path snapshot.Path) (*asker, error) {
	program, err := have.WholeRoute(f, path)
	if err != nil {
		return nil, err
	}
	a := newAsker(have, f, path, program)
	for _, h := range have.Hooks(f, path) {
		if path == snapshot.ToHost && h.Translates() {
			nat := h.Program.Map(func(_ *packet.Rule, c packet.Cond) packet.Cond { return packet.Map(c, toLocal) })
			nat.ToHost = true
			a.nat = append(a.nat, nat)
		}
	}
	if a.about.External, _ = want.Interfaces(f); len(a.about.External) == 0 {
		a.about.External, _ = want.Interfaces(other(f))
	}
	return a, nil
}

// toLocal replaces the condition that a packet is for an address of the host by one that holds.
func toLocal(c packet.Cond) packet.Cond {
	if o, ok := c.(packet.Opaque); ok && o.Text == packet.DestinationIsLocal.Text {
		return packet.All{}
	}
	return c
}

func newAsker(h *snapshot.Host, f ir.Family, path snapshot.Path, program *packet.Program) *asker {
	a := &asker{host: h, f: f, path: path, program: program, known: map[askedKey]int{}}
	for _, r := range program.Rules() {
		a.ports = append(a.ports, portsOf(r)...)
	}
	return a
}

// portsOf are the conditions of a rule on ports.
func portsOf(r *packet.Rule) []packet.Port {
	var out []packet.Port
	for _, c := range r.Matches {
		packet.Walk(c, func(c packet.Cond) bool {
			if p, ok := c.(packet.Port); ok {
				out = append(out, p)
			}
			return true
		})
	}
	return out
}

// key is what a question about a port has in common with others.
func (a *asker) key(p *Port) askedKey {
	k := askedKey{protocol: p.Protocol, address: p.Address}
	if p.chosen() {
		k.first, k.last = p.First, p.Last
	}
	hold := make([]byte, 0, len(a.ports))
	for _, c := range a.ports {
		port := p.First
		if c.End == packet.Destination && a.path == snapshot.Forward {
			port = p.Target
		}
		holds := byte('0')
		if c.End != packet.Source && covers(c.Ranges, port, port) {
			holds = '1'
		}
		hold = append(hold, holds)
	}
	k.hold = string(hold)
	return k
}

// covers reports whether one of the ranges has a port of another one.
func covers(ranges []ir.PortRange, first, last uint16) bool {
	return slices.ContainsFunc(ranges, func(r ir.PortRange) bool { return r.First <= last && first <= r.Last })
}

// externals are the patterns of the external interfaces; one "" where they are not known.
func (a *asker) externals() []string {
	if len(a.about.External) == 0 {
		return []string{""}
	}
	return a.about.External
}

// ask adds a question about a port for each external interface, and returns the index of the
// first answer.
func (a *asker) ask(p *Port) int {
	key := a.key(p)
	if at, ok := a.known[key]; ok {
		return at
	}
	at := a.askAbout(p, netip.Addr{}, "")
	a.known[key] = at
	return at
}

// askAbout asks about the packets to one container on its bridge; the zero address and "" are any.
func (a *asker) askAbout(p *Port, container netip.Addr, bridge string) int {
	at := len(a.asked)
	for _, in := range a.externals() {
		q := question.Question{From: sample[a.f], Protocol: p.Protocol, ToPort: p.First, ToAddress: p.Address, Proxy: a.path == snapshot.ToHost}
		if p.Address.IsUnspecified() {
			q.ToAddress = netip.Addr{}
		}
		if !q.Proxy {
			q.Container, q.ContainerPort, q.Out = container, p.Target, bridge
		}
		about := a.about
		if in != "" {
			about.External = []string{in}
		}
		cond, problems := question.Packets(q, about, question.Flags)
		if len(problems) > 0 {
			panic("published port " + p.text() + ": " + problems.Error())
		}
		a.asked = append(a.asked, widen(cond, p, a.path))
	}
	return at
}

// widen makes a question about the first port of a range one about all of them.
func widen(cond packet.Cond, p *Port, path snapshot.Path) packet.Cond {
	if !p.chosen() {
		return cond
	}
	end := packet.OriginalDestination
	if path == snapshot.ToHost {
		end = packet.Destination
	}
	return packet.Map(cond, func(c packet.Cond) packet.Cond {
		if port, ok := c.(packet.Port); ok && port.End == end {
			port.Ranges = []ir.PortRange{{First: p.First, Last: p.Last}}
			return port
		}
		return c
	})
}

// questions is a program that accepts what was asked about, with a rule for each question.
func (a *asker) questions() *packet.Program {
	out := &packet.Program{Family: a.f, ToHost: a.path == snapshot.ToHost, Default: packet.Verdict{Kind: packet.Drop}, Chains: []*packet.Chain{{Name: "asked"}}}
	for _, c := range a.asked {
		out.Chains[0].Rules = append(out.Chains[0].Rules, &packet.Rule{Matches: []packet.Cond{c}, Verdict: packet.Verdict{Kind: packet.Accept}})
	}
	return out
}

// answers evaluates all questions at once.
func (a *asker) answers() (out []clients, err error) {
	defer packet.Catch(&err)
	if len(a.asked) == 0 {
		return nil, nil
	}
	questions := a.questions()
	space, err := packet.New(append([]*packet.Program{a.program, questions}, a.nat...)...)
	if err != nil {
		return nil, err
	}
	rules, asked := space.Programs()[0], space.Programs()[1]
	through := through(rules)
	for _, nat := range space.Programs()[2:] {
		for _, o := range nat.Outcomes() {
			if strings.HasPrefix(o.Verdict.With, "DNAT ") {
				through = through.Diff(o.Set)
			}
		}
	}
	accepts, denied, err := a.blocks(rules)
	if err != nil {
		return nil, err
	}
	for i := range a.asked {
		packets := asked.Match(packet.Place{Rule: i})
		c := clients{asked: packets.Sources(a.f), pass: packets.And(through).Sources(a.f), denied: packets.And(denied).Sources(a.f), program: a.program}
		c.example, c.ok = packets.And(through).Witness()
		ofInput := space.None()
		for _, accept := range accepts {
			matched := accept.packets.And(packets)
			if matched.IsEmpty() {
				continue
			}
			if accept.input {
				ofInput = ofInput.Or(accept.packets)
			}
			ids := a.host.MergedInto(a.f, a.host.RuleAt(a.f, accept.at), matched)
			if len(ids) == 0 {
				ids = []ir.RuleID{accept.id}
			}
			for _, id := range ids {
				if !slices.Contains(c.accepts, id) {
					c.accepts = append(c.accepts, id)
				}
				if accept.input && !slices.Contains(c.byInput, id) {
					c.byInput = append(c.byInput, id)
				}
			}
		}
		c.input = packets.And(ofInput).Sources(a.f)
		out = append(out, c)
	}
	return out, nil
}

// through are the packets that a program does not refuse.
func through(rules *packet.Evaluation) packet.Set {
	out := rules.Space().None()
	for _, o := range rules.Outcomes() {
		if k := o.Verdict.Kind; k != packet.Drop && k != packet.Reject && o.Verdict != packet.CannotBe {
			out = out.Or(o.Set)
		}
	}
	return out
}

// handled are the packets that an accept block decides about.
type handled struct {
	id      ir.RuleID
	at      packet.Origin
	packets packet.Set
	// input: the block is in the input block.
	input bool
}

// blocks returns what the accept blocks decide, and all that deny blocks refuse.
func (a *asker) blocks(rules *packet.Evaluation) (accepts []handled, denied packet.Set, err error) {
	denied = rules.Space().None()
	for at, r := range rules.Program.Rules() {
		id, ours := a.host.IDAt(a.f, r.At)
		if !ours || id.Leads() || r.Verdict.Kind == packet.Jump || id.Phase != ir.PhaseAccept && id.Phase != ir.PhaseDeny {
			continue
		}
		set, err := rules.Handled(at)
		switch {
		case err != nil:
			return nil, denied, err
		case set.IsEmpty():
		case id.Phase == ir.PhaseDeny:
			denied = denied.Or(set)
		default:
			accepts = append(accepts, handled{id, r.At, set, snapshot.IsChainOf(ir.ScopeHost, r.At.Chain)})
		}
	}
	return accepts, denied, nil
}
