package verify

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// defaultBridge is the interface that every engine makes unless it is told not to.
var defaultBridge = "/sys/class/net/docker0"

// maxPublished limits the ports whose way is followed one by one.
const maxPublished = 500

// docker checks the rules that Docker makes: without them a published port is not
// translated, so that docker-proxy answers, or FORWARD's policy drops it.
func (c *checker) docker(f ir.Family) {
	name := snapshot.FamilyText(f) + " Docker"
	d := c.have.Docker(f)
	const restart = "Restart the engine: it makes its rules when it starts"
	switch {
	case d.Native:
		c.native(f, name, d)
	case d.Filter && !d.FilterReached:
		c.fail(name, "FORWARD does not lead to Docker's chains: published ports and what containers send are left to the policy of FORWARD. %s", restart)
	case d.Filter && d.NATSaved && !d.NATReached:
		c.fail(name, "the nat table has none of Docker's rules: docker-proxy answers for published ports, past the rules of FORWARD. %s", restart)
	case !d.Filter && d.NAT:
		c.fail(name, "the filter table has none of Docker's chains: what Docker publishes is left to the policy of FORWARD. %s", restart)
	case !d.Filter && c.engineRan() && f == ir.IPv4:
		c.fail(name, "there is a bridge docker0, and none of Docker's rules: docker-proxy answers for published ports. %s", restart)
	case !d.Filter && f == ir.IPv6:
		c.nothing(name, "Docker has no IPv6 rules here: over IPv6 docker-proxy answers for published ports, and INPUT decides")
	case !d.Filter:
		c.nothing(name, "Docker has no rules here: nothing is published, or the engine has not started yet")
	case !d.NATSaved:
		c.nothing(name, "%s has no nat table: whether Docker's rules for published ports are there cannot be told", c.have.Name)
	default:
		c.published(f, name)
	}
}

// native checks what Docker's nftables backend has made. The policy of FORWARD is older: an
// engine with the iptables backend has set it to DROP, and the rules that accepted what it
// published are gone.
func (c *checker) native(f ir.Family, name string, d snapshot.DockerRules) {
	table := "nft " + map[ir.Family]string{ir.IPv4: "ip ", ir.IPv6: "ip6 "}[f] + snapshot.DockerTable
	if !d.NativeReached {
		c.fail(name, "no base chain of table %s is left (nft flush ruleset takes them away): docker-proxy answers for published ports. Restart the engine: it makes its rules when it starts", table)
		return
	}
	ports := c.have.Published(f)
	hooks := c.have.Hooks(f, snapshot.Forward)
	tries := []packet.Packet{arriving(f, snapshot.Published{Bridge: "docker0"}, "dockerfw-other")}
	tries[0].Protocol, tries[0].DNAT = 6, false
	tries[0].In, tries[0].Out, tries[0].Source = "docker0", "dockerfw-other", container(f)
	tries[0].Destination = container(f).Next()
	for i, p := range ports {
		if i == maxPublished {
			break
		}
		tries = append(tries, arriving(f, p, "dockerfw-other"))
	}
	for _, p := range tries {
		j := packet.Trace(hooks, p)
		last := j.Steps[len(j.Steps)-1]
		if j.Open == "" && j.Verdict.Kind == packet.Drop && last.At == packet.AtEnd && hooks[last.Hook].Table == "filter" {
			c.fail(name, "Docker's rules are in table %s, and the policy of FORWARD is DROP, as an engine with the iptables backend sets it: it drops what no rule accepts, for example %s. Run: %s -P FORWARD ACCEPT", table, p, c.have.Tool(f))
			return
		}
	}
	c.ok(name, "Docker's rules are in table %s (its nftables backend), %s published", table, count(len(ports), "port"))
}

// container is an address that containers may have.
func container(f ir.Family) netip.Addr {
	if f == ir.IPv6 {
		return netip.MustParseAddr("fd00::172:17:0:2")
	}
	return netip.MustParseAddr("172.17.0.2")
}

// engineRan tells whether this host has the bridge that an engine makes.
func (c *checker) engineRan() bool {
	if c.have.Kind != snapshot.Live {
		return false
	}
	_, err := os.Stat(defaultBridge)
	return err == nil
}

// published checks that FORWARD's policy drops nothing that Docker publishes: its rules
// accept each port for the container's address.
func (c *checker) published(f ir.Family, name string) {
	ports := c.have.Published(f)
	hooks := c.have.Hooks(f, snapshot.Forward)
	for i, p := range ports {
		if i == maxPublished {
			break
		}
		// It comes by an interface that no rule of ours names, so that Docker's decide.
		j := packet.Trace(hooks, arriving(f, p, "dockerfw-other"))
		last := j.Steps[len(j.Steps)-1]
		if h := hooks[last.Hook]; j.Open == "" && j.Verdict.Kind == packet.Drop && last.At == packet.AtEnd && h.Table == "filter" {
			c.fail(name, "Docker publishes port %d for %s, and no rule accepts what it forwards there: the policy of FORWARD drops it. Restart the engine", p.Port, p.Container)
			return
		}
	}
	c.ok(name, "FORWARD leads to Docker's chains, %s", fmt.Sprintf("%s published", count(len(ports), "port")))
}

// arriving is a packet for a published port, as forwarded to the container.
func arriving(f ir.Family, p snapshot.Published, in string) packet.Packet {
	from := netip.MustParseAddr("192.0.2.1")
	if f == ir.IPv6 {
		from = netip.MustParseAddr("2001:db8::1")
	}
	return packet.Packet{
		Family: f, In: in, Out: p.Bridge, Source: from, SourcePort: 40000,
		Destination: p.Container.Addr(), DestinationPort: p.Container.Port(), Protocol: p.Protocol,
		State: ir.CTNew, DNAT: true, OriginalDestination: from.Next(), OriginalPort: p.Port,
	}
}
