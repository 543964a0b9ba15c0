package firewall

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/dump"
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

// hooks are the built-in chains that packets of a path meet, in order: by the priorities
// of netfilter's hooks, raw is -300, mangle -150, nat -100 before routing; filter is 0,
// security 50. What nat does after routing changes no packet that a filter still sees.
var hooks = [...][][2]string{
	Forward: {
		{"raw", "PREROUTING"},
		{"mangle", "PREROUTING"},
		{"nat", "PREROUTING"},
		{"mangle", "FORWARD"},
		{"filter", "FORWARD"},
		{"security", "FORWARD"},
		{"mangle", "POSTROUTING"},
	},
	ToHost: {
		{"raw", "PREROUTING"},
		{"mangle", "PREROUTING"},
		{"nat", "PREROUTING"},
		{"mangle", "INPUT"},
		{"filter", "INPUT"},
		{"security", "INPUT"},
	},
}

// Hooks returns the built-in chains that packets of a path meet, those that do nothing
// left out.
func (s *State) Hooks(f ir.Family, path Path) []packet.Hook {
	var out []packet.Hook
	for _, h := range hooks[path] {
		if s.Rules[f] == nil {
			break
		}
		t := s.Rules[f].Table(h[0])
		c := t.Chain(h[1])
		if c == nil || len(c.Rules) == 0 && c.Policy == "ACCEPT" && h[0] != "filter" {
			continue
		}
		out = append(out, packet.Hook{Table: h[0], Chain: h[1], Program: s.programFrom(t, f, h[1])})
	}
	return out
}

// Declared tells whether the rules that were read say what a built-in chain does: by its
// rules, or by the line that declares it.
func Declared(c *dump.Chain) bool {
	return c != nil && c.Policy != "" && (c.Range != (hcl.Range{}) || len(c.Rules) > 0)
}

// Leads tells whether some packets of a built-in chain can come to another chain of its
// table, by jumps with conditions too.
func Leads(t *dump.Table, hook, chain string) bool {
	return reachable(t, hook).Chain(chain) != nil
}
