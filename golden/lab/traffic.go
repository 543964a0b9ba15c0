//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Tally counts the connection attempts of a Traffic.
type Tally struct {
	Attempts int
	Answered int

	// Refused are attempts that ended with an error, such as an RST.
	Refused int

	// Resent are TCP connections that were established only after the SYN was sent again: a
	// lost packet that a client may not notice. Probes do not wait that long.
	Resent int

	// First and Last are the times of the first and of the last answer.
	First, Last time.Time

	// Unexpected are the first few unexpected results, with their times: failures of a load
	// client, answers to a probe.
	Unexpected []string
}

// Unanswered is how many attempts got no answer.
func (t Tally) Unanswered() int { return t.Attempts - t.Answered }

// Add returns the sum of two tallies.
func (t Tally) Add(other Tally) Tally {
	t.Attempts += other.Attempts
	t.Answered += other.Answered
	t.Refused += other.Refused
	t.Resent += other.Resent
	if t.First.IsZero() || !other.First.IsZero() && other.First.Before(t.First) {
		t.First = other.First
	}
	if other.Last.After(t.Last) {
		t.Last = other.Last
	}
	t.Unexpected = append(t.Unexpected[:len(t.Unexpected):len(t.Unexpected)], other.Unexpected...)
	return t
}

const unexpectedKept = 5

func (t *Tally) answered() {
	t.Answered++
	t.Last = time.Now()
	if t.First.IsZero() {
		t.First = t.Last
	}
}

func (t *Tally) unexpected(what string) {
	if len(t.Unexpected) < unexpectedKept {
		t.Unexpected = append(t.Unexpected, time.Now().Format("15:04:05.000 ")+what)
	}
}

// Traffic is a stream of connection attempts in the background: of a probe or of a load
// client.
type Traffic struct {
	mu     sync.Mutex
	tally  Tally
	halt   chan struct{}
	halted chan struct{}
	once   sync.Once
}

// Tally returns the counts so far.
func (f *Traffic) Tally() Tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tally
}

// Stop ends the traffic and returns its counts. It may be called again.
func (f *Traffic) Stop() Tally {
	f.once.Do(func() { close(f.halt) })
	<-f.halted
	return f.Tally()
}

func (f *Traffic) count(change func(*Tally)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.tally)
}

func (f *Traffic) stopping() bool {
	select {
	case <-f.halt:
		return true
	default:
		return false
	}
}

// startTraffic runs a loop in the namespace; it ends with the test at the latest.
func (n *Node) startTraffic(network, addrPort string, loop func(*Traffic) error) *Traffic {
	n.t.Helper()
	if _, err := netip.ParseAddrPort(addrPort); err != nil || network != "tcp" && network != "udp" {
		n.t.Fatalf("traffic to %s %s: want tcp or udp, and ADDRESS:PORT", network, addrPort)
	}
	f := &Traffic{halt: make(chan struct{}), halted: make(chan struct{})}
	go func() {
		defer close(f.halted)
		if err := n.Within(func() error { return loop(f) }); err != nil {
			n.t.Errorf("%s: traffic to %s %s: %v", n.Name, network, addrPort, err)
		}
	}()
	n.t.Cleanup(func() { f.Stop() })
	return f
}

// StartLoad starts a load client: one connection or socket after the other to a lab server,
// each of which waits up to LongPatience for its answer. A datagram is sent once. The pause
// between two attempts may be 0; see StartProbe for the cost of a short one.
func (n *Node) StartLoad(network, addrPort string, pause time.Duration) *Traffic {
	n.t.Helper()
	return n.startTraffic(network, addrPort, func(f *Traffic) error {
		for !f.stopping() {
			resent, err := n.askOnce(network, addrPort)
			f.count(func(t *Tally) {
				t.Attempts++
				t.Resent += resent
				if err == nil {
					t.answered()
					return
				}
				result := classify(err)
				if result != TimedOut {
					t.Refused++
				}
				t.unexpected(fmt.Sprintf("%s to %s %s: %s", n.Name, network, addrPort, result))
			})
			if err != nil {
				time.Sleep(time.Millisecond) // while nothing listens, a refusal comes at once
			}
			time.Sleep(pause)
		}
		return nil
	})
}

// askOnce has to be called within the namespace.
func (n *Node) askOnce(network, addrPort string) (resent int, err error) {
	deadline := time.Now().Add(LongPatience)
	conn, err := (&net.Dialer{Deadline: deadline}).Dial(network, addrPort)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(deadline)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // an RST leaves no TIME_WAIT, so that the port is free again
		raw, err := tcp.SyscallConn()
		if err != nil {
			return 0, err
		}
		_ = raw.Control(func(fd uintptr) {
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO); err == nil && info.Total_retrans > 0 {
				resent = 1
			}
		})
	}
	if _, err := conn.Write([]byte("q\n")); err != nil {
		return resent, err
	}
	answer := make([]byte, 256)
	got, err := conn.Read(answer)
	if err == nil && !strings.HasPrefix(string(answer[:got]), "q ") {
		err = fmt.Errorf("unexpected answer %q", answer[:got])
	}
	return resent, err
}

// probePatience is how long a probe's attempt may take to be answered.
const probePatience = 200 * time.Millisecond

// StartProbe starts a probe: at each interval one SYN or one datagram from a port of its own,
// without waiting for the one before. A connection that is established, or a datagram that is
// answered, within a fifth of a second counts as answered. A shorter interval finds shorter
// gaps; with dozens of probes it leaves two slow cores no time for the engine and the scripts
// that are under test.
func (n *Node) StartProbe(network, addrPort string, interval time.Duration) *Traffic {
	n.t.Helper()
	to := netip.MustParseAddrPort(addrPort)
	openAtATime := int(probePatience / interval)
	return n.startTraffic(network, addrPort, func(f *Traffic) error {
		var open []int
		defer func() {
			for _, fd := range open {
				_ = unix.Close(fd)
			}
		}()
		settle := func() {
			fd := open[0]
			open = open[1:]
			answered, refused := probeResult(fd, network)
			_ = unix.Close(fd)
			f.count(func(t *Tally) {
				switch {
				case answered:
					t.answered()
					t.unexpected(fmt.Sprintf("%s to %s %s: answered", n.Name, network, addrPort))
				case refused:
					t.Refused++
				}
			})
		}
		for !f.stopping() {
			fd, err := sendProbe(network, to)
			if err != nil {
				return err
			}
			open = append(open, fd)
			f.count(func(t *Tally) { t.Attempts++ })
			if len(open) >= openAtATime {
				settle()
			}
			time.Sleep(interval)
		}
		time.Sleep(probePatience)
		for len(open) > 0 {
			settle()
		}
		return nil
	})
}

// sendProbe returns a socket whose SYN or datagram is on its way. Errors that the network
// causes, such as a route that is missing for a moment, show in probeResult.
func sendProbe(network string, to netip.AddrPort) (int, error) {
	domain, kind := unix.AF_INET, unix.SOCK_STREAM
	if to.Addr().Is6() {
		domain = unix.AF_INET6
	}
	if network == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if domain == unix.AF_INET {
		_ = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	} else {
		_ = unix.Connect(fd, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
	}
	if network == "udp" {
		_, _ = unix.Write(fd, []byte("q\n"))
	}
	return fd, nil
}

func probeResult(fd int, network string) (answered, refused bool) {
	if network == "udp" {
		_, err := unix.Read(fd, make([]byte, 256))
		return err == nil, err != nil && err != syscall.EAGAIN
	}
	if failed, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || failed != 0 {
		return false, true
	}
	_, err := unix.Getpeername(fd)
	return err == nil, false
}
