package cut_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
)

// oracle has the packets that a program refuses and that it does not, as sets.
type oracle struct {
	program          *packet.Program
	refused, allowed packet.Set
	host             *snapshot.Host
}

func newOracle(t *rapid.T, host *snapshot.Host, f ir.Family, start string) *oracle {
	o := &oracle{program: host.Program(f, start), host: host}
	space, err := packet.New(o.program)
	if err != nil {
		t.Fatal(err)
	}
	o.refused, o.allowed = space.None(), space.None()
	for _, outcome := range space.Programs()[0].Outcomes() {
		switch outcome.Verdict.Kind {
		case packet.Drop, packet.Reject:
			o.refused = o.refused.Or(outcome.Set)
		case packet.Accept, packet.Docker:
			o.allowed = o.allowed.Or(outcome.Set)
		default:
			t.Fatalf("a policy has the verdict %s", outcome.Verdict)
		}
	}
	for _, condition := range o.refused.Conditions() {
		if !strings.HasPrefix(condition, "hashlimit --hashlimit-upto ") && !strings.HasPrefix(condition, "connlimit --connlimit-upto ") && !strings.HasPrefix(condition, "until 203") {
			t.Fatalf("a policy has the condition %s", condition)
		}
	}
	return o
}

// below is the packet with no limit reached and no rule past its end, by the names of conditions in the space and in
// the program.
func (o *oracle) below(p packet.Packet) packet.Packet {
	p.Conditions = map[string]bool{}
	for _, condition := range append(o.refused.Conditions(), o.allowed.Conditions()...) {
		p.Conditions[condition] = true
	}
	for _, r := range o.program.Rules() {
		for _, condition := range r.Opaque() {
			p.Conditions[condition] = true
		}
	}
	return p
}

// rule is the rule that gives a packet its verdict, rule by rule.
func (o *oracle) rule(p packet.Packet) string {
	at := o.program.Rule(o.program.Decide(o.below(p)).At).At
	return identity.BlockName(o.host.Filter(o.program.Family).Chain(at.Chain).Rules[at.Rule])
}

// randomConnection draws a connection, with values in and near those of random policies, the
// routes to its ends, and its first packet as FORWARD or INPUT gets it.
func randomConnection(t *rapid.T) (c cut.Connection, to routes, p packet.Packet) {
	address := func(name string, list ...string) netip.Addr {
		return netip.MustParseAddr(rapid.SampledFrom(list).Draw(t, name))
	}
	port := func(name string, list ...uint16) uint16 { return rapid.SampledFrom(list).Draw(t, name) }
	device := func(name string) string {
		return rapid.SampledFrom([]string{"eth0", "eth0", "eth0", "eth1", "wg0", "docker0", "br-a"}).Draw(t, name)
	}
	clients := []string{"192.0.2.0", "192.0.2.1", "192.0.2.127", "192.0.2.128", "192.0.2.200", "10.1.2.3", "11.0.0.0", "203.0.113.7"}
	hosts := []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}
	if rapid.Bool().Draw(t, "IPv6") {
		clients = []string{"2001:db8::", "2001:db8::1", "2001:db8:ffff::1", "2001:db9::", "2a00::9", "fd00::9"}
		hosts = []string{"2001:db8::80", "2001:db8::81"}
	}
	p = packet.Packet{
		In: device("in"), Out: device("out"),
		Source: address("source", clients...), SourcePort: port("source port", 53, 1024, 40000),
		Protocol:    rapid.SampledFrom([]uint8{6, 6, 17, 17, 132, 47}).Draw(t, "protocol"),
		Destination: address("destination", clients...), DestinationPort: port("port", 53, 80, 81, 443, 1500, 3000),
	}
	p.Family = ir.FamilyOf(p.Source)
	published := netip.AddrPortFrom(address("published", hosts...), port("published port", 52, 53, 80, 443, 1000, 2001))
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0: // to an address of the host
		p.Out, p.Destination = "", published.Addr()
	case 1: // to a container's own address, or from a container
	default: // to a published port
		p.DNAT, p.OriginalDestination, p.OriginalPort = true, published.Addr(), published.Port()
	}
	if p.Protocol == 47 {
		p.SourcePort, p.DestinationPort, p.OriginalPort = 0, 0, 0
	}
	c = cut.Connection{Family: p.Family, Protocol: p.Protocol, DNAT: p.DNAT}
	c.Original.Source = netip.AddrPortFrom(p.Source, p.SourcePort)
	c.Reply = cut.Tuple{Source: netip.AddrPortFrom(p.Destination, p.DestinationPort), Destination: c.Original.Source}
	c.Original.Destination = c.Reply.Source
	if p.DNAT {
		c.Original.Destination = netip.AddrPortFrom(p.OriginalDestination, p.OriginalPort)
	}
	if rapid.Bool().Draw(t, "masquerade") {
		c.Reply.Destination = netip.AddrPortFrom(published.Addr(), 61000)
	}
	to = routes{netip.PrefixFrom(p.Source, p.Source.BitLen()): {Device: p.In}}
	if p.Source == p.Destination {
		p.Out = p.In
	} else {
		to[netip.PrefixFrom(p.Destination, p.Destination.BitLen())] = cut.Route{Device: p.Out, Local: p.Out == ""}
	}
	return c, to, p
}

// inputProtection is a policy that also refuses connections to docker-proxy; few random ones do.
const inputProtection = `
host {
  external_interfaces = ["eth0", "eth1"]
  proxy_ports         = [53, 443, "1000/udp"]
}
deny "one" {
  source          = ["192.0.2.128/25", "2001:db9::/32"]
  protocol        = ["tcp", "udp"]
  published_ports = [443, 1000]
}
accept "few" {
  protocol        = "tcp"
  published_ports = [80]
  connections { max = 9 }
}
default { allow = ["192.0.2.0/25", "2001:db8::/64", "10.0.0.0/8"] }
`

// The connections that are refused are those whose first packet is in the set of packets that
// the rules refuse while no limit is reached.
func TestRefusedAgreesWithTheSetsOfTheAlgebra(t *testing.T) {
	before := open(t, "host.save", "# Generated by iptables-save\n"+docker+"# Generated by ip6tables-save\n"+docker)
	refused, kept := map[snapshot.Path]int{}, map[snapshot.Path]int{}
	rapid.Check(t, func(rt *rapid.T) {
		text := inputProtection
		if rapid.IntRange(0, 3).Draw(rt, "random policy") > 0 {
			text = randompolicy.Text(rt)
		}
		compiled := tryOpen(t, text)
		if compiled == nil {
			return
		}
		host, err := compiled.LoadedOnto(before)
		if err != nil {
			rt.Fatal(err)
		}
		type key struct {
			family ir.Family
			path   snapshot.Path
		}
		oracles := map[key]*oracle{}
		for range 40 {
			c, to, p := randomConnection(rt)
			at, start := key{c.Family, snapshot.Forward}, compiled.EntryChain()
			if p.Out == "" {
				at.path, start = snapshot.ToHost, ir.InputChain
			}
			if oracles[at] == nil {
				oracles[at] = newOracle(rt, host, c.Family, start)
			}
			o := oracles[at]
			want, allowed := o.refused.Contains(o.below(p)), o.allowed.Contains(o.below(p))
			if want == allowed {
				rt.Fatalf("the sets do not divide packets: %s", p)
			}
			got, err := cut.Refused(host, compiled.EntryChain(), []cut.Connection{c}, to)
			switch {
			case err != nil:
				rt.Fatal(err)
			case (len(got) == 1) != want:
				rt.Fatalf("%s: refused is %t, and its packet %s is in the refused set: %t", &c, len(got) == 1, p, want)
			case want && got[0].Rule != o.rule(p):
				rt.Fatalf("%s: %s, but its packet is refused by %s", &c, got[0].Rule, o.rule(p))
			case want:
				refused[at.path]++
			default:
				kept[at.path]++
			}
		}
	})
	t.Logf("refused %v, kept %v", refused, kept)
	for _, path := range []snapshot.Path{snapshot.Forward, snapshot.ToHost} {
		if refused[path] == 0 || kept[path] == 0 {
			t.Errorf("path %d: %d connections were refused and %d kept", path, refused[path], kept[path])
		}
	}
}

// tryOpen is open for a policy that may have errors: then it returns nil.
func tryOpen(t *testing.T, policy string) *snapshot.Host {
	t.Helper()
	opened, diags, err := snapshot.Open(save(t, "policy.hcl", policy), driver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diags.HasErrors() {
		return nil
	}
	return opened.Hosts[0]
}
