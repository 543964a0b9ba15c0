package explain

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// host is what the snapshot shows of the host.
func (e *explainer) host() question.Host {
	h := question.Host{Name: e.state.Name, SourcePorts: e.matchesSourcePorts()}
	h.External, h.Container = e.state.Interfaces(e.family)
	if e.state.Kind.Compiled() {
		return h // what dockerfw compiles has neither Docker's chains nor its nat table
	}
	h.Bridges = e.state.Bridges(e.family)
	h.Bridge = func(container netip.Addr) string { return e.bridgeOf(container) }
	if !e.whole {
		return h
	}
	h.Redirect = e.redirect
	switch {
	case e.state.Rules[e.family].Table("nat") != nil || e.state.Docker(e.family).Native:
		h.Translate = e.translate
	case e.state.Kind == snapshot.Saved:
		e.note("%s contains no nat table: it is assumed that Docker publishes the port", e.state.Name)
	default:
		// A live host without the table translates no packet.
		h.Translate = func(packet.Packet, bool) (question.Target, bool) { return question.Target{}, false }
	}
	return h
}

// matchesSourcePorts reports whether any rule matches source ports. Only then the answer
// mentions the source port that is assumed.
func (e *explainer) matchesSourcePorts() bool {
	matches := func(m iptables.Match) bool {
		return slices.ContainsFunc([]string{"--sport", "--sports", "--ports"}, func(option string) bool { return m.Option(option) != nil })
	}
	if e.state.NFTables() && e.tableMatchesSourcePorts() {
		return true
	}
	for _, c := range e.chains() {
		for _, r := range c.Rules {
			if slices.ContainsFunc(r.Matches, matches) || slices.ContainsFunc(r.Matches, e.setMatchesSourcePorts) {
				return true
			}
		}
	}
	return false
}

// tableMatchesSourcePorts reports whether any rule of the table of dockerfw matches source ports.
func (e *explainer) tableMatchesSourcePorts() bool {
	found := false
	for _, path := range []snapshot.Path{snapshot.Forward, snapshot.ToHost} {
		for _, r := range e.state.Program(e.family, e.state.OwnChain(path)).Rules() {
			for _, m := range r.Matches {
				packet.Walk(m, func(c packet.Cond) bool {
					p, ok := c.(packet.Port)
					found = found || ok && p.End == packet.Source
					return true
				})
			}
		}
	}
	return found
}

// setMatchesSourcePorts reports whether a match looks up the source port in a set.
func (e *explainer) setMatchesSourcePorts(m iptables.Match) bool {
	o := m.Option("--match-set")
	if o == nil || len(o.Values) != 2 {
		return false
	}
	set := e.state.Sets.Set(o.Values[0])
	if set == nil {
		return false
	}
	_, kinds, _ := strings.Cut(set.Type, ":")
	flags := strings.Split(o.Values[1], ",")
	i := slices.Index(strings.Split(kinds, ","), "port")
	return i >= 0 && i < len(flags) && flags[i] == "src"
}

// chains are those of the filter table, which a host may not have yet.
func (e *explainer) chains() []*iptables.Chain {
	if t := e.state.Filter(e.family); t != nil {
		return t.Chains
	}
	return nil
}
