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

// Tally is what a hammer has seen so far.
type Tally struct {
	Tried    int
	Answered int

	// Refused are tries that ended with an error, such as an RST.
	Refused int

	// Resent are TCP connections that stood only when the SYN was sent again, which is
	// a lost packet that a client may not notice. Knock does not wait that long.
	Resent int

	// First and Last are when the first and the last answer came.
	First, Last time.Time

	// Failures are the first few results but for answers, with their times.
	Failures []string
}

// Unanswered is how many tries got no answer.
func (t Tally) Unanswered() int { return t.Tried - t.Answered }

// Add puts two tallies together.
func (t Tally) Add(other Tally) Tally {
	t.Tried += other.Tried
	t.Answered += other.Answered
	t.Refused += other.Refused
	t.Resent += other.Resent
	if t.First.IsZero() || !other.First.IsZero() && other.First.Before(t.First) {
		t.First = other.First
	}
	if other.Last.After(t.Last) {
		t.Last = other.Last
	}
	t.Failures = append(t.Failures[:len(t.Failures):len(t.Failures)], other.Failures...)
	return t
}

const failuresKept = 5

func (t *Tally) answered() {
	t.Answered++
	t.Last = time.Now()
	if t.First.IsZero() {
		t.First = t.Last
	}
}

func (t *Tally) failed(what string) {
	if len(t.Failures) < failuresKept {
		t.Failures = append(t.Failures, time.Now().Format("15:04:05.000 ")+what)
	}
}

// Hammer makes one connection after the other until it is stopped.
type Hammer struct {
	mu     sync.Mutex
	tally  Tally
	halt   chan struct{}
	halted chan struct{}
	once   sync.Once
}

// Tally returns what it has seen so far.
func (h *Hammer) Tally() Tally {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tally
}

// Stop ends the hammer and returns what it has seen. It may be called again.
func (h *Hammer) Stop() Tally {
	h.once.Do(func() { close(h.halt) })
	<-h.halted
	return h.Tally()
}

func (h *Hammer) note(change func(*Tally)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.tally)
}

func (h *Hammer) stopping() bool {
	select {
	case <-h.halt:
		return true
	default:
		return false
	}
}

// hammer runs a loop in the namespace; it ends with the test at the latest.
func (n *Node) hammer(network, addrPort string, loop func(*Hammer) error) *Hammer {
	n.t.Helper()
	if _, err := netip.ParseAddrPort(addrPort); err != nil || network != "tcp" && network != "udp" {
		n.t.Fatalf("hammer %s %s: want tcp or udp, and ADDRESS:PORT", network, addrPort)
	}
	h := &Hammer{halt: make(chan struct{}), halted: make(chan struct{})}
	go func() {
		defer close(h.halted)
		if err := n.within(func() error { return loop(h) }); err != nil {
			n.t.Errorf("%s: hammer %s %s: %v", n.Name, network, addrPort, err)
		}
	}()
	n.t.Cleanup(func() { h.Stop() })
	return h
}

// AskPause and KnockPause are the time between two tries of a hammer. Shorter ones find
// shorter gaps, and with dozens of hammers leave two slow cores no time for the engine and
// the scripts that they are to find gaps in. Set them before the first. AskPause may be 0.
var AskPause, KnockPause = 10 * time.Millisecond, 10 * time.Millisecond

// HammerAnswers asks a lab server again and again, each time by a connection or socket
// of its own, and waits up to Patience for the answer. A datagram is sent once.
func (n *Node) HammerAnswers(network, addrPort string) *Hammer {
	n.t.Helper()
	return n.hammer(network, addrPort, func(h *Hammer) error {
		for !h.stopping() {
			resent, err := n.askOnce(network, addrPort)
			h.note(func(t *Tally) {
				t.Tried++
				t.Resent += resent
				if err == nil {
					t.answered()
					return
				}
				result := classify(err)
				if result != TimedOut {
					t.Refused++
				}
				t.failed(fmt.Sprintf("%s to %s %s: %s", n.Name, network, addrPort, result))
			})
			if err != nil {
				time.Sleep(time.Millisecond) // while nothing listens it would only burn time
			}
			time.Sleep(AskPause)
		}
		return nil
	})
}

// askOnce has to be called within the namespace.
func (n *Node) askOnce(network, addrPort string) (resent int, err error) {
	deadline := time.Now().Add(Patience)
	conn, err := (&net.Dialer{Deadline: deadline}).Dial(network, addrPort)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(deadline)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // an RST leaves no TIME_WAIT behind, and so the port free
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
		err = fmt.Errorf("a strange answer %q", answer[:got])
	}
	return resent, err
}

// knockPatience is how long a knock is given to be answered.
const knockPatience = 200 * time.Millisecond

// Knock tries without waiting: each KnockPause one SYN or one datagram from a port of
// its own. What stands or is answered within a fifth of a second counts as answered.
func (n *Node) Knock(network, addrPort string) *Hammer {
	n.t.Helper()
	to := netip.MustParseAddrPort(addrPort)
	knocksOpen := int(knockPatience / KnockPause)
	return n.hammer(network, addrPort, func(h *Hammer) error {
		var open []int
		defer func() {
			for _, fd := range open {
				_ = unix.Close(fd)
			}
		}()
		settle := func() {
			fd := open[0]
			open = open[1:]
			answered, refused := outcome(fd, network)
			_ = unix.Close(fd)
			h.note(func(t *Tally) {
				switch {
				case answered:
					t.answered()
					t.failed(fmt.Sprintf("%s to %s %s: answered", n.Name, network, addrPort))
				case refused:
					t.Refused++
				}
			})
		}
		for !h.stopping() {
			fd, err := knock(network, to)
			if err != nil {
				return err
			}
			open = append(open, fd)
			h.note(func(t *Tally) { t.Tried++ })
			if len(open) >= knocksOpen {
				settle()
			}
			time.Sleep(KnockPause)
		}
		time.Sleep(knockPatience)
		for len(open) > 0 {
			settle()
		}
		return nil
	})
}

// knock returns a socket whose SYN or datagram is on its way. Errors that the network
// causes, such as a route that is gone for a moment, show in outcome.
func knock(network string, to netip.AddrPort) (int, error) {
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

func outcome(fd int, network string) (answered, refused bool) {
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
