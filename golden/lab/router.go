//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// Router is a network namespace that forwards single packets through DOCKER-USER.
// Its interfaces are TUN devices: a packet that the test writes arrives on the
// interface, and the test reads the packets that the kernel sends. Connection
// tracking, DNAT and routes are set up for each packet, so that all packets that
// rules can distinguish can be sent.
//
// After DOCKER-USER comes a substitute for Docker's rules, which accepts everything
// and sets a mark: it distinguishes packets that our rules accept from those that they
// leave to Docker. A test that adds rules to FORWARD of the security table appends them.
type Router struct {
	*Namespace
	Backend Backend
	// ownNAT is set if the rules of the test translate packets, instead of rules for each packet.
	ownNAT bool

	tuns map[string]int
	last uint32 // identifier of the packet sent last
	seen map[uint32][]arrival
}

// The traffic classes (TOS) that the rules of the router match. No policy matches them.
const (
	classSetup     = 0x04 // bypasses DOCKER-USER and the security table: opens the connection that a packet belongs to
	classUntracked = 0x08 // is not tracked
	classDocker    = 0x10 // accepted by the substitute for Docker's rules
)

// routerTable is the routing table of the packets' destinations.
const routerTable = "100"

// arrival is what the router sent for a packet: the packet itself, or an answer.
type arrival struct {
	device   string
	byDocker bool
	// answer is the kind of REJECT, if the message is such an answer or has the form of one.
	answer string
}

// NewRouter makes a router with an empty DOCKER-USER.
func NewRouter(t testing.TB, b Backend) *Router {
	t.Helper()
	r := newRouter(t, b)
	for _, family := range []int{4, 6} {
		r.mustLoad(family, fmt.Sprintf(`*raw
-A PREROUTING -m tos --tos %#02x/0xff -j CT --notrack
COMMIT
*mangle
-A POSTROUTING -m mark --mark 0x1 -j TOS --set-tos %#02x/0xff
COMMIT
*filter
:DOCKER-USER - [0:0]
-A FORWARD -m tos --tos %#02x/0xff -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -j MARK --set-xmark 0x1/0xffffffff
COMMIT
*security
-A FORWARD -m tos --tos %#02x/0xff -j ACCEPT
COMMIT
`, classUntracked, classDocker, classSetup, classSetup))
	}
	r.track()
	return r
}

// track makes connection tracking accept packets outside of the TCP window. The sysctl
// exists once a rule tracks connections.
func (r *Router) track() {
	r.Sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", "1")
	r.drain()
}

// newRouter makes a router without rules.
func newRouter(t testing.TB, b Backend) *Router {
	t.Helper()
	Require(t, b.Tool(4, "-restore"), "ipset")
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		testenv.SkipOrFail(t, "there are no TUN devices: "+err.Error())
	}
	r := &Router{Namespace: NewNamespace(t, "dfw-router"), Backend: b, tuns: map[string]int{}}
	t.Cleanup(func() {
		for _, fd := range r.tuns {
			_ = unix.Close(fd)
		}
	})
	for name, value := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1",
		"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.default.rp_filter": "0",
		"net.ipv6.conf.all.accept_dad": "0", "net.ipv6.conf.default.accept_dad": "0",
		"net.ipv6.conf.default.addr_gen_mode": "1",
		"net.ipv4.conf.all.send_redirects":    "0", "net.ipv4.conf.default.send_redirects": "0",
		// Every refused packet is answered, however many there are.
		"net.ipv4.icmp_ratemask": "0", "net.ipv4.icmp_ratelimit": "0",
		"net.ipv6.icmp.ratelimit": "0", "net.ipv6.icmp.ratemask": "255",
	} {
		r.Sysctl(name, value)
	}
	r.batch("-4", "address add 100.127.255.1/32 dev lo", "rule add pref 100 lookup "+routerTable)
	r.batch("-6", "address add fd00:ffff::1/128 dev lo nodad", "rule add pref 100 lookup "+routerTable)
	r.interfaceUp("eth0")
	r.batch("-4", "route add default dev eth0")
	r.batch("-6", "route add default dev eth0")
	return r
}

// SetChain makes forwarded packets pass another chain instead of DOCKER-USER. A chain for
// INPUT matches the same packets there, except for the output interface.
func (r *Router) SetChain(f ir.Family, chain string) {
	r.t.Helper()
	if err := r.IPTables(r.Backend, int(f), "-R", "FORWARD", "2", "-j", chain); err != nil {
		r.t.Fatal(err)
	}
}

func (r *Router) mustLoad(family int, text string) {
	r.t.Helper()
	if err := r.IPTablesRestore(r.Backend, family, text); err != nil {
		r.t.Fatalf("%v\n%s", err, text)
	}
}

func (r *Router) batch(family string, commands ...string) {
	r.t.Helper()
	if _, _, err := r.Input(strings.Join(commands, "\n")+"\n", "ip", family, "-batch", "-"); err != nil {
		r.t.Fatalf("%v\n%s", err, strings.Join(commands, "\n"))
	}
}

// interfaceUp creates an interface, unless it exists.
func (r *Router) interfaceUp(name string) {
	r.t.Helper()
	if _, ok := r.tuns[name]; ok {
		return
	}
	err := r.Within(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return err
		}
		r.tuns[name] = fd
		return nil
	})
	if err != nil {
		r.t.Fatalf("TUN device %s: %v", name, err)
	}
	r.batch("-4", "link set "+name+" txqueuelen 1000 up")
	r.Sysctl("net.ipv4.conf."+name+".rp_filter", "0")
}

// Send sends packets through the loaded rules, each as a separate connection, and returns the
// verdict for each. A packet that cannot be sent is an error; see Sendable.
func (r *Router) Send(packets []packet.Packet) ([]packet.Verdict, error) {
	flows, err := r.sendAll(packets)
	if err != nil {
		return nil, err
	}
	out := make([]packet.Verdict, len(packets))
	for i, f := range flows {
		v, err := r.verdict(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", packets[i], err)
		}
		out[i] = v
	}
	return out, nil
}

// sendAll sends packets, each as a separate connection, and reads what the router sends.
func (r *Router) sendAll(packets []packet.Packet) ([]*flow, error) {
	flows := make([]*flow, len(packets))
	for i, p := range packets {
		f, err := newFlow(p, r.nextID())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		flows[i] = f
		for _, route := range f.routes {
			r.interfaceUp(route.device)
		}
		for _, step := range f.steps {
			r.interfaceUp(step.device)
		}
	}
	r.seen = map[uint32][]arrival{}
	for left := flows; len(left) > 0; {
		var now, later []*flow
		b := newBatch()
		for _, f := range left {
			if b.add(f) {
				now = append(now, f)
			} else {
				later = append(later, f)
			}
		}
		if err := r.send(now, b); err != nil {
			return nil, err
		}
		left = later
	}
	return flows, nil
}

func (r *Router) nextID() uint32 {
	// TCP sequence numbers hold 16 times the identifier.
	r.last = r.last%0x0fffffff + 1
	return r.last
}

// send sends a batch of packets.
func (r *Router) send(flows []*flow, b *batch) error {
	for _, family := range []int{4, 6} {
		// What was set up for packets of the other family is replaced when the next ones are sent.
		if !b.families[family] {
			continue
		}
		flag := fmt.Sprintf("-%d", family)
		routes := []string{"route flush table " + routerTable}
		for to, device := range b.routes {
			if to.Is4() == (family == 4) {
				routes = append(routes, fmt.Sprintf("route add %s dev %s table %s", to, device, routerTable))
			}
		}
		if _, _, err := r.Input(strings.Join(routes, "\n")+"\n", "ip", flag, "-force", "-batch", "-"); err != nil && len(routes) > 1 &&
			!strings.Contains(err.Error(), "FIB table does not exist") {
			return err
		}
		if r.ownNAT {
			continue
		}
		nat := "*nat\n-F PREROUTING\n" + strings.Join(b.dnat[family], "") + "COMMIT\n"
		if err := r.IPTablesRestore(r.Backend, family, nat); err != nil {
			return err
		}
	}
	if err := r.Within(flushConnections); err != nil {
		return err
	}
	for _, f := range flows {
		for _, step := range f.steps {
			if _, err := unix.Write(r.tuns[step.device], step.bytes); err != nil {
				return fmt.Errorf("write to %s: %w", step.device, err)
			}
			r.drain()
		}
	}
	return nil
}

// flushConnections forgets all connections, as conntrack -F does.
func flushConnections() error {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return err
	}
	err = errors.Join(conn.Flush(), conn.Close())
	// A count of open connections leaves out those that ended, but looks for them only once per tick of the
	// kernel's clock, of 10 ms at most: measured, a packet right after a flush found the old count.
	time.Sleep(11 * time.Millisecond)
	return err
}

// drain reads all packets that the router has sent. The kernel forwards within the write, so
// that none is still to come.
func (r *Router) drain() {
	buffer := make([]byte, 65536)
	for device, fd := range r.tuns {
		for {
			n, err := unix.Read(fd, buffer)
			if errors.Is(err, unix.EAGAIN) || n <= 0 {
				break
			}
			if id, a := readArrival(buffer[:n]); id != 0 {
				a.device = device
				r.seen[id] = append(r.seen[id], a)
			}
		}
	}
}

// verdict returns the verdict for a packet, by what was observed.
func (r *Router) verdict(f *flow) (packet.Verdict, error) {
	arrivals := r.seen[f.id]
	switch {
	case len(arrivals) == 0:
		return packet.Verdict{Kind: packet.Drop}, nil
	case len(arrivals) > 1:
		return packet.Verdict{}, fmt.Errorf("it was sent %d times: %v", len(arrivals), arrivals)
	}
	a := arrivals[0]
	// If the packet is an ICMP error itself, what arrives is not an answer.
	if a.answer != "" && !(f.packet.HasICMP() && errorType(f.packet.Protocol, f.packet.ICMPType)) {
		return packet.Verdict{Kind: packet.Reject, With: a.answer}, nil
	}
	if a.device != f.packet.Out {
		return packet.Verdict{}, fmt.Errorf("it was sent on %s", a.device)
	}
	if a.byDocker {
		return packet.Verdict{Kind: packet.Docker}, nil
	}
	return packet.Verdict{Kind: packet.Accept}, nil
}

// Observed returns the verdict that an observer sees: the kernel answers no ICMP error with
// another (RFC 1122, 3.2.2; RFC 4443, 2.4), so that rejecting one looks like a drop.
func Observed(p packet.Packet, v packet.Verdict) packet.Verdict {
	if v.Kind == packet.Reject && p.HasICMP() && errorType(p.Protocol, p.ICMPType) {
		return packet.Verdict{Kind: packet.Drop}
	}
	return v
}

// batch is the routes and DNAT rules of packets that are sent together. No two of them share a
// connection or need different routes.
type batch struct {
	routes      map[netip.Addr]string
	connections map[connection]bool
	families    map[int]bool
	dnat        map[int][]string
}

func newBatch() *batch {
	return &batch{map[netip.Addr]string{}, map[connection]bool{}, map[int]bool{}, map[int][]string{}}
}

// add adds a packet unless it conflicts with another one of the batch.
func (b *batch) add(f *flow) bool {
	for _, route := range f.routes {
		if device, ok := b.routes[route.to]; ok && device != route.device {
			return false
		}
	}
	for _, c := range f.connections {
		if b.connections[c] {
			return false
		}
	}
	for _, route := range f.routes {
		b.routes[route.to] = route.device
	}
	for _, c := range f.connections {
		b.connections[c] = true
	}
	family := int(f.packet.Family)
	b.families[family] = true
	if f.dnat != "" {
		b.dnat[family] = append(b.dnat[family], f.dnat)
	}
	return true
}
