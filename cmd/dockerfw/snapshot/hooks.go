package snapshot

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Path is a path of packets through a host.
type Path int

// The paths: forwarded packets, to and from containers, and packets for the host itself, where
// docker-proxy answers for containers.
const (
	Forward Path = iota
	ToHost
)

// FilterChain is the built-in chain of the filter table on the path.
func (p Path) FilterChain() string { return [...]string{"FORWARD", "INPUT"}[p] }

// builtinChain is a chain of a table of iptables, its netfilter hook and priority.
type builtinChain struct {
	table, chain string
	hook         string
	priority     int
}

// hooksOnPath lists the hooks of a path in order. The nat table's POSTROUTING is left out: no
// filter sees packets after it.
var hooksOnPath = [...][]string{
	Forward: {"prerouting", "forward", "postrouting"},
	ToHost:  {"prerouting", "input"},
}

var builtinChains = [...][]builtinChain{
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

// hooksKey is a path of a family.
type hooksKey struct {
	family ir.Family
	path   Path
}

// Hooks returns the built-in chains that packets of a path traverse, and the base chains of
// nft, in order. Those of tables other than filter that have no effect are left out. The caller
// may change the slice, but not the programs.
func (h *Host) Hooks(f ir.Family, path Path) []packet.Hook {
	if h.Rules[f] == nil {
		return nil
	}
	key := hooksKey{f, path}
	if h.hooks[key] == nil {
		if h.hooks == nil {
			h.hooks = map[hooksKey][]packet.Hook{}
		}
		h.hooks[key] = inOrder(append(h.nftHooks(f, path), h.iptablesHooks(f, path)...), path)
	}
	return slices.Clone(h.hooks[key])
}

func (h *Host) iptablesHooks(f ir.Family, path Path) []positioned {
	var out []positioned
	for _, at := range builtinChains[path] {
		t := h.Rules[f].Table(at.table)
		c := t.Chain(at.chain)
		if c == nil || len(c.Rules) == 0 && c.Policy == "ACCEPT" && at.table != "filter" {
			continue
		}
		priority := at.priority
		if at.table == "security" {
			priority = h.securityPriority(f)
		}
		out = append(out, positioned{packet.Hook{Table: at.table, Chain: at.chain, Program: h.program(t, f, at.chain)}, at.hook, priority})
	}
	return out
}

// securityPriority is the priority of the security table: iptables-nft makes its chains with
// 150, while the kernel's own tables, those of iptables-legacy, have 50
// (docs/contributing/netfilter.md, "Priority of the security table").
func (h *Host) securityPriority(f ir.Family) int {
	const legacy, nft = 50, 150
	switch {
	case h.Backend == NFT || h.savedBy == NFT:
		return nft
	case h.Backend == Legacy || h.savedBy == Legacy:
		return legacy
	case h.NFT != nil && h.NFT.Table(nftFamily(f), "security") != nil:
		return nft
	}
	return legacy
}
