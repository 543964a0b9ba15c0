package question

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

type builder struct {
	q     Question
	h     Host
	words Words
	f     ir.Family
	p     packet.Packet
	Built
	problems Problems
	// onHost is set if the packet turns out to end on the host itself.
	onHost bool
	// container is what is assumed about the container.
	container assumedContainer
}

func (b *builder) assume(field, format string, args ...any) {
	b.Assumed = append(b.Assumed, fmt.Sprintf(format, args...)+" ("+b.words.Name(field)+")")
}

// assumedContainer has the parts of the destination that the question leaves open.
type assumedContainer struct {
	address netip.Addr
	port    uint16
	bridge  string
}

// assumeContainer adds one sentence for all parts, with the fields that set them.
func (b *builder) assumeContainer() {
	c := b.container
	text, fields := "it goes to ", []string(nil)
	if c.address.IsValid() {
		text, fields = text+"container "+c.address.String(), append(fields, b.words.Name(Container))
	} else {
		text += "the container"
	}
	if c.port != 0 {
		text, fields = text+fmt.Sprintf(", port %d", c.port), append(fields, b.words.Name(ContainerPort))
	}
	if c.bridge != "" {
		text, fields = text+", on "+c.bridge, append(fields, b.words.Name(OutInterface))
	}
	if len(fields) > 0 {
		b.Assumed = append(b.Assumed, text+" ("+strings.Join(fields, ", ")+")")
	}
}

// Build returns the packet of a question; the zero value if there are problems.
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
	case q.Local():
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
	b.redirect()
	b.assumeContainer()
	if q.FromPort == 0 && b.p.HasPorts() && h.SourcePorts {
		b.assume(FromPort, "its source port is %d", b.p.SourcePort)
	}
	b.Packet = b.p
	return b.Built, nil
}

// external assumes that a field is the first external interface.
func (b *builder) external(field, verb string) string {
	if len(b.h.External) == 0 {
		b.assume(field, "it %s %s", verb, packet.UsualExternal)
		return packet.UsualExternal
	}
	name := oneOf(b.h.External[0])
	b.assume(field, "it %s %s, the first external interface", verb, name)
	return name
}

// oneOf returns an interface that a pattern matches.
func oneOf(pattern string) string { return strings.Replace(pattern, "+", "0", 1) }

// hostAddress is the host's address that the packet is sent to.
func (b *builder) hostAddress() netip.Addr {
	if b.q.ToAddress.IsValid() {
		return b.q.ToAddress
	}
	none := packet.UnspecifiedHost(b.f)
	b.assume(ToAddress, "it is sent to a host address that no rule lists, shown as %s", none)
	return none
}

// toHost makes it a packet of INPUT.
func (b *builder) toHost() {
	b.p.Out, b.p.Destination, b.p.DestinationPort = "", b.hostAddress(), b.q.ToPort
}

// toOutside makes it a packet that is routed out of the host. Docker translates only its
// source, after all chains that matter here; its destination is translated only if the
// host's nat table has a rule for it.
func (b *builder) toOutside() {
	q := b.q
	if b.p.Out == "" {
		b.p.Out = b.external(OutInterface, "leaves on")
	}
	leaves := fmt.Sprintf("This packet arrives on %s and goes to the outside.", b.p.In)
	switch {
	case q.Container.IsValid() && q.Out == "":
		b.problem(Container, "no bridge of the container", "%s For a packet to a container on another bridge, write that bridge: %s.",
			leaves, b.words.With(OutInterface, b.otherBridge()))
	case q.Container.IsValid():
		b.problem(Container, b.words.Name(Container)+" does not apply", "%s Write its destination with %s.", leaves, b.words.With(ToAddress, "203.0.113.80"))
	case !q.ToAddress.IsValid():
		b.problem(ToAddress, "no "+b.words.Name(ToAddress), "%s Write its destination: %s; or, for a packet to a container, the bridge it leaves on: %s.",
			leaves, b.words.With(ToAddress, "203.0.113.80"), b.words.With(OutInterface, b.otherBridge()))
	}
	if q.ToPort != 0 && q.ContainerPort != 0 {
		b.problem(ContainerPort, "two destination ports", "%s No DNAT changes its port. Keep %s and remove %s.",
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

// translated sends the packet to the target of DNAT.
func (b *builder) translated(t Target) {
	b.p.Elsewhere = t.Elsewhere
	b.p.DNAT, b.p.OriginalDestination, b.p.OriginalPort = true, b.p.Destination, b.p.DestinationPort
	b.p.Destination, b.p.DestinationPort = t.To.Addr(), t.To.Port()
	if b.q.Out == "" && t.Bridge != "" {
		b.p.Out = t.Bridge
	}
}

// toContainer makes it a packet to a container: through a published port, or directly to the
// container's own address.
func (b *builder) toContainer() {
	q := b.q
	untracked := q.State&(ir.CTInvalid|ir.CTUntracked) != 0
	direct := fmt.Sprintf("Write %s for the port of the container, or %s for a packet that ends on the host.",
		b.words.Name(ContainerPort), b.words.With(ToHost, "true"))
	switch {
	case q.ToPort != 0 && q.Reply:
		b.problem(ToPort, b.words.Name(ToPort)+" in a reply", "A reply goes to the port from which the container opened the connection, and that port is not published. Write it with %s.", b.words.Name(ContainerPort))
	case q.ToPort != 0 && untracked:
		b.problem(ToPort, b.words.Name(ToPort)+" without a connection", "Published ports are translated (DNAT) for tracked connections only, so this packet cannot reach a container through one. %s", direct)
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

// published makes it a packet to a published port.
func (b *builder) published() {
	q := b.q
	b.p.Destination, b.p.DestinationPort = b.hostAddress(), q.ToPort
	to := Target{To: netip.AddrPortFrom(q.Container, q.ContainerPort)}
	if b.h.Translate != nil {
		found, ok := b.h.Translate(b.p, true)
		if !ok {
			b.Notes = append(b.Notes, fmt.Sprintf("the nat table of %s does not translate packets to %s: the port is not published there. They go to the host itself or to docker-proxy",
				b.h.Name, netip.AddrPortFrom(b.p.Destination, q.ToPort)))
			b.p.Out, b.onHost = "", true
			return
		}
		given := Container
		if !q.Container.IsValid() {
			given = ContainerPort
		}
		if q.Container.IsValid() && q.Container != found.To.Addr() || q.ContainerPort != 0 && q.ContainerPort != found.To.Port() {
			b.Notes = append(b.Notes, fmt.Sprintf("the nat table of %s sends it to %s; %s is used instead", b.h.Name, found.To, b.words.Name(given)))
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

// assumeRest fills in what the question leaves open about the container.
func (b *builder) assumeRest() {
	if b.p.Out == "" && b.h.Bridge != nil && b.p.Destination.IsValid() {
		b.p.Out = b.h.Bridge(b.p.Destination)
	}
	if !b.p.Destination.IsValid() {
		b.p.Destination = packet.UsualContainer(b.f)
		if b.p.Destination == b.q.From {
			b.p.Destination = b.p.Destination.Next() // a packet from a container to itself does not pass the host
		}
		b.container.address = b.p.Destination
	}
	if b.p.DestinationPort == 0 && b.p.HasPorts() {
		b.p.DestinationPort = b.q.ToPort
		b.container.port = b.p.DestinationPort
	}
	if b.p.Out == "" {
		b.p.Out = b.bridge()
		b.container.bridge = b.p.Out
	}
}

// bridge is the container interface that is assumed.
func (b *builder) bridge() string {
	switch {
	case len(b.h.Container) > 0:
		return oneOf(b.h.Container[0])
	case len(b.h.Bridges) > 0 && !slices.Contains(b.h.Bridges, packet.UsualBridge):
		return b.h.Bridges[0]
	}
	return packet.UsualBridge
}

// otherBridge is an example of a bridge on which the packet does not arrive.
func (b *builder) otherBridge() string {
	if b.p.In == packet.UsualBridge {
		return "br-web"
	}
	return packet.UsualBridge
}

// redirect translates a packet to a container's own address if a rule of the nat table does.
// Only the first packet of a connection passes that table: the others follow it, and replies
// and packets of no connection are never translated.
func (b *builder) redirect() {
	if b.h.Redirect == nil || b.q.Local() || b.p.Out == "" || b.p.DNAT ||
		b.p.Direction != ir.CTOriginal || b.p.State&(ir.CTNew|ir.CTEstablished) == 0 {
		return
	}
	t, ok := b.h.Redirect(b.p)
	if !ok {
		return
	}
	b.Notes = append(b.Notes, fmt.Sprintf("the nat table of %s sends packets for %s to %s", b.h.Name, netip.AddrPortFrom(b.p.Destination, b.p.DestinationPort), t.To))
	b.p.DNAT, b.p.Elsewhere, b.p.OriginalDestination, b.p.OriginalPort = true, true, b.p.Destination, b.p.DestinationPort
	b.p.Destination, b.p.DestinationPort = t.To.Addr(), t.To.Port()
}
