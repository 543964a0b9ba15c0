package published

import (
	"cmp"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Service is a port of the host on which a program of its own waits for clients outside.
type Service struct {
	// Protocol is TCP or UDP.
	Protocol uint8
	Port     uint16
	// Program is the name of the process, up to 15 bytes as the kernel keeps it; "" if it is not
	// known.
	Program string
}

// clientPorts are those that the kernel gives to programs that are clients. A program's UDP socket with
// such a port is one of a resolver or a time service more often than a server: UDP has no state that
// tells. Sockets of the kernel, such as WireGuard's, have no program.
const clientPorts = EphemeralFirst

// services are the sockets that clients outside can reach and that no container owns, each port once.
func services(all []socket, programs map[string]string, contained map[string]bool) []Service {
	var out []Service
	for _, s := range all {
		client := s.protocol == packet.ProtoUDP && s.address.Port() >= clientPorts && programs[s.inode] != ""
		if contained[s.inode] || s.address.Addr().Unmap().IsLoopback() || client {
			continue
		}
		one := Service{s.protocol, s.address.Port(), programs[s.inode]}
		// DHCP clients are let through by every input block.
		if one.Protocol == packet.ProtoUDP && (one.Port == 68 || one.Port == 546) {
			continue
		}
		if !slices.ContainsFunc(out, func(o Service) bool { return o.Protocol == one.Protocol && o.Port == one.Port }) {
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b Service) int {
		return cmp.Or(int(a.Protocol)-int(b.Protocol), int(a.Port)-int(b.Port))
	})
	return out
}
