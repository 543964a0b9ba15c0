//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	rules "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/policies"
)

const (
	// forwardingRounds is the number of measurements of each row, which take turns: other work on
	// the machine then disturbs all alike.
	forwardingRounds = 15
	slowRounds       = 3 // of those that take long to load
	forwardingTime   = 60 * time.Millisecond
	// burst is the number of datagrams that are timed together: few, so that other work disturbs
	// less than half of them, and the median is that of the others.
	burst = 32
)

// BenchmarkForwarding measures how many datagrams a host forwards to a container through rules,
// relative to an empty chain: of a connection that was answered, and of one that was not, each
// packet of which is a new one to the rules. A datagram takes the time from the client's system
// call until it is in the socket of the container.
func BenchmarkForwarding(b *testing.B) {
	lab.Require(b, "ip", "ipset")
	compiled := func(text string, fold rules.Options) *policy {
		path := filepath.Join(b.TempDir(), "policy.hcl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		result, diags := driver.Policy(path, driver.Options{Fold: fold})
		if diags.HasErrors() {
			b.Fatal(diags)
		}
		p := &policy{programs: result.Hosts[0].Tables.Programs, files: map[string]string{}}
		for _, f := range result.Hosts[0].Files {
			p.files[f.Name] = string(f.Content)
		}
		return p
	}
	const one = `
host {
  external_interfaces = ["eth0"]
}
accept "one" {
  protocol        = "udp"
  published_ports = [10000]
  source          = ["10.0.0.1"]
}
default {
  allow = ["198.51.100.2"]
}
`
	many, sets := policies.ManyAccepts("udp", false), policies.ManyAccepts("udp", true)
	rows := []struct {
		unit   string
		rules  string // of DOCKER-USER, instead of a policy
		policy *policy
		slow   bool
	}{
		{unit: "empty"},
		{unit: "established-rule", rules: "-A DOCKER-USER -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"},
		{unit: "one-accept", policy: compiled(one, rules.Options{})},
		{unit: "folded", policy: compiled(many, rules.Options{})},
		// The client is in the set of the last port, and found there.
		{unit: "folded-listed", policy: compiled(strings.Replace(many, `"10.0.1.243"`, `"198.51.100.2"`, 1), rules.Options{})},
		{unit: "folded-sets", policy: compiled(sets, rules.Options{}), slow: true},
		{unit: "unfolded", policy: compiled(many, rules.Options{NoFold: true}), slow: true},
	}
	for _, backend := range lab.Backends {
		b.Run(string(backend), func(b *testing.B) {
			// A security table that had rules once costs packets a little after they are gone.
			plain, site := newForwarding(b, backend), newForwarding(b, backend)
			for b.Loop() {
				times := map[string][]time.Duration{}
				for i := range forwardingRounds {
					for _, r := range rows {
						if r.slow && i%(forwardingRounds/slowRounds) > 0 {
							continue
						}
						on := site
						if r.policy == nil {
							on = plain
						}
						on.with(b, r.policy, r.rules, func() {
							times["new-"+r.unit] = append(times["new-"+r.unit], on.bursts(b, false)...)
							times["established-"+r.unit] = append(times["established-"+r.unit], on.bursts(b, true)...)
						})
					}
				}
				for _, state := range []string{"new-", "established-"} {
					empty := median(times[state+rows[0].unit])
					b.ReportMetric(burst/empty.Seconds(), state+"packets/s")
					for _, r := range rows[1:] {
						b.ReportMetric(100*empty.Seconds()/median(times[state+r.unit]).Seconds(), "%"+state+r.unit)
					}
				}
			}
		})
	}
}

func median(values []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// forwarding is a client, a host that translates the ports of policies.ManyAccepts, and a
// container that listens there.
type forwarding struct {
	backend                 lab.Backend
	client, host, container *lab.Namespace
	listener                net.PacketConn
}

func newForwarding(b *testing.B, backend lab.Backend) *forwarding {
	b.Helper()
	lab.Require(b, "ip", "ipset", backend.Tool(4, "-restore"))
	f := &forwarding{backend: backend, client: lab.NewNamespace(b, "dfw-client"), host: lab.NewNamespace(b, "dfw-host"), container: lab.NewNamespace(b, "dfw-container")}
	link := func(outer *lab.Namespace, gateway, address, device string) {
		f.host.MustRun("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", outer.Name)
		f.host.MustRun("ip", "address", "add", gateway+"/24", "dev", device)
		f.host.MustRun("ip", "link", "set", device, "up")
		outer.MustRun("ip", "address", "add", address+"/24", "dev", "eth0")
		outer.MustRun("ip", "link", "set", "eth0", "up")
		outer.MustRun("ip", "route", "add", "default", "via", gateway)
	}
	link(f.client, "198.51.100.1", "198.51.100.2", "eth0")
	link(f.container, "172.17.0.1", "172.17.0.2", "docker0")
	f.host.Sysctl("net.ipv4.ip_forward", "1")
	nat := fmt.Sprintf("*nat\n-A PREROUTING -p udp -m udp --dport %d:%d -j DNAT --to-destination 172.17.0.2:9\nCOMMIT\n", policies.ManyAcceptsPort(0), policies.ManyAcceptsPort(499))
	if err := f.host.IPTablesRestore(backend, 4, nat+"*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"); err != nil {
		b.Fatal(err)
	}
	err := f.container.Within(func() (err error) {
		f.listener, err = net.ListenPacket("udp4", "172.17.0.2:9")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.listener.Close() })
	return f
}

// with calls measure with the rules of a policy, or with these rules in DOCKER-USER.
func (f *forwarding) with(b *testing.B, p *policy, text string, measure func()) {
	b.Helper()
	if p != nil {
		defer scrub(b, f.host, f.backend, ir.IPv4)
		p.load(b, f.host, f.backend, p.programs[0])
	} else if err := f.host.IPTablesRestore(f.backend, 4, "*filter\n:DOCKER-USER - [0:0]\n"+text+"COMMIT\n"); err != nil {
		b.Fatal(err)
	}
	measure()
}

// bursts returns the times of bursts of datagrams of one connection, which the kernel forwards
// before it returns to the client. If it is answered, the container has answered before.
func (f *forwarding) bursts(b *testing.B, answered bool) []time.Duration {
	b.Helper()
	var client net.Conn
	err := f.client.Within(func() (err error) {
		client, err = net.Dial("udp", fmt.Sprintf("198.51.100.1:%d", policies.ManyAcceptsPort(499)))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	f.drain(b)
	if answered {
		f.answer(b, client)
	}
	before := f.received(b)
	var out []time.Duration
	for end := time.Now().Add(forwardingTime); time.Now().Before(end); {
		start := time.Now()
		for range burst {
			if _, err := client.Write([]byte("datagram")); err != nil {
				b.Fatal(err)
			}
		}
		out = append(out, time.Since(start))
	}
	if got, sent := f.received(b)-before, burst*len(out); got < sent*9/10 {
		b.Fatalf("%d of %d datagrams get through", got, sent)
	}
	return out
}

// drain reads what the container has received.
func (f *forwarding) drain(b *testing.B) {
	b.Helper()
	for {
		if _, ok := f.read(b, time.Millisecond); !ok {
			return
		}
	}
}

// answer makes the connection of a client an answered one.
func (f *forwarding) answer(b *testing.B, client net.Conn) {
	b.Helper()
	if _, err := client.Write([]byte("question")); err != nil {
		b.Fatal(err)
	}
	for from := net.Addr(nil); from == nil || from.String() != client.LocalAddr().String(); {
		var ok bool
		if from, ok = f.read(b, lab.LongPatience); !ok {
			b.Fatal("the question does not get through")
		}
	}
	if _, err := f.listener.WriteTo([]byte("answer"), client.LocalAddr()); err != nil {
		b.Fatal(err)
	}
	if err := client.SetReadDeadline(time.Now().Add(lab.LongPatience)); err != nil {
		b.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 64)); err != nil {
		b.Fatal(err)
	}
}

// read reads a datagram; ok is false if there is none for a while.
func (f *forwarding) read(b *testing.B, patience time.Duration) (from net.Addr, ok bool) {
	b.Helper()
	if err := f.listener.SetReadDeadline(time.Now().Add(patience)); err != nil {
		b.Fatal(err)
	}
	_, from, err := f.listener.ReadFrom(make([]byte, 64))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		b.Fatal(err)
	}
	return from, err == nil
}

// received returns the number of packets that the container has received.
func (f *forwarding) received(b *testing.B) int {
	b.Helper()
	var links []struct {
		Stats struct{ Rx struct{ Packets int } } `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(f.container.MustRun("ip", "-s", "-j", "link", "show", "dev", "eth0")), &links); err != nil || len(links) != 1 {
		b.Fatal(links, err)
	}
	return links[0].Stats.Rx.Packets
}
