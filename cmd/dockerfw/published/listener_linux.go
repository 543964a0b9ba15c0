package published

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Listeners are the sockets of this host's network namespace that docker-proxy and containers with
// network_mode: host listen on. It reads /proc, and needs root to see the processes of other users.
func Listeners() ([]Listener, error) {
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("the processes of this host cannot be read: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []Listener
	containers := map[string]string{} // by the inodes of their sockets
	mine, _ := os.ReadFile("/proc/self/cgroup")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		// A process that has ended meanwhile has no files any more.
		if ns, err := os.Readlink(filepath.Join(dir, "ns/net")); err != nil || ns != own {
			continue
		}
		if l, ok := dockerProxy(dir); ok {
			out = append(out, l)
			continue
		}
		if id := containerID(dir, string(mine)); id != "" {
			for _, inode := range socketInodes(dir) {
				containers[inode] = id
			}
		}
	}
	if len(containers) == 0 {
		return out, nil
	}
	for _, s := range listening() {
		if id := containers[s.inode]; id != "" {
			out = append(out, Listener{Protocol: s.protocol, Address: s.address.Addr().Unmap(), Port: s.address.Port(), ID: id})
		}
	}
	return out, nil
}

// listening are the sockets of this host's network namespace that wait for clients.
func listening() []socket {
	var out []socket
	for _, t := range []struct {
		file, state string
		protocol    uint8
	}{
		{"tcp", tcpListen, packet.ProtoTCP},
		{"tcp6", tcpListen, packet.ProtoTCP},
		{"udp", udpBound, packet.ProtoUDP},
		{"udp6", udpBound, packet.ProtoUDP},
	} {
		text, err := os.ReadFile("/proc/thread-self/net/" + t.file)
		if err != nil {
			continue // a kernel without IPv6
		}
		for _, s := range sockets(string(text), t.state) {
			s.protocol = t.protocol
			out = append(out, s)
		}
	}
	return out
}

// Services are the sockets of this host's network namespace on which programs other than docker-proxy
// and those of containers wait for clients. It reads /proc; without root the programs of other users
// are unknown.
func Services() ([]Service, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	programs, contained := map[string]string{}, map[string]bool{} // by the inodes of sockets
	mine, _ := os.ReadFile("/proc/self/cgroup")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue // it has ended
		}
		_, proxy := dockerProxy(dir)
		inContainer := containerID(dir, string(mine)) != ""
		for _, inode := range socketInodes(dir) {
			programs[inode] = strings.TrimSpace(string(name))
			contained[inode] = contained[inode] || proxy || inContainer
		}
	}
	return services(listening(), programs, contained), nil
}

// dockerProxy reads a process of the engine that answers for a published port.
func dockerProxy(dir string) (Listener, bool) {
	text, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	args := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	if err != nil || filepath.Base(args[0]) != "docker-proxy" {
		return Listener{}, false
	}
	return proxyListener(args)
}

// identifier is that of a container, as the engine writes it into names of control groups.
var identifier = regexp.MustCompile(`[0-9a-f]{64}`)

// containerID is the beginning of the identifier of the container that a process belongs to; ""
// for none. mine are the control groups of this process, which may itself run in a container.
func containerID(dir, mine string) string {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return ""
	}
	for _, id := range identifier.FindAllString(string(text), -1) {
		if !strings.Contains(mine, id) {
			return id[:12]
		}
	}
	return ""
}

// socketInodes are the inodes of a process's sockets.
func socketInodes(dir string) []string {
	entries, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, "fd", e.Name()))
		if inode, ok := strings.CutPrefix(to, "socket:["); err == nil && ok {
			out = append(out, strings.TrimSuffix(inode, "]"))
		}
	}
	return out
}

// kernelAddress parses an address as /proc/net/tcp has it: 32 bits at a time, in the byte order of
// the machine.
func kernelAddress(text string) (netip.Addr, bool) {
	var out []byte
	for ; len(text) >= 8; text = text[8:] {
		n, err := strconv.ParseUint(text[:8], 16, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		out = binary.NativeEndian.AppendUint32(out, uint32(n))
	}
	return netip.AddrFromSlice(out)
}
