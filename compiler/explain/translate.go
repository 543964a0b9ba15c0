package explain

import (
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// translate sends a packet through the nat table of a host, to find the container
// and its port, and the bridge it is on.
func (e *explainer) translate(p *packet.Packet) {
	nat := e.state.Rules[e.family].Table("nat")
	if nat == nil || p.Destination.IsValid() {
		return
	}
	// Before DNAT the packet is for the host itself.
	before := *p
	before.DNAT, before.Destination, before.DestinationPort, before.Out = false, p.OriginalDestination, p.OriginalPort, ""
	program := packet.FromDump(nat, e.family, "PREROUTING", nil)
	// Docker asks whether the address is one of the host's, which it is.
	before.Conditions = map[string]bool{"addrtype --dst-type LOCAL": true}
	d := program.Decide(before)
	target, ok := strings.CutPrefix(d.Verdict.With, "DNAT --to-destination ")
	if !ok {
		e.note("the nat table of %s translates no %s: nothing is published there, and the host itself answers, or docker-proxy (--proxy)", e.state.Name, before)
		return
	}
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		address, err := netip.ParseAddr(target)
		if err != nil {
			return
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
