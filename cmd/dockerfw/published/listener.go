package published

import (
	"net/netip"
	"strconv"
	"strings"
)

// Listener is a socket of a host on which docker-proxy, or a container with network_mode: host,
// waits for clients.
type Listener struct {
	Protocol uint8
	// Address is the host's address; 0.0.0.0 or :: for all of a family. A container that listens
	// on :: has clients of both families.
	Address netip.Addr
	Port    uint16
	// Container is where docker-proxy connects to; the zero AddrPort for a container with
	// network_mode: host, of which ID is the beginning of the engine's identifier.
	Container netip.AddrPort
	ID        string
}

// proxyListener reads the arguments of a docker-proxy.
func proxyListener(args []string) (Listener, bool) {
	var l Listener
	values := map[string]string{}
	for i := 1; i < len(args); i++ {
		name := strings.TrimPrefix(strings.TrimPrefix(args[i], "-"), "-")
		if key, value, ok := strings.Cut(name, "="); ok {
			values[key] = value
		} else if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			values[name] = args[i+1]
			i++
		}
	}
	var ok bool
	if l.Protocol, ok = ProtocolNumber(values["proto"]); !ok {
		return l, false
	}
	var err error
	if l.Address, err = netip.ParseAddr(values["host-ip"]); err != nil {
		return l, false
	}
	if l.Port, err = parseNumber(values["host-port"]); err != nil {
		return l, false
	}
	target, err := parseNumber(values["container-port"])
	if err != nil {
		return l, false
	}
	address, err := netip.ParseAddr(values["container-ip"])
	l.Container = netip.AddrPortFrom(address, target)
	return l, err == nil
}

// socket is a line of /proc/net/tcp and its like.
type socket struct {
	address  netip.AddrPort
	inode    string
	protocol uint8
}

// The states of sockets that wait for clients, in /proc/net/tcp and /proc/net/udp.
const (
	tcpListen = "0A"
	udpBound  = "07"
)

// sockets are those of a table of the kernel that wait for clients. Lines that cannot be read are
// left out.
func sockets(table, state string) []socket {
	var out []socket
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != state {
			continue
		}
		address, port, ok := strings.Cut(f[1], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		if a, valid := kernelAddress(address); ok && err == nil && valid && n != 0 {
			out = append(out, socket{address: netip.AddrPortFrom(a, uint16(n)), inode: f[9]})
		}
	}
	return out
}
