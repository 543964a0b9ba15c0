package packet

import (
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// What an example or a question has where nothing says otherwise. Witnesses and
// package question take them from here, so that all commands show the same packet.
const (
	// UsualExternal and UsualBridge are interfaces: of the outside, and of containers.
	UsualExternal = "eth0"
	UsualBridge   = "docker0"
	// UsualSourcePort is a port that clients send from: any high one.
	UsualSourcePort = 40000
)

// UsualContainer is the address of a container.
func UsualContainer(f ir.Family) netip.Addr {
	family := index(f)
	return address(family, preferredNumbers[fDestination-fSource][family][0])
}

// EchoRequest is the ICMP type of a ping (RFC 792, RFC 4443).
func EchoRequest(f ir.Family) uint8 { return [...]uint8{8, 128}[index(f)] }

// UnspecifiedHost stands for an address of the host that no rule lists.
func UnspecifiedHost(f ir.Family) netip.Addr {
	return [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[index(f)]
}
