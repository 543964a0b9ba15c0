package snapshot

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// DockerRules are the engine's rules that a host has for a family.
type DockerRules struct {
	// Filter and NAT: the tables have chains that only Docker makes.
	Filter, NAT bool
	// FilterReached and NATReached: packets get to those chains from FORWARD and PREROUTING.
	FilterReached, NATReached bool
	// NATSaved: the rules that were read have a nat table at all.
	NATSaved bool
	// Native: they are in nft tables of Docker's own (its nftables backend); NativeReached:
	// packets get to those.
	Native, NativeReached bool
}

// Docker finds the engine's rules.
func (h *Host) Docker(f ir.Family) DockerRules {
	var out DockerRules
	out.Native, out.NativeReached = h.native(f)
	if t := h.Filter(f); t != nil {
		for _, name := range []string{"DOCKER", "DOCKER-FORWARD", "DOCKER-ISOLATION-STAGE-1"} {
			if t.Chain(name) != nil && h.Target != name {
				out.Filter = true
				out.FilterReached = out.FilterReached || Reaches(t, "FORWARD", name)
			}
		}
	}
	if h.Rules[f] == nil {
		return out
	}
	if t := h.Rules[f].Table("nat"); t != nil {
		out.NATSaved = true
		out.NAT = t.Chain("DOCKER") != nil
		out.NATReached = out.NAT && Reaches(t, "PREROUTING", "DOCKER")
	}
	return out
}

// Published is a port that Docker's nat rules forward to a container.
type Published struct {
	// Container is the address and port of --to-destination.
	Container netip.AddrPort
	Protocol  uint8
	Port      uint16
	Bridge    string // the interface to the container
	// Address is the host's address that the port is bound to; the zero Addr for all of them.
	Address netip.Addr
	// Proxied: the rule excludes the container's interface, as engines write it while docker-proxy
	// serves the port for the containers there.
	Proxied bool
}

// Published returns the ports of Docker's DNAT rules, those of Swarm's routing mesh among them, or
// in Docker's own nft tables. Rules of another form than those that engines make are left out.
func (h *Host) Published(f ir.Family) []Published {
	if h.Rules[f] == nil {
		return nil
	}
	if native := h.nativePublished(f); len(native) > 0 {
		return native
	}
	nat := h.Rules[f].Table("nat")
	var out []Published
	for _, name := range []string{"DOCKER", "DOCKER-INGRESS"} {
		c := nat.Chain(name)
		if c == nil {
			continue
		}
		for _, r := range c.Rules {
			p, ok := translatedBy(r)
			if ok && p.Bridge == "" {
				p.Bridge = h.bridgeOf(f, p.Container.Addr())
			}
			if ok && p.Bridge != "" {
				out = append(out, p)
			}
		}
	}
	return out
}

// translatedBy reads a DNAT rule, whose bridge is empty if the rule excludes none: with
// "userland-proxy": false a container reaches its own published port through the rule.
func translatedBy(r *iptables.Rule) (p Published, ok bool) {
	if r.Jump != "DNAT" {
		return p, false
	}
	for _, o := range r.Target {
		if to, err := netip.ParseAddrPort(o.Value()); o.Name == "--to-destination" && err == nil {
			p.Container = to
		}
	}
	if o := r.Option("-p"); o != nil && !o.Not {
		p.Protocol, _ = iptables.ProtocolNumber(o.Value())
	}
	if o := r.Option("-i"); o != nil && o.Not {
		p.Bridge, p.Proxied = o.Value(), true
	}
	if o := r.Option("-d"); o != nil && !o.Not {
		host, _, _ := strings.Cut(o.Value(), "/")
		p.Address, _ = netip.ParseAddr(host)
	}
	for i := range r.Matches {
		if o := r.Matches[i].Option("--dport"); o != nil && !o.Not {
			n, _ := strconv.ParseUint(o.Value(), 10, 16)
			p.Port = uint16(n)
		}
	}
	return p, p.Container.IsValid() && p.Protocol != 0 && p.Port != 0
}

// bridgeOf is the interface to a container in Docker's other rules: in the one that accepts its
// published port, or in the one that masquerades its network. It is empty if there is neither.
func (h *Host) bridgeOf(f ir.Family, container netip.Addr) string {
	if t := h.Filter(f); t != nil {
		for _, c := range t.Chains {
			if !identity.IsDockerChain(c.Name) {
				continue
			}
			for _, r := range c.Rules {
				if o := r.Option("-o"); o != nil && !o.Not && holds(r.Option("-d"), container) {
					return o.Value()
				}
			}
		}
	}
	if c := h.Rules[f].Table("nat").Chain("POSTROUTING"); c != nil {
		for _, r := range c.Rules {
			if o := r.Option("-o"); r.Jump == "MASQUERADE" && o != nil && o.Not && holds(r.Option("-s"), container) {
				return o.Value()
			}
		}
	}
	return ""
}

// holds reports whether an address is in the network of an option, which may be nil.
func holds(o *iptables.Option, address netip.Addr) bool {
	if o == nil || o.Not {
		return false
	}
	network, err := netip.ParsePrefix(o.Value())
	if err != nil {
		host, err := netip.ParseAddr(o.Value())
		return err == nil && host == address
	}
	return network.Contains(address)
}

// GatewayMode is a mode in which clients reach containers at their own addresses.
type GatewayMode string

// The modes, as Docker's options com.docker.network.bridge.gateway_mode_ipv4 and _ipv6 have them.
const (
	Routed         GatewayMode = "routed"          // published ports, which no rule translates
	NATUnprotected GatewayMode = "nat-unprotected" // all ports
)

// Gateways returns the bridges of a mode, in the order of the rules; docs/contributing/docker.md,
// "Gateway modes", has the rules. Those of Docker's own nft tables are not read.
func (h *Host) Gateways(f ir.Family, mode GatewayMode) []string {
	c := h.Filter(f).Chain("DOCKER")
	if c == nil {
		return nil
	}
	ping := map[ir.Family]uint8{ir.IPv4: 1, ir.IPv6: 58}[f]
	var out []string
	for _, r := range c.Rules {
		o := r.Option("-o")
		if r.Jump != "ACCEPT" || len(r.Matches) > 0 || len(r.Base) != 2 || o == nil || o.Not {
			continue
		}
		switch i, p := r.Option("-i"), r.Option("-p"); {
		case mode == NATUnprotected && i != nil && i.Not && i.Value() == o.Value():
			out = append(out, o.Value())
		case mode == Routed && p != nil && !p.Not:
			if n, ok := iptables.ProtocolNumber(p.Value()); ok && n == ping {
				out = append(out, o.Value())
			}
		}
	}
	return out
}

// ProxyPort is a published port as proxy_ports has it: 8443, or "53/udp".
func ProxyPort(protocol uint8, port uint16) string {
	switch protocol {
	case 17:
		return fmt.Sprintf(`"%d/udp"`, port)
	case 132:
		return fmt.Sprintf(`"%d/sctp"`, port)
	}
	return strconv.Itoa(int(port))
}

// Bridges are the interfaces to containers in Docker's own rules, in the order of the rules.
func (h *Host) Bridges(f ir.Family) []string {
	t := h.Filter(f)
	if t == nil {
		return nil
	}
	var out []string
	for _, c := range t.Chains {
		dockers := identity.IsDockerChain(c.Name)
		for _, r := range c.Rules {
			if dockers || c.Name == "FORWARD" && identity.IsDockerChain(r.Jump) {
				out = addValue(out, r, "-o")
			}
		}
	}
	return out
}
