package question

import (
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Question is what a user knows about a packet. Zero fields are unknown; From is required.
type Question struct {
	From     netip.Addr
	FromPort uint16
	// ToPort is the published port, and ToAddress the host's address that the client
	// connected to. In a packet to the outside they are its destination.
	ToPort    uint16
	ToAddress netip.Addr
	// Container and ContainerPort are the destination after DNAT. Without ToPort the
	// packet goes directly to the container.
	Container     netip.Addr
	ContainerPort uint16
	// Protocol is an IANA number; 0 is TCP.
	Protocol uint8
	// In and Out are names of interfaces, not patterns.
	In, Out string
	// State is one connection tracking state; 0 is NEW.
	State ir.CTState
	// Reply makes it a reply in a connection that the destination opened.
	Reply bool
	// ICMP is the type and code; nil is an echo request.
	ICMP *ICMP
	// Proxy makes it a packet to docker-proxy on the host, ToHost one to the host itself: they
	// pass the same chains. ToPort is then the port of the host.
	Proxy, ToHost bool
}

// Local reports whether the packet is for the host, and not forwarded.
func (q Question) Local() bool { return q.Proxy || q.ToHost }

// ToProxy is the same question about a packet that ends at docker-proxy.
func (q Question) ToProxy() Question {
	q.Proxy, q.Container, q.ContainerPort, q.Out = true, netip.Addr{}, 0, ""
	return q
}

// States are the names of the states of a question. A reply is a packet of an established
// connection, in the other direction.
var States = []struct {
	Name  string
	State ir.CTState
	Reply bool
}{
	{"new", ir.CTNew, false},
	{"established", ir.CTEstablished, false},
	{"related", ir.CTRelated, false},
	{"reply", ir.CTEstablished, true},
	{"invalid", ir.CTInvalid, false},
	{"untracked", ir.CTUntracked, false},
}

// SetState sets the state by its name, and reports whether there is one of that name.
func (q *Question) SetState(name string) bool {
	for _, s := range States {
		if strings.EqualFold(s.Name, name) {
			q.State, q.Reply = s.State, s.Reply
			return true
		}
	}
	return false
}

// ICMP is the type and code of an ICMP message.
type ICMP struct{ Type, Code uint8 }

// Host is what is known about the host.
type Host struct {
	// Name is the source of its rules, for messages.
	Name string
	// External and Container are patterns of interfaces, the preferred ones first. Without
	// External they are unknown; without Container they are docker+ and br-+.
	External, Container []string
	// Bridges are the interfaces in Docker's own chains on the host.
	Bridges []string
	// SourcePorts is set if a rule matches the source port.
	SourcePorts bool
	// Translate looks up the nat table for a packet with its destination before DNAT;
	// local reports whether that is an address of the host. If it is nil, Docker is assumed
	// to publish the port of the question.
	Translate func(p packet.Packet, local bool) (Target, bool)
	// Redirect looks up the nat table for a forwarded packet that Docker does not
	// translate; nil if nothing is known.
	Redirect func(p packet.Packet) (Target, bool)
	// Bridge returns the bridge of a container, "" if it is unknown; may be nil.
	Bridge func(container netip.Addr) string
}

// Target is where DNAT sends a packet.
type Target struct {
	To netip.AddrPort
	// Bridge is the bridge of the container; "" if it is unknown.
	Bridge string
	// Elsewhere is set if the destination before DNAT is no address of the host.
	Elsewhere bool
}

// Built is the packet of a question.
type Built struct {
	Packet packet.Packet
	// Assumed has a sentence for each field that the question does not set, with its
	// name.
	Assumed []string
	// Notes are about the packet's path.
	Notes []string
}
