package published

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
)

// Port is a port of the host that a container publishes.
type Port struct {
	// Protocol is an IANA number: that of TCP, UDP or SCTP.
	Protocol uint8
	// First and Last are the port, or the range out of which the engine chooses one; both ends
	// inclusive.
	First, Last uint16
	// Address is the host's address that the port is bound to: the zero Addr for all of them,
	// 0.0.0.0 or :: for all of a family.
	Address netip.Addr
	// Target is the container's port; 0 if it is not known.
	Target uint16
	// By is the container or the service, and At where that is written.
	By string
	At hcl.Range
	// Inactive is why the service does not run now, such as "profile debug"; "" if it does.
	Inactive string
}

// Container is one whose packets do not go through published ports, or may not. With none of the
// fields after At it is in the network of the host (network_mode: host).
type Container struct {
	By string
	At hcl.Range
	// Network is the name of a network other than the engine's own: of one with Driver macvlan or
	// ipvlan, in which the container has an address of its own; or, without a Driver, of one that is
	// not defined where the container is, so that its driver is not known.
	Network, Driver string
	// Shares is the container whose network this one uses, if that is not known.
	Shares string
}

// List is what the containers of a host publish.
type List struct {
	Ports []Port
	// Others are the containers that are reached in other ways.
	Others []Container
}

// Ephemeral is the range out of which the engine chooses a port where none is written: the
// default of the kernel's net.ipv4.ip_local_port_range.
const (
	EphemeralFirst uint16 = 32768
	EphemeralLast  uint16 = 60999
)

// chosen reports whether the engine chooses the port.
func (p *Port) chosen() bool { return p.First != p.Last }

// ephemeral reports whether the engine chooses the port out of all that are free.
func (p *Port) ephemeral() bool { return p.First == EphemeralFirst && p.Last == EphemeralLast }

// local reports whether the port is bound to an address of the loopback interface.
func (p *Port) local() bool { return p.Address.IsLoopback() }

// text is the port as in 5432/tcp, 8000-8010/tcp or 198.51.100.1:53/udp; "any port for 80/tcp" of
// the container if the engine chooses it.
func (p *Port) text() string {
	text := portsText(p.Protocol, p.First, p.Last)
	if p.ephemeral() && p.Target != 0 {
		text = "any port for " + portsText(p.Protocol, p.Target, p.Target)
	}
	switch {
	case !p.Address.IsValid() || p.Address.IsUnspecified():
		return text
	case p.Address.Is6():
		return "[" + p.Address.String() + "]:" + text
	}
	return p.Address.String() + ":" + text
}

func portsText(protocol uint8, first, last uint16) string {
	if first == last {
		return fmt.Sprintf("%d/%s", first, words.Protocol(protocol))
	}
	return fmt.Sprintf("%d-%d/%s", first, last, words.Protocol(protocol))
}

// ProtocolNumber is the number of a protocol that Docker publishes ports of.
func ProtocolNumber(name string) (number uint8, ok bool) {
	number, ok = map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132}[strings.ToLower(name)]
	return number, ok
}
