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

// translate sends a packet through the tables that it passes before routing, to find the
// target of DNAT. local reports whether its destination is an address of the host, which
// Docker's rules match.
func (e *explainer) translate(p packet.Packet, local bool) (question.Target, bool) {
	before := e.beforeRouting()
	local = local || publishedAt(e.state.Rules[e.family].Table("nat"), p.Destination)
	if local {
		p.Out = ""
	}
	p.State = ir.CTNew // only the first packet of a connection passes nat
	j := e.settled(before, p)
	e.branch(before, p)
	if j.Verdict.Kind != packet.Accept {
		// It is dropped before nat, which is still evaluated to know its destination.
		j = e.settled(slices.DeleteFunc(before, func(h packet.Hook) bool { return !h.Translates() }), p)
	}
	if !j.Packet.Tracked() {
		e.note("the raw table of %s excludes the packet from connection tracking, so the nat table does not translate it", e.state.Name)
	}
	to, ok := target(j.DNAT, p.DestinationPort)
	if !ok {
		return question.Target{}, false
	}
	return question.Target{To: to, Bridge: e.bridgeOf(to.Addr()), Elsewhere: !local}, true
}

// target parses the destination of a DNAT target, for packets to a port.
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

// publishedAt reports whether a port is published only on an address, which is then one of the
// host's.
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

// redirect sends a packet to a container's own address through the same tables: a rule of
// theirs may translate it too.
func (e *explainer) redirect(p packet.Packet) (question.Target, bool) {
	p.State = ir.CTNew
	j := e.settled(e.beforeRouting(), p)
	to, ok := target(j.DNAT, p.DestinationPort)
	return question.Target{To: to}, ok
}

// beforeRouting are the chains that the packet passes before it is routed.
func (e *explainer) beforeRouting() []packet.Hook {
	return slices.DeleteFunc(slices.Clone(e.hooks), func(h packet.Hook) bool { return !h.BeforeRouting() })
}

// settled is the journey if no unknown condition matches.
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

// bridgeOf is the interface of a container in Docker's rules.
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

// branch adds to otherGiven each unknown condition that matters on the packet's path through
// hooks, as one that matches.
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
		e.otherGiven = append(e.otherGiven, other)
		known[j.Open] = false
	}
}
