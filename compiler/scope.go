package compiler

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
)

// scope is one direction of traffic with the blocks of the policy for it.
type scope struct {
	ir.Scope
	rules []*parser.Rule
	def   *parser.Default
	// in and out are the interfaces on which packets arrive and leave, unless a rule
	// lists others.
	in, out []string
	// protected are the ports that ScopeProxy is for, and that ScopeHost is not for; entry
	// are the interfaces from which ScopeInput sends packets to either.
	protected []protocolPorts
	entry     []string
}

// scopes returns the directions for which the policy has rules. ScopeForward is first: its
// last rules jump to ScopeEgress.
func (c *compilation) scopes() []*scope {
	h := c.policy.Host
	external, container := parser.Values(h.ExternalInterfaces), parser.Values(h.ContainerInterfaces)
	all := []*scope{{Scope: ir.ScopeForward, rules: c.policy.Rules, def: c.policy.Default, in: external, out: container}}
	if e := c.policy.Egress; e != nil && (len(e.Rules) > 0 || e.Default.Action != parser.ActionReturn) {
		all = append(all, &scope{Scope: ir.ScopeEgress, rules: e.Rules, def: e.Default, in: container, out: external})
	}
	proxy := c.proxyScope(external)
	if proxy != nil {
		all = append(all, proxy)
	}
	if host := c.hostScope(external, proxy); host != nil {
		all = append(all, host)
	}
	return all
}

// path is the interfaces on which packets arrive and leave. Empty means any.
type path struct{ in, out []string }

// paths returns the paths of all rules of the scope, and of its default.
func (s *scope) paths() []path {
	all := []path{{slices.Clone(s.in), slices.Clone(s.out)}}
	for _, r := range s.rules {
		p := path{parser.Values(r.Interfaces), parser.Values(r.OutInterfaces)}
		if len(p.in) == 0 {
			p.in = s.in
		}
		if len(p.out) == 0 {
			p.out = s.out
		}
		all = addPath(all, p, s.Scope == ir.ScopeEgress)
	}
	return all
}

// addPath adds a path unless another covers it. A path with the same interfaces on the
// containers' side as another is merged with it.
func addPath(paths []path, p path, egress bool) []path {
	for i, have := range paths {
		switch {
		case coverAll(have.in, p.in) && coverAll(have.out, p.out):
			return paths
		case !egress && slices.Equal(have.out, p.out):
			paths[i].in = addInterfaces(have.in, p.in)
			return paths
		case egress && slices.Equal(have.in, p.in):
			paths[i].out = addInterfaces(have.out, p.out)
			return paths
		}
	}
	return append(paths, path{slices.Clone(p.in), slices.Clone(p.out)})
}

// coverAll reports whether the patterns in a match every name that b matches.
func coverAll(a, b []string) bool {
	if len(a) == 0 {
		return true
	}
	for _, name := range b {
		if !slices.ContainsFunc(a, func(have string) bool { return parser.Covers(have, name) }) {
			return false
		}
	}
	return len(b) > 0
}

// addInterfaces adds the names that no pattern in the list matches.
func addInterfaces(list, names []string) []string {
	for _, name := range names {
		if !coverAll(list, []string{name}) {
			list = append(list, name)
		}
	}
	return list
}
