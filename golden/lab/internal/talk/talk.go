// Package talk is the protocol between the lab's clients and servers: a client
// sends a line with a token, the server answers "TOKEN NAME tcp 80 from ADDR".
// The token connects an answer with its request, so that a late answer is not
// taken for the answer to a later request.
//
// In: the name of a server and its ports. Out: a [Server] that answers on them. It knows
// neither namespaces nor containers.
//
// It uses only the standard library: the server is also built into a small
// static program for containers.
package talk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// Port is a port to listen on, written as Docker does: "80/tcp".
type Port struct {
	Network string // "tcp" or "udp"
	Number  uint16
}

// ParsePort reads "80/tcp", "53/udp" or "80", which is tcp.
func ParsePort(text string) (Port, error) {
	number, network, found := strings.Cut(text, "/")
	if !found {
		network = "tcp"
	}
	if network != "tcp" && network != "udp" {
		return Port{}, fmt.Errorf("port %q: want /tcp or /udp", text)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Port{}, fmt.Errorf("port %q: %w", text, err)
	}
	return Port{Network: network, Number: uint16(n)}, nil
}

// Server answers on a number of sockets until it is closed.
type Server struct {
	name string
	stop []func() error
}

// Serve opens the ports on all IPv4 and IPv6 addresses. All sockets are
// made in the calling goroutine, hence in the network namespace of its thread.
func Serve(name string, ports []Port) (*Server, error) {
	server := &Server{name: name}
	for _, port := range ports {
		listen := server.listenTCP
		if port.Network == "udp" {
			listen = server.listenUDP
		}
		if err := listen(port.Number); err != nil {
			server.Close()
			return nil, err
		}
	}
	return server, nil
}

// Close closes the listening sockets.
func (s *Server) Close() {
	for _, stop := range s.stop {
		_ = stop()
	}
}

func (s *Server) listenTCP(port uint16) error {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	s.stop = append(s.stop, listener.Close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.answerTCP(conn, port)
		}
	}()
	return nil
}

func (s *Server) answerTCP(conn net.Conn, port uint16) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := conn.Write(s.answer(lines.Text(), "tcp", port, conn.RemoteAddr())); err != nil {
			return
		}
	}
}

// One socket for each family. Answers are sent from the address that the request was sent
// to: a client would not accept them from another address of the host.
func (s *Server) listenUDP(port uint16) error {
	for _, family := range []struct {
		network       string
		level, option int
	}{
		{"udp4", syscall.IPPROTO_IP, syscall.IP_PKTINFO},
		{"udp6", syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO},
	} {
		config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), family.level, family.option, 1)
			})
			return errors.Join(err, failed)
		}}
		conn, err := config.ListenPacket(context.Background(), family.network, fmt.Sprintf(":%d", port))
		if errors.Is(err, syscall.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			return err
		}
		s.stop = append(s.stop, conn.Close)
		go s.answerUDP(conn.(*net.UDPConn), port)
	}
	return nil
}

func (s *Server) answerUDP(conn *net.UDPConn, port uint16) {
	var question [1024]byte
	var info [128]byte
	for {
		n, infoLen, _, from, err := conn.ReadMsgUDP(question[:], info[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about an earlier answer
		}
		token := strings.TrimSpace(string(question[:n]))
		_, _, _ = conn.WriteMsgUDP(s.answer(token, "udp", port, from), info[:infoLen], from)
	}
}

func (s *Server) answer(token, network string, port uint16, from net.Addr) []byte {
	client := netip.MustParseAddrPort(from.String()).Addr().Unmap().WithZone("")
	return fmt.Appendf(nil, "%s %s %s %d from %s\n", token, s.name, network, port, client)
}
