//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// closedLab is a lab whose host has the policy closedHost, with more blocks in input.
type closedLab struct {
	*testing.T
	*lab.Lab
	backend lab.Backend
}

// onClosedHosts runs a test on a closed host with each backend.
func onClosedHosts(t *testing.T, input string, test func(closedLab)) {
	lab.Require(t, "busybox", "iptables-nft", "iptables-legacy", "ipset", "nsenter")
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			c := closedLab{t, lab.NewLab(t), backend}
			p, ok := compilePolicy(t, t.TempDir(), fmt.Sprintf(strings.Replace(closedHost, "input {\n", "input {\n"+input, 1), "keep"))
			if !ok {
				t.Fatal("the policy does not compile")
			}
			for _, program := range p.programs {
				p.load(t, c.Host.Namespace, backend, program)
			}
			test(c)
		})
	}
}

// start runs a command in a node's namespace until the test ends. It returns the file with its
// output.
func (c closedLab) start(node *lab.Node, args ...string) string {
	c.Helper()
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + node.Namespace.Name, "--"}, args...)...)
	log, err := os.Create(filepath.Join(c.TempDir(), "output"))
	if err != nil {
		c.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	// A server's children end with it, also those that wait for a client.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if c.Failed() {
			c.Logf("%s: %s", args, readOr(c.T, log.Name(), ""))
		}
	})
	return log.Name()
}

// iptables runs iptables for both families.
func (c closedLab) iptables(args ...string) {
	c.Helper()
	for _, family := range []int{4, 6} {
		if err := c.Host.IPTables(c.backend, family, args...); err != nil {
			c.Fatal(err)
		}
	}
}

// What the input block does not refuse, the host's own rules still decide, such as those of ufw:
// behind dockerfw's jump, with a policy of DROP.
func TestTheHostsOwnRulesStillApplyBehindTheInputBlock(t *testing.T) {
	onClosedHosts(t, "", func(c closedLab) {
		c.Host.Serve("22/tcp", "443/tcp", "8080/tcp")
		c.iptables("-P", "INPUT", "DROP")
		c.iptables("-A", "INPUT", "-p", "tcp", "--dport", "443", "-m", "comment", "--comment", "the host's own", "-j", "ACCEPT")
		// Without a rule of the host's own for it, a service stays closed that the block accepts;
		// a rule of the host's own does not open what the block refuses.
		c.iptables("-A", "INPUT", "-p", "tcp", "--dport", "8080", "-j", "ACCEPT")
		// Neighbor discovery is a matter of the host's rules, too.
		if err := c.Host.IPTables(c.backend, 6, "-A", "INPUT", "-p", "ipv6-icmp", "-j", "ACCEPT"); err != nil {
			c.Fatal(err)
		}
		var wait sync.WaitGroup
		for _, at := range []func(uint16) string{c.Host.At, c.Host.At6} {
			for _, connection := range []try{
				{c.Other, "tcp", at(443), lab.Answered},
				{c.Allowed, "tcp", at(22), lab.TimedOut},
				{c.Allowed, "tcp", at(8080), lab.TimedOut},
			} {
				wait.Go(func() {
					if got, _ := connection.result(); got != connection.want {
						c.Errorf("%s to %s: %s, want %s", connection.from.Name, connection.to, got, connection.want)
					}
				})
			}
		}
		wait.Wait()
	})
}

// A router reports that a packet is too large for the path, and the host sends smaller ones:
// ICMP errors pass the input block.
func TestPathMTUDiscoveryPassesTheInputBlock(t *testing.T) {
	lab.Require(t, "bash")
	onClosedHosts(t, "", func(c closedLab) {
		const size = 200_000
		content := c.TempDir()
		if err := os.WriteFile(filepath.Join(content, "large"), make([]byte, size), 0o644); err != nil {
			c.Fatal(err)
		}
		c.start(c.Host, "busybox", "httpd", "-f", "-p", "[::]:443", "-h", content)

		// The far client is behind a link of the router; it announces a larger segment size than
		// the link can carry.
		router := c.Other
		far := lab.NewNamespace(c, "dfw-far")
		for _, command := range []string{
			"link add far mtu 1280 type veth peer name eth0 mtu 1280 netns " + far.Name,
			"link set far up",
			"address add 192.0.2.1/24 dev far",
			"address add 2001:db8:99::1/64 dev far nodad",
		} {
			router.MustRun(append([]string{"ip"}, strings.Fields(command)...)...)
		}
		router.Sysctl("net.ipv4.ip_forward", "1")
		router.Sysctl("net.ipv6.conf.all.forwarding", "1")
		for _, command := range []string{
			"address add 192.0.2.2/24 dev eth0",
			"address add 2001:db8:99::2/64 dev eth0 nodad",
			"link set eth0 up",
			"route add default via 192.0.2.1 advmss 1460",
			"-6 route add default via 2001:db8:99::1 advmss 1440",
		} {
			far.MustRun(append([]string{"ip"}, strings.Fields(command)...)...)
		}
		c.Host.MustRun("ip", "route", "add", "192.0.2.0/24", "via", router.V4.String())
		c.Host.MustRun("ip", "-6", "route", "add", "2001:db8:99::/64", "via", router.V6.String())

		fetch := func(address string) int {
			out, _, _ := far.Run("timeout", "5", "bash", "-c",
				"exec 3<>/dev/tcp/"+address+"/443; printf 'GET /large HTTP/1.0\\r\\n\\r\\n' >&3; wc -c <&3")
			var n int
			_, _ = fmt.Sscan(out, &n)
			return n
		}
		for _, address := range []string{c.Host.V4.String(), c.Host.V6.String()} {
			if n := fetch(address); n < size {
				c.Errorf("from %s: %d bytes of %d", address, n, size)
			}
			// The reports mattered: without them and what they have taught, nothing arrives.
			c.Host.MustRun("ip", "route", "flush", "cache")
			c.Host.MustRun("ip", "-6", "route", "flush", "cache")
		}
		for family, protocol := range map[int]string{4: "icmp", 6: "ipv6-icmp"} {
			args := []string{"-I", "INPUT", "-p", protocol, "-j", "DROP"}
			if family == 6 {
				args = []string{"-I", "INPUT", "-p", protocol, "--icmpv6-type", "packet-too-big", "-j", "DROP"}
			}
			if err := c.Host.IPTables(c.backend, family, args...); err != nil {
				c.Fatal(err)
			}
		}
		if n := fetch(c.Host.V4.String()); n >= size {
			c.Error("the path carries large packets without ICMP")
		}
	})
}

// A DHCP client renews its lease, by unicast from its address.
func TestALeaseIsRenewedBehindTheInputBlock(t *testing.T) {
	onClosedHosts(t, "", func(c closedLab) {
		dir := c.TempDir()
		write := func(name, text string) string {
			c.Helper()
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
				c.Fatal(err)
			}
			return path
		}
		leases := write("leases", "")
		c.start(c.Other, "busybox", "udhcpd", "-f", write("udhcpd.conf", `
start 198.51.100.50
end 198.51.100.50
interface eth0
lease_file `+leases+`
pidfile `+filepath.Join(dir, "udhcpd.pid")+`
option subnet 255.255.255.0
option lease 600
`))
		events := filepath.Join(dir, "events")
		pid := filepath.Join(dir, "udhcpc.pid")
		output := c.start(c.Host, "busybox", "udhcpc", "-f", "-i", "eth0", "-T", "3", "-t", "10", "-p", pid, "-s", write("script", `#!/bin/sh
[ "$1" = bound ] && ip address add "$ip/24" dev eth0
echo "$1" >> `+events+"\n"))
		wait := func(event string) {
			c.Helper()
			for end := time.Now().Add(30 * time.Second); !strings.Contains(readOr(c.T, events, ""), event+"\n"); {
				if time.Now().After(end) {
					c.Fatalf("no %s within 30 s: %q", event, readOr(c.T, events, ""))
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		wait("bound")
		c.Host.MustRun("sh", "-c", "kill -USR1 $(cat "+pid+")")
		wait("renew")
		// Without an answer it would ask everyone, and read the answer ahead of iptables.
		if text := readOr(c.T, output, ""); strings.Contains(text, "broadcasting renew") || !strings.Contains(text, "sending renew to") {
			c.Errorf("the unicast request for the renewal got no answer: %s", text)
		}
	})
}

const listenForMulticast = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5353))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton("198.51.100.1"))
print("ready", flush=True)
s.settimeout(float(sys.argv[1]))
try:
    print(s.recvfrom(100)[0].decode())
except TimeoutError:
    print("nothing")
`

const sendMulticast = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("198.51.100.3"))
s.sendto(b"query", ("224.0.0.251", 5353))
`

// Multicast DNS is closed, and open with a rule for its port, as docs/language.md says.
func TestMulticastDNSNeedsARuleInTheInputBlock(t *testing.T) {
	t.Parallel()
	lab.Require(t, "/usr/bin/python3")
	for input, want := range map[string]string{
		"": "nothing",
		"  accept \"mdns\" {\n    protocol = \"udp\"\n    ports    = [5353]\n  }\n": "query",
	} {
		t.Run(want, func(t *testing.T) {
			onClosedHosts(t, input, func(c closedLab) {
				patience := "1.5"
				if want == "query" {
					patience = "20"
				}
				c.Other.MustRun("ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
				got, err := c.hear(patience)
				if err != nil || got != want {
					c.Errorf("the host hears %q, want %q: %v", got, want, err)
				}
			})
		})
	}
}

// hear returns what the host receives for the group of multicast DNS from the other client.
func (c closedLab) hear(patience string) (string, error) {
	cmd := exec.Command("nsenter", "--net=/run/netns/"+c.Host.Namespace.Name, "--", "/usr/bin/python3", "-c", listenForMulticast, patience)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		c.Other.MustRun("/usr/bin/python3", "-c", sendMulticast)
		lines.Scan()
	}
	return lines.Text(), cmd.Wait()
}
