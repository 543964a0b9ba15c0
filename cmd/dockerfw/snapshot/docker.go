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

// Published returns the ports of the DNAT rules in the chain DOCKER, or in Docker's own nft
// tables. Rules of another form than those that engines make are left out.
func (h *Host) Published(f ir.Family) []Published {
	if h.Rules[f] == nil {
		return nil
	}
	if native := h.nativePublished(f); len(native) > 0 {
		return native
	}
	c := h.Rules[f].Table("nat").Chain("DOCKER")
	if c == nil {
		return nil
	}
	var out []Published
	for _, r := range c.Rules {
		if r.Jump != "DNAT" {
			continue
		}
		p := Published{}
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
		} else {
			p.Bridge = h.bridgeTo(f, p.Container.Addr())
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
		if p.Container.IsValid() && p.Protocol != 0 && p.Port != 0 && p.Bridge != "" {
			out = append(out, p)
		}
	}
	return out
}

// bridgeTo is the interface that Docker's filter rules accept packets to a container on; "" if
// they do not say.
func (h *Host) bridgeTo(f ir.Family, container netip.Addr) string {
	t := h.Filter(f)
	if t == nil {
		return ""
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			d, o := r.Option("-d"), r.Option("-o")
			if !identity.IsDockerChain(c.Name) || d == nil || o == nil || d.Not || o.Not {
				continue
			}
			if host, _, _ := strings.Cut(d.Value(), "/"); host == container.String() {
				return o.Value()
			}
		}
	}
	return ""
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
