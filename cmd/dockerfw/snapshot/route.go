package snapshot

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Path is where packets go on a host.
type Path int

// The paths: to containers and from them, and to the host itself, where docker-proxy
// answers for containers.
const (
	Forward Path = iota
	ToHost
)

// FilterChain is the built-in chain of the filter table that packets of the path meet.
func (p Path) FilterChain() string { return [...]string{"FORWARD", "INPUT"}[p] }

// place is a built-in chain of a table of iptables, with the hook of netfilter that it is
// at and its priority there.
type place struct {
	table, chain string
	hook         string
	priority     int
}

// hooksOnPath lists the hooks that packets of a path meet, in order. What nat does after
// routing changes no packet that a filter still sees.
var hooksOnPath = [...][]string{
	Forward: {"prerouting", "forward", "postrouting"},
	ToHost:  {"prerouting", "input"},
}

var places = [...][]place{
	Forward: {
		{"raw", "PREROUTING", "prerouting", -300},
		{"mangle", "PREROUTING", "prerouting", -150},
		{"nat", "PREROUTING", "prerouting", -100},
		{"mangle", "FORWARD", "forward", -150},
		{"filter", "FORWARD", "forward", 0},
		{"security", "FORWARD", "forward", 50}, // see securityPriority
		{"mangle", "POSTROUTING", "postrouting", -150},
	},
	ToHost: {
		{"raw", "PREROUTING", "prerouting", -300},
		{"mangle", "PREROUTING", "prerouting", -150},
		{"nat", "PREROUTING", "prerouting", -100},
		{"mangle", "INPUT", "input", -150},
		{"filter", "INPUT", "input", 0},
		{"security", "INPUT", "input", 50},
	},
}

// Hooks returns the built-in chains that packets of a path meet, and the base chains of
// nft among them, in order; those of tables other than filter that do nothing left out.
func (s *State) Hooks(f ir.Family, path Path) []packet.Hook {
	if s.Rules[f] == nil {
		return nil
	}
	var found []positioned
	for _, h := range places[path] {
		t := s.Rules[f].Table(h.table)
		c := t.Chain(h.chain)
		if c == nil || len(c.Rules) == 0 && c.Policy == "ACCEPT" && h.table != "filter" {
			continue
		}
		hook := packet.Hook{Table: h.table, Chain: h.chain, Program: s.programFrom(t, f, h.chain)}
		priority := h.priority
		if h.table == "security" {
			priority = s.securityPriority(f)
		}
		found = append(found, positioned{hook, h.hook, priority})
	}
	return inOrder(append(s.nftHooks(f, path), found...), path)
}

// securityPriority is where the security table is among the chains of a hook: iptables-nft
// makes its chains with 150, other than the kernel's own tables of iptables-legacy with 50
// (measured with 1.8.9 on Linux 6.18).
func (s *State) securityPriority(f ir.Family) int {
	const legacy, nft = 50, 150
	switch {
	case s.Backend == NFT || s.savedBy == NFT:
		return nft
	case s.Backend == Legacy || s.savedBy == Legacy:
		return legacy
	case s.NFT != nil && s.NFT.Table(nftFamily(f), "security") != nil:
		return nft
	}
	return legacy
}

// Declared tells whether the rules that were read say what a built-in chain does: by its
// rules, or by the line that declares it.
func Declared(c *iptables.Chain) bool {
	return c != nil && c.Policy != "" && (c.Range != (hcl.Range{}) || len(c.Rules) > 0)
}

// Leads tells whether some packets of a built-in chain can come to another chain of its
// table, by jumps with conditions too.
func Leads(t *iptables.Table, hook, chain string) bool {
	return reachable(t, hook).Chain(chain) != nil
}

// WithSets is the state with the members that its sets have on another, as far as that has
// sets of the same name.
func (s *State) WithSets(of *State) *State {
	out := *s
	out.known = nil
	out.Sets = s.Sets.Overlay(of.Sets, func(name string) bool {
		a, b := s.Sets.Set(name), of.Sets.Set(name)
		return a == nil || a.Type == b.Type && a.Family == b.Family
	})
	return &out
}

// DockerRules says which rules of the engine a host has for a family.
type DockerRules struct {
	// Filter and NAT tell whether the tables have chains that only Docker makes.
	Filter, NAT bool
	// Led tells whether packets come to those chains from FORWARD, and NATLed from
	// PREROUTING.
	Led, NATLed bool
	// NATSaved tells whether the rules that were read have a nat table at all.
	NATSaved bool
	// Native tells that they are in nft tables of Docker's own (its nftables backend), and
	// NativeLed that packets come to those.
	Native, NativeLed bool
}

// Docker finds the engine's rules.
func (s *State) Docker(f ir.Family) DockerRules {
	var out DockerRules
	out.Native, out.NativeLed = s.native(f)
	if t := s.Filter(f); t != nil {
		for _, name := range []string{"DOCKER", "DOCKER-FORWARD", "DOCKER-ISOLATION-STAGE-1"} {
			if t.Chain(name) != nil && s.Target != name {
				out.Filter = true
				out.Led = out.Led || Leads(t, "FORWARD", name)
			}
		}
	}
	if s.Rules[f] == nil {
		return out
	}
	if t := s.Rules[f].Table("nat"); t != nil {
		out.NATSaved = true
		out.NAT = t.Chain("DOCKER") != nil
		out.NATLed = out.NAT && Leads(t, "PREROUTING", "DOCKER")
	}
	return out
}

// Published is a port that Docker's nat rules forward to a container.
type Published struct {
	// Container is the address and port that --to-destination names.
	Container netip.AddrPort
	Protocol  uint8
	Port      uint16
	Bridge    string // the interface that the rule excludes: the container's
}

// Published reads the DNAT rules of the chain DOCKER, or of Docker's own nft tables. What
// has another form than those that engines make is left out.
func (s *State) Published(f ir.Family) []Published {
	if s.Rules[f] == nil {
		return nil
	}
	if native := s.nativePublished(f); len(native) > 0 {
		return native
	}
	c := s.Rules[f].Table("nat").Chain("DOCKER")
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
			p.Bridge = o.Value()
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

// ProxyPort is a published port as proxy_ports lists it: 8443, or "53/udp".
func ProxyPort(protocol uint8, port uint16) string {
	switch protocol {
	case 17:
		return fmt.Sprintf(`"%d/udp"`, port)
	case 132:
		return fmt.Sprintf(`"%d/sctp"`, port)
	}
	return strconv.Itoa(int(port))
}
