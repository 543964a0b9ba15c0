package explain

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/firewall"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// translate sends a packet for a published port through the tables of a host that it meets
// before routing, to find the container and its port, and the bridge it is on. It returns
// false for a packet that nothing translates, and makes it one for the host itself.
func (e *explainer) translate(p *packet.Packet) bool {
	if p.Destination.IsValid() || !e.whole {
		return true
	}
	before := e.beforeRouting()
	if e.state.Kind == firewall.Dump && e.state.Rules[e.family].Table("nat") == nil {
		e.note("%s has no nat table: that the packet is translated is assumed", e.state.Name)
		return true
	}
	sent := *p
	sent.DNAT, sent.Destination, sent.DestinationPort, sent.Out = false, p.OriginalDestination, p.OriginalPort, ""
	if sent.State == ir.CTEstablished {
		sent.State = ir.CTNew // what the first packet of its connection met
	}
	j := e.settled(before, sent)
	e.branch(before, sent)
	if j.Verdict.Kind != packet.Accept {
		// It does not come as far as nat, which is asked all the same where it would go.
		j = e.settled(slices.DeleteFunc(before, func(h packet.Hook) bool { return h.Table != "nat" }), sent)
	}
	target, ok := strings.CutPrefix(j.DNAT, "DNAT --to-destination ")
	if !ok {
		why := "no rule of the nat table of %s translates it"
		if !j.Packet.Tracked() {
			why = "%s takes it out of connection tracking (raw), so that no rule of its nat table translates it"
		}
		e.note(why+": it does not go to a container, but to the host itself, where docker-proxy answers if the port is published", e.state.Name)
		*p = sent
		return false
	}
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		address, err := netip.ParseAddr(target)
		if err != nil {
			e.note("where %s sends it is not followed", j.DNAT)
			return true
		}
		to = netip.AddrPortFrom(address, p.OriginalPort)
	}
	p.Destination = to.Addr()
	if p.DestinationPort == 0 {
		p.DestinationPort = to.Port()
	}
	if p.Out == "" {
		p.Out = e.bridgeOf(p.Destination)
	}
	return true
}

// redirect sends a packet for a container's own address through the same tables: a rule of
// theirs may translate it as well.
func (e *explainer) redirect(p *packet.Packet) {
	if !e.whole || p.DNAT || p.Direction != ir.CTOriginal || p.State&(ir.CTNew|ir.CTEstablished) == 0 {
		return
	}
	sent := *p
	sent.State = ir.CTNew
	j := e.settled(e.beforeRouting(), sent)
	to, err := netip.ParseAddrPort(strings.TrimPrefix(j.DNAT, "DNAT --to-destination "))
	if j.DNAT == "" || err != nil {
		return
	}
	e.note("the nat table of %s sends what is for %s to %s", e.state.Name, netip.AddrPortFrom(p.Destination, p.DestinationPort), to)
	p.DNAT, p.Elsewhere, p.OriginalDestination, p.OriginalPort = true, true, p.Destination, p.DestinationPort
	p.Destination, p.DestinationPort = to.Addr(), to.Port()
}

// beforeRouting are the chains that the packet meets before it is routed.
func (e *explainer) beforeRouting() []packet.Hook {
	return slices.DeleteFunc(slices.Clone(e.hooks), func(h packet.Hook) bool { return h.Chain != "PREROUTING" })
}

// settled is a journey in which conditions that are not known do not hold.
func (e *explainer) settled(hooks []packet.Hook, p packet.Packet) packet.Journey {
	known := map[string]bool{}
	maps.Copy(known, e.given)
	for {
		p.Conditions = known
		j := packet.Trace(hooks, p)
		if j.Open == "" {
			return j
		}
		known[j.Open] = false
	}
}

// bridgeOf is the interface that Docker's rules name for a container.
func (e *explainer) bridgeOf(container netip.Addr) string {
	for _, c := range e.chains() {
		for _, r := range c.Rules {
			d, o := r.Option("-d"), r.Option("-o")
			if d == nil || o == nil || d.Not || o.Not {
				continue
			}
			if host, _, _ := strings.Cut(d.Value(), "/"); host == container.String() {
				return o.Value()
			}
		}
	}
	return ""
}

// branch notes what else may be given on the way of a packet through hooks: each condition
// that counts, if it holds.
func (e *explainer) branch(hooks []packet.Hook, p packet.Packet) {
	known := map[string]bool{}
	maps.Copy(known, e.given)
	for {
		p.Conditions = known
		j := packet.Trace(hooks, p)
		if j.Open == "" {
			return
		}
		other := maps.Clone(known)
		other[j.Open] = true
		e.otherWays = append(e.otherWays, other)
		known[j.Open] = false
	}
}
