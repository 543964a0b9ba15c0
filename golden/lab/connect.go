//go:build linux

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/golden/lab/internal/talk"
)

// Patience is how long a client waits for an answer that may not come. A lost SYN is sent again
// after one second, so it takes two drops in a row to time out.
const Patience = 1500 * time.Millisecond

// LongPatience is how long a client waits for an answer that has to come: an answer ends the wait,
// and a busy machine may delay it.
const LongPatience = 15 * time.Second

// Result is the result of a connection. Any other error is a Result with the
// text of the error.
type Result string

// The results.
const (
	Answered    Result = "answered"
	Refused     Result = "refused"     // RST, or ICMP port unreachable
	Unreachable Result = "unreachable" // another ICMP error, such as admin-prohibited
	Closed      Result = "closed"      // connected, then closed without an answer
	TimedOut    Result = "timed out"
)

// Node is a namespace with addresses. Its methods that make connections may be
// called from several goroutines.
type Node struct {
	*Namespace
	Name   string     // as in its answers: "allowed"; the name of the Namespace is longer
	V4, V6 netip.Addr // the zero Addr if it has none
}

// At returns the node's IPv4 address with a port, to connect to.
func (n *Node) At(port uint16) string { return netip.AddrPortFrom(n.V4, port).String() }

// At6 returns the node's IPv6 address with a port.
func (n *Node) At6(port uint16) string { return netip.AddrPortFrom(n.V6, port).String() }

// Connect makes a connection ("tcp") or sends up to three datagrams ("udp")
// to ADDRESS:PORT, and waits for the answer of a lab server.
func (n *Node) Connect(network, addrPort string) Result {
	result, _ := n.Ask(network, addrPort)
	return result
}

// Ask is like Connect and returns the answer as well:
// "web tcp 80 from 198.51.100.2", with the client address as the server sees it.
func (n *Node) Ask(network, addrPort string) (Result, string) {
	return n.AskFor(Patience, network, addrPort)
}

// AskFor is like Ask with another patience.
func (n *Node) AskFor(patience time.Duration, network, addrPort string) (Result, string) {
	deadline := time.Now().Add(patience)
	session, err := n.dial(network, addrPort, deadline)
	if err != nil {
		return classify(err), ""
	}
	defer session.Close()
	return session.ask(deadline)
}

// Serve answers in this namespace until the test ends; ports are written
// "80/tcp" or "53/udp".
func (n *Node) Serve(ports ...string) {
	n.t.Helper()
	parsed := parsePorts(n.t, ports)
	var server *talk.Server
	err := n.Within(func() (err error) {
		server, err = talk.Serve(n.Name, parsed)
		return err
	})
	if err != nil {
		n.t.Fatalf("%s: serve %s: %v", n.Name, strings.Join(ports, " "), err)
	}
	n.t.Cleanup(server.Close)
}

// Session is a connection that stays open while the rules change. It is closed
// when the test ends.
type Session struct {
	network string
	conn    net.Conn
	answers *bufio.Reader
	asked   int
}

// OpenSession connects and fails the test unless the server answers.
func (n *Node) OpenSession(network, addrPort string) *Session {
	n.t.Helper()
	session, err := n.dial(network, addrPort, time.Now().Add(LongPatience))
	if err != nil {
		n.t.Fatalf("%s: %s session with %s: %v", n.Name, network, addrPort, err)
	}
	n.t.Cleanup(session.Close)
	if result, _ := session.ask(time.Now().Add(LongPatience)); result != Answered {
		n.t.Fatalf("%s: %s session with %s: %s", n.Name, network, addrPort, result)
	}
	return session
}

// Ping sends another request on the same connection, from the same local port.
func (s *Session) Ping() Result {
	result, _ := s.ask(time.Now().Add(Patience))
	return result
}

// Close closes the connection.
func (s *Session) Close() { _ = s.conn.Close() }

func (n *Node) dial(network, addrPort string, deadline time.Time) (*Session, error) {
	if network != "tcp" && network != "udp" {
		return nil, fmt.Errorf("network %q: want tcp or udp", network)
	}
	if _, err := netip.ParseAddrPort(addrPort); err != nil {
		return nil, err // a name would be resolved outside of the lab
	}
	dialer := net.Dialer{Deadline: deadline}
	if network == "udp" {
		dialer.Control = reportAllICMP
	}
	var conn net.Conn
	err := n.Within(func() (err error) {
		conn, err = dialer.Dial(network, addrPort)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Session{network: network, conn: conn, answers: bufio.NewReader(conn)}, nil
}

// Without IP_RECVERR the kernel reports only some ICMP errors to a UDP socket.
func reportAllICMP(network, _ string, raw syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if strings.HasSuffix(network, "6") {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), level, option, 1)
	})
	return errors.Join(err, failed)
}

func (s *Session) ask(deadline time.Time) (Result, string) {
	s.asked++
	token := fmt.Sprintf("q%d", s.asked)
	tries := 1
	if s.network == "udp" {
		tries = 3
	}
	for try := range tries {
		left := time.Until(deadline)
		_ = s.conn.SetDeadline(time.Now().Add(left / time.Duration(tries-try)))
		if _, err := io.WriteString(s.conn, token+"\n"); err != nil {
			return classify(err), ""
		}
		answer, err := s.read(token)
		if err == nil {
			return Answered, answer
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return classify(err), ""
		}
	}
	return TimedOut, ""
}

// read skips late answers to earlier requests.
func (s *Session) read(token string) (string, error) {
	for {
		line, err := s.answers.ReadString('\n')
		if err != nil {
			return "", err
		}
		if answer, found := strings.CutPrefix(line, token+" "); found {
			return strings.TrimSpace(answer), nil
		}
	}
}

func classify(err error) Result {
	for _, known := range []struct {
		err    error
		result Result
	}{
		{os.ErrDeadlineExceeded, TimedOut},
		{unix.ETIMEDOUT, TimedOut},
		{unix.ECONNREFUSED, Refused},
		{unix.EHOSTUNREACH, Unreachable},
		{unix.ENETUNREACH, Unreachable},
		{unix.EACCES, Unreachable}, // ICMPv6 admin-prohibited
		{unix.EPERM, Unreachable},  // dropped in the client's own OUTPUT
		{io.EOF, Closed},
		{unix.ECONNRESET, Closed},
		{unix.EPIPE, Closed},
	} {
		if errors.Is(err, known.err) {
			return known.result
		}
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return TimedOut // the dialer's own deadline
	}
	return Result(err.Error())
}
