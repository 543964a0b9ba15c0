// Package question builds the packet that a question is about.
//
// In: what a user knows of a packet, and what is known of the host.
// Out: one packet.Packet, and what was assumed to make it; or problems, if what the
// user wrote does not fit together.
// It is the only owner of defaults and of the direction of a packet, so that explain
// and test put the same question to their rules. It does not know rules or HCL.
package question

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Question is a packet as a user knows it. Zero fields are not known; From is required.
type Question struct {
	From     netip.Addr
	FromPort uint16
	// ToPort is the published port, and ToAddress the address of the host that the
	// client connected to. In a packet that leaves for the outside they are its
	// destination.
	ToPort    uint16
	ToAddress netip.Addr
	// Container and ContainerPort are the destination after DNAT. Without ToPort the
	// packet goes straight to the container.
	Container     netip.Addr
	ContainerPort uint16
	// Protocol is a number of IANA; 0 is TCP.
	Protocol uint8
	// In and Out are names of interfaces, not patterns.
	In, Out string
	// State is one state of connection tracking; 0 is NEW.
	State ir.CTState
	// Reply makes it a reply of a connection that the destination opened.
	Reply bool
	// ICMP is the type and code; nil is an echo request.
	ICMP *ICMP
	// Proxy asks for a packet that ends at docker-proxy on the host.
	Proxy bool
}

// ICMP is the type and code of an ICMP message.
type ICMP struct{ Type, Code uint8 }

// Host is what is known of the host that the packet comes to.
type Host struct {
	// Name is how messages refer to its rules.
	Name string
	// External and Container are patterns of interfaces, the preferred ones first. No
	// External: not known. No Container: the names that Docker gives, docker+ and br-+.
	External, Container []string
	// Bridges are the interfaces that Docker's own chains on the host list.
	Bridges []string
	// SourcePorts tells that a rule matches the source port.
	SourcePorts bool
	// Translate looks up the nat table; nil if it is not known, and then Docker is
	// taken to publish each port that is asked for. The packet has its destination
	// before DNAT; local tells whether that is an address of the host.
	Translate func(p packet.Packet, local bool) (Target, bool)
	// Bridge returns the bridge of a container, "" if it is not known; may be nil.
	Bridge func(container netip.Addr) string
}

// Target is where DNAT sends a packet. Bridge is "" if it is not known.
type Target struct {
	To     netip.AddrPort
	Bridge string
}

// Built is the packet of a question.
type Built struct {
	Packet packet.Packet
	// Assumed say what the question left open, what was taken for it, and how to set it.
	Assumed []string
	// Notes say what a reader should know of the packet.
	Notes []string
}

type builder struct {
	q     Question
	h     Host
	words Words
	f     ir.Family
	p     packet.Packet
	Built
	problems Problems
	// onHost tells that the packet turned out to end on the host itself.
	onHost bool
	// container collects what is assumed of the container.
	container []string
	fields    []string
}

func (b *builder) assume(field, format string, args ...any) {
	b.Assumed = append(b.Assumed, fmt.Sprintf(format, args...)+" ("+b.words.Name(field)+")")
}

func (b *builder) assumeContainer(field, format string, args ...any) {
	b.container = append(b.container, fmt.Sprintf(format, args...))
	b.fields = append(b.fields, b.words.Name(field))
}

// Build returns the packet of a question. With problems there is none.
func Build(q Question, h Host, words Words) (Built, Problems) {
	if q.Protocol == 0 {
		q.Protocol = 6
	}
	b := &builder{q: q, h: h, words: words, f: ir.FamilyOf(q.From), problems: Check(q, words)}
	b.p = packet.Packet{
		Family: b.f, In: q.In, Out: q.Out, Source: q.From, SourcePort: q.FromPort,
		Protocol: q.Protocol, State: q.State, Direction: ir.CTOriginal,
		ICMPType: packet.EchoRequest(b.f),
	}
	if q.ICMP != nil {
		b.p.ICMPType, b.p.ICMPCode = q.ICMP.Type, q.ICMP.Code
	}
	if b.p.State == 0 {
		b.p.State = ir.CTNew
	}
	if q.Reply {
		b.p.State, b.p.Direction = ir.CTEstablished, ir.CTReply
	}
	if b.p.SourcePort == 0 {
		b.p.SourcePort = packet.UsualSourcePort
	}
	if b.p.In == "" {
		b.p.In = b.external(InterfaceField, "arrives on")
	}
	switch {
	case q.Proxy:
		b.toHost()
	case b.outward():
		b.toOutside()
	default:
		b.toContainer()
	}
	if len(b.problems) > 0 {
		return Built{}, b.problems
	}
	b.p.Complete()
	if len(b.container) > 0 {
		b.Assumed = append(b.Assumed, fmt.Sprintf("it goes to a container: %s (%s)", strings.Join(b.container, ", "), strings.Join(b.fields, ", ")))
	}
	if q.FromPort == 0 && b.p.HasPorts() && h.SourcePorts {
		b.assume(FromPort, "it comes from port %d", b.p.SourcePort)
	}
	b.Packet = b.p
	return b.Built, nil
}

// external assumes the first external interface for a field.
func (b *builder) external(field, verb string) string {
	if len(b.h.External) == 0 {
		b.assume(field, "it %s %s", verb, packet.UsualExternal)
		return packet.UsualExternal
	}
	name := oneOf(b.h.External[0])
	b.assume(field, "it %s %s, the first external interface", verb, name)
	return name
}

// oneOf is an interface that a pattern matches.
func oneOf(pattern string) string { return strings.Replace(pattern, "+", "0", 1) }

// asked is the address of the host that the packet is sent to.
func (b *builder) asked() netip.Addr {
	if b.q.ToAddress.IsValid() {
		return b.q.ToAddress
	}
	none := packet.UnspecifiedHost(b.f)
	b.assume(ToAddress, "it is sent to an address of the host that no rule lists, written %s here", none)
	return none
}

// toHost makes the packet one of INPUT.
func (b *builder) toHost() {
	b.p.Out, b.p.Destination, b.p.DestinationPort = "", b.asked(), b.q.ToPort
}

// toOutside makes the packet one that is routed out of the host. Docker translates
// its source only, after all that is asked here; a port is published there only if
// the host's nat table has a rule for that very destination.
func (b *builder) toOutside() {
	q := b.q
	if b.p.Out == "" {
		b.p.Out = b.external(OutInterface, "leaves by")
	}
	leaves := fmt.Sprintf("This packet arrives on %s and leaves for the outside.", b.p.In)
	switch {
	case q.Container.IsValid() && q.Out == "":
		b.problem(Container, "no bridge of the container", "%s For a packet to a container on another bridge write that bridge: %s.",
			leaves, b.words.With(OutInterface, b.otherBridge()))
	case q.Container.IsValid():
		b.problem(Container, b.words.Name(Container)+" does not apply", "%s Write its destination with %s.", leaves, b.words.With(ToAddress, "203.0.113.80"))
	case !q.ToAddress.IsValid():
		b.problem(ToAddress, "no "+b.words.Name(ToAddress), "%s Write its destination: %s; or for a packet to a container, the bridge it leaves by: %s.",
			leaves, b.words.With(ToAddress, "203.0.113.80"), b.words.With(OutInterface, b.otherBridge()))
	}
	if q.ToPort != 0 && q.ContainerPort != 0 {
		b.problem(ContainerPort, "two destination ports", "%s No DNAT changes its port. Keep %s, and leave %s out.",
			leaves, b.words.Name(ToPort), b.words.Name(ContainerPort))
	}
	b.p.Destination, b.p.DestinationPort = q.ToAddress, max(q.ToPort, q.ContainerPort)
	if b.h.Translate == nil || !q.ToAddress.IsValid() {
		return
	}
	if t, ok := b.h.Translate(b.p, false); ok {
		b.translated(t)
	}
}

// translated sends the packet where DNAT does.
func (b *builder) translated(t Target) {
	b.p.DNAT, b.p.OriginalDestination, b.p.OriginalPort = true, b.p.Destination, b.p.DestinationPort
	b.p.Destination, b.p.DestinationPort = t.To.Addr(), t.To.Port()
	if b.q.Out == "" && t.Bridge != "" {
		b.p.Out = t.Bridge
	}
}

// toContainer makes the packet one that goes to a container: by a published port, or
// straight to the container's own address.
func (b *builder) toContainer() {
	q := b.q
	untracked := q.State&(ir.CTInvalid|ir.CTUntracked) != 0
	straight := fmt.Sprintf("Write %s for the port of the container, or for a packet that ends on the host %s.",
		b.words.Name(ContainerPort), b.words.With(Proxy, "true"))
	switch {
	case q.ToPort != 0 && q.Reply:
		b.problem(ToPort, b.words.Name(ToPort)+" in a reply", "A reply goes to the port that the container opened the connection from, and that is not published. Write %s for it.", b.words.Name(ContainerPort))
	case q.ToPort != 0 && untracked:
		b.problem(ToPort, b.words.Name(ToPort)+" without a connection", "Published ports are translated (DNAT) for tracked connections only, so that this packet reaches no container by one. %s", straight)
	case q.ToPort == 0 && q.ToAddress.IsValid() && q.Container.IsValid():
		b.problem(Container, "two destinations", "Without %s a packet has one destination. Keep %s for the container, or add %s for the published port.",
			b.words.Name(ToPort), b.words.Name(Container), b.words.Name(ToPort))
	case q.ToPort != 0:
		b.published()
	default:
		b.p.Destination, b.p.DestinationPort = q.Container, q.ContainerPort
		if q.ToAddress.IsValid() {
			b.p.Destination = q.ToAddress
		}
	}
	if !b.onHost {
		b.assumeRest()
	}
}

// published makes the packet one to a published port.
func (b *builder) published() {
	q := b.q
	b.p.Destination, b.p.DestinationPort = b.asked(), q.ToPort
	to := Target{To: netip.AddrPortFrom(q.Container, q.ContainerPort)}
	if b.h.Translate != nil {
		found, ok := b.h.Translate(b.p, true)
		if !ok {
			b.Notes = append(b.Notes, fmt.Sprintf("the nat table of %s translates no packet to %s: the port is not published there. The host itself answers, or docker-proxy",
				b.h.Name, netip.AddrPortFrom(b.p.Destination, q.ToPort)))
			b.p.Out, b.onHost = "", true
			return
		}
		if q.Container.IsValid() && q.Container != found.To.Addr() || q.ContainerPort != 0 && q.ContainerPort != found.To.Port() {
			b.Notes = append(b.Notes, fmt.Sprintf("the nat table of %s sends it to %s; the container that you gave is taken instead", b.h.Name, found.To))
		}
		if !q.Container.IsValid() {
			to.To, to.Bridge = netip.AddrPortFrom(found.To.Addr(), to.To.Port()), found.Bridge
		}
		if q.ContainerPort == 0 {
			to.To = netip.AddrPortFrom(to.To.Addr(), found.To.Port())
		}
	}
	b.translated(to)
}

// assumeRest fills in what the question does not tell of the container.
func (b *builder) assumeRest() {
	if b.p.Out == "" && b.h.Bridge != nil && b.p.Destination.IsValid() {
		b.p.Out = b.h.Bridge(b.p.Destination)
	}
	if !b.p.Destination.IsValid() {
		b.p.Destination = packet.UsualContainer(b.f)
		if b.p.Destination == b.q.From {
			b.p.Destination = b.p.Destination.Next() // no container sends to itself by the host
		}
		b.assumeContainer(Container, "%s", b.p.Destination)
	}
	if b.p.DestinationPort == 0 && b.p.HasPorts() {
		b.p.DestinationPort = b.q.ToPort
		b.assumeContainer(ContainerPort, "port %d", b.p.DestinationPort)
	}
	if b.p.Out == "" {
		b.p.Out = b.bridge()
		b.assumeContainer(OutInterface, "on %s", b.p.Out)
	}
}

// bridge is the interface of containers that is assumed.
func (b *builder) bridge() string {
	switch {
	case len(b.h.Container) > 0:
		return oneOf(b.h.Container[0])
	case len(b.h.Bridges) > 0 && !slices.Contains(b.h.Bridges, packet.UsualBridge):
		return b.h.Bridges[0]
	}
	return packet.UsualBridge
}

// otherBridge is an example of a bridge that the packet does not arrive on.
func (b *builder) otherBridge() string {
	if b.p.In == packet.UsualBridge {
		return "br-web"
	}
	return packet.UsualBridge
}
