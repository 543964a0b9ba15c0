package explain

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// translate sends a packet through the tables of a host that it meets before routing, to
// find where nat sends it. local tells whether its destination is an address of the host,
// which Docker's rules ask.
func (e *explainer) translate(p packet.Packet, local bool) (question.Target, bool) {
	before := e.beforeRouting()
	local = local || publishedAt(e.state.Rules[e.family].Table("nat"), p.Destination)
	if local {
		p.Out = ""
	}
	p.State = ir.CTNew // what the first packet of its connection met
	j := e.settled(before, p)
	e.branch(before, p)
	if j.Verdict.Kind != packet.Accept {
		// It does not come as far as nat, which is asked all the same where it would go.
		j = e.settled(slices.DeleteFunc(before, func(h packet.Hook) bool { return !h.Translates() }), p)
	}
	if !j.Packet.Tracked() {
		e.note("%s takes it out of connection tracking (raw), so that no rule of its nat table translates it", e.state.Name)
	}
	to, ok := target(j.DNAT, p.DestinationPort)
	if !ok {
		return question.Target{}, false
	}
	e.elsewhere = !local
	return question.Target{To: to, Bridge: e.bridgeOf(to.Addr())}, true
}

// target reads where a DNAT target sends packets for a port.
func target(dnat string, port uint16) (netip.AddrPort, bool) {
	text, ok := strings.CutPrefix(dnat, "DNAT --to-destination ")
	if !ok {
		return netip.AddrPort{}, false
	}
	if to, err := netip.ParseAddrPort(text); err == nil {
		return to, true
	}
	address, err := netip.ParseAddr(text)
	return netip.AddrPortFrom(address, port), err == nil
}

// publishedAt tells whether something is published at an address alone, which is then
// one of the host's.
func publishedAt(nat *iptables.Table, address netip.Addr) bool {
	if nat == nil {
		return false
	}
	for _, c := range nat.Chains {
		for _, r := range c.Rules {
			if d := r.Option("-d"); r.Jump == "DNAT" && d != nil && !d.Not {
				if host, _, _ := strings.Cut(d.Value(), "/"); host == address.String() {
					return true
				}
			}
		}
	}
	return false
}

// redirect sends a packet for a container's own address through the same tables: a rule of
// theirs may translate it as well.
func (e *explainer) redirect(p *packet.Packet) {
	if p.DNAT {
		p.Elsewhere = e.elsewhere
	}
	if p.DNAT || p.Direction != ir.CTOriginal || p.State&(ir.CTNew|ir.CTEstablished) == 0 {
		return
	}
	sent := *p
	sent.State = ir.CTNew
	j := e.settled(e.beforeRouting(), sent)
	to, ok := target(j.DNAT, p.DestinationPort)
	if !ok {
		return
	}
	e.note("the nat table of %s sends what is for %s to %s", e.state.Name, netip.AddrPortFrom(p.Destination, p.DestinationPort), to)
	p.DNAT, p.Elsewhere, p.OriginalDestination, p.OriginalPort = true, true, p.Destination, p.DestinationPort
	p.Destination, p.DestinationPort = to.Addr(), to.Port()
}

// beforeRouting are the chains that the packet meets before it is routed.
func (e *explainer) beforeRouting() []packet.Hook {
	return slices.DeleteFunc(slices.Clone(e.hooks), func(h packet.Hook) bool { return !h.BeforeRouting() })
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
	for _, p := range e.state.Published(e.family) {
		if p.Container.Addr() == container {
			return p.Bridge
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
