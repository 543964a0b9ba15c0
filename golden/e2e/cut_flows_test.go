//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// inside calls f in a namespace, on a thread that ends afterwards.
func inside(t *testing.T, ns *lab.Namespace, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			there, err := os.Open("/run/netns/" + ns.Name)
			if err != nil {
				return err
			}
			defer there.Close()
			if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// connectionsOf lists the connections of both families, but pings.
func connectionsOf(t *testing.T, ns *lab.Namespace) []cut.Connection {
	t.Helper()
	var out []cut.Connection
	inside(t, ns, func() error {
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			found, err := cut.Connections(f)
			if err != nil {
				return err
			}
			out = append(out, found...)
		}
		return nil
	})
	return slices.DeleteFunc(out, func(c cut.Connection) bool { return c.Protocol == 1 || c.Protocol == 58 })
}

// key is a connection in one line.
func key(c *cut.Connection) string {
	return fmt.Sprintf("%d %s %s, %s %s, state %d, DNAT %t, expected %t, zones %d %d %d", c.Protocol,
		c.Original.Source, c.Original.Destination, c.Reply.Source, c.Reply.Destination,
		c.TCPState, c.DNAT, c.Expected, c.Zone, c.Original.Zone, c.Reply.Zone)
}

func keys(connections []cut.Connection) []string {
	var out []string
	for i := range connections {
		out = append(out, key(&connections[i]))
	}
	slices.Sort(out)
	return out
}

// tcpStates are those of conntrack's output, by their number in the kernel.
var tcpStates = strings.Fields("NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE")

// printed are the connections that conntrack -L prints, but pings.
func printed(t *testing.T, ns *lab.Namespace) []string {
	t.Helper()
	var out []string
	for _, family := range []string{"ipv4", "ipv6"} {
		list := func(flags ...string) []string {
			text := strings.TrimSpace(ns.MustRun(append([]string{"conntrack", "-L", "-f", family}, flags...)...))
			return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
		}
		expected := list("--status", "EXPECTED")
		for _, line := range list() {
			words := strings.Fields(line)
			var c cut.Connection
			number, err := strconv.ParseUint(words[1], 10, 8)
			if err != nil {
				t.Fatal(err)
			}
			if c.Protocol = uint8(number); c.Protocol == 1 || c.Protocol == 58 {
				continue
			}
			if c.Protocol == 6 {
				c.TCPState = uint8(slices.Index(tcpStates, words[3]))
			}
			values := map[string][]string{}
			for _, w := range words {
				if name, value, ok := strings.Cut(w, "="); ok {
					values[name] = append(values[name], value)
				}
			}
			end := func(i int, address, port string) netip.AddrPort {
				n := uint64(0)
				if len(values[port]) > i {
					n, err = strconv.ParseUint(values[port][i], 10, 16)
				}
				if err != nil {
					t.Fatal(err)
				}
				return netip.AddrPortFrom(netip.MustParseAddr(values[address][i]), uint16(n))
			}
			zone := func(name string) uint16 {
				if len(values[name]) == 0 {
					return 0
				}
				n, err := strconv.ParseUint(values[name][0], 10, 16)
				if err != nil {
					t.Fatal(err)
				}
				return uint16(n)
			}
			c.Original = cut.Tuple{Source: end(0, "src", "sport"), Destination: end(0, "dst", "dport"), Zone: zone("zone-orig")}
			c.Reply = cut.Tuple{Source: end(1, "src", "sport"), Destination: end(1, "dst", "dport"), Zone: zone("zone-reply")}
			c.Zone, c.DNAT = zone("zone"), c.Original.Destination != c.Reply.Source
			sameEnds := func(other string) bool { return ends(other) == ends(line) }
			c.Expected = slices.ContainsFunc(expected, sameEnds)
			out = append(out, key(&c))
		}
	}
	slices.Sort(out)
	return out
}

var notEnds = regexp.MustCompile(`^(\S+ +\d+) +\d+| (mark|use)=\d+`)

// ends is a line of conntrack without what changes.
func ends(line string) string { return notEnds.ReplaceAllString(line, "$1") }

func TestConnectionsAreThoseThatConntrackPrints(t *testing.T) {
	t.Parallel()
	lab.Require(t, "conntrack", "iptables-nft")
	ns := lab.NewNamespace(t, "dfw-flows")
	ns.MustRun("ip", "address", "add", "192.0.2.1/24", "dev", "lo")
	if got := connectionsOf(t, ns); len(got) != 0 {
		t.Fatalf("a new namespace has connections: %v", keys(got))
	}
	for _, command := range []string{
		"-p tcp --state ESTABLISHED -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2",
		"-p tcp --state TIME_WAIT -s 10.0.0.1 -d 10.0.0.2 --sport 3 --dport 2",
		"-p tcp --state CLOSE -s 10.0.0.1 -d 10.0.0.2 --sport 4 --dport 2",
		"-p tcp --state LAST_ACK -s 2001:db8::1 -d 2001:db8::2 --sport 4 --dport 2",
		"-p tcp --state ESTABLISHED -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -w 5",
		"-p udp -s 10.0.0.1 -d 10.0.0.2 --sport 8 --dport 2 --orig-zone 7",
		"-p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 2 --reply-zone 7",
		"-p udp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -g 10.0.0.9:99",
		"-p udp -s 10.0.0.1 -d 10.0.0.2 --sport 7 --dport 2 -n 10.0.0.9:99",
		"-p udp -s 2001:db8::1 -d 2001:db8::2 --sport 65535 --dport 2",
		"-p sctp --state ESTABLISHED --orig-vtag 1 --reply-vtag 2 -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2",
		"-p udplite -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2",
		"-p 50 -s 10.0.0.1 -d 10.0.0.2",
	} {
		ns.MustRun(append([]string{"conntrack", "-I", "-t", "100"}, strings.Fields(command)...)...)
	}
	announced(t, ns)
	got := connectionsOf(t, ns)
	if diff := cmp.Diff(printed(t, ns), keys(got)); diff != "" {
		t.Errorf("conntrack prints other connections (-conntrack +dockerfw)\n%s", diff)
	}
	is := func(what string, holds func(*cut.Connection) bool, want int) {
		n := 0
		for i := range got {
			if holds(&got[i]) {
				n++
			}
		}
		if n != want {
			t.Errorf("%d connections are %s, want %d", n, what, want)
		}
	}
	is("announced", func(c *cut.Connection) bool { return c.Expected }, 1)
	is("translated", func(c *cut.Connection) bool { return c.DNAT }, 1)
	is("in a zone", func(c *cut.Connection) bool { return c.Zone+c.Original.Zone+c.Reply.Zone > 0 }, 3)

	// Ending finds each of them, and no other.
	for len(got) > 0 {
		one := cut.Refusal{Connection: got[0]}
		got = got[1:]
		inside(t, ns, func() error {
			ended, err := cut.End([]cut.Refusal{one, one})
			if err == nil && len(ended) != 1 {
				err = fmt.Errorf("%s was ended %d times", &one.Connection, len(ended))
			}
			return err
		})
		if diff := cmp.Diff(keys(got), printed(t, ns)); diff != "" {
			t.Fatalf("after %s was ended (-want +conntrack)\n%s", &one.Connection, diff)
		}
	}
}

// announced opens a connection that another one announced: TFTP answers from a new port.
func announced(t *testing.T, ns *lab.Namespace) {
	t.Helper()
	ns.MustRun("iptables-nft", "-t", "raw", "-A", "OUTPUT", "-p", "udp", "--dport", "69", "-j", "CT", "--helper", "tftp")
	inside(t, ns, func() error {
		client, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer client.Close()
		server, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer server.Close()
		_, err = client.WriteTo([]byte("\x00\x01file\x00octet\x00"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 69})
		if err != nil {
			return err
		}
		_, err = server.WriteTo([]byte("\x00\x03\x00\x01data"), client.LocalAddr())
		return err
	})
}

func TestConnectionTrackingThatIsNotAvailable(t *testing.T) {
	t.Parallel()
	ns := lab.NewNamespace(t, "dfw-unavailable")
	var err error
	inside(t, ns, func() error {
		// Of this thread alone.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		_, err = cut.Connections(ir.IPv4)
		return nil
	})
	if err == nil || !errors.Is(err, unix.EPERM) || !strings.HasPrefix(err.Error(), "connection tracking is not available: ") {
		t.Errorf("the error is %v", err)
	}
}

const cutFlows = `
host {
  external_interfaces = ["eth0", "eth1"]
  proxy_ports         = [8081]
}
default { allow = ["198.51.100.2", "2001:db8:1::2"] }
egress {
  deny "inside" { destination = ["203.0.113.2"] }
}
`

// Connections of real clients are judged and ended in a kernel that has the rules.
func TestOnlyRefusedConnectionsEnd(t *testing.T) {
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			s := newPublishing(t, backend)
			s.Host.Serve("8081/tcp") // docker-proxy
			sessions := s.open()
			sessions["other proxy"] = s.Other.OpenSession("tcp", s.Host.At(8081))
			sessions["allowed proxy"] = s.Allowed.OpenSession("tcp", s.Host.At(8081))
			sessions["other link"] = s.Other.OpenSession("tcp", fmt.Sprintf("[%s%%%s]:8081", linkLocal(t, s.Host), index(t, s.Other)))
			s.Other.OpenSession("tcp", s.Host.At(8080)).Close()
			eventually(t, "a connection is closed by both sides", func() bool {
				return slices.ContainsFunc(connectionsOf(t, s.Host.Namespace), func(c cut.Connection) bool { return tcpStates[c.TCPState] == "TIME_WAIT" })
			})
			compiled := compileFolder(t, "cut", cutFlows)
			host, entry := s.loadByHand(compiled.dir)
			var refused []cut.Refusal
			all := connectionsOf(t, s.Host.Namespace)
			inside(t, s.Host.Namespace, func() error {
				routes, err := cut.OpenRoutes()
				if err != nil {
					return err
				}
				defer routes.Close()
				refused, err = cut.Refused(host, entry, all, routes)
				return err
			})
			var got []string
			for _, r := range refused {
				text := regexp.MustCompile(`:\d+ ->`).ReplaceAllString(r.String(), " ->")
				got = append(got, regexp.MustCompile(`fe80::[0-9a-f:]+`).ReplaceAllString(text, "fe80::"))
			}
			slices.Sort(got)
			want := []string{
				`tcp 172.17.0.2 -> 203.0.113.2:7000: deny "inside" refuses it`,
				`tcp 198.51.100.3 -> 198.51.100.1:8080 (172.17.0.2:80): default refuses it`,
				`tcp 198.51.100.3 -> 198.51.100.1:8081: default refuses it`,
				`tcp [2001:db8:1::3] -> [2001:db8:1::1]:8080 ([fd00:17::2]:80): default refuses it`,
				`tcp [fe80::] -> [fe80::]:8081: default refuses it`,
				`udp 198.51.100.3 -> 198.51.100.1:5353 (172.17.0.2:53): default refuses it`,
				`udp [2001:db8:1::3] -> [2001:db8:1::1]:5353 ([fd00:17::2]:53): default refuses it`,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("refused (-want +got)\n%s", diff)
			}
			inside(t, s.Host.Namespace, func() error {
				ended, err := cut.End(refused)
				if diff := cmp.Diff(len(refused), len(ended)); diff != "" {
					t.Errorf("ended (-want +got)\n%s", diff)
				}
				return err
			})
			for _, c := range connectionsOf(t, s.Host.Namespace) {
				if slices.ContainsFunc(refused, func(r cut.Refusal) bool { return r.Connection.Original == c.Original }) {
					t.Errorf("%s is still there", &c)
				}
			}
			var wait sync.WaitGroup
			for name, session := range sessions {
				wait.Go(func() {
					ended := name == "egress" || strings.HasPrefix(name, "other")
					if got := session.Ping(); ended == (got == lab.Answered) {
						t.Errorf("%s: %s", name, got)
					}
				})
			}
			wait.Wait()
		})
	}
}

// linkLocal is the link-local address of a node on eth0.
func linkLocal(t *testing.T, n *lab.Node) string {
	t.Helper()
	found := regexp.MustCompile(`inet6 (fe80::[0-9a-f:]+)/`).FindStringSubmatch(n.MustRun("ip", "-6", "-o", "address", "show", "dev", "eth0"))
	if found == nil {
		t.Fatalf("%s has no link-local address", n.Name)
	}
	return found[1]
}

// index is the index of a node's eth0.
func index(t *testing.T, n *lab.Node) string {
	t.Helper()
	number, _, _ := strings.Cut(n.MustRun("ip", "-o", "link", "show", "dev", "eth0"), ":")
	return number
}

// loadByHand loads a compiled folder as docs/operations.md, "By hand", describes, and reads the
// host back.
func (s *publishing) loadByHand(dir string) (host *snapshot.Host, entry string) {
	t := s.host.t
	t.Helper()
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := s.Host.IPSetRestore(text("ipset.restore")); err != nil {
		t.Fatal(err)
	}
	saved := s.Host.IPSetSave()
	for family, name := range map[int]string{4: "iptables.restore", 6: "ip6tables.restore"} {
		err := s.Host.IPTablesRestore(s.host.backend, family, text(name))
		if err == nil {
			err = s.Host.IPTables(s.host.backend, family, "-I", "INPUT", "-j", ir.InputChain)
		}
		if err != nil {
			t.Fatal(err)
		}
		saved += s.Host.IPTablesSave(s.host.backend, family, "filter")
	}
	path := filepath.Join(t.TempDir(), "host.save")
	if err := os.WriteFile(path, []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	}
	hosts := map[string]*snapshot.Host{}
	for _, name := range []string{path, dir} {
		opened, diags, err := snapshot.Open(name, driver.Options{})
		if err != nil || diags.HasErrors() {
			t.Fatal(err, diags)
		}
		hosts[name] = opened.Hosts[0]
	}
	return hosts[path], hosts[dir].EntryChain()
}
